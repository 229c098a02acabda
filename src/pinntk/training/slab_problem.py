"""A problem as it is stated for any slab of time: on the points of the whole, moved into the slab."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.calculus import AbstractField, Field, Point
from pinntk.conditions import Condition
from pinntk.domain import AbstractRegion, Points, Sobol
from pinntk.domain.region import LOOKS, ROUNDING
from pinntk.errors import PinntkError
from pinntk.nets import Constrained, WithCoefficients
from pinntk.problem import Batch, Model, Problem, Sample, condition_key, draw
from pinntk.training.slab_model import Clock

#: The name under which a model brings the clock of its slab into the residuals.
CLOCK = "clock of the slab"
#: A slab is judged on so many times the points that it was trained on, but on no more than MANY if it
#: was trained on fewer: what no point saw is then seen, and looking stays cheaper than a step.
DENSER, MANY = 10, 20_000
#: Fast starts are looked for down to 2^-GRADED of a slab, a thousandth of a spacing of a thousand points.
GRADED = 20
#: Points at which a condition is asked whether it looks at other times, and how far away, of the extent.
PROBES, ELSEWHERE = 8, 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class SlabProblem:
    """One problem for all slabs, and the points that belong to it.

    `problem` has the user's residuals, evaluated in the slab that the model's clock says. Its points are
    those of the whole domain; those of the conditions `carried`, with targets, are fixed: what they ask
    at the first instant is asked of the slab before. `dense` and `graded` are the points that slabs are
    judged on; `values` are the residuals, compiled once.
    """

    problem: Problem
    clock: Clock
    carried: tuple[str, ...]
    batch: Batch
    dense: Batch
    graded: Batch
    values: Callable[[Model, Batch], dict[str, Array]]

    @staticmethod
    def of(problem: Problem, model: Model, batch: Batch, key: Any, ticks: int) -> SlabProblem:
        """The problem for slabs. **Raises** `PinntkError` where it cannot be solved slab after slab."""
        check_marchable(problem, model)
        span, axis = _extent(problem)
        clock = Clock(
            start=jnp.asarray(0, jnp.int32),
            end=jnp.asarray(ticks, jnp.int32),
            still=jnp.asarray(False),
            ticks=ticks,
            span=span,
            axis=axis,
            size=len(problem.domain.coordinates),
        )
        shapes = jax.eval_shape(lambda b: problem.residuals(model, b), batch)
        carried = tuple(c.name for c in problem.conditions if _at_first(c.where, span[0]))
        conditions, points, dense, graded = [], {}, {}, {}
        for index, condition in enumerate(problem.conditions):
            name = condition.name
            sample = batch[name]
            if name not in carried:
                conditions.append(dataclasses.replace(condition, residual=_in_slab(condition)))
                points[name] = sample
                many = dataclasses.replace(
                    condition,
                    points=max(condition.points, min(DENSER * condition.points, MANY)),
                    sampler=Sobol(),
                )
                drawn = draw(many, condition_key(key, index), sample.points.dtype).points
                dense[name], graded[name] = Sample(drawn), Sample(_graded(drawn, span, axis))
                continue
            zeros = np.zeros(shapes[name].shape, sample.points.dtype)
            conditions.append(
                dataclasses.replace(
                    condition,
                    residual=_from_before(condition),
                    where=Points(np.asarray(sample.points), problem.domain.coordinates),
                    points=len(zeros),
                    redraw_every=None,
                    targets=zeros,
                )
            )
            points[name] = dense[name] = graded[name] = Sample(sample.points, jnp.asarray(zeros))
        stated = Problem(problem.name, problem.domain, conditions, problem.fields)
        return SlabProblem(
            stated, clock, carried, points, dense, graded, eqx.filter_jit(stated.residuals)
        )

    def model(self, network: Model, clock: Clock) -> WithCoefficients:
        """A network in a slab, as the residuals of the problem take it."""
        return WithCoefficients(network, {CLOCK: clock})

    def with_targets(self, batch: Batch, targets: Mapping[str, Array]) -> Batch:
        """The batch with what the slab before gives at the first instant."""
        return batch | {name: Sample(batch[name].points, targets[name]) for name in targets}

    def at_end(self) -> Batch:
        """The carried conditions, without targets, with what was at the first instant at the last."""
        first, last = self.clock.span
        found = {}
        for name in self.carried:
            points, targets = self.batch[name]
            assert targets is not None
            moved = jnp.where(points[:, self.clock.axis] == first, last, points[:, self.clock.axis])
            found[name] = Sample(points.at[:, self.clock.axis].set(moved), jnp.zeros_like(targets))
        return found

    def starts(self, name: str) -> Array:
        """Which points of a carried condition are of the first instant: shape (n,)."""
        return self.batch[name].points[:, self.clock.axis] == self.clock.span[0]


def _in_slab(condition: Condition) -> Callable[..., Array]:
    """The residual of a condition at the point of the slab that a point of the whole stands for."""

    def residual(u: AbstractField, x: Point, *extra: Array) -> Array:
        clock = u.coefficient(CLOCK).function
        field = Field(lambda p: u(clock.to_whole(p)), u.coordinates, u.components_named)
        return condition.residual(field, clock.to_slab(x), *extra)

    return residual


def _from_before(condition: Condition) -> Callable[..., Array]:
    """The residual less `y`, its value for the solution of the slab before."""
    inside = _in_slab(condition)

    def residual(u: AbstractField, x: Point, y: Array) -> Array:
        return jnp.asarray(inside(u, x)) - y

    return residual


def _graded(points: Array, span: tuple[float, float], axis: int) -> Array:
    """The points with their times closer to the first: evenly in the logarithm of the share that passed."""
    first, last = span
    share = (points[:, axis] - first) / (last - first)
    times = first + (last - first) * jnp.exp2(-GRADED * share)
    return points.at[:, axis].set(times.astype(points.dtype))


def _extent(problem: Problem) -> tuple[tuple[float, float], int]:
    return problem.domain.bounds["t"], problem.domain.coordinates.index("t")


def _at_first(where: AbstractRegion, first: float) -> bool:
    """Whether some part of a region is of the first instant alone."""
    return any(part.bounds["t"] == (first, first) for part in where.parts)


def has_time(problem: Problem) -> bool:
    """Whether a problem has a time `t` with an extent, and an inside."""
    domain = problem.domain
    return domain.given is None and "t" in domain.free


def check_marchable(problem: Problem, model: Model | None = None) -> None:
    """Raise `PinntkError`, with the name of a condition, where a problem cannot be solved in slabs."""
    if not has_time(problem):
        raise PinntkError(
            "slabs",
            got=f"a domain with {', '.join(problem.domain.coordinates)}",
            expected="a domain with a time t that has an extent",
            fix="Call the coordinate along which the solution evolves t.",
        )
    if problem.coefficients or isinstance(model, WithCoefficients):
        raise PinntkError(
            "slabs",
            got="a problem with unknown coefficients",
            expected="one without: all slabs would have to agree on them",
            fix="Train it in one piece.",
        )
    span, axis = _extent(problem)
    if isinstance(model, Constrained) and _depends_on_time(model, problem):
        raise PinntkError(
            "slabs",
            got="a model whose ansatz depends on t, which fits the first slab alone",
            expected="initial conditions as terms of the loss",
            fix="Use Network(hard=False), on the command line --soft.",
        )
    for condition in problem.conditions:
        for part in condition.where.parts:
            _check_part(condition, part, span, axis)
        _check_local(condition, problem, span, axis)
    if not any(_at_first(c.where, span[0]) for c in problem.conditions):
        raise PinntkError(
            "slabs",
            got="a problem without a condition at the first instant",
            expected="one that says where the solution starts, such as initial_value(...)",
            fix="What a model meets by construction cannot be carried from slab to slab.",
        )


def _check_part(
    condition: Condition, part: AbstractRegion, span: tuple[float, float], axis: int
) -> None:
    low, high = part.bounds["t"]
    slack = ROUNDING * (span[1] - span[0])
    if (low, high) == (span[0], span[0]):
        if condition.targets is None:
            return
        reason = "data at the first instant"
        expected = "the same as a function, initial_value(...)"
    elif part.given is not None:
        reason = f"given points, at t from {low:g} to {high:g}"
        expected = "points that can be drawn at all times, or that are all of the first instant"
    elif low == high:
        reason = f"a condition at t = {low:g} alone"
        expected = "conditions at the first instant or at all times"
    elif low > span[0] + slack or high < span[1] - slack:
        reason = f"a part that exists only from t = {low:g} to {high:g}"
        expected = f"conditions over all times, {span[0]:g} to {span[1]:g}"
    elif not part.is_box and not _same_at_all_times(part, axis):
        reason = "a region whose shape changes in time"
        expected = "a region that is the same at all times"
    else:
        return
    raise PinntkError(
        f"slabs, condition {condition.name!r}",
        got=reason,
        expected=expected,
        fix="Train this problem in one piece.",
    )


def _same_at_all_times(part: AbstractRegion, axis: int) -> bool:
    points = np.array(part.uniform(LOOKS))
    points[:, axis] = points[::-1, axis]  # every place at the time of another one
    return bool(part.near(points).all())


def _depends_on_time(model: Constrained, problem: Problem) -> bool:
    """Whether the ansatz gives other values at other times for one value of the network."""
    points = jnp.asarray(problem.domain.uniform(PROBES), float)
    span, axis = _extent(problem)
    value = jnp.ones(len(problem.fields)) if len(problem.fields) > 1 else jnp.ones(())
    at = lambda time: jax.vmap(lambda x: model.ansatz(x, value))(points.at[:, axis].set(time))
    return not np.allclose(at(span[0]), at(span[1]), rtol=1e-5, atol=1e-6)


def _check_local(
    condition: Condition, problem: Problem, span: tuple[float, float], axis: int
) -> None:
    """Raise where a residual asks for the solution at another time than that of its point.

    Two functions that agree near the time of a point have the same residual there.
    """
    points = jnp.asarray(condition.where.probes()[:PROBES], float)
    first, length = span[0], span[1] - span[0]
    count = len(problem.fields)
    offsets = jnp.arange(count, dtype=float) if count > 1 else jnp.zeros(())

    def residual(x: Point, jump: Array) -> Array:
        def function(p: Point) -> Array:
            far = jnp.abs(p[axis] - x[axis]) > ELSEWHERE * length
            waves = 2.0 + 0.5 * jnp.sin((p[axis] - first) / length + jnp.sum(p) * 0.1 + offsets)
            return waves + jnp.where(far, jump, 0.0)

        return jnp.asarray(condition.residual(problem.field(function), x))

    try:
        one, other = (
            jax.vmap(residual, in_axes=(0, None))(points, jnp.asarray(jump)) for jump in (0.0, 1.0)
        )
    except Exception:  # training says what is wrong with the residual
        return
    if not np.array_equal(one, other, equal_nan=True):
        raise PinntkError(
            f"slabs, condition {condition.name!r}",
            got="a residual that asks for u at other times than that of its point",
            expected="conditions at one time, which a slab can know",
            fix="Train this problem in one piece.",
        )
