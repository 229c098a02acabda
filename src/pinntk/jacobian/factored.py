"""The factored form: J as outer products (`products`), never as a matrix.

With the gradient of a residual with respect to W being Σ_k a_k ⊗ δ_k at every point,

    K_ij       = Σ_kl (a_ik · a_jl) (δ_ik · δ_jl)      tile by tile, half of it by symmetry,
    diagonal_i = Σ_kl (a_ik · a_il) (δ_ik · δ_il)      about as much work as a gradient of the loss,
    Jᵀ v       = Σ_i v_i Σ_k a_ik ⊗ δ_ik               the loss gradient itself is one of these.

Beside K its computation holds the factors twice and four matrices of TILE_ROWS².
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from pinntk.jacobian.memory import chunk_points, over_points
from pinntk.jacobian.model import parameters_by_name, trainable
from pinntk.jacobian.operator import (
    AbstractJacobian,
    Gram,
    Vectors,
    apply,
    apply_transpose,
    check_accumulation,
    contract,
    diagonal,
    gram,
    symmetric,
)
from pinntk.jacobian.products import (
    POINT_AXES,
    Factors,
    Gradients,
    Plan,
    Use,
    gradients_at,
    make_plans,
)
from pinntk.problem import Batch, Model, Problem, Sample

#: Rows of the largest matrix products of a tile, K·m·points: large enough for these to run at full
#: speed, small enough for their results, which are multiplied entry by entry, to stay near the core.
TILE_ROWS = 1024
#: A block on the diagonal has at least so many tiles a side, so that symmetry saves a good part.
TILES = 4
#: Up to so many products of a matrix, the pairs of a diagonal entry are written out one by one.
UNROLLED = 8


class FactoredJacobian(AbstractJacobian):
    """J by condition and parameter: factors (k, n, m, rows), (k, n, m, columns) or plain (n, m, size).

    m is 1 in the factor that is the same for all components. `parameters` are those it was taken at.
    """

    residuals: dict[str, Array]
    gradients: dict[str, Gradients]
    parameters: Any
    names: tuple[str, ...] = eqx.field(static=True)


@eqx.filter_jit
def factored(problem: Problem, model: Model, batch: Batch, use: Use = Use.GRAM) -> FactoredJacobian:
    """J in factored form, in the dtype of the model; compiled once for a problem and its shapes."""
    plans, _ = make_plans(problem, model, batch, use)
    parameters, _ = trainable(model)
    gradients = {
        name: gradients_of(problem, name, model, plan, batch[name]) for name, plan in plans.items()
    }
    residuals = {name: found.residual for name, found in gradients.items()}
    return FactoredJacobian(
        residuals=residuals, gradients=gradients, parameters=parameters, names=tuple(plans)
    )


def gradients_of(
    problem: Problem, name: str, model: Model, plan: Plan, sample: Sample
) -> Gradients:
    """The gradients at all points of one condition, as many at a time as `memory` allows."""
    at = jax.vmap(gradients_at(problem, name, model, plan), out_axes=POINT_AXES)
    size = chunk_points(point_bytes(model, plan))
    return over_points(at, sample, size, _axis_of_points)


def _axis_of_points(leaf: Any) -> int:
    """Factors, and they alone, have four axes, with K in front."""
    return 1 if leaf.ndim == 4 else 0


def point_bytes(model: Model, plan: Plan) -> int:
    """The bytes that the gradients of one point take."""
    leaves = parameters_by_name(model)
    m = plan.components
    numbers = m * sum(leaves[name].size for name in plan.plain)
    for matrix in plan.factored.values():
        numbers += m * matrix.count * sum(matrix.shape)
    return numbers * next(iter(leaves.values())).dtype.itemsize


@gram.register
def _(jacobian: FactoredJacobian, other: FactoredJacobian | None = None, dtype: Any = None) -> Gram:
    check_accumulation(dtype)
    columns = jacobian if other is None else other
    result = dtype or next(iter(jacobian.residuals.values())).dtype
    matrix = jnp.zeros((sum(jacobian.rows.values()), sum(columns.rows.values())), result)
    rows_at, columns_at = (
        {name: _joined(g) for name, g in j.gradients.items()} for j in (jacobian, columns)
    )
    top = 0
    for i, row in enumerate(jacobian.names):
        left, start = rows_at[row], 0
        for j, column in enumerate(columns.names):
            right = columns_at[column]
            if other is not None or j < i:
                matrix = _fill(matrix, left, right, (top, start), dtype, mirror=other is None)
            elif j == i:
                matrix = _fill_symmetric(matrix, left, top, dtype)
            start += columns.rows[column]
        top += jacobian.rows[row]
    return Gram(matrix, tuple(jacobian.rows.items()), tuple(columns.rows.items()))


def _joined(gradients: Gradients) -> Gradients:
    """The same with the factors of all products of a matrix in one pair (K, n, m, ·), for large tiles."""
    return gradients._replace(
        factored={name: (_join(uses),) for name, uses in gradients.factored.items()}
    )


def _join(uses: tuple[Factors, ...]) -> Factors:
    def side(factors: list[Array]) -> Array:
        # W and Wᵀ in one residual: what is the same for all components on one side is not on the other.
        m = max(a.shape[2] for a in factors)
        return jnp.concatenate(
            [jnp.broadcast_to(a, (*a.shape[:2], m, a.shape[3])) for a in factors]
        )

    return Factors(side([f.left for f in uses]), side([f.right for f in uses]))


def _tile_points(gradients: Gradients) -> int:
    widest = max((len(f.left) for (f,) in gradients.factored.values()), default=1)
    return max(1, TILE_ROWS // (widest * gradients.residual.shape[1]))


def _fill(
    matrix: Array,
    left: Gradients,
    right: Gradients,
    corner: tuple[int, int],
    dtype: Any,
    mirror: bool,
) -> Array:
    """Write J Jᵀ of two conditions into a matrix, and its transpose where that is the other half."""
    (n, m), (n2, m2) = left.residual.shape, right.residual.shape
    size, size2 = min(n, _tile_points(left)), min(n2, _tile_points(right))
    across = -(-n2 // size2)

    def fill(index: Array, matrix: Array) -> Array:
        i = jnp.minimum(index // across * size, n - size)
        j = jnp.minimum(index % across * size2, n2 - size2)
        tile = _tile(_slice(left, i, size), _slice(right, j, size2), dtype)
        top, start = corner[0] + i * m, corner[1] + j * m2
        matrix = jax.lax.dynamic_update_slice(matrix, tile, (top, start))
        return jax.lax.dynamic_update_slice(matrix, tile.T, (start, top)) if mirror else matrix

    return jax.lax.fori_loop(0, -(-n // size) * across, fill, matrix)


def _fill_symmetric(matrix: Array, gradients: Gradients, corner: int, dtype: Any) -> Array:
    """Write J Jᵀ of one condition: the tiles below the diagonal and their transposes, then those on it.

    The last tiles of a side reach back over others. Written in this order the result is symmetric to
    the last bit all the same.
    """
    n, m = gradients.residual.shape
    size = min(_tile_points(gradients), -(-n // TILES))
    count = -(-n // size)

    def write(matrix: Array, i: Array, j: Array) -> Array:
        first, second = (jnp.minimum(place * size, n - size) for place in (i, j))
        tile = _tile(_slice(gradients, first, size), _slice(gradients, second, size), dtype)
        tile = jnp.where(i == j, symmetric(tile), tile)
        top, start = corner + first * m, corner + second * m
        matrix = jax.lax.dynamic_update_slice(matrix, tile, (top, start))
        return jax.lax.dynamic_update_slice(matrix, tile.T, (start, top))

    below = [(i, j) for i in range(count) for j in range(i)]
    pairs = jnp.asarray(below + [(i, i) for i in range(count)])
    return jax.lax.fori_loop(0, len(pairs), lambda p, k: write(k, *pairs[p]), matrix)


def _slice(gradients: Gradients, first: Array, count: int) -> Gradients:
    return jax.tree.map(
        lambda a: jax.lax.dynamic_slice_in_dim(a, first, count, _axis_of_points(a)), gradients
    )


def _tile(rows: Gradients, columns: Gradients, dtype: Any) -> Array:
    """One tile of the kernel, (rows · components, columns · components)."""
    shape = rows.residual.shape + columns.residual.shape
    total = jnp.zeros((shape[0] * shape[1], shape[2] * shape[3]), dtype or rows.residual.dtype)
    for name, plain in rows.plain.items():
        if name in columns.plain:
            total += contract(_matrix(plain), _matrix(columns.plain[name]), dtype)
    for name, (mine,) in rows.factored.items():
        if name in columns.factored:
            (theirs,) = columns.factored[name]
            total += _product_sum(mine, theirs, dtype).reshape(total.shape)
    return total


def _product_sum(mine: Factors, theirs: Factors, dtype: Any) -> Array:
    """Σ_kl (left_k · left'_l)(right_k · right'_l): (n, m, n', m')."""
    both = [
        contract(_matrix(a), _matrix(b), dtype).reshape(*a.shape[:3], *b.shape[:3])
        for a, b in zip(mine, theirs, strict=True)
    ]
    return jnp.sum(both[0] * both[1], axis=(0, 3))


def _matrix(a: Array) -> Array:
    return a.reshape(-1, a.shape[-1])


@diagonal.register
def _(jacobian: FactoredJacobian) -> dict[str, Array]:
    return {name: point_norms(jacobian.gradients[name]).ravel() for name in jacobian.names}


def point_norms(gradients: Gradients) -> Array:
    """‖∂r/∂θ‖² of every residual, (n, m), from the gradients at n points."""
    total = jnp.zeros_like(gradients.residual)
    for plain in gradients.plain.values():
        total += jnp.sum(plain**2, axis=-1)
    for uses in gradients.factored.values():
        total += _norms(uses)
    return total


def _norms(uses: tuple[Factors, ...]) -> Array:
    """Σ_kl (left_k · left_l)(right_k · right_l), (n, m): by pairs, or in one product where K is large."""
    if sum(len(f.left) for f in uses) > UNROLLED:
        both = [jnp.einsum("knmd,lnmd->nmkl", a, a) for a in _join(uses)]
        return jnp.sum(both[0] * both[1], (-1, -2))
    pairs = [(left, right) for f in uses for left, right in zip(f.left, f.right, strict=True)]
    total: Any = 0.0
    for k, (left, right) in enumerate(pairs):
        for j, (left_j, right_j) in enumerate(pairs[: k + 1]):
            term = jnp.sum(left * left_j, -1) * jnp.sum(right * right_j, -1)
            total += term if j == k else 2 * term
    return total


@apply.register
def _(jacobian: FactoredJacobian, direction: Any) -> dict[str, Array]:
    leaves = parameters_by_name(direction)
    images = {}
    for condition in jacobian.names:
        gradients = jacobian.gradients[condition]
        total = jnp.zeros_like(gradients.residual)
        for name, plain in gradients.plain.items():
            total += plain @ leaves[name].ravel()
        for name, uses in gradients.factored.items():
            for left, right in uses:
                matrix = leaves[name].reshape(left.shape[-1], right.shape[-1])
                total += jnp.sum((left @ matrix) * right, axis=(0, -1))
        images[condition] = total.ravel()
    return images


@apply_transpose.register
def _(jacobian: FactoredJacobian, vectors: Vectors) -> Any:
    leaves, structure = jax.tree.flatten(jacobian.parameters)
    totals = dict.fromkeys(parameters_by_name(jacobian.parameters))
    for condition in jacobian.names:
        gradients = jacobian.gradients[condition]
        v = vectors[condition].reshape(gradients.residual.shape)
        for name, plain in gradients.plain.items():
            totals[name] = _sum(totals[name], jnp.tensordot(v, plain, axes=2))
        for name, uses in gradients.factored.items():
            for factors in uses:
                totals[name] = _sum(totals[name], _weighted_sum(factors, v))
    return jax.tree.unflatten(
        structure,
        [
            jnp.zeros_like(leaf) if total is None else total.reshape(leaf.shape)
            for leaf, total in zip(leaves, totals.values(), strict=True)
        ],
    )


def _sum(total: Array | None, term: Array) -> Array:
    return term if total is None else total + term


def _weighted_sum(factors: Factors, v: Array) -> Array:
    """Σ_i v_i Σ_k left_ik ⊗ right_ik, with v of shape (n, m)."""
    left, right = factors
    if left.shape[2] == 1:
        right = jnp.sum(right * v[None, :, :, None], axis=2, keepdims=True)
    elif right.shape[2] == 1:
        left = jnp.sum(left * v[None, :, :, None], axis=2, keepdims=True)
    else:
        left = left * v[None, :, :, None]
    return _matrix(left).T @ _matrix(right)
