"""The dense form: J as matrices, one plain gradient per residual. The oracle for every other form.

Memory: rows × parameters numbers, and `memory.CHUNK_BYTES` of them more while they are made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from pinntk.jacobian.memory import chunk_points, over_points
from pinntk.jacobian.operator import (
    AbstractJacobian,
    Gram,
    Vectors,
    check_accumulation,
    contract,
    diagonal,
    gram,
    jvp,
    symmetric_product,
    vjp,
)
from pinntk.problem import Batch, Model, Problem, Sample, trainable
from pinntk.program import explained


class DenseJacobian(AbstractJacobian):
    """J by condition: name → (N_k, P).

    P counts the trainable numbers of the model in the order of `jax.flatten_util.ravel_pytree`;
    `parameters` are those it was taken at.
    """

    residuals: dict[str, Array]
    blocks: dict[str, Float[Array, "rows parameters"]]
    parameters: Any
    names: tuple[str, ...] = eqx.field(static=True)


@eqx.filter_jit
def dense(problem: Problem, model: Model, batch: Batch) -> DenseJacobian:
    """J in dense form, in the dtype of the model; compiled once for a problem and its shapes."""
    parameters, _ = trainable(model)
    flat, _ = ravel_pytree(parameters)
    names = tuple(name for name in problem.names if name in batch)
    residuals, blocks = {}, {}
    for name in names:
        gradients = row_gradients(problem, model, name)
        components = jax.eval_shape(gradients, _first(batch[name]))[0].size
        size = chunk_points(components * flat.size * flat.dtype.itemsize)
        found = over_points(jax.vmap(gradients), batch[name], size)
        residuals[name], blocks[name] = found[0], found[1].reshape(-1, flat.size)
    return DenseJacobian(residuals=residuals, blocks=blocks, parameters=parameters, names=names)


def row_gradients(
    problem: Problem, model: Model, name: str
) -> Callable[[Sample], tuple[Array, Array]]:
    """The residual (m,) and ∂r/∂θ (m, P) of one condition at one point, m = 1 for a scalar."""
    parameters, rest = trainable(model)
    flat, unravel = ravel_pytree(parameters)

    def residual(theta: Array, row: Sample) -> tuple[Array, Array]:
        whole = eqx.combine(unravel(theta), rest)
        value = jnp.atleast_1d(problem.residual_at(name, whole, row))
        return value, value

    def gradients(row: Sample) -> tuple[Array, Array]:
        with explained(f"residual of condition {name!r}"):
            slopes, value = jax.jacrev(residual, has_aux=True)(flat, row)
        return value, slopes

    return gradients


def _first(sample: Sample) -> Sample:
    return jax.tree.map(lambda a: a[0], sample)


@gram.register
def _(jacobian: DenseJacobian, other: DenseJacobian | None = None, dtype: Any = None) -> Gram:
    check_accumulation(dtype)
    left = jnp.concatenate([jacobian.blocks[name] for name in jacobian.names])
    rows = tuple(jacobian.rows.items())
    if other is None:
        return Gram(symmetric_product(left, dtype), rows, rows)
    right = jnp.concatenate([other.blocks[name] for name in other.names])
    return Gram(contract(left, right, dtype), rows, tuple(other.rows.items()))


@diagonal.register
def _(jacobian: DenseJacobian) -> dict[str, Array]:
    return {name: jnp.sum(jacobian.blocks[name] ** 2, axis=1) for name in jacobian.names}


@jvp.register
def _(jacobian: DenseJacobian, direction: Any) -> dict[str, Array]:
    flat, _ = ravel_pytree(direction)
    return {name: jacobian.blocks[name] @ flat for name in jacobian.names}


@vjp.register
def _(jacobian: DenseJacobian, vectors: Vectors) -> Any:
    _, unravel = ravel_pytree(jacobian.parameters)
    parts = [vectors[name] @ jacobian.blocks[name] for name in jacobian.names]
    return unravel(jnp.sum(jnp.stack(parts), axis=0))
