"""What gradient descent leaves of every condition after the planned steps, under three kernels.

*Alone*: each condition with its own block, as if there were no other. *Balanced*: all of them together,
under the weights of Algorithm 1. *Given*: together, under the weights in force. What is left alone is
spectral bias; what is left balanced but not alone is conflict between conditions; what is left as given
but not balanced is imbalance. The three parts of a failure are told apart without training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pinntk.kernel import (
    Dynamics,
    Spectrum,
    TangentKernel,
    dynamics,
    largest_stable_step,
    remaining,
    spectrum,
)
from pinntk.weighting import ntk_weights

#: The step that the reach is computed with, as a share of the largest stable one. At that one itself
#: the fastest mode changes sign forever: its factor is 1 − 2ημ = −1.
OF_STABLE = 0.9
#: A mode counts as learned when this share of its residual, or less, is left.
LEARNED = 0.1


@dataclasses.dataclass(frozen=True)
class Descent:
    """`steps` of gradient descent on all conditions together, under a kernel and weights held constant."""

    moving: Dynamics
    steps: int
    learning_rate: float

    @property
    def stable_step(self) -> float:
        """The largest learning rate that does not diverge."""
        return stable_step(self.moving.modes)

    @property
    def left(self) -> np.ndarray:
        """Which share of each mode is left after the steps."""
        return _left(self.moving.modes.eigenvalues, self.learning_rate, self.steps)

    @property
    def slow(self) -> np.ndarray:
        """Which modes are not learned."""
        return np.abs(self.left) > LEARNED

    def at(self, learning_rate: float | None) -> Descent:
        """The same at another learning rate, where that one is known and stable."""
        if learning_rate is None or not learning_rate < self.stable_step:
            return self
        return dataclasses.replace(self, learning_rate=learning_rate)

    def losses_left(self) -> dict[str, float]:
        """Each loss after the steps, as a share of today's."""
        return self._shares(self.left)

    def out_of_reach(self) -> dict[str, float]:
        """The energy of each condition's residual in modes that are not learned, as a share of it.

        It can exceed one, because a mode spans all conditions and its parts may cancel in the sum.
        """
        return self._shares(np.where(self.slow, 1.0, 0.0))

    def _shares(self, left: np.ndarray) -> dict[str, float]:
        start = self.moving.losses(np.ones_like(left))
        return {
            name: value / start[name] if start[name] else 0.0
            for name, value in self.moving.losses(left).items()
        }


class Reach(NamedTuple):
    """Shares of ‖r_k‖² that the planned steps leave, by condition, and how it comes about.

    `learnable` counts the modes of each block that are learned in the planned steps; `blocks` are their
    spectra. `descent` and `balanced_descent` are all conditions together, under the weights given and
    under those of Algorithm 1.
    """

    alone: Mapping[str, float]
    balanced: Mapping[str, float]
    given: Mapping[str, float]
    learnable: Mapping[str, int]
    blocks: Mapping[str, Spectrum]
    descent: Descent
    balanced_descent: Descent

    @property
    def modes(self) -> Spectrum:
        """Those of the whole kernel under the weights given."""
        return self.descent.moving.modes

    @property
    def rank(self) -> int:
        """The rank of the whole kernel."""
        return self.modes.rank


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
        left = _left(block.eigenvalues, OF_STABLE * stable_step(block), steps)
        energy = block.energy(residuals[name])
        alone[name] = float(energy @ left**2)
        learnable[name] = int(np.sum(np.abs(left) <= LEARNED))
    given = _descent(kernel, residuals, weights, steps)
    balanced = _descent(kernel, residuals, balancing(kernel), steps)
    return Reach(
        alone,
        balanced.losses_left(),
        given.losses_left(),
        learnable,
        blocks,
        given,
        balanced,
    )


def balancing(kernel: TangentKernel) -> dict[str, float]:
    """The weights of Algorithm 1; a block of zeros counts as if its trace were one."""
    live = {name: trace if trace > 0 else 1.0 for name, trace in kernel.traces().items()}
    return {name: float(weight) for name, weight in ntk_weights(live, kernel.rows).items()}


def stable_step(modes: Spectrum) -> float:
    """The largest stable step of gradient descent; infinite for a kernel of zeros."""
    return largest_stable_step(modes.largest) if modes.largest > 0 else np.inf


def _descent(
    kernel: TangentKernel,
    residuals: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    steps: int,
) -> Descent:
    moving = dynamics(kernel, residuals, weights)
    return Descent(moving, steps, OF_STABLE * stable_step(moving.modes))


def _left(eigenvalues: np.ndarray, learning_rate: float, steps: int) -> np.ndarray:
    if not eigenvalues[0] > 0:
        return np.ones_like(eigenvalues)
    return remaining(eigenvalues, learning_rate, steps)
