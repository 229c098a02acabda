"""What gradient descent leaves of every condition after the planned steps, under three kernels.

*Alone*: each condition with its own block, as if there were no other. *Balanced*: all of them together,
under the weights of Algorithm 1. *Given*: together, under the weights in force. What is left alone is
spectral bias; what is left balanced but not alone is conflict between conditions; what is left as given
but not balanced is imbalance. The three parts of a failure are told apart without training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pinntk.kernel import Spectrum, TangentKernel, dynamics, remaining, spectrum
from pinntk.weighting import ntk_weights

#: The step that the reach is computed with, as a share of the largest stable one. At that one itself
#: the fastest mode changes sign for ever: its factor is 1 − 2ημ = −1.
OF_STABLE = 0.9
#: A mode counts as learned when this share of its residual, or less, is left.
LEARNED = 0.1


class Reach(NamedTuple):
    """Shares of ‖r_k‖² that the planned steps leave, by condition, and how it comes about.

    `learnable` counts the modes of each block that are learned in the planned steps; `modes` are those
    of the whole kernel under the weights given, `slow` which of them are not learned, `coefficients`
    the residual in them; `rank` is that of the whole kernel.
    """

    alone: Mapping[str, float]
    balanced: Mapping[str, float]
    given: Mapping[str, float]
    learnable: Mapping[str, int]
    modes: Spectrum
    slow: np.ndarray
    coefficients: np.ndarray
    blocks: Mapping[str, Spectrum]
    rank: int


def reach(
    kernel: TangentKernel,
    residuals: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    steps: int,
) -> Reach:
    """`residuals` are (n_k,) by condition; a condition with a block of zeros is left as it is."""
    blocks = {name: spectrum(kernel.block(name)) for name in kernel.names}
    alone, learnable = {}, {}
    for name, block in blocks.items():
        left = _left(block.eigenvalues, steps)
        energy = block.energy(residuals[name])
        alone[name] = float(energy @ left**2)
        learnable[name] = int(np.sum(np.abs(left) <= LEARNED))
    live = {name: trace if trace > 0 else 1.0 for name, trace in kernel.traces().items()}
    even = {name: float(weight) for name, weight in ntk_weights(live, kernel.rows).items()}
    balanced, _, _, _ = _together(kernel, residuals, even, steps)
    given, modes, coefficients, left = _together(kernel, residuals, weights, steps)
    return Reach(
        alone,
        balanced,
        given,
        learnable,
        modes,
        np.abs(left) > LEARNED,
        coefficients,
        blocks,
        modes.rank,
    )


def _left(eigenvalues: np.ndarray, steps: int) -> np.ndarray:
    if not eigenvalues[0] > 0:
        return np.ones_like(eigenvalues)
    return remaining(eigenvalues, OF_STABLE / float(eigenvalues[0]), steps)


def _together(
    kernel: TangentKernel,
    residuals: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    steps: int,
) -> tuple[dict[str, float], Spectrum, np.ndarray, np.ndarray]:
    moving = dynamics(kernel, residuals, weights)
    left = _left(moving.modes.eigenvalues, steps)
    start = moving.losses(np.ones_like(left))
    shares = {
        name: value / start[name] if start[name] else 0.0
        for name, value in moving.losses(left).items()
    }
    return shares, moving.modes, moving.coefficients, left
