"""One term of a PINN's loss: a named residual and the points where it should vanish."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.arrays import Count, Rows
from pinntk.calculus import AbstractField, Point
from pinntk.domain import (
    AbstractRegion,
    AbstractSampler,
    Box,
    Points,
    Sobol,
    check_region,
    first_instant,
)
from pinntk.errors import PinntkError, check_name

Value = float | Callable[[Point], Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Condition:
    """A residual that should vanish at every point of a region; one named term of the loss.

    **Arguments:**

    - `name`: the key of this term everywhere: losses, weights, kernel blocks, history.
    - `residual`: `residual(u, x)` with u a field and x one point of shape (d,); returns a scalar or
      an array of shape (m,). For a condition with `targets`, `residual(u, x, y)`.
    - `where`: the region that is sampled.
    - `points`: how many points.
    - `sampler`: how they are distributed; Sobol by default, which covers evenly at any count.
    - `redraw_every`: steps between two draws of new points; None for fixed points.
    - `targets`: data, one row per point; None for other conditions.
    - `scale`: the size of the residual, a positive number, or one for each of its components. The
      residual is divided by it wherever it is used, so that its loss is dimensionless.
    """

    name: str
    residual: Callable[..., Array]
    where: AbstractRegion
    points: Count
    sampler: AbstractSampler = Sobol()
    redraw_every: Count | None = None
    targets: np.ndarray | None = None
    scale: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("_", "").isalnum():
            raise PinntkError("name", got=self.name, expected="letters, digits and underscores")
        if not callable(self.residual):
            raise PinntkError(
                f"residual of condition {self.name!r}",
                got=self.residual,
                expected="a function (u, x)",
            )
        check_region(f"where of condition {self.name!r}", self.where)
        if not isinstance(self.sampler, AbstractSampler):
            raise PinntkError(
                f"sampler of condition {self.name!r}",
                got=repr(self.sampler),
                expected="a sampler, which is an object: Sobol(), Random(), LatinHypercube(), "
                "UniformGrid() or an AbstractSampler of your own",
                fix="Write sampler=pk.Sobol().",
            )
        _check_count(f"points of condition {self.name!r}", self.points)
        if self.redraw_every is not None:
            _check_count(f"redraw_every of condition {self.name!r}", self.redraw_every)
        object.__setattr__(self, "scale", _checked_scale(self.name, self.scale))

    def scaled(self, residual: Array) -> Array:
        """A residual at one point, () or (m,), divided by the scale."""
        if self.scale == 1.0:
            return residual
        if isinstance(self.scale, tuple) and jnp.size(residual) != len(self.scale):
            raise PinntkError(
                f"scale of condition {self.name!r}",
                got=f"{len(self.scale)} numbers",
                expected=f"{jnp.size(residual)}, one for each component of the residual",
            )
        scale = np.asarray(self.scale, residual.dtype)
        return residual / np.reshape(scale, jnp.shape(residual) if scale.ndim else ())


def _checked_scale(name: str, scale: Any) -> float | tuple[float, ...]:
    """A number for all components alike, or a tuple of different ones."""
    try:
        values = tuple(float(value) for value in np.atleast_1d(np.asarray(scale, float)))
    except (TypeError, ValueError):
        values = ()
    if not values or not all(np.isfinite(value) and value > 0 for value in values):
        raise PinntkError(
            f"scale of condition {name!r}",
            got=scale,
            expected="a positive finite number, or one for each component of the residual",
        )
    return values[0] if len(set(values)) == 1 else values


def _check_count(argument: str, value: Any) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise PinntkError(argument, got=value, expected="a whole number, 1 or more")


def _value_at(value: Value, point: Point) -> Array | float:
    return value(point) if callable(value) else value


def dirichlet(
    name: str, where: AbstractRegion, value: Value, points: Count, **options: Any
) -> Condition:
    """U = value on the region; `value` is a number or a function of the point."""
    return Condition(name, lambda u, x: u(x) - _value_at(value, x), where, points, **options)


def neumann(
    name: str, where: AbstractRegion, value: Value, points: Count, **options: Any
) -> Condition:
    """∂u/∂n = value on faces of a box or another surface, n the outward normal."""
    return robin(name, where, 0.0, 1.0, value, points, **options)


def robin(
    name: str,
    where: AbstractRegion,
    alpha: Value,
    beta: Value,
    value: Value,
    points: Count,
    **options: Any,
) -> Condition:
    """alpha·u + beta·∂u/∂n = value on faces of a box or another surface, n the outward normal."""

    def residual(u: AbstractField, x: Point) -> Array:
        normal = where.normal(x)
        slopes = jnp.stack([u.d(coordinate)(x) for coordinate in u.coordinates])
        flux = jnp.tensordot(normal, slopes, axes=1)
        return _value_at(alpha, x) * u(x) + _value_at(beta, x) * flux - _value_at(value, x)

    return Condition(name, residual, where, points, **options)


def periodic(
    name: str, domain: Box, coordinate: str, points: Count, *, order: int = 1, **options: Any
) -> Condition:
    """U and its derivatives up to `order` agree at both ends of a coordinate.

    The residual has one row per derivative (and per component): u, then ∂u, and so on.
    """
    check_name("coordinate", coordinate, domain.coordinates)
    axis = domain.coordinates.index(coordinate)
    low, high = domain.intervals[coordinate]

    def residual(u: AbstractField, x: Point) -> Array:
        opposite = x.at[axis].add(high - low)
        jumps = [
            u.d(*[coordinate] * n)(opposite) - u.d(*[coordinate] * n)(x) for n in range(order + 1)
        ]
        return jnp.concatenate([jnp.atleast_1d(jump) for jump in jumps])

    return Condition(name, residual, domain.face(**{coordinate: low}), points, **options)


def initial_value(
    name: str, domain: AbstractRegion, value: Value, points: Count, **options: Any
) -> Condition:
    """U = value at the first instant of a domain with a coordinate `t`."""
    return dirichlet(name, first_instant(domain), value, points, **options)


def initial_velocity(
    name: str, domain: AbstractRegion, value: Value, points: Count, **options: Any
) -> Condition:
    """∂u/∂t = value at the first instant of a domain with a coordinate `t`."""
    where = first_instant(domain)
    return Condition(name, lambda u, x: u.d("t")(x) - _value_at(value, x), where, points, **options)


def observations(
    name: str,
    domain: AbstractRegion,
    points: Rows,
    values: Rows | Sequence[float],
    observe: Callable[[AbstractField, Point], Array] = lambda u, x: u(x),
) -> Condition:
    """Data: what is observed of u at points (n, d) should equal values (n,) or (n, m).

    `observe(u, x)` is the measured quantity, by default u itself.
    """
    region = Points(points, domain.coordinates)
    targets = np.asarray(values, float)
    if targets.shape[:1] != (len(region.points),):
        raise PinntkError(
            "values",
            got=f"shape {targets.shape}",
            expected=f"one row for each of the {len(region.points)} points",
        )
    bad = ~np.isfinite(targets.reshape(len(targets), -1)).all(axis=1)
    if bad.any():
        raise PinntkError(
            f"values of condition {name!r}",
            got=f"{int(bad.sum())} rows with NaN or infinity, the first at row {bad.argmax()}",
            expected="finite numbers",
            fix="Drop those rows from points and values.",
        )

    def residual(u: AbstractField, x: Point, y: Array) -> Array:
        observed = observe(u, x)
        if jnp.size(observed) != jnp.size(y):
            raise PinntkError(
                f"values of condition {name!r}",
                got=f"{jnp.size(y)} for each point",
                expected=f"{jnp.size(observed)}, as many as are observed of u",
            )
        return jnp.reshape(observed, jnp.shape(y)) - y

    return Condition(name, residual, region, len(region.points), targets=targets)
