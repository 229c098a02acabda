"""Boxes with named coordinates, their faces, and the two boxes that have names of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.domain.region import AbstractRegion, Facts
from pinntk.domain.samplers import AbstractSampler
from pinntk.domain.union import Union
from pinntk.errors import PinntkError, check_name

Bounds = tuple[float, float]


class Box(AbstractRegion):
    """The product of intervals: `Box(x=(0, 1), y=(-1, 1))`; the order of names is a point's order.

    `fixed` says which coordinates are held at one of their ends, so that a face of the box is a Box
    too: `box.face(x=0)`. `intervals` are those of the whole box, of which a face is a part.
    """

    facts = Facts(box=True)

    def __init__(self, fixed: Mapping[str, float] | None = None, /, **bounds: Bounds):
        if not bounds:
            raise PinntkError("Box", got="no coordinate", expected="at least one, like x=(0, 1)")
        for name, pair in bounds.items():
            _check_bounds(name, pair)
        self.intervals = {name: (float(low), float(high)) for name, (low, high) in bounds.items()}
        self.coordinates = tuple(bounds)
        self.fixed = dict(fixed or {})
        self.lower = tuple(self.fixed.get(name, low) for name, (low, _) in self.intervals.items())
        self.upper = tuple(self.fixed.get(name, high) for name, (_, high) in self.intervals.items())

    def __repr__(self) -> str:
        parts = [f"{name}={self.fixed.get(name, pair)}" for name, pair in self.intervals.items()]
        return f"Box({', '.join(parts)})"

    def face(self, **ends: float) -> Box:
        """The part where the named coordinates sit at one of their ends: `face(x=0)`, `face(t=0)`."""
        for name, value in ends.items():
            check_name("coordinate", name, self.coordinates)
            if name in self.fixed:
                raise PinntkError(
                    f"face({name}=...)",
                    got=f"{self}, where it is fixed",
                    expected="a free coordinate",
                )
            if not any(math.isclose(value, end, abs_tol=1e-12) for end in self.intervals[name]):
                raise PinntkError(
                    f"face({name}=...)", got=value, expected=f"an end of {self.intervals[name]}"
                )
        held = {**self.fixed, **{name: float(value) for name, value in ends.items()}}
        return Box(held, **self.intervals)

    def faces(self, *names: str) -> Union:
        """Both ends of each named coordinate, of every free coordinate when none is named."""
        for name in names:
            check_name("coordinate", name, self.coordinates)
        chosen = names or self.free
        return Union([self.face(**{name: end}) for name in chosen for end in self.intervals[name]])

    def sample(self, sampler: AbstractSampler, n: int, key: PRNGKeyArray) -> Float[Array, "n d"]:
        """`n` points; a region with nothing free (the end of an interval) gives n copies of it."""
        unit = sampler.sample(key, n, len(self.free))
        columns = []
        for name, (low, high) in self.intervals.items():
            if name in self.fixed:
                columns.append(jnp.full((n,), self.fixed[name], unit.dtype))
            else:
                columns.append(low + (high - low) * unit[:, self.free.index(name)])
        return jnp.stack(columns, axis=1)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether each point (n, d) lies in the box, up to 1e-6 of its extent: shape (n,)."""
        inside = np.ones(len(points), bool)
        for column, (name, (low, high)) in zip(points.T, self.intervals.items(), strict=True):
            slack = 1e-6 * (high - low)
            low, high = (self.fixed[name],) * 2 if name in self.fixed else (low, high)
            inside &= (column >= low - slack) & (column <= high + slack)
        return inside

    def normal(self, point: Float[Array, " d"]) -> Float[Array, " d"]:
        """The outward normal of a face, from the one coordinate that it fixes."""
        if len(self.fixed) != 1:
            raise PinntkError(
                "normal", got=self, expected="a face with exactly one fixed coordinate"
            )
        ((name, value),) = self.fixed.items()
        low, high = self.intervals[name]
        side = 1.0 if abs(value - high) < abs(value - low) else -1.0
        return jnp.zeros_like(point).at[self.coordinates.index(name)].set(side)

    def initial(self) -> Box:
        """The part at the first instant, the least `t`."""
        check_name("coordinate", "t", self.coordinates)
        return self.face(t=self.intervals["t"][0])

    def walls(self, *names: str) -> Union:
        """Both ends of the named space coordinates, of all of them when none is named: all but `t`."""
        space = names or tuple(name for name in self.free if name != "t")
        if not space:
            raise PinntkError("walls", got=self, expected="a domain with a space coordinate")
        return self.faces(*space)


def Interval(**bounds: Bounds) -> Box:
    """A box of one coordinate: `Interval(x=(0, 1))`."""
    if len(bounds) != 1:
        raise PinntkError("Interval", got=tuple(bounds), expected="exactly one coordinate")
    return Box(**bounds)


def SpaceTime(**bounds: Bounds) -> Box:
    """A box of space coordinates and a time called `t`: `SpaceTime(x=(0, 1), t=(0, 2))`."""
    check_name("SpaceTime", "t", bounds)
    return Box(**bounds)


def _check_bounds(name: str, pair: object) -> None:
    try:
        low, high = pair  # type: ignore[misc]
        good = math.isfinite(low) and math.isfinite(high) and low < high
    except (TypeError, ValueError):
        good = False
    if not good:
        raise PinntkError(name, got=pair, expected="(low, high) with finite low < high")
