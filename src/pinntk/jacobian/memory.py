"""Check whether a result fits into memory, and evaluate functions chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from pinntk.errors import MemoryLimitError
from pinntk.jacobian.machine import available_memory
from pinntk.problem import Sample

#: Bytes of intermediate values that are held at once while the points of a condition are worked on.
CHUNK_BYTES = 2**26


def chunk_points(bytes_per_point: int) -> int:
    """How many points fit `CHUNK_BYTES`, one at least."""
    return max(1, CHUNK_BYTES // max(1, bytes_per_point))


def over_points(
    function: Callable[[Sample], Any],
    sample: Sample,
    size: int,
    axis_of: Callable[[Any], int] | None = None,
) -> Any:
    """`function` of all points, computed for `size` of them at a time. Works inside jit.

    `axis_of(leaf)` says along which axis of a result the points lie: the first when it is None.
    """
    axis_of = axis_of or (lambda _: 0)
    points = len(sample.points)
    if size >= points:
        return function(sample)

    def part(first: Any) -> Sample:
        return jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, first, size), sample)

    def fill(i: Array, so_far: Any) -> Any:
        # The last chunk reaches back over points that are there already, so that all are one size.
        first = jnp.minimum(i * size, points - size)
        return jax.tree.map(
            lambda whole, new: jax.lax.dynamic_update_slice_in_dim(
                whole, new, first, axis_of(whole)
            ),
            so_far,
            function(part(first)),
        )

    def empty(leaf: Any) -> Array:
        axis = axis_of(leaf)
        shape = (*leaf.shape[:axis], points, *leaf.shape[axis + 1 :])
        return jnp.zeros(shape, leaf.dtype)

    shapes = jax.eval_shape(lambda: function(part(0)))
    return jax.lax.fori_loop(0, -(-points // size), fill, jax.tree.map(empty, shapes))


def check_memory(
    rows: dict[str, int], parameters: int, held: float, limit: float | None = None
) -> None:
    """Raise `MemoryLimitError` when J, K and its eigenvectors would not fit the limit in bytes.

    `held` are the bytes of J, which grow with the number of residuals as K grows with its square.
    """
    limit = 0.6 * available_memory() if limit is None else limit
    n = sum(rows.values())
    needed = held + 4 * n**2 * 8
    if needed > limit:
        share = 0.9 * limit / needed
        sizes = ", ".join(f"{name}: {max(1, int(share * count))}" for name, count in rows.items())
        raise MemoryLimitError(
            "kernel",
            got=f"{n} residuals of {parameters} parameters, which take {needed / 1e9:.3g} GB",
            expected=f"at most {limit / 1e9:.3g} GB",
            fix=f"Use a subsample of the points ({sizes}) or a narrower network.",
        )
