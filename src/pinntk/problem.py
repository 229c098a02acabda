"""A PDE problem: its domain, its conditions, its solution where one is known; and batches of points."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.calculus import Field, Point
from pinntk.conditions import Condition
from pinntk.domain import AbstractRegion, Random, UniformGrid, check_region
from pinntk.errors import PinntkError, ResidualError, check_name
from pinntk.nets import Unknown, WithCoefficients, coefficients_of, declared
from pinntk.tracing import merge_equal

#: Folded into a key where points are to differ from those of any step.
HELD_OUT = 2**32 - 1

Model = Any  # any pytree that is a callable of one point


class Sample(NamedTuple):
    """The points of one condition, (n, d), with one target row for each where it is about data."""

    points: Float[Array, "n d"]
    targets: Array | None = None


Batch = dict[str, Sample]


@dataclasses.dataclass(frozen=True, eq=False)
class HardConstraints:
    """How conditions are built into a model, so that they hold exactly and need no term of the loss.

    **Arguments:** `conditions`: the names of those that then hold; `ansatz(x, value)`: the model's value
    at a point from that of the network, such as `u0(x) + t * value`; `periodic`: coordinates in which the
    network is made periodic, with the domain's extent as period.
    """

    conditions: tuple[str, ...]
    ansatz: Callable[[Point, Array], Array] | None = None
    periodic: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """What is to be solved: conditions by name over a domain.

    **Arguments:** `fields` names the components of the unknown, one name for a scalar field;
    `solution(x)` is the exact solution at one point, or None; `hard` says how conditions can be built
    into the model; `coefficients` declares unknowns of the equation that are trained beside the network:
    name → `Unknown(start, true)`, or the start alone.
    """

    name: str
    domain: AbstractRegion
    conditions: Sequence[Condition]
    fields: tuple[str, ...] = ("u",)
    solution: Callable[[Point], Array] | None = None
    hard: HardConstraints | None = None
    coefficients: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_region("domain", self.domain)
        object.__setattr__(self, "fields", _checked_fields(self.fields))
        if not self.conditions:
            raise PinntkError("conditions", got="none", expected="at least one condition")
        names = [condition.name for condition in self.conditions]
        for name in names:
            if names.count(name) > 1:
                raise PinntkError(
                    "conditions", got=f"two named {name!r}", expected="distinct names"
                )
        for condition in self.conditions:
            self._check_region(condition)
        object.__setattr__(self, "conditions", tuple(self.conditions))
        for coordinate in self.hard.periodic if self.hard else ():
            check_name("coordinate", coordinate, self.domain.coordinates)
        object.__setattr__(self, "coefficients", declared(self.coefficients))

    def _check_region(self, condition: Condition) -> None:
        where = condition.where
        if where.coordinates != self.domain.coordinates:
            raise PinntkError(
                f"where of condition {condition.name!r}",
                got=f"coordinates {where.coordinates}",
                expected=f"the domain's coordinates {self.domain.coordinates}, in that order",
            )
        if where is self.domain:
            return
        for part in where.parts:
            outside = part.outside(self.domain)
            if len(outside) == 0:
                continue
            if part.given is not None:
                raise PinntkError(
                    f"points of condition {condition.name!r}",
                    got=f"{len(outside)} of {len(part.given)} outside the domain, "
                    f"first {outside[0].tolist()}",
                    expected=f"points of {self.domain}",
                )
            raise PinntkError(
                f"where of condition {condition.name!r}",
                got=f"{part}, which reaches outside the domain",
                expected=f"a part of {self.domain}",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the conditions, in order."""
        return tuple(condition.name for condition in self.conditions)

    def condition(self, name: str) -> Condition:
        """The condition of that name."""
        check_name("condition", name, self.names)
        return self.conditions[self.names.index(name)]

    def with_coefficients(self, network: Model, key: PRNGKeyArray) -> Model:
        """The network with the declared coefficients at their start; itself where none is declared.

        Networks of coefficient fields are drawn with `key`, each with its own part of it. What a
        `WithCoefficients` already has is kept.
        """
        if not self.coefficients:
            return network
        unknowns: Mapping[str, Unknown] = self.coefficients
        made = {
            name: unknown.make(jax.random.fold_in(key, i))
            for i, (name, unknown) in enumerate(unknowns.items())
        }
        if isinstance(network, WithCoefficients):
            return WithCoefficients(network.network, {**made, **network.coefficients})
        return WithCoefficients(network, made)

    def field(self, function: Callable[[Point], Array]) -> Field:
        """A model or formula as a field of this problem, with coordinates, components, coefficients.

        A formula without trainable arrays, such as the solution, has the true coefficients.
        """
        count = len(self.fields)

        def value_at(x: Point) -> Array:
            value = function(x)
            if jnp.size(value) != count:
                raise PinntkError(
                    "model",
                    got=f"a value of shape {jnp.shape(value)} at one point",
                    expected=f"{count} number{'s' * (count > 1)}, for {', '.join(self.fields)}",
                    fix="Problem(fields=...) names the components of the unknown.",
                )
            return jnp.reshape(value, (count,) if count > 1 else ())

        names = self.fields if count > 1 else ()
        coordinates = self.domain.coordinates
        coefficients = coefficients_of(function, self.coefficients)
        for name in coefficients:
            if callable(coefficients[name]):
                coefficients[name] = Field(coefficients[name], coordinates)
        return Field(value_at, coordinates, names, coefficients)

    def sample(self, key: PRNGKeyArray, dtype: Any = None) -> Batch:
        """Points for every condition, drawn with `key`, in `dtype` (JAX's default float if None)."""
        return {
            c.name: draw(c, condition_key(key, i), dtype) for i, c in enumerate(self.conditions)
        }

    def with_points(self, counts: Mapping[str, int], redraw: bool = True) -> Problem:
        """The same problem with other numbers of points, by condition; fixed ones unless `redraw`."""
        for name in counts:
            check_name("condition", name, self.names)
        changed = [
            dataclasses.replace(
                c,
                points=counts.get(c.name, c.points),
                redraw_every=c.redraw_every if redraw else None,
            )
            for c in self.conditions
        ]
        return dataclasses.replace(self, conditions=changed)

    def hardened(self) -> Problem:
        """The same problem without the conditions that its `hard` form builds into the model."""
        if self.hard is None:
            raise PinntkError(
                "hard",
                got=f"{self.name}, which has no hard form",
                expected="a problem with Problem(hard=...)",
            )
        for name in self.hard.conditions:
            check_name("condition", name, self.names)
        kept = [c for c in self.conditions if c.name not in self.hard.conditions]
        return dataclasses.replace(self, conditions=kept)

    def held_out(self, key: PRNGKeyArray, dtype: Any = None) -> Batch:
        """Other points than `sample(key)` draws, as many, for conditions whose points are not given."""
        found = {}
        for i, c in enumerate(self.conditions):
            if c.where.given is not None:
                continue
            other = dataclasses.replace(c, sampler=Random())
            found[c.name] = draw(other, jax.random.fold_in(condition_key(key, i), HELD_OUT), dtype)
        return found

    def redraw(self, batch: Batch, step: Array, key: PRNGKeyArray) -> Batch:
        """The batch for a training step: new points where a condition asks for them at this step."""
        fresh = dict(batch)
        for i, condition in enumerate(self.conditions):
            every = condition.redraw_every
            if every is None:
                continue
            current = batch[condition.name]
            step_key = jax.random.fold_in(condition_key(key, i), step)
            new = lambda c=condition, k=step_key, old=current: draw(c, k, old.points.dtype)
            due = (step % every == 0) & (step > 0)
            fresh[condition.name] = jax.lax.cond(due, new, lambda old=current: old)
        return fresh

    def residuals(self, model: Model, batch: Batch) -> dict[str, Array]:
        """r_k at every point of the batch: name → (n,) or (n, m)."""
        return {
            name: jax.vmap(lambda row, n=name: self.residual_at(n, model, row))(batch[name])
            for name in self.names
            if name in batch
        }

    def residual_at(self, name: str, model: Model, row: Sample) -> Array:
        """The residual of one condition at one point; equal sub-expressions are computed once."""
        condition = self.condition(name)
        field = self.field(model)

        def residual(row: Sample) -> Array:
            extra = () if row.targets is None else (row.targets,)
            return jnp.asarray(condition.residual(field, row.points, *extra))

        return merge_equal(residual)(row)

    def losses(self, model: Model, batch: Batch) -> dict[str, Array]:
        """The unweighted loss of every condition: the mean of r² over its points and components."""
        return {name: jnp.mean(r**2) for name, r in self.residuals(model, batch).items()}

    def rows(self, model: Model, batch: Batch) -> dict[str, int]:
        """N_k: how many residuals each condition has, points times components."""
        shapes = jax.eval_shape(lambda points: self.residuals(model, points), batch)
        return {name: int(np.prod(shapes[name].shape)) for name in self.names if name in batch}

    def check(self, model: Model, batch: Batch) -> None:
        """Raise `ResidualError` with the condition's name where a residual cannot be used."""
        for name, sample in batch.items():
            one = jax.tree.map(lambda a: a[0], sample)
            try:
                shape = jax.eval_shape(lambda row, n=name: self.residual_at(n, model, row), one)
            except PinntkError as error:
                raise ResidualError(
                    f"residual of condition {name!r}",
                    got=f"an error: {error}",
                    expected="a residual of the model at one point",
                ) from error
            except Exception as error:
                raise ResidualError(
                    f"residual of condition {name!r}",
                    got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
                    expected="a function (u, x) that returns a number or a vector at one point x",
                ) from error
            if not jnp.issubdtype(shape.dtype, jnp.floating):
                raise ResidualError(
                    f"residual of condition {name!r}",
                    got=f"dtype {shape.dtype}",
                    expected="a floating-point residual, which can be differentiated",
                )
            if len(shape.shape) > 1 or 0 in shape.shape:
                raise ResidualError(
                    f"residual of condition {name!r}",
                    got=f"shape {shape.shape} at one point",
                    expected="a scalar () or a vector (m,) with m ≥ 1",
                    fix="Write it for one point; pinntk does the batching.",
                )

    def test_points(self, dtype: Any = None, per_side: int | None = None) -> Float[Array, "n d"]:
        """Where errors are measured: 1,001 points in 1-D, about 10,000 in more dimensions.

        On a box they are a uniform grid up to three dimensions, or with `per_side` points along
        each. Beyond, most points of such a grid would lie on the boundary: 10,000 Sobol points. So
        many lie evenly in any other region, whatever its `sample` prefers.
        """
        domain, d = self.domain, self.domain.dimension
        side = per_side or {1: 1001, 2: 101, 3: 21}.get(d)
        count = side**d if side else 10_000
        if domain.is_box and side:
            points = domain.sample(UniformGrid(), count, jax.random.key(0))
        else:
            points = jnp.asarray(domain.uniform(count), float)
        return points if dtype is None else points.astype(dtype)


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


def _checked_fields(fields: Any) -> tuple[str, ...]:
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


def relative_l2(prediction: Array, exact: Array) -> Array:
    """‖prediction − exact‖₂ / ‖exact‖₂ over all points and components; the shapes must be equal."""
    if jnp.shape(prediction) != jnp.shape(exact):
        raise PinntkError(
            "prediction",
            got=f"shape {jnp.shape(prediction)}",
            expected=f"the shape of the exact values, {jnp.shape(exact)}",
        )
    return jnp.sqrt(jnp.sum((prediction - exact) ** 2) / jnp.sum(exact**2))
