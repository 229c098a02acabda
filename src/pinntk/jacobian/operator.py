"""The residual Jacobian as an operator, and the functions on it.

A Jacobian is one of several forms, which all describe the same linear map from parameters to
residuals. Each operation on it is a function with one rule per form.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinntk.errors import PinntkError, check_name

#: Numbers for every residual, by condition: (N_k,), points in order, then components.
Vectors = Mapping[str, Float[Array, " rows"]]


class AbstractJacobian(eqx.Module):
    """J = ∂r/∂θ at the points of a batch.

    `residuals` maps every condition to its r, of shape (n, m) for n points and m components; its rows
    are in the order of points, then components. `names` holds the conditions in their order, which
    dictionaries lose under jit.
    """

    residuals: eqx.AbstractVar[dict[str, Array]]
    names: eqx.AbstractVar[tuple[str, ...]]

    @property
    def rows(self) -> dict[str, int]:
        """N_k by condition."""
        return {name: self.residuals[name].size for name in self.names}


class Gram(eqx.Module):
    """J J'ᵀ as one matrix, whose blocks are found by the names of two conditions."""

    matrix: Float[Array, "a b"]
    rows: tuple[tuple[str, int], ...] = eqx.field(static=True)
    columns: tuple[tuple[str, int], ...] = eqx.field(static=True)

    def block(self, row: str, column: str | None = None) -> Float[Array, "n m"]:
        """K_kl, the diagonal block K_kk when one name is given."""
        column = row if column is None else column
        return self.matrix[slice_of(self.rows, row), slice_of(self.columns, column)]


def slice_of(rows: tuple[tuple[str, int], ...], name: str) -> slice:
    """Where the rows of a condition stand when all conditions are stacked."""
    check_name("condition", name, [other for other, _ in rows])
    start = 0
    for other, count in rows:
        if other == name:
            return slice(start, start + count)
        start += count
    raise AssertionError(name)


def _no_rule(jacobian: Any, *_: Any) -> Any:
    raise PinntkError("jacobian", got=type(jacobian).__name__, expected="a form of the Jacobian")


@functools.singledispatch
def gram(
    jacobian: AbstractJacobian, other: AbstractJacobian | None = None, dtype: Any = None
) -> Gram:
    """K = J J'ᵀ, raw: no weights, no 1/N; J' = J when `other` is None.

    `other` is a Jacobian of the same model in the same form, at other points. `dtype` is the type to
    multiply and add in where it is not that of J: float64 sums of a float32 J.
    """
    return _no_rule(jacobian, other, dtype)


@functools.singledispatch
def diagonal(jacobian: AbstractJacobian) -> dict[str, Float[Array, " rows"]]:
    """The diagonal of J Jᵀ by condition: ‖∂r_i/∂θ‖² for every residual."""
    return _no_rule(jacobian)


@functools.singledispatch
def jvp(jacobian: AbstractJacobian, direction: Any) -> dict[str, Float[Array, " rows"]]:
    """J d for a direction d shaped like the model's trainable part, by condition."""
    return _no_rule(jacobian, direction)


@functools.singledispatch
def vjp(jacobian: AbstractJacobian, vectors: Vectors) -> Any:
    """Jᵀ v, shaped like the model's trainable part; `vectors` names every condition of J."""
    return _no_rule(jacobian, vectors)


def block_traces(jacobian: AbstractJacobian) -> dict[str, Float[Array, ""]]:
    """Tr K_kk of every condition: the sum of its diagonal."""
    return {name: jnp.sum(values) for name, values in diagonal(jacobian).items()}


def contract(left: Array, right: Array, dtype: Any = None) -> Array:
    """Left · rightᵀ for two matrices, at the highest precision of the device, summed in `dtype`."""
    if dtype is not None:
        left, right = left.astype(dtype), right.astype(dtype)
    contracted = (((1,), (1,)), ((), ()))
    return jax.lax.dot_general(left, right, contracted, precision=jax.lax.Precision.HIGHEST)


#: Matrices of fewer rows are multiplied whole: there, what symmetry saves is less than what blocks cost.
BLOCKED_ROWS, BLOCKS = 256, 4
#: On a CPU so many columns at a time, which stay near the cores while all blocks use them: a quarter of
#: the time is saved at 4,096 × 1,167 and at 8,192 × 2,071, where 512 to 2,048 columns are as good.
COLUMNS = 1024


def symmetric_product(left: Float[Array, "n m"], dtype: Any = None) -> Float[Array, "n n"]:
    """Left · leftᵀ, symmetric to the last bit; above a size only the blocks on and below the diagonal
    are multiplied, which saves three operations in eight.
    """
    n, m = left.shape
    if n < BLOCKED_ROWS:
        return symmetric(contract(left, left, dtype))
    ends = [n * i // BLOCKS for i in range(BLOCKS + 1)]

    def strips(left: Array) -> list[Array]:
        return [
            contract(left[start:end], left[:end], dtype) for start, end in itertools.pairwise(ends)
        ]

    def by_columns(left: Array) -> list[Array]:
        def add(i: Array, sums: list[Array]) -> list[Array]:
            part = jax.lax.dynamic_slice_in_dim(left, i * COLUMNS, COLUMNS, axis=1)
            return list(map(jnp.add, sums, strips(part)))

        rest = left[:, m - m % COLUMNS :]
        return jax.lax.fori_loop(0, m // COLUMNS, add, strips(rest))

    if m < 2 * COLUMNS:
        found = strips(left)
    else:
        found = jax.lax.platform_dependent(left, cpu=by_columns, default=strips)
    return symmetric(jnp.concatenate([jnp.pad(x, ((0, 0), (0, n - x.shape[1]))) for x in found]))


def symmetric(matrix: Array) -> Array:
    """The lower half of a matrix and its mirror image, symmetric to the last bit.

    A mean with the transpose need not be: a compiler may round its two sums in different ways.
    """
    return jnp.where(jnp.tri(len(matrix), dtype=bool), matrix, matrix.T)


def check_accumulation(dtype: Any) -> None:
    """Raise when sums are asked for in a type that JAX is not set to compute in."""
    if dtype is not None and jnp.zeros((), jax.dtypes.canonicalize_dtype(dtype)).dtype != dtype:
        raise PinntkError(
            "dtype",
            got=jnp.dtype(dtype).name,
            expected="a type that JAX computes in",
            fix="Enable it: with jax.enable_x64(True): ...",
        )
