"""The implicit form: nothing is stored but the model and the points; J acts by jvp and vjp.

The diagonal takes the gradients of some points at a time (`products`), so that it costs what the
factored form's costs and holds no more than `memory.CHUNK_BYTES` of them. All entries of J Jᵀ take a
jvp for every residual: for kernels that fit where J does not.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from pinntk.errors import PinntkError
from pinntk.jacobian.factored import point_bytes, point_norms
from pinntk.jacobian.memory import chunk_points, over_points
from pinntk.jacobian.model import parameter_count
from pinntk.jacobian.operator import (
    AbstractJacobian,
    Gram,
    Vectors,
    diagonal,
    gram,
    jvp,
    symmetric,
    vjp,
)
from pinntk.jacobian.plans import Use, make_plans
from pinntk.jacobian.products import POINT_AXES, gradients_at
from pinntk.problem import Batch, Model, Problem, trainable
from pinntk.program import explained


class ImplicitJacobian(AbstractJacobian):
    """J as the program that computes the residuals."""

    residuals: dict[str, Array]
    model: Model
    batch: Batch
    problem: Problem = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)


def implicit(problem: Problem, model: Model, batch: Batch) -> ImplicitJacobian:
    """J in implicit form."""
    residuals = {name: r.reshape(len(r), -1) for name, r in problem.residuals(model, batch).items()}
    return ImplicitJacobian(
        residuals=residuals, model=model, batch=batch, problem=problem, names=tuple(residuals)
    )


def _stacked(jacobian: ImplicitJacobian, parameters: Any) -> dict[str, Array]:
    model = eqx.combine(parameters, trainable(jacobian.model)[1])
    residuals = jacobian.problem.residuals(model, jacobian.batch)
    return {name: residuals[name].ravel() for name in jacobian.names}


@jvp.register
def _(jacobian: ImplicitJacobian, direction: Any) -> dict[str, Array]:
    parameters = trainable(jacobian.model)[0]
    return jax.jvp(lambda p: _stacked(jacobian, p), (parameters,), (direction,))[1]


@vjp.register
def _(jacobian: ImplicitJacobian, vectors: Vectors) -> Any:
    with explained("residuals"):
        _, pull = jax.vjp(lambda p: _stacked(jacobian, p), trainable(jacobian.model)[0])
        return pull({name: vectors[name] for name in jacobian.names})[0]


@diagonal.register
def _(jacobian: ImplicitJacobian) -> dict[str, Array]:
    problem, model, batch = jacobian.problem, jacobian.model, jacobian.batch
    plans, _ = make_plans(problem, model, batch, Use.DIAGONAL)
    found = {}
    for name, plan in plans.items():
        at = jax.vmap(gradients_at(problem, name, model, plan), out_axes=POINT_AXES)
        size = chunk_points(point_bytes(model, plan))
        norms = over_points(lambda rows, at=at: point_norms(at(rows)), batch[name], size)
        found[name] = norms.ravel()
    return found


@gram.register
def _(jacobian: ImplicitJacobian, other: ImplicitJacobian | None = None, dtype: Any = None) -> Gram:
    if dtype is not None:
        raise PinntkError(
            "dtype",
            got=jnp.dtype(dtype).name,
            expected="None: the implicit form computes in the dtype of the model",
            fix="Cast the model and the batch, or take the factored form.",
        )
    rows = jacobian if other is None else other
    columns = tuple(rows.rows.items())
    count = sum(rows.rows.values())
    kind = rows.residuals[rows.names[0]].dtype
    size = min(count, chunk_points(parameter_count(jacobian.model) * kind.itemsize))

    def image(index: Array) -> Array:
        """One column of J J'ᵀ: J applied to one row of J'."""
        unit = (jnp.arange(count) == index).astype(kind)
        start, vectors = 0, {}
        for name, n in columns:
            vectors[name] = unit[start : start + n]
            start += n
        images = jvp(jacobian, vjp(rows, vectors))
        return jnp.concatenate([images[name] for name in jacobian.names])

    matrix = jax.lax.map(image, jnp.arange(count), batch_size=size).T
    matrix = symmetric(matrix) if other is None else matrix
    return Gram(matrix, tuple(jacobian.rows.items()), columns)
