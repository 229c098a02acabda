"""A PDE problem: its domain, its conditions, its solution where one is known; and batches of points."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.arrays import Count, StepNumber
from pinntk.calculus import Field, Point
from pinntk.conditions import Condition
from pinntk.domain import AbstractRegion, Random, UniformGrid, check_region
from pinntk.errors import PinntkError, check_name
from pinntk.nets import Unknown, WithCoefficients, coefficients_of, declared
from pinntk.problem.checks import check_fields, check_inside, check_residual
from pinntk.problem.samples import HELD_OUT, Batch, Model, Sample, condition_key, draw, row_shapes
from pinntk.problem.structure import once_per_structure
from pinntk.program import explained, merge_equal


@dataclasses.dataclass(frozen=True, eq=False)
class HardConstraints:
    """How conditions are built into a model, so that they hold exactly and need no term in the loss.

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
    fields: Sequence[str] = ("u",)
    solution: Callable[[Point], Array] | None = None
    hard: HardConstraints | None = None
    coefficients: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_region("domain", self.domain)
        object.__setattr__(self, "fields", check_fields(self.fields))
        if not self.conditions:
            raise PinntkError("conditions", got="none", expected="at least one condition")
        names = [condition.name for condition in self.conditions]
        for name in names:
            if names.count(name) > 1:
                raise PinntkError(
                    "conditions", got=f"two named {name!r}", expected="distinct names"
                )
        for condition in self.conditions:
            check_inside(condition, self.domain)
        object.__setattr__(self, "conditions", tuple(self.conditions))
        for coordinate in self.hard.periodic if self.hard else ():
            check_name("coordinate", coordinate, self.domain.coordinates)
        object.__setattr__(self, "coefficients", declared(self.coefficients))

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

        names = tuple(self.fields) if count > 1 else ()
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

    def with_points(self, counts: Mapping[str, Count], redraw: bool = True) -> Problem:
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

    def scaled(self, scales: Mapping[str, float | tuple[float, ...]]) -> Problem:
        """The same problem with other scales of residuals, by condition; 1 is none."""
        for name in scales:
            check_name("condition", name, self.names)
        changed = [
            dataclasses.replace(c, scale=scales.get(c.name, c.scale)) for c in self.conditions
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

    def redraw(self, batch: Batch, step: StepNumber, key: PRNGKeyArray) -> Batch:
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
        """The residual of one condition at one point, divided by the condition's scale.

        Equal sub-expressions are computed once.
        """
        condition = self.condition(name)
        field = self.field(model)

        def residual(row: Sample) -> Array:
            extra = () if row.targets is None else (row.targets,)
            return condition.scaled(jnp.asarray(condition.residual(field, row.points, *extra)))

        with explained(f"residual of condition {name!r}"):
            return jnp.asarray(merge_equal(residual)(row))  # which may be a literal

    def losses(self, model: Model, batch: Batch) -> dict[str, Array]:
        """The unweighted loss of every condition: the mean of r² over its points and components.

        A condition's r is divided by its scale.
        """
        return {name: jnp.mean(r**2) for name, r in self.residuals(model, batch).items()}

    def rows(self, model: Model, batch: Batch) -> dict[str, int]:
        """N_k: how many residuals each condition has, points times components."""
        shapes = jax.eval_shape(lambda points: self.residuals(model, points), batch)
        return {name: int(np.prod(shapes[name].shape)) for name in self.names if name in batch}

    def check(self, model: Model, batch: Batch) -> None:
        """Raise `ResidualError` with the condition's name where a residual cannot be used."""
        for name, sample in batch.items():
            _check(self, name, model, row_shapes(sample))

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


@once_per_structure
def _check(problem: Problem, name: str, model: Model, row: Sample) -> None:
    check_residual(name, functools.partial(problem.residual_at, name), model, row)
