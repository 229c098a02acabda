"""What a problem is refused for: conditions outside its domain, residuals that cannot be used."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.conditions import Condition
from pinntk.domain import AbstractRegion, Box, Points, Union
from pinntk.errors import PinntkError, ResidualError
from pinntk.problem.samples import Model, Sample
from pinntk.program import SUSPECTS, explained, primitives


def check_region(condition: Condition, domain: AbstractRegion) -> None:
    """Raise `PinntkError` where the points of a condition do not lie in the domain."""
    where = condition.where
    if where.coordinates != domain.coordinates:
        raise PinntkError(
            f"where of condition {condition.name!r}",
            got=f"coordinates {where.coordinates}",
            expected=f"the domain's coordinates {domain.coordinates}, in that order",
        )
    for part in where.parts if isinstance(where, Union) else (where,):
        if isinstance(part, Box) and isinstance(domain, Box):
            ends = np.array([part.low_corner, part.high_corner])
            if not Box(**domain.bounds).contains(ends).all():
                raise PinntkError(
                    f"where of condition {condition.name!r}",
                    got=f"{part}, which reaches outside the domain",
                    expected=f"a part of {domain}",
                )
    if isinstance(where, Points):
        outside = ~domain.contains(where.points)
        if outside.any():
            first = where.points[outside.argmax()].tolist()
            raise PinntkError(
                f"points of condition {condition.name!r}",
                got=f"{int(outside.sum())} of {len(outside)} outside the domain, first {first}",
                expected=f"points of {domain}",
            )


def check_residual(
    name: str, residual_at: Callable[[Model, Sample], Array], model: Model, sample: Sample
) -> None:
    """Raise `ResidualError` with the condition's name where its residual cannot be used."""
    argument = f"residual of condition {name!r}"
    one = jax.tree.map(lambda a: a[0], sample)
    try:
        closed, shape = jax.make_jaxpr(functools.partial(residual_at, model), return_shape=True)(
            one
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
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
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
            _try_gradient(residual_at, model, sample)


def _try_gradient(
    residual_at: Callable[[Model, Sample], Array], model: Model, sample: Sample
) -> None:
    """Trace the gradient of a loss of the residual at all points, which shows whether there is one."""
    parameters, rest = eqx.partition(model, eqx.is_inexact_array)

    def loss(parameters: Any) -> Array:
        whole = eqx.combine(parameters, rest)
        return jnp.sum(jax.vmap(functools.partial(residual_at, whole))(sample) ** 2)

    jax.eval_shape(jax.grad(loss), parameters)
