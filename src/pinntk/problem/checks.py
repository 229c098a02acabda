"""Reasons to refuse a problem: conditions outside its domain, residuals that cannot be used."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from pinntk.conditions import Condition
from pinntk.domain import AbstractRegion
from pinntk.errors import PinntkError, ResidualError, brief
from pinntk.problem.samples import Model, Sample, trainable
from pinntk.program import SUSPECTS, explained, primitives


def check_inside(condition: Condition, domain: AbstractRegion) -> None:
    """Raise `PinntkError` where the points of a condition do not lie in the domain."""
    where = condition.where
    if where.coordinates != domain.coordinates:
        raise PinntkError(
            f"where of condition {condition.name!r}",
            got=f"coordinates {where.coordinates}",
            expected=f"the domain's coordinates {domain.coordinates}, in that order",
        )
    if where is domain:
        return
    for part in where.parts:
        outside = part.outside(domain)
        if len(outside) == 0:
            continue
        if part.given is not None:
            raise PinntkError(
                f"points of condition {condition.name!r}",
                got=f"{len(outside)} of {len(part.given)} outside the domain, "
                f"first {outside[0].tolist()}",
                expected=f"points of {domain}",
            )
        raise PinntkError(
            f"where of condition {condition.name!r}",
            got=f"{part}, which reaches outside the domain",
            expected=f"a part of {domain}",
        )


def check_fields(fields: Any) -> tuple[str, ...]:
    """The names of the components of the unknown; raises unless they are distinct names."""
    one = isinstance(fields, str)
    names = () if one or not isinstance(fields, Sequence) else tuple(fields)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise PinntkError(
            "fields",
            got=repr(fields),
            expected="a tuple with a name for each component of the unknown",
            fix=f"Write fields=({fields!r},) for one component." if one else 'Such as ("u", "v").',
        )
    for name in names:
        if names.count(name) > 1:
            raise PinntkError("fields", got=f"two named {name!r}", expected="distinct names")
    return names


def check_residual(
    name: str, residual_at: Callable[[Model, Sample], Array], model: Model, row: Sample
) -> None:
    """Raise `ResidualError` with the condition's name where its residual cannot be used.

    `row` holds one point of the condition, or its shapes.
    """
    argument = f"residual of condition {name!r}"
    try:
        closed, shape = jax.make_jaxpr(functools.partial(residual_at, model), return_shape=True)(
            row
        )
    except PinntkError as error:
        raise ResidualError(
            argument,
            got=f"an error: {error}",
            expected="a residual of the model at one point",
        ) from error
    except Exception as error:
        raise ResidualError(
            argument,
            got=brief(error),
            expected="a function (u, x) that returns a number or a vector at one point x",
        ) from error
    if not jnp.issubdtype(shape.dtype, jnp.floating):
        raise ResidualError(
            argument,
            got=f"dtype {shape.dtype}",
            expected="a floating-point residual, which can be differentiated",
        )
    if len(shape.shape) > 1 or 0 in shape.shape:
        raise ResidualError(
            argument,
            got=f"shape {shape.shape} at one point",
            expected="a scalar () or a vector (m,) with m ≥ 1",
            fix="Write it for one point; pinntk does the batching.",
        )
    if primitives(closed.jaxpr) & SUSPECTS:
        with explained(argument):
            _try_gradient(residual_at, model, row)


def _try_gradient(residual_at: Callable[[Model, Sample], Array], model: Model, row: Sample) -> None:
    """Trace the gradient of a loss of the residual at points, which shows whether there is one."""
    parameters, rest = trainable(model)
    sample = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape), a.dtype), row)

    def loss(parameters: Any, sample: Sample) -> Array:
        whole = eqx.combine(parameters, rest)
        return jnp.sum(jax.vmap(functools.partial(residual_at, whole))(sample) ** 2)

    jax.eval_shape(jax.grad(loss), parameters, sample)
