"""Numbers that explain a slow training: whose ill-conditioning it is, and what a step could still give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pinntk.diagnosis.fieldkernel import FIELD
from pinntk.diagnosis.linearized import DAMPING, equal_rates, solved
from pinntk.diagnosis.reach import Descent
from pinntk.diagnosis.subject import AbstractSubject, ByCondition
from pinntk.jacobian import cast
from pinntk.kernel import TangentKernel, spectrum
from pinntk.problem import Batch, Model

#: The largest modes that conditioning is compared over. A condition number over all modes is that of the
#: rounding, because a smooth kernel's eigenvalues fall below it; short trainings learn about so many.
MODES = 16
#: Of the Gauss–Newton step, how far the residual is followed to both sides: at the fourth root of rounding
#: truncation and rounding of a second difference are equally small.
STRIDE = float(np.finfo(np.float64).eps) ** (1 / 4)


class Spread(NamedTuple):
    """λ₁/λ₁₆ of the field's kernel K_u, of the equation's kernel K_r, and of the operator between them."""

    field: float
    equation: float
    operator: float


def spread(kernel: TangentKernel, equation: str) -> Spread:
    """Whether the network or the operator makes an equation ill-conditioned, over `MODES` modes.

    `kernel` holds the blocks of the field and of the equation at the same points. The operator's spread is
    that of the generalized eigenvalues of (VᵀJ_rᵀJ_rV, VᵀJ_uᵀJ_uV), V the parameter directions of the
    largest modes of K_u = UΛUᵀ: the squared singular values of K_ru UΛ⁻¹, which maps a mode of the
    field to its residual.
    """
    modes = spectrum(kernel.block(FIELD))
    count = min(MODES, modes.rank)
    if count == 0:
        return Spread(math.inf, math.inf, math.inf)
    largest = modes.eigenvalues[:count]
    residual = spectrum(kernel.block(equation)).eigenvalues
    mapped = kernel.block(equation, FIELD) @ (modes.eigenvectors[:, :count] / largest)
    amplified = np.linalg.svd(mapped, compute_uv=False) ** 2
    return Spread(
        _ratio(largest[0], largest[-1]),
        _ratio(residual[0], residual[min(count, len(residual)) - 1]),
        _ratio(amplified[0], amplified[-1]),
    )


def effective_dimension(eigenvalues: np.ndarray, damping: float = DAMPING) -> float:
    """Σ λ/(λ + μ), μ a share of the mean eigenvalue: how many numbers the kernel fits to that damping."""
    values = np.maximum(eigenvalues, 0.0)
    total = float(values.sum())
    return float(np.sum(values / (values + damping * total / len(values)))) if total > 0 else 0.0


def promised(descent: Descent, damping: float = DAMPING) -> float:
    """The share of the loss that the Gauss–Newton model still takes away: 1 − Σ c²(μ/(λ + μ))²/Σ c².

    c are the coefficients of the weighted residual in the modes of its kernel.
    """
    values = np.maximum(descent.moving.modes.eigenvalues, 0.0)
    energy = descent.moving.coefficients**2
    if not values.sum() > 0 or not energy.sum() > 0:
        return 0.0
    mu = damping * float(values.mean())
    return 1.0 - float(energy @ (mu / (values + mu)) ** 2 / energy.sum())


def alignment(cosines: Mapping[tuple[str, str], float]) -> float:
    """2‖(1/n) Σ ∇L_k/‖∇L_k‖‖² − 1 from the cosines of n gradients; their cosine for two, 1 for one.

    1 where all point the same way, 0 where two are at right angles, −1 where they cancel (Wang, Bhartari,
    Li, Perdikaris 2025, arXiv 2502.00604).
    """
    count = (1 + math.isqrt(1 + 8 * len(cosines))) // 2
    return 2 * (count + 2 * sum(cosines.values())) / count**2 - 1


def curvature(
    subject: AbstractSubject,
    model: Model,
    batch: Batch,
    kernel: TangentKernel,
    residuals: ByCondition,
) -> float:
    """‖r''[d, d]‖/‖J d‖ along the Gauss–Newton step d: from 1 on, the linearized step cannot be trusted.

    r'' is a second difference of the residual, in float64, rows scaled to equal average rates.
    """
    stacked = np.concatenate([np.ravel(residuals[name]) for name in kernel.names])
    step = {name: vector[0] for name, vector in solved(kernel, stacked[:, None]).items()}

    def moved(share: float) -> np.ndarray:
        with jax.enable_x64(True):
            double = cast(batch, jnp.float64)
            there = subject.moved(model, double, {name: share * v for name, v in step.items()})
            found = subject.residuals(there, double, exact=True)
        return np.concatenate([np.ravel(found[name]) for name in kernel.names])

    root = equal_rates(kernel)
    ahead, here, behind = moved(STRIDE), moved(0.0), moved(-STRIDE)
    second = root * (ahead - 2 * here + behind) / STRIDE**2
    first = root * (ahead - behind) / (2 * STRIDE)
    size = float(np.linalg.norm(first))
    return float(np.linalg.norm(second)) / size if size > 0 else 0.0


def kernel_spread(matrices: list[np.ndarray]) -> float:
    """The mean distance of kernels from their mean, over its norm; 0 where all draws have the same."""
    mean = np.mean(matrices, axis=0)
    size = float(np.linalg.norm(mean))
    away = float(np.mean([np.linalg.norm(matrix - mean) for matrix in matrices]))
    return away / size if size > 0 else 0.0


def _ratio(large: float, small: float) -> float:
    return float(large / small) if small > 0 else math.inf
