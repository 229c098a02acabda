"""An estimate of a model's error that needs no solution: where the linearised problem would take it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.jacobian import cast, implicit, trainable, vjp
from pinntk.kernel import TangentKernel
from pinntk.problem import Batch, Model, Problem

#: The Tikhonov term of the linearised problem, as a share of the mean eigenvalue. On trained networks the
#: error that it estimates is the same from 1e-5 to 1e-9; larger leaves slow modes out, smaller asks
#: for steps far outside the linear regime.
DAMPING = 1e-7


class Linearised(NamedTuple):
    """Where the linearised problem would take the model: an estimate of its error, without a solution.

    `wanted_rms` is that of u + δu, `error` ‖δu‖/‖u + δu‖, `shares` the same for the part of δu that the
    residual of each condition asks for.
    """

    wanted_rms: float
    error: float
    shares: Mapping[str, float]


def linearised(
    problem: Problem,
    model: Model,
    batch: Batch,
    kernel: TangentKernel,
    residuals: Mapping[str, np.ndarray],
    points: Array,
) -> Linearised:
    """δu = J_u Δθ with Δθ = −Jᵀ(K + μI)⁻¹ r, rows scaled to equal average rates.

    For a linear equation it is the Gauss–Newton step, and u + δu the best that the tangent space can do.
    """
    rates = kernel.rates()
    root = np.concatenate(
        [
            np.full(n, 1 / math.sqrt(rates[k] * n) if rates[k] > 0 else 0.0)
            for k, n in kernel.rows.items()
        ]
    )
    sources = np.zeros((len(root), len(kernel.names)))
    for column, name in enumerate(kernel.names):
        sources[kernel.slice_of(name), column] = residuals[name]
    matrix = root[:, None] * kernel.matrix * root[None, :]
    matrix[np.diag_indices_from(matrix)] += DAMPING * max(np.trace(matrix), 1e-300) / len(matrix)
    solved = (root[:, None] * np.linalg.solve(matrix, root[:, None] * sources)).T
    with jax.enable_x64(True):
        vectors = {k: jnp.asarray(solved[:, kernel.slice_of(k)]) for k in kernel.names}
        double = cast(model, jnp.float64)
        places = jnp.asarray(points, jnp.float64)
        found = _field_and_moves(problem, double, cast(batch, jnp.float64), vectors, places)
        field, moves = (np.asarray(value) for value in found)
    wanted = rms(field + moves.sum(axis=0))
    size = wanted if wanted > 0 else 1.0
    shares = {name: rms(move) / size for name, move in zip(kernel.names, moves, strict=True)}
    return Linearised(wanted, rms(moves.sum(axis=0)) / size, shares)


@eqx.filter_jit
def _field_and_moves(
    problem: Problem, model: Model, batch: Batch, vectors: Any, points: Array
) -> tuple[Array, Array]:
    """The field at the points, and −J_u Jᵀ v there for every v."""
    parameters, rest = trainable(model)
    jacobian = implicit(problem, model, batch)
    field = lambda p: jax.vmap(problem.field(eqx.combine(p, rest)))(points)
    value, push = jax.linearize(field, parameters)
    move = lambda v: -push(vjp(jacobian, v))
    return value, jax.vmap(move)(vectors)


def rms(values: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(values**2)))
