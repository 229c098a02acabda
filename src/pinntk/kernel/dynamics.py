"""What training does under a kernel that stays as it is: exact per mode, for descent and flow.

With r̃ = Λ^½ r and Λ = λ_k/N_k, one step η of gradient descent on Σ λ_k mean r_k² turns r̃ into
(1 − 2η Λ^½ K Λ^½) r̃, and the flow dθ/dt = −∇L into e^(−2t Λ^½ K Λ^½) r̃ (Wang, Yu, Perdikaris 2022,
section 4, where the loss is half a sum and all weights are 1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from pinntk.errors import PinntkError
from pinntk.kernel.spectrum import Spectrum, spectrum
from pinntk.kernel.tangent import TangentKernel

#: Which share of every mode is left: an array over the eigenvalues.
Left = Float[np.ndarray, " n"]


def remaining(eigenvalues: Float[np.ndarray, " n"], learning_rate: float, steps: int) -> Left:
    """(1 − 2ημ)^steps: what is left of each mode after gradient descent on Σ λ_k mean r_k².

    `eigenvalues` are those of the weighted kernel (`TangentKernel.weighted`), held constant. The sign
    alternates for modes that overshoot.
    """
    factors = 1.0 - 2.0 * learning_rate * np.maximum(eigenvalues, 0.0)
    with np.errstate(over="ignore", under="ignore"):
        return factors**steps


def remaining_in_flow(eigenvalues: Float[np.ndarray, " n"], time: float) -> Left:
    """e^(−2μt): what the gradient flow leaves of each mode."""
    return np.exp(-2.0 * np.maximum(eigenvalues, 0.0) * time)


@dataclasses.dataclass(frozen=True)
class Dynamics:
    """The residual of every condition in the eigenmodes of the weighted kernel, made by `dynamics`.

    `modes` are those of Λ^½ K Λ^½, `coefficients` those of Λ^½ r in them, `root` is √(λ_k/N_k) by row.
    """

    kernel: TangentKernel
    modes: Spectrum
    coefficients: Float[np.ndarray, " n"]
    root: Float[np.ndarray, " n"]

    def scaled(self, left: Left) -> dict[str, Float[np.ndarray, " n_k"]]:
        """√(λ_k/N_k) r_k when this share of every mode is left, by condition."""
        with np.errstate(over="ignore", invalid="ignore"):
            vector = self.modes.eigenvectors @ (left * self.coefficients)
        return {name: vector[self.kernel.slice_of(name)] for name in self.kernel.names}

    def losses(self, left: Left) -> dict[str, float]:
        """λ_k mean r_k² when this share of every mode is left; the weights must be positive."""
        return {name: float(part @ part) for name, part in self.scaled(left).items()}

    def after_steps(self, learning_rate: float, steps: int) -> dict[str, float]:
        """The weighted losses λ_k mean r_k² after so many steps of gradient descent."""
        return self.losses(remaining(self.modes.eigenvalues, learning_rate, steps))

    def after_time(self, time: float) -> dict[str, float]:
        """The weighted losses λ_k mean r_k² after so much time of gradient flow on Σ λ_k mean r_k²."""
        return self.losses(remaining_in_flow(self.modes.eigenvalues, time))

    def steps_to(self, share: float, learning_rate: float, limit: int) -> dict[str, int | None]:
        """Steps of gradient descent after which each loss is `share` of today's or less; None beyond
        `limit`.

        Found by doubling and bisection: the loss is above the share one step earlier. A loss that comes
        back up later, or that dips between two doublings, is not noticed.
        """
        start = self.after_steps(learning_rate, 0)

        def reached(name: str, steps: int) -> bool:
            return self.after_steps(learning_rate, steps)[name] <= share * start[name]

        return {name: _first(lambda n, k=name: reached(k, n), limit) for name in self.kernel.names}

    def displacement(self, learning_rate: float, steps: int) -> dict[str, np.ndarray]:
        """The vectors v_k with Δθ = −Jᵀ v, the way of the parameters in so many steps.

        Δθ = −2η Σ_m Jᵀ Λ r_m, where the sum over steps is (1 − (1 − 2ημ)^n)/2ημ in every mode.
        """
        rates = 2.0 * learning_rate * np.maximum(self.modes.eigenvalues, 0.0)
        left = remaining(self.modes.eigenvalues, learning_rate, steps)
        # Where 1 − (1 − x)^n is all rounding, the sum is n.
        small = rates * steps < 1e-8
        sums = np.where(small, steps, (1.0 - left) / np.where(small, 1.0, rates))
        vector = self.root * (
            self.modes.eigenvectors @ (2.0 * learning_rate * sums * self.coefficients)
        )
        return {name: vector[self.kernel.slice_of(name)] for name in self.kernel.names}


def dynamics(
    kernel: TangentKernel, residuals: Mapping[str, np.ndarray], weights: Mapping[str, float]
) -> Dynamics:
    """The dynamics of residuals r_k, (n_k,) by condition, under a kernel and fixed loss weights."""
    root = kernel.root_weights(weights)
    stacked = np.concatenate([np.asarray(residuals[name], float).ravel() for name in kernel.names])
    if stacked.shape != root.shape:
        raise PinntkError(
            "residuals",
            got=f"{stacked.size} of them",
            expected=f"{root.size}, one for every row of the kernel",
        )
    modes = spectrum(kernel.weighted(weights))
    return Dynamics(kernel, modes, modes.eigenvectors.T @ (root * stacked), root)


def parting(
    steps: Sequence[int],
    predicted: Sequence[float] | np.ndarray,
    observed: Sequence[float] | np.ndarray,
    relative: float = 0.1,
) -> int | None:
    """The first of the steps at which a prediction is off by more than this share of the observation."""
    off = np.abs(np.asarray(predicted) - np.asarray(observed)) > relative * np.abs(
        np.asarray(observed)
    )
    return int(np.asarray(steps)[off.argmax()]) if off.any() else None


def _first(reached: Callable[[int], bool], limit: int) -> int | None:
    """The n ≤ limit with reached(n) and not reached(n − 1), by doubling and bisection."""
    if reached(0):
        return 0
    low, high = 0, 1
    while not reached(high):
        if high >= limit:
            return None
        low, high = high, min(2 * high, limit)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
