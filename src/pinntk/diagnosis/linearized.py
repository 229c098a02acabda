"""An error estimate that needs no solution, from the linearized problem."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from pinntk import threads
from pinntk.diagnosis.subject import AbstractSubject
from pinntk.kernel import TangentKernel
from pinntk.problem import Batch, Model

#: The Tikhonov term of the linearized problem, as a share of the mean eigenvalue. On trained networks the
#: error that it estimates is the same from 1e-5 to 1e-9; larger leaves slow modes out, smaller asks
#: for steps far outside the linear regime.
DAMPING = 1e-7


class Linearized(NamedTuple):
    """Where the linearized problem would take the model: an estimate of its error, without a solution.

    `wanted_rms` is that of u + δu, `error` ‖δu‖/‖u + δu‖, `shares` the same for the part of δu that the
    residual of each condition asks for. `beyond` is the share of ‖r_k‖ that the step leaves, because no
    change of the parameters removes it: the estimate knows nothing of an error that it stands for.
    """

    wanted_rms: float
    error: float
    shares: Mapping[str, float]
    beyond: Mapping[str, float]


def linearized(
    subject: AbstractSubject,
    model: Model,
    batch: Batch,
    kernel: TangentKernel,
    residuals: Mapping[str, np.ndarray],
    points: Array,
    field: np.ndarray,
) -> Linearized:
    """δu = J_u Δθ with Δθ = −Jᵀ(K + μI)⁻¹ r, rows scaled to equal average rates; `field` is u (n, m).

    For a linear equation it is the Gauss–Newton step, and u + δu the best that the tangent space can do.
    """
    sources = np.zeros((sum(kernel.rows.values()), len(kernel.names)))
    for column, name in enumerate(kernel.names):
        sources[kernel.slice_of(name), column] = residuals[name]
    vectors = solved(kernel, sources)
    moves = subject.moves(model, batch, vectors, points)
    wanted = rms(field + moves.sum(axis=0))
    size = wanted if wanted > 0 else 1.0
    shares = {name: rms(move) / size for name, move in zip(kernel.names, moves, strict=True)}
    change = -kernel.matrix @ np.concatenate([vectors[name].sum(axis=0) for name in kernel.names])
    left = {k: residuals[k] + change[kernel.slice_of(k)] for k in kernel.names}
    beyond = {k: rms(left[k]) / (rms(residuals[k]) or 1.0) for k in kernel.names}
    return Linearized(wanted, rms(moves.sum(axis=0)) / size, shares, beyond)


def solved(kernel: TangentKernel, sources: Float[np.ndarray, "n m"]) -> dict[str, np.ndarray]:
    """(K + μI)⁻¹ of m residuals, rows scaled to equal average rates, as (m, n_k) by condition.

    Δθ = −Jᵀ of it is the step of the linearized problem.
    """
    root = equal_rates(kernel)
    matrix = root[:, None] * kernel.matrix * root[None, :]
    matrix[np.diag_indices_from(matrix)] += DAMPING * max(np.trace(matrix), 1e-300) / len(matrix)
    with threads.for_rows(len(matrix)):
        right = root[:, None] * sources
        solution = scipy.linalg.solve(matrix, right, assume_a="sym", check_finite=False)
    found = (root[:, None] * solution).T
    return {k: found[:, kernel.slice_of(k)] for k in kernel.names}


def equal_rates(kernel: TangentKernel) -> Float[np.ndarray, " n"]:
    """Factors on the rows of J that give all conditions the same average rate; 0 for a block of zeros."""
    rates = kernel.rates()
    return np.concatenate(
        [
            np.full(n, 1 / math.sqrt(rates[k] * n) if rates[k] > 0 else 0.0)
            for k, n in kernel.rows.items()
        ]
    )


def rms(values: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(values**2)))
