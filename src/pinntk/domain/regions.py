"""Where points live: boxes with named coordinates, their faces, unions of those, and given points."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.domain.samplers import AbstractSampler
from pinntk.errors import PinntkError, check_name

Bounds = tuple[float, float]


class AbstractRegion(abc.ABC):
    """A set of points with named coordinates that can be sampled.

    `coordinates` are the names in the order of a point's entries; `lower` and `upper` bound it.
    """

    coordinates: tuple[str, ...]

    @abc.abstractmethod
    def sample(self, sampler: AbstractSampler, n: int, key: PRNGKeyArray) -> Float[Array, "n d"]:
        """`n` points of the region; inside jit or out."""

    @abc.abstractmethod
    def contains(self, points: np.ndarray) -> np.ndarray:
        """For points (n, d), whether each lies in the region, up to rounding: shape (n,)."""

    @abc.abstractmethod
    def normal(self, point: Float[Array, " d"]) -> Float[Array, " d"]:
        """The outward unit normal at a point of a face."""


class Box(AbstractRegion):
    """The product of intervals: `Box(x=(0, 1), y=(-1, 1))`; the order of names is a point's order.

    `fixed` says which coordinates are held at one of their ends, so that a face of the box is a Box
    too: `box.face(x=0)`.
    """

    def __init__(self, fixed: Mapping[str, float] | None = None, /, **bounds: Bounds):
        if not bounds:
            raise PinntkError("Box", got="no coordinate", expected="at least one, like x=(0, 1)")
        for name, pair in bounds.items():
            _check_bounds(name, pair)
        self.bounds = {name: (float(low), float(high)) for name, (low, high) in bounds.items()}
        self.coordinates = tuple(bounds)
        self.fixed = dict(fixed or {})

    def __repr__(self) -> str:
        parts = [f"{name}={self.fixed.get(name, pair)}" for name, pair in self.bounds.items()]
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def lower(self) -> tuple[float, ...]:
        """The lower bound of every coordinate."""
        return tuple(low for low, _ in self.bounds.values())

    @property
    def upper(self) -> tuple[float, ...]:
        """The upper bound of every coordinate."""
        return tuple(high for _, high in self.bounds.values())

    @property
    def low_corner(self) -> tuple[float, ...]:
        """The point of the region with the least coordinates: `lower`, or where one is fixed, that."""
        return tuple(self.fixed.get(name, low) for name, (low, _) in self.bounds.items())

    @property
    def high_corner(self) -> tuple[float, ...]:
        """The point of the region with the greatest coordinates."""
        return tuple(self.fixed.get(name, high) for name, (_, high) in self.bounds.items())

    @property
    def free(self) -> tuple[str, ...]:
        """The coordinates that are not fixed."""
        return tuple(name for name in self.coordinates if name not in self.fixed)

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
            if not any(math.isclose(value, end, abs_tol=1e-12) for end in self.bounds[name]):
                raise PinntkError(
                    f"face({name}=...)", got=value, expected=f"an end of {self.bounds[name]}"
                )
        held = {**self.fixed, **{name: float(value) for name, value in ends.items()}}
        return Box(held, **self.bounds)

    def faces(self, *names: str) -> Union:
        """Both ends of each named coordinate, of every free coordinate when none is named."""
        for name in names:
            check_name("coordinate", name, self.coordinates)
        chosen = names or self.free
        return Union([self.face(**{name: end}) for name in chosen for end in self.bounds[name]])

    def sample(self, sampler: AbstractSampler, n: int, key: PRNGKeyArray) -> Float[Array, "n d"]:
        """`n` points; a region with nothing free (the end of an interval) gives n copies of it."""
        unit = sampler.sample(key, n, len(self.free))
        columns = []
        for name, (low, high) in self.bounds.items():
            if name in self.fixed:
                columns.append(jnp.full((n,), self.fixed[name], unit.dtype))
            else:
                columns.append(low + (high - low) * unit[:, self.free.index(name)])
        return jnp.stack(columns, axis=1)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether each point (n, d) lies in the box, up to 1e-6 of its extent: shape (n,)."""
        inside = np.ones(len(points), bool)
        for column, (name, (low, high)) in zip(points.T, self.bounds.items(), strict=True):
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
        low, high = self.bounds[name]
        side = 1.0 if abs(value - high) < abs(value - low) else -1.0
        return jnp.zeros_like(point).at[self.coordinates.index(name)].set(side)


class Interval(Box):
    """One coordinate: `Interval(x=(0, 1))`."""

    def __init__(self, **bounds: Bounds):
        if len(bounds) != 1:
            raise PinntkError("Interval", got=tuple(bounds), expected="exactly one coordinate")
        super().__init__(**bounds)


class SpaceTime(Box):
    """Space coordinates and a time called `t`: `SpaceTime(x=(0, 1), t=(0, 2))`."""

    def __init__(self, **bounds: Bounds):
        check_name("SpaceTime", "t", bounds)
        super().__init__(**bounds)

    def initial(self) -> Box:
        """The part at the first instant."""
        return self.face(t=self.bounds["t"][0])

    def walls(self, *names: str) -> Union:
        """Both ends of the named space coordinates, of all of them when none is named."""
        space = names or tuple(name for name in self.coordinates if name != "t")
        if not space:
            raise PinntkError("walls", got=self, expected="a domain with a space coordinate")
        return self.faces(*space)


class Union(AbstractRegion):
    """Several regions of the same coordinates; n points are shared out evenly, the first get the rest.

    `shares` gives other proportions: `Union([initial, walls], shares=[1, 2])`.
    """

    def __init__(self, parts: Sequence[AbstractRegion], shares: Sequence[int] | None = None):
        if not parts:
            raise PinntkError("Union", got="no part", expected="at least one region")
        if len({part.coordinates for part in parts}) != 1:
            raise PinntkError(
                "Union",
                got=[part.coordinates for part in parts],
                expected="parts with the same coordinates in the same order",
            )
        self.parts = tuple(parts)
        self.shares = tuple(shares) if shares is not None else (1,) * len(parts)
        if len(self.shares) != len(self.parts) or min(self.shares) < 1:
            raise PinntkError("shares", got=shares, expected=f"{len(parts)} positive numbers")
        self.coordinates = parts[0].coordinates

    def __repr__(self) -> str:
        return f"Union({list(self.parts)})"

    def counts(self, n: int) -> list[int]:
        """How many of n points each part gets."""
        total = sum(self.shares)
        counts = [n * share // total for share in self.shares]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
        if min(counts) == 0:
            raise PinntkError("points", got=n, expected=f"at least {total}, one per part and share")
        return counts

    def sample(self, sampler: AbstractSampler, n: int, key: PRNGKeyArray) -> Float[Array, "n d"]:
        """`n` points, part after part."""
        keys = jax.random.split(key, len(self.parts))
        drawn = [
            part.sample(sampler, count, part_key)
            for part, count, part_key in zip(self.parts, self.counts(n), keys, strict=True)
        ]
        return jnp.concatenate(drawn)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether each point (n, d) lies in any part: shape (n,)."""
        return np.any([part.contains(points) for part in self.parts], axis=0)

    def normal(self, point: Float[Array, " d"]) -> Float[Array, " d"]:
        """The outward normal of the part that the point lies on; at a corner, of the first such part."""
        result = jnp.full_like(point, jnp.nan)
        for part in reversed(self.parts):
            if not isinstance(part, Box):
                raise PinntkError("normal", got=part, expected="a union of faces of a box")
            ends = [(part.coordinates.index(name), end) for name, end in part.fixed.items()]
            extent = [high - low for low, high in part.bounds.values()]
            on = jnp.array(
                [jnp.abs(point[axis] - end) <= 1e-6 * extent[axis] for axis, end in ends]
            )
            result = jnp.where(jnp.all(on), part.normal(point), result)
        return result


class Points(AbstractRegion):
    """Given points, an array of shape (n, d): `Points(array, ("x", "t"))`. Samplers leave them alone."""

    def __init__(self, points: np.ndarray | Array, coordinates: Sequence[str]):
        values = np.asarray(points)
        self.coordinates = tuple(coordinates)
        if values.ndim != 2 or values.shape[1] != len(self.coordinates) or len(values) == 0:
            raise PinntkError(
                "points",
                got=f"an array of shape {values.shape}",
                expected=f"shape (n, {len(self.coordinates)}), one column for each of "
                f"{', '.join(self.coordinates)}, n ≥ 1",
            )
        bad = ~np.isfinite(values.astype(float)).all(axis=1)
        if bad.any():
            raise PinntkError(
                "points",
                got=f"{int(bad.sum())} rows with NaN or infinity, the first at row {bad.argmax()}",
                expected="finite numbers",
            )
        self.points = values.astype(float)

    def __repr__(self) -> str:
        return f"Points({len(self.points)} points of {', '.join(self.coordinates)})"

    def sample(self, sampler: AbstractSampler, n: int, key: PRNGKeyArray) -> Float[Array, "n d"]:  # noqa: ARG002
        """The points themselves; n must be their number."""
        if n != len(self.points):
            raise PinntkError(
                "points", got=n, expected=f"{len(self.points)}, as many as were given"
            )
        return jnp.asarray(self.points, dtype=float)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether each point (n, d) is one of the given ones: shape (n,)."""
        distance = np.abs(points[:, None, :] - self.points[None]).max(axis=2).min(axis=1)
        return distance <= 1e-6 * max(1.0, float(np.abs(self.points).max()))

    def normal(self, point: Float[Array, " d"]) -> Float[Array, " d"]:
        """Points have no normal; always an error."""
        del point
        raise PinntkError("normal", got=self, expected="a face of a box")


def _check_bounds(name: str, pair: object) -> None:
    try:
        low, high = pair  # type: ignore[misc]
        good = math.isfinite(low) and math.isfinite(high) and low < high
    except (TypeError, ValueError):
        good = False
    if not good:
        raise PinntkError(name, got=pair, expected="(low, high) with finite low < high")
