"""Points of a condition, drawn from a key, and how far a prediction is off at points."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.arrays import AnyArray
from pinntk.conditions import Condition
from pinntk.errors import PinntkError

#: Folded into a key where points are to differ from those of any step.
HELD_OUT = 2**32 - 1

Model = Any  # any pytree that is a callable of one point


class Sample(NamedTuple):
    """The points of one condition, (n, d), with one target row for each where it is about data."""

    points: Float[Array, "n d"]
    targets: Array | None = None


Batch = dict[str, Sample]


def trainable(model: Model) -> tuple[Any, Any]:
    """The model's floating-point arrays, which are trained, and all the rest."""
    return eqx.partition(model, eqx.is_inexact_array)


def row_shapes(sample: Sample) -> Sample:
    """One point of a sample, as shapes and dtypes alone."""
    of_row = lambda a: jax.ShapeDtypeStruct(a.shape[1:], jax.dtypes.canonicalize_dtype(a.dtype))
    return jax.tree.map(of_row, sample)


def condition_key(key: PRNGKeyArray, index: int) -> PRNGKeyArray:
    """The key of one condition, so that adding a condition does not move another's points."""
    return jax.random.fold_in(key, index)


def draw(condition: Condition, key: PRNGKeyArray, dtype: Any = None) -> Sample:
    """New points for one condition."""
    points = condition.where.sample(condition.sampler, int(condition.points), key)
    dtype = points.dtype if dtype is None else dtype
    targets = None if condition.targets is None else jnp.asarray(condition.targets, dtype)
    return Sample(points.astype(dtype), targets)


def subsample(batch: Batch, count: int, key: PRNGKeyArray) -> Batch:
    """`count` points of every condition with their targets, drawn without replacement; all where fewer.

    Every point is as likely as any other, so that a mean over them is right on average. The first
    points are not: a union lays part after part, a grid row after row, and data may be sorted.
    """
    few = dict(batch)
    for index, name in enumerate(sorted(batch)):
        total = len(batch[name].points)
        if total > count:
            chosen = jax.random.permutation(jax.random.fold_in(key, index), total)[:count]
            few[name] = jax.tree.map(lambda a, rows=chosen: a[rows], batch[name])
    return few


def field_errors(prediction: AnyArray, exact: AnyArray) -> Float[Array, " fields"]:
    """‖prediction_j − exact_j‖₂ / ‖exact_j‖₂ of each field j; values of shape (n,) are one field.

    A field whose exact values are all zero is measured against the root mean square of all fields. The
    shapes must be equal.
    """
    if jnp.shape(prediction) != jnp.shape(exact):
        raise PinntkError(
            "prediction",
            got=f"shape {jnp.shape(prediction)}",
            expected=f"the shape of the exact values, {jnp.shape(exact)}",
        )
    fields = exact.shape[1] if exact.ndim > 1 else 1
    off, size = (
        jnp.sum(jnp.reshape(values, (-1, fields)) ** 2, axis=0)
        for values in (prediction - exact, exact)
    )
    if fields > 1:
        size = jnp.where(size > 0, size, jnp.mean(size))
    return jnp.sqrt(off / size)


def combined(errors: Float[Array, " fields"]) -> Array:
    """One number for the relative errors of all fields: their root mean square."""
    return errors[0] if len(errors) == 1 else jnp.sqrt(jnp.mean(errors**2))


def relative_l2(prediction: AnyArray, exact: AnyArray) -> Array:
    """The relative L2 errors of the fields, combined: sqrt(mean_j ‖prediction_j − exact_j‖² / ‖exact_j‖²).

    So a field of small numbers counts as much as one of large ones. Values are of shape (n,) for one
    field, (n, fields) for several.
    """
    return combined(field_errors(prediction, exact))
