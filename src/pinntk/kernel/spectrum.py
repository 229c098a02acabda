"""Eigenvalues and eigenvectors of a kernel, and what gradient descent does along them."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.linalg
from jaxtyping import Float

from pinntk import threads
from pinntk.errors import PinntkError


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """The eigendecomposition of a symmetric positive semi-definite kernel, largest first.

    Eigenvalues under `noise_floor` = n·eps·λ_max (float64) are rounding, not information: `rank`
    counts those above it.
    """

    eigenvalues: Float[np.ndarray, " n"]
    eigenvectors: Float[np.ndarray, "n n"]

    @property
    def largest(self) -> float:
        """λ_max."""
        return float(self.eigenvalues[0])

    @property
    def noise_floor(self) -> float:
        """n·eps·λ_max."""
        return len(self.eigenvalues) * np.finfo(np.float64).eps * self.largest

    @property
    def rank(self) -> int:
        """How many eigenvalues stand above the noise floor."""
        return int(np.sum(self.eigenvalues > self.noise_floor))

    @property
    def below_noise(self) -> int:
        """How many eigenvalues are noise."""
        return len(self.eigenvalues) - self.rank

    def energy(self, residual: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The share of ‖residual‖² in each eigenmode; sums to one (zeros for a zero residual)."""
        coefficients = self.eigenvectors.T @ residual
        total = float(residual @ residual)
        return coefficients**2 / total if total > 0 else np.zeros_like(coefficients)


def spectrum(matrix: Float[np.ndarray, "n n"]) -> Spectrum:
    """The spectrum of a symmetric matrix, by LAPACK's symmetric solver in float64."""
    if not np.isfinite(matrix).all():
        raise PinntkError("kernel", got="NaN or infinity", expected="finite entries")
    with threads.for_rows(len(matrix)):
        eigenvalues, eigenvectors = scipy.linalg.eigh(np.asarray(matrix, np.float64))
    return Spectrum(eigenvalues[::-1].copy(), eigenvectors[:, ::-1].copy())


def largest_stable_step(largest_eigenvalue: float) -> float:
    """The step size 1/μ_max above which gradient descent on Σ λ_k mean r_k² diverges.

    The mode of eigenvalue μ is multiplied by 1 − 2ημ at every step, which must stay above −1.
    """
    return 1.0 / largest_eigenvalue
