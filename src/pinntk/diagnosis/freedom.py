"""What the conditions leave open: fields that change no residual, among polynomials.

A null space of the conditions, not of a network: the unknown is u + Σ c_j φ_j, with φ Chebyshev products.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import chebyshev

from pinntk import threads
from pinntk.calculus import Point
from pinntk.diagnosis.stated import Index, at_points, operator_of, start_coefficients, values_of
from pinntk.domain import Sobol, evenly
from pinntk.jacobian import cast
from pinntk.nets import WithCoefficients
from pinntk.problem import Batch, Model, Problem, Sample, draw

#: Points at which fields are looked at: twice the unknowns.
LOOKS = 512
#: The highest degree in each coordinate, by dimension, and the least that sees a wave; between them, what
#: `MOST` unknowns of all fields together allow.
HIGHEST, LEAST, MOST = {1: 24, 2: 12, 3: 5}, {1: 8, 2: 7, 3: 5}, 256
#: A field of size 1 that changes every residual by less than this share of its unit is free: what it adds
#: to a loss of order one is 1e-6, where trainings end.
FREE = 1e-3
#: By how much the least change falls from half the degree to the whole: geometrically for a null field,
#: which polynomials approximate ever better, and hardly where the equation itself bounds it.
FALLS = 10.0
#: Of the largest coefficient: smaller ones do not make an equation's order; differences leave them.
SLIGHT = 1e-6
#: What remains of a null field that polynomials represent exactly.
EXACT = 1e-8
#: A change of a coefficient by its own size that changes residuals by less than this is made up for; a
#: field of rms 1 may cost a tenth of it.
COMPENSATED, COMPENSATES = 1e-4, 1e-5
#: Directions of the basis below this share on the region where a field lives are none.
DEPENDENT = 1e-9


class Expansion(eqx.Module):
    """u + Σ_j c_j φ_j: products of Chebyshev polynomials on a box of its own for every field."""

    base: Any
    c: Float[Array, "basis fields"]
    low: Float[Array, "fields d"]
    high: Float[Array, "fields d"]
    indices: tuple[Index, ...] = eqx.field(static=True)

    def __call__(self, x: Point) -> Array:
        """The value, a number or one for each field."""
        s = (2 * x[None, :] - self.low - self.high) / (self.high - self.low)
        rows = [jnp.ones_like(s), s]
        for _ in range(max(map(max, self.indices)) - 1):
            rows.append(2 * s * rows[-1] - rows[-2])
        stacked, chosen = jnp.stack(rows), np.array(self.indices).T
        basis = math.prod(stacked[index, :, i] for i, index in enumerate(chosen))
        value = self.base(x)
        return value + jnp.sum(basis * self.c, axis=0).reshape(jnp.shape(value))


@dataclasses.dataclass(frozen=True, eq=False)
class Freedom:
    """The linearised conditions on polynomials.

    `rows` are by condition, in units of the condition, √(n) taken out, for polynomials in units of the
    fields: (n, basis · fields). `columns` (n, m) are those rows for the m unknown coefficients of the
    equation, of changes by their own size. `null` (basis · fields, q) are fields of rms 1 that change none
    of them; `lives` are points (n, d) by field where some equation asks for it; `order` is that of the
    equations in every coordinate, (fields, d).
    """

    problem: Problem
    model: Model
    expansion: Expansion
    rows: dict[str, np.ndarray]
    columns: np.ndarray
    null: np.ndarray
    sizes: np.ndarray
    lives: dict[int, np.ndarray]
    order: np.ndarray

    def seen(self, field: int, points: np.ndarray, index: Index) -> float:
        """The largest rms of D^α of a field at points, of all null fields of rms 1."""
        made = _derivative(self.problem, self.expansion, points, index)[:, :, field]
        null = self.null.reshape(made.shape[1], -1, self.null.shape[1])[:, field]
        return float(np.linalg.norm(made @ null, 2)) / math.sqrt(len(points))

    def constant(self, field: int) -> bool:
        """Whether a constant may be added to a field, exactly."""
        vector = np.zeros((len(self.expansion.indices), len(self.sizes)))
        vector[0, field] = 1.0
        changes = [np.linalg.norm(rows @ vector.ravel()) for rows in self.rows.values()]
        return bool(max(changes, default=0.0) < EXACT)


def degree_of(problem: Problem) -> int | None:
    """The degree in each coordinate; None where there are too many coordinates or fields."""
    d, fields = len(problem.domain.coordinates), len(problem.fields)
    if d not in HIGHEST:
        return None
    degree = min(HIGHEST[d], int((MOST / fields) ** (1 / d) + 1e-9) - 1)
    return degree if degree >= LEAST[d] else None


def freedom(problem: Problem, model: Model) -> Freedom | None:
    """The null space of the conditions linearised at a model; None where it cannot be said."""
    d, fields = len(problem.domain.coordinates), len(problem.fields)
    degree = degree_of(problem)
    if degree is None or problem.domain.given is not None:
        return None
    indices = tuple(itertools.product(range(degree + 1), repeat=d))
    lives = where_fields_live(problem, model)
    if any(not len(points) for points in lives.values()):
        return None
    low = np.array([lives[f].min(axis=0) for f in range(fields)])
    high = np.array([lives[f].max(axis=0) for f in range(fields)])
    if np.any(high <= low):
        return None
    network = model.network if isinstance(model, WithCoefficients) else model
    with jax.enable_x64(True):
        made = Expansion(
            network,
            jnp.zeros((len(indices), fields)),
            jnp.asarray(low),
            jnp.asarray(high),
            indices,
        )
    sizes = np.ones(fields)
    for f, points in lives.items():
        values = values_of(problem, network, points)
        if values is None or not np.isfinite(values).all():
            return None
        size = float(np.sqrt(np.mean(values[:, f] ** 2)))
        sizes[f] = size if size > 0 else 1.0
    order = np.zeros((fields, d), int)
    found = _rows(problem, model, made, sizes, order)
    if found is None:
        return None
    rows, columns = found
    null = _null(problem, made, rows, lives, indices)
    return Freedom(problem, model, made, rows, columns, null, sizes, lives, order)


def where_fields_live(problem: Problem, model: Model) -> dict[int, np.ndarray]:
    """Points of the domain at which some equation asks for a field, by its number."""
    points = np.asarray(problem.domain.uniform(LOOKS), np.float64)
    found = {f: np.zeros(len(points), bool) for f in range(len(problem.fields))}
    for condition in problem.conditions:
        if condition.targets is not None or not condition.where.fills(problem.domain):
            continue
        inside = np.array(condition.where.near(points))
        some = points[inside][evenly(int(inside.sum()), 16)]
        if not len(some):
            continue
        operator = operator_of(problem, condition.name, model, at_points(some))
        for f in found:
            if operator is None or np.any(operator.sizes[:, :, f]):
                found[f] |= inside
    return {f: points[here] for f, here in found.items()}


def _rows(
    problem: Problem, model: Model, made: Expansion, sizes: np.ndarray, order: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
    """Rows and columns by condition in its own unit, Σ |b_αf| size_f: what fields of their sizes give.

    `order` is raised to that of the equations on the way.
    """
    found, columns = {}, []
    for name, sample in _dense(problem, len(made.indices)).items():
        operator = operator_of(problem, name, model, sample)
        if operator is None or not np.isfinite(operator.values).all():
            return None
        if problem.condition(name).where.fills(problem.domain):
            for index in operator.present(SLIGHT):
                has = operator.sizes[:, operator.indices.index(index)].any(axis=0)
                order[has] = np.maximum(order[has], index)
        with jax.enable_x64(True):
            jacobian = np.asarray(_jacobian(problem, name, model, made, cast(sample, jnp.float64)))
        # (n, components, basis, fields)
        jacobian = jacobian.reshape(len(jacobian), -1, len(made.indices), len(sizes)) * sizes
        unit = operator.sizes.sum(axis=1) @ sizes
        unit = np.where(unit > 0, unit, 1.0)
        scaled = jacobian / unit[None, :, None, None]
        found[name] = scaled.reshape(-1, len(made.indices) * len(sizes)) / math.sqrt(len(jacobian))
        moved = _coefficient_columns(problem, name, model, sample).reshape(
            len(jacobian), len(unit), -1
        )
        moved = moved / unit[None, :, None] / math.sqrt(len(jacobian))
        columns.append(moved.reshape(len(found[name]), -1))
        if not (np.isfinite(found[name]).all() and np.isfinite(columns[-1]).all()):
            return None
    return found, np.concatenate(columns)


def coefficient_sizes(model: Model) -> np.ndarray:
    """The magnitudes of all coefficients that are numbers or arrays, flat; 1 for those that are 0."""
    values = model.values() if isinstance(model, WithCoefficients) else {}
    flat = [np.abs(np.asarray(value, np.float64)).ravel() for value in values.values()]
    sizes = np.concatenate([np.zeros(0), *flat])
    return np.where(sizes > 0, sizes, 1.0)


def _coefficient_columns(problem: Problem, name: str, model: Model, sample: Sample) -> np.ndarray:
    """∂r/∂c · |c| of all coefficients that are numbers: (n, components · m)."""
    if not isinstance(model, WithCoefficients) or not model.values():
        return np.zeros((len(sample.points), 0))
    with jax.enable_x64(True):
        double = cast(sample, jnp.float64)
        values = {k: jnp.asarray(v, jnp.float64) for k, v in model.values().items()}
        slopes = _coefficient_slopes(problem, name, model, values, double)
    return np.asarray(slopes) * coefficient_sizes(model)


@eqx.filter_jit
def _coefficient_slopes(
    problem: Problem, name: str, model: Any, values: dict[str, Array], sample: Sample
) -> Array:
    """(n, components, m)."""
    flat, back = jax.flatten_util.ravel_pytree(values)

    def at(row: Sample) -> Array:
        def residual(c: Array) -> Array:
            whole = WithCoefficients(model.network, {**start_coefficients(model), **back(c)})
            return jnp.atleast_1d(problem.residual_at(name, whole, row))

        return jax.jacfwd(residual)(flat)

    return jax.vmap(at)(sample)


def _dense(problem: Problem, basis: int) -> Batch:
    """More points of every condition than a polynomial has coefficients on it."""
    found = {}
    d = len(problem.domain.coordinates)
    with jax.enable_x64(True):
        for condition in problem.conditions:
            where = condition.where
            if where.given is not None:
                rows = evenly(len(where.given), basis)
                targets = None if condition.targets is None else np.asarray(condition.targets)[rows]
                targets = None if targets is None else jnp.asarray(targets, jnp.float64)
                found[condition.name] = Sample(jnp.asarray(where.given[rows]), targets)
                continue
            parts = max(1, len(where.parts))
            count = 2 * basis if where.fills(problem.domain) else 0
            count = count or parts * 3 * max(1, round(basis ** (where.dimension / d)))
            seen = dataclasses.replace(condition, points=count, sampler=Sobol())
            found[condition.name] = draw(seen, jax.random.key(0), jnp.float64)
    return found


@eqx.filter_jit
def _jacobian(problem: Problem, name: str, model: Model, made: Expansion, sample: Sample) -> Array:
    def at(row: Sample) -> Array:
        def residual(c: Array) -> Array:
            moved = eqx.tree_at(lambda m: m.c, made, c)
            whole = WithCoefficients(moved, start_coefficients(model))
            return jnp.atleast_1d(problem.residual_at(name, whole, row))

        return jax.jacrev(residual)(made.c)

    return jax.vmap(at)(sample)


def _derivative(problem: Problem, made: Expansion, points: np.ndarray, index: Index) -> np.ndarray:
    """D^α of all basis functions: (n, basis, fields), in units of the domain's extents."""
    low, high = np.asarray(made.low), np.asarray(made.high)
    lengths = np.array([high - low for low, high in problem.domain.bounds.values()])
    chosen = np.array(made.indices)
    total = np.ones((len(points), len(chosen), len(low)))
    for f in range(len(low)):
        for i, k in enumerate(index):
            s = (2 * points[:, i] - low[f, i] - high[f, i]) / (high[f, i] - low[f, i])
            degree = int(chosen[:, i].max())
            unit = np.eye(degree + 1)
            if k:
                unit = chebyshev.chebder(unit, k, axis=0)
            values = chebyshev.chebvander(s, len(unit) - 1) @ unit
            factor = (2 * lengths[i] / (high[f, i] - low[f, i])) ** k
            total[:, :, f] *= factor * values[:, chosen[:, i]]
    return total


def undetermined_coefficients(left: Freedom) -> np.ndarray:
    """Relative changes (m, q) of the coefficients that some change of the field makes up for.

    The least change of all residuals for a change v of the coefficients is that of v's Schur complement,
    Cᵀ(I − A(AᵀA + μ²I)⁻¹Aᵀ)C, with A the rows of polynomials of rms 1; μ keeps the field's change finite.
    """
    stacked = np.concatenate(list(left.rows.values()))
    with threads.for_rows(stacked.shape[1]):
        made = stacked @ _unit_basis(_norm(left.problem, left.expansion, left.lives))
        side, values, _ = np.linalg.svd(made, full_matrices=False)
        inside = side.T @ left.columns
        kept = values**2 / (values**2 + COMPENSATES**2)
        schur = left.columns.T @ left.columns - inside.T @ (kept[:, None] * inside)
        sizes, vectors = np.linalg.eigh(schur)
    return vectors[:, np.sqrt(np.maximum(sizes, 0.0)) < COMPENSATED]


def _null(
    problem: Problem,
    made: Expansion,
    rows: dict[str, np.ndarray],
    lives: dict[int, np.ndarray],
    indices: tuple[Index, ...],
) -> np.ndarray:
    """Fields of rms 1, where they live, that change no row, and less the higher the degree."""
    half = np.array([max(a) <= max(map(max, indices)) // 2 for a in indices])
    norm, stacked = _norm(problem, made, lives), np.concatenate(list(rows.values()))
    with threads.for_rows(stacked.shape[1]):
        coarse = _least(stacked, norm, np.repeat(half, len(lives)))[0]
        values, vectors = _generalised(stacked, norm)
    free = values < FREE
    if not free.any():
        return np.zeros((stacked.shape[1], 0))
    falls = (values[free] < EXACT) | (values[free] * FALLS < coarse)
    return vectors[:, free][:, falls]


def _norm(problem: Problem, made: Expansion, lives: dict[int, np.ndarray]) -> np.ndarray:
    """A matrix whose product with coefficients has the fields' rms, where they live, as its norm."""
    fields, blocks = len(lives), []
    for f, points in lives.items():
        values = _derivative(problem, made, points, (0,) * len(made.indices[0]))
        block = np.zeros(values.shape)
        block[:, :, f] = values[:, :, f] / math.sqrt(len(points) * fields)
        blocks.append(block.reshape(len(points), -1))
    return np.concatenate(blocks)


def _unit_basis(norm: np.ndarray) -> np.ndarray:
    """Coefficients of independent fields of rms 1."""
    _, size, right = np.linalg.svd(norm, full_matrices=False)
    whole = size > DEPENDENT * size[0]
    return right[whole].T / size[whole]


def _least(rows: np.ndarray, norm: np.ndarray, kept: np.ndarray) -> np.ndarray:
    return _generalised(rows[:, kept], norm[:, kept])[0]


def _generalised(rows: np.ndarray, norm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values of rows against a norm, the least first, and their vectors, of norm 1."""
    back = _unit_basis(norm)
    made = rows @ back
    if len(made) < made.shape[1]:
        made = np.concatenate([made, np.zeros((made.shape[1] - len(made), made.shape[1]))])
    _, values, vectors = np.linalg.svd(made, full_matrices=False)
    return values[::-1], back @ vectors[::-1].T
