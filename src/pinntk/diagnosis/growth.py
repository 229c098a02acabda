"""How much an error at the start grows along time, by the equation linearized at a model.

If r(u) = 0 holds at t > t₀ and u is off by d(t₀) at the start, it is off by d(t) later, where r'(u)[d] = 0.
A residual does not show this error: where it grows much, a small residual does not mean a small error.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array

from pinntk.calculus import Field
from pinntk.conditions import Condition
from pinntk.diagnosis.linearized import DAMPING, rms, solved
from pinntk.diagnosis.subject import AbstractSubject
from pinntk.jacobian import cast
from pinntk.kernel import TangentKernel
from pinntk.problem import Batch, Model, Problem

#: Steps of the matrix exponentials: eight for each of a hundred waves or decays within the span.
STEPS = 800
#: The highest derivative that is looked for; equations of evolution have two or fewer, beams four.
ORDER = 4
#: A power beyond it: a residual at a point sees nothing of it, unless it looks at other points as well.
BEYOND = ORDER + 2
#: Bins of time in which the error is averaged where there is space as well.
BINS = 8
#: The linearized error estimate leaves modes out whose share in it is below √DAMPING, some 3e-4 of the
#: field: what grows by the inverse of this within the time span can be all of the solution unseen.
GROWS = 1 / math.sqrt(DAMPING)
#: An error of 1 in a condition about values moves the field by about 1 near it, at least by half.
VALUES = 0.5
#: Keeps the relative error of a field of zeros finite.
TINY = 1e-30


def initial_growth(problem: Problem, model: Model) -> float | None:
    """max_t |d(t)|/|d(t₀)| for r'(u)[d] = 0 in an initial value problem of one coordinate; else None.

    Errors of a field count relative to its rms size over time, and errors of its derivatives at the start
    relative to theirs; the largest ratio of any field to any of these is taken. It comes from the
    propagator, the product of the matrix exponentials of the operator at the middles of `STEPS` steps.

    None where a condition looks at the far end, where a residual looks at several points at once, and
    where the equations cannot be solved for the highest derivatives.
    """
    conditions = _equations(problem)
    if not conditions:
        return None
    (low, high) = next(iter(problem.domain.bounds.values()))
    step = (high - low) / STEPS
    times = low + step * (np.arange(STEPS) + 0.5)
    with jax.enable_x64(True):
        double, at = cast(model, jnp.float64), jnp.asarray(times)
        parts, values = _linear_operator(problem, double, conditions, at)
        parts, values = np.asarray(parts), np.asarray(values)
    found = _first_order(parts)
    if found is None:
        return None
    generator, states = found
    sizes = np.array([max(rms(values[:, j, field]), TINY) for field, j in states])
    outputs = [i for i, (_, j) in enumerate(states) if j == 0]
    propagator, largest = np.eye(len(states)), 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        for each in scipy.linalg.expm(step * generator):
            propagator = each @ propagator
            ratio = np.abs(propagator[outputs]) * sizes[None, :] / sizes[outputs, None]
            if not np.isfinite(ratio).all():
                return math.inf
            largest = max(largest, float(ratio.max(initial=0.0)))
    return largest


def _equations(problem: Problem) -> list[Condition]:
    """The equations of an initial value problem in one coordinate; none where it is no such problem."""
    domain = problem.domain
    if len(domain.free) != 1 or len(domain.coordinates) != 1 or not domain.is_box:
        return []
    ((low, _),) = domain.bounds.values()
    equations = []
    for condition in problem.conditions:
        if condition.targets is not None:
            continue
        if condition.where.fills(domain) and condition.where.bounds == domain.bounds:
            equations.append(condition)
        elif any(high > low for _, high in condition.where.bounds.values()):
            return []
    return equations


@eqx.filter_jit
def _linear_operator(
    problem: Problem, model: Model, conditions: list[Condition], times: Array
) -> tuple[Array, Array]:
    """Σ_j A_j(t) dʲ/dtʲ at times: A (n, rows, j, m), and the derivatives of the fields (n, j, m).

    A residual is linearized in the coefficients c of u + Σ_j c_j (t − t₀)ʲ/j!, at t₀. The last entry is
    of `BEYOND`, which no operator of order `ORDER` at a point sees.
    """
    field, count = problem.field(model), len(problem.fields)
    (name,) = problem.domain.coordinates
    powers = (*range(ORDER + 1), BEYOND)

    def at(time: Array) -> tuple[Array, Array]:
        def residuals(c: Array) -> Array:
            def moved(x: Array) -> Array:
                s = x[0] - time
                basis = jnp.stack([s**j / math.factorial(j) for j in powers])
                return field(x) + jnp.reshape(basis @ c, jnp.shape(field(x)))

            u = Field(moved, field.coordinates, field.components_named, field.coefficients)
            rows = [condition.residual(u, time[None]) for condition in conditions]
            return jnp.concatenate([jnp.atleast_1d(row) for row in rows])

        derivatives = [field.d(*[name] * j)(time[None]) for j in range(ORDER)]
        start = jnp.zeros((len(powers), count), time.dtype)
        return jax.jacfwd(residuals)(start), jnp.stack([jnp.atleast_1d(d) for d in derivatives])

    return jax.vmap(at)(times)


def _first_order(parts: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]] | None:
    """The system y' = M(t) y of an operator, M (n, s, s); states are (field, derivative).

    Every field has its own order, that of its highest derivative; a field of order 0 is solved for.
    """
    count, rows, _, fields = parts.shape
    if rows != fields or not np.isfinite(parts).all() or np.any(parts[:, :, -1]):
        return None
    sees = np.any(parts[:, :, :-1] != 0, axis=(0, 1))
    if not sees.any(axis=0).all():
        return None
    orders = [int(np.flatnonzero(sees[:, c]).max()) for c in range(fields)]
    leading = np.stack([parts[:, :, orders[c], c] for c in range(fields)], axis=2)
    if np.linalg.cond(leading).max() > 1 / np.finfo(float).eps:
        return None
    states = [(c, j) for c in range(fields) for j in range(orders[c])]
    if not states:
        return None
    generator = np.zeros((count, len(states), len(states)))
    lower = np.stack([parts[:, :, j, c] for c, j in states], axis=2)
    highest = -np.linalg.solve(leading, lower)
    for i, (c, j) in enumerate(states):
        if j + 1 < orders[c]:
            generator[:, i, states.index((c, j + 1))] = 1.0
        else:
            generator[:, i] = highest[:, c]
    return generator, states


def tangent_growth(
    subject: AbstractSubject, model: Model, batch: Batch, kernel: TangentKernel, points: Array
) -> float | None:
    """At least how much an error of the initial values grows, within the network's tangent space.

    δu = −J_u Jᵀ(K + μI)⁻¹ e for e = 1 in one condition at the first instant and 0 in all others: the rms
    of δu in `BINS` bins of time, the largest over the first. Of conditions that are about values: those
    whose error of 1 moves the first bin by ½ or more. None where no condition is at the first instant.
    """
    domain = subject.problem.domain
    if "t" not in domain.free:
        return None
    axis, (low, high) = domain.coordinates.index("t"), domain.bounds["t"]
    initial = [
        name
        for name in kernel.names
        if subject.problem.condition(name).where.bounds["t"] == (low, low)
    ]
    if not initial:
        return None
    sources = np.zeros((len(kernel.matrix), len(kernel.names)))
    for column, name in enumerate(kernel.names):
        sources[kernel.slice_of(name), column] = 1.0
    moves = subject.moves(model, batch, solved(kernel, sources), points)
    share = (np.asarray(points, np.float64)[:, axis] - low) / (high - low)
    bins = np.minimum((share * BINS).astype(int), BINS - 1)
    if len(np.unique(bins)) < BINS:
        return None
    found = []
    for name in initial:
        move = moves[kernel.names.index(name)]
        sizes = [rms(move[bins == i]) for i in range(BINS)]
        if sizes[0] >= VALUES:
            found.append(max(sizes) / sizes[0])
    return max(found, default=None)
