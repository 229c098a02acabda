"""The kernel of the factored form, tile by tile: products of factors, half of them by symmetry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from pinntk.jacobian.operator import contract, symmetric
from pinntk.jacobian.products import Factors, Gradients, axis_of_points

#: Rows of the largest matrix products of a tile, K·m·points: large enough for these to run at full
#: speed, small enough for their results, which are multiplied entry by entry, to stay near the core.
TILE_ROWS = 1024
#: A block on the diagonal has at least so many tiles a side, so that symmetry saves a good part.
TILES = 4


def kernel(
    rows: Mapping[str, Gradients], columns: Mapping[str, Gradients] | None = None, dtype: Any = None
) -> Array:
    """J J'ᵀ of all conditions stacked in the order given, from their gradients; J' = J by default.

    Products are multiplied and added in `dtype`, in that of J when it is None.
    """
    rows = {name: _joined(g) for name, g in rows.items()}
    others = rows if columns is None else {name: _joined(g) for name, g in columns.items()}
    result = dtype or next(iter(rows.values())).residual.dtype
    sizes = [sum(g.residual.size for g in side.values()) for side in (rows, others)]
    matrix = jnp.zeros((sizes[0], sizes[1]), result)
    top = 0
    for i, left in enumerate(rows.values()):
        start = 0
        for j, right in enumerate(others.values()):
            if columns is not None or j < i:
                matrix = _fill(matrix, left, right, (top, start), dtype, mirror=columns is None)
            elif j == i:
                matrix = _fill_symmetric(matrix, left, top, dtype)
            start += right.residual.size
        top += left.residual.size
    return matrix


def _joined(gradients: Gradients) -> Gradients:
    """The same with the factors of all products of a matrix in one pair (K, n, m, ·), for large tiles."""
    return gradients._replace(
        factored={name: (join(uses),) for name, uses in gradients.factored.items()}
    )


def join(uses: tuple[Factors, ...]) -> Factors:
    """All products of a matrix in one pair (K, ·, m, ·)."""

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
    the last bit all the same. What mirrors the blocks on the diagonal reads them from the matrix: a
    tile and its transpose may be computed twice, and rounded in two ways.
    """
    n, m = gradients.residual.shape
    size = min(_tile_points(gradients), -(-n // TILES))
    count = -(-n // size)

    def first_of(place: Array) -> Array:
        return jnp.minimum(place * size, n - size)

    def write(matrix: Array, i: Array, j: Array) -> Array:
        first, second = first_of(i), first_of(j)
        tile = _tile(_slice(gradients, first, size), _slice(gradients, second, size), dtype)
        top, start = corner + first * m, corner + second * m
        matrix = jax.lax.dynamic_update_slice(matrix, tile, (top, start))
        return jax.lax.dynamic_update_slice(matrix, tile.T, (start, top))

    def mirror(place: Array, matrix: Array) -> Array:
        at = (corner + first_of(place) * m,) * 2
        block = jax.lax.dynamic_slice(matrix, at, (size * m,) * 2)
        return jax.lax.dynamic_update_slice(matrix, symmetric(block), at)

    below = [(i, j) for i in range(count) for j in range(i)]
    pairs = jnp.asarray(below + [(i, i) for i in range(count)])
    matrix = jax.lax.fori_loop(0, len(pairs), lambda p, k: write(k, *pairs[p]), matrix)
    return jax.lax.fori_loop(0, count, mirror, matrix)


def _slice(gradients: Gradients, first: Array, count: int) -> Gradients:
    return jax.tree.map(
        lambda a: jax.lax.dynamic_slice_in_dim(a, first, count, axis_of_points(a)), gradients
    )


def _tile(rows: Gradients, columns: Gradients, dtype: Any) -> Array:
    """One tile of the kernel, (rows · components, columns · components)."""
    shape = rows.residual.shape + columns.residual.shape
    total = jnp.zeros((shape[0] * shape[1], shape[2] * shape[3]), dtype or rows.residual.dtype)
    for name, plain in rows.plain.items():
        if name in columns.plain:
            total += contract(matrix_of(plain), matrix_of(columns.plain[name]), dtype)
    for name, (mine,) in rows.factored.items():
        if name in columns.factored:
            (theirs,) = columns.factored[name]
            total += _product_sum(mine, theirs, dtype).reshape(total.shape)
    return total


def _product_sum(mine: Factors, theirs: Factors, dtype: Any) -> Array:
    """Σ_kl (left_k · left'_l)(right_k · right'_l): (n, m, n', m')."""
    both = [
        contract(matrix_of(a), matrix_of(b), dtype).reshape(*a.shape[:3], *b.shape[:3])
        for a, b in zip(mine, theirs, strict=True)
    ]
    return jnp.sum(both[0] * both[1], axis=(0, 3))


def matrix_of(a: Array) -> Array:
    """All axes but the last as one."""
    return a.reshape(-1, a.shape[-1])
