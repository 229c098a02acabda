"""Regions: what a subclass must provide, and the questions that every region answers."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, final

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.domain.samplers import AbstractSampler, Sobol
from pinntk.domain.size import hull_points, size
from pinntk.errors import PinntkError

#: Of the extent of a coordinate: what rounding may add to a point of a region.
ROUNDING = 1e-6
#: Points of a region that are looked at to see what it is, and steps from them, of its extent.
LOOKS, STEPS = 64, (1e-2, 1e-3)
#: The most given points, and the drawn points of a region without corners, that are probed.
GIVEN, DRAWN = 64, 8
#: Points of a box that are probed besides its corners and its middle, and the most axes with corners.
BESIDES, CORNERED = 3, 4
#: The most points of the bounding box that are tried for uniform points of a region.
TRIED = 2**20


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """What a region knows about itself. What is None or empty is determined from its points.

    **Arguments:** `dimension`: 1 for a curve, 2 for a surface; `measure`: its length, area or
    volume; `box`: whether it is everything between its bounds; `points`: the only points it has,
    (n, d); `parts`: the regions it is made of.
    """

    dimension: int | None = None
    measure: float | None = None
    box: bool = False
    points: np.ndarray | None = None
    parts: tuple[AbstractRegion, ...] = ()


class AbstractRegion(abc.ABC):
    """A set of points with named coordinates that can be sampled. Subclass it for a geometry of your own.

    A region has three attributes: `coordinates`, the names in the order of a point's entries, and
    `lower` and `upper`, one number each per coordinate, which bound it. It has three methods: `sample`,
    `contains`, `normal`. This class derives everything else from these, for all regions. What a region
    knows better, it states in `facts`. If it does not state its dimension, small steps from its points
    decide: where most of them stay inside, the region fills space; otherwise it is a surface. Curves in
    space must state their dimension.
    """

    coordinates: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    facts: Facts = Facts()

    @abc.abstractmethod
    def sample(self, sampler: AbstractSampler, n: int, key: PRNGKeyArray) -> Float[Array, "n d"]:
        """`n` points of the region; inside jit or out."""

    @abc.abstractmethod
    def contains(self, points: np.ndarray) -> np.ndarray:
        """For points (n, d), whether each lies in the region, up to rounding: shape (n,)."""

    @abc.abstractmethod
    def normal(self, point: Float[Array, " d"]) -> Float[Array, " d"]:
        """The outward unit normal at a point of a face; traced by JAX."""

    @final
    @functools.cached_property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """The smallest and largest value of every coordinate. **Raises** for bad `lower` or `upper`."""
        names = _attribute(self, "coordinates", "a tuple of names")
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise _amiss(self, "coordinates", names, 'a tuple of names, like ("x", "y")')
        ends = []
        for side in ("lower", "upper"):
            expected = f"{len(names)} finite numbers, one for each of {', '.join(names)}"
            given = _attribute(self, side, expected)
            try:
                values = [float(value) for value in given]
            except (TypeError, ValueError):
                values = []
            if len(values) != len(names) or not np.isfinite(values).all():
                raise _amiss(self, side, given, expected)
            ends.append(values)
        if any(low > high for low, high in zip(*ends, strict=True)):
            raise _amiss(self, "upper", self.upper, f"no number below that of lower, {self.lower}")
        return {name: (low, high) for name, low, high in zip(names, *ends, strict=True)}

    @final
    @property
    def free(self) -> tuple[str, ...]:
        """The coordinates along which the region extends."""
        return tuple(name for name, (low, high) in self.bounds.items() if low < high)

    @final
    @property
    def parts(self) -> tuple[AbstractRegion, ...]:
        """What it is made of, parts of parts taken apart; itself where it is no union."""
        if not self.facts.parts:
            return (self,)
        return tuple(leaf for part in self.facts.parts for leaf in part.parts)

    @final
    @property
    def is_box(self) -> bool:
        """Whether it is all that lies between its bounds."""
        return self.facts.box

    @final
    @property
    def given(self) -> np.ndarray | None:
        """The points (n, d) that it consists of, None where points are drawn."""
        return self.facts.points

    @final
    @functools.cached_property
    def dimension(self) -> int:
        """The dimension: 2 for a disc, 1 for its rim, 0 for given points.

        The greatest of its parts for a union.
        """
        if self.facts.parts:
            return max(part.dimension for part in self.facts.parts)
        if self.given is not None:
            return 0
        if self.facts.dimension is not None:
            return self.facts.dimension
        full = len(self.free)
        return full if self.is_box or full == 0 or self._is_solid() else full - 1

    @final
    @functools.cached_property
    def measure(self) -> float | None:
        """Its length, area or volume; the number of its points in dimension 0.

        Exact for boxes, unions of boxes, and regions that state it. For other regions that fill space, it
        is the share of 2^16 points of the bounding box that they contain, accurate to about 1e-3; None
        for other surfaces. Overlaps of parts count once, except for surfaces of your own.
        """
        if self.facts.measure is not None:
            return float(self.facts.measure)
        return size(self)

    @final
    def fills(self, domain: AbstractRegion) -> bool:
        """Whether points drawn in it fill (a piece of) the domain: no part of a rim, no given points."""
        return self.given is None and self.dimension >= domain.dimension

    @final
    def near(self, points: np.ndarray) -> np.ndarray:
        """For points (n, d), whether each lies in the region up to 1e-6 of its extents: shape (n,).

        For regions whose `contains` does not allow for rounding.
        """
        points = np.asarray(points, np.float64)
        found = np.array(self.contains(points), bool)
        for axis, (low, high) in enumerate(self.bounds.values()):
            step = ROUNDING * (high - low or max(1.0, abs(low)))
            for sign in (-1.0, 1.0):
                missing = np.flatnonzero(~found)
                if len(missing) == 0:
                    return found
                moved = points[missing]
                moved[:, axis] += sign * step
                found[missing] = self.contains(moved)
        return found

    @final
    def outside(self, domain: AbstractRegion) -> np.ndarray:
        """Points (m, d) of it beyond a domain, none where it is a part of the domain.

        Exact for given points, and for a box in a box; otherwise some of its points are tried. For a domain
        of given points, only given points can lie outside.
        """
        nothing = np.empty((0, len(self.coordinates)))
        ends = np.array(list(self.bounds.values())).T
        if self.given is not None:
            tried = self.given
        elif domain.given is not None or (domain.is_box and domain.near(ends).all()):
            return nothing
        elif self.is_box:
            tried = ends if domain.is_box else np.concatenate([ends, self._drawn(LOOKS)])
        else:
            tried = self._drawn(LOOKS)
        return tried[~domain.near(tried)]

    @final
    def probes(self) -> np.ndarray:
        """Points (m, d) at which conditions on it are compared: special points, and some others.

        The corners, the middle and some points besides of a box; at most 64 given points, evenly from
        first to last; some points of any other region.
        """
        if self.facts.parts:
            return np.concatenate([part.probes() for part in self.facts.parts])
        if self.given is not None:
            return self.given[evenly(len(self.given), GIVEN)]
        if not self.is_box:
            return self._drawn(DRAWN)
        low, high = np.array(list(self.bounds.values())).T
        moving = np.flatnonzero(low < high)[:CORNERED]
        ends = np.indices((2,) * len(moving)).reshape(len(moving), 2 ** len(moving)).T
        corners = np.tile(low, (len(ends), 1))
        corners[:, moving] = np.where(ends == 1, high[moving], low[moving])
        # Fractional parts of multiples of √2, √3, ... : no symmetry of a condition is theirs.
        waves = np.sqrt(np.arange(len(low)) + 2.0)
        shares = np.outer(np.arange(1, BESIDES + 1), waves) % 1
        return np.concatenate([corners, [(low + high) / 2], low + (high - low) * shares])

    @final
    def uniform(self, n: int) -> np.ndarray:
        """`n` points (n, d), the same with every call, evenly over its volume whatever `sample` prefers.

        Those of the Sobol sequence in the bounding box that it contains. Points of `sample` for a box,
        for a surface, and for what has less than a hundredth or so of its bounding box.
        """
        if self.given is not None:
            return self.given
        tried = 1 << max(n - 1, 1).bit_length()
        while (
            not self.is_box and self.dimension == len(self.free) > 0 and tried <= max(TRIED, 2 * n)
        ):
            points = hull_points(self, tried)
            points = points[np.array(self.contains(points), bool)]
            if len(points) >= n:
                return points[:n]
            tried *= 2
        return self._drawn(n)

    def _drawn(self, n: int) -> np.ndarray:
        if self.given is not None:
            return self.given
        with jax.ensure_compile_time_eval():
            points = np.asarray(self.sample(Sobol(), n, jax.random.key(0)), np.float64)
        if points.shape != (n, len(self.coordinates)):
            raise _amiss(
                self, "sample", f"shape {points.shape}", f"shape {(n, len(self.coordinates))}"
            )
        return points

    def _is_solid(self) -> bool:
        points = self._drawn(LOOKS)
        extents = np.array([high - low for low, high in self.bounds.values()])
        random = np.random.default_rng(0)
        steps = (random.uniform(-step, step, points.shape) * extents for step in STEPS)
        return any(np.mean(self.contains(points + step)) > 0.25 for step in steps)


def check_region(argument: str, region: Any) -> None:
    """Raise `PinntkError` where it is no region, or one of one's own that lacks something."""
    if not isinstance(region, AbstractRegion):
        raise PinntkError(
            argument,
            got=repr(region),
            expected="a region: a Box, a Union, Points, or an AbstractRegion of your own",
        )
    ends = np.array(list(region.bounds.values())).T
    found = np.asarray(region.contains(ends))
    if found.shape != (2,) or found.dtype != bool:
        raise _amiss(
            region,
            "contains",
            f"an array of shape {found.shape} and type {found.dtype} for 2 points",
            "an array of bool, shape (2,)",
        )


def evenly(n: int, most: int) -> np.ndarray:
    """At most so many of the indices 0 to n − 1, in equal steps from first to last."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def _attribute(region: AbstractRegion, name: str, expected: str) -> Sequence[Any]:
    if not hasattr(region, name):
        raise _amiss(region, name, "nothing", expected)
    return getattr(region, name)


def _amiss(region: AbstractRegion, name: str, got: object, expected: str) -> PinntkError:
    return PinntkError(f"{name} of {type(region).__name__}", got=got, expected=expected)
