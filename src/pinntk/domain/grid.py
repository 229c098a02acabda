"""Grids of a region's bounding box: the plane that is drawn, and lines along one coordinate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pinntk.domain.region import AbstractRegion

#: Lines along one coordinate where there are others.
LINES = 16


class Plane(NamedTuple):
    """A grid over the first two coordinates of a region, or over its one.

    `axes` are the values of each, `points` (n, d) the grid's points, the last coordinate fastest, and
    `inside` of the axes' shape says which lie in the region. `held` are the other coordinates' values.
    """

    axes: dict[str, np.ndarray]
    points: np.ndarray
    inside: np.ndarray
    held: dict[str, float]

    @property
    def title(self) -> str:
        """Where the other coordinates are held, as in `z = 0.5, t = 1`; empty where there is none."""
        return ", ".join(f"{name} = {value:g}" for name, value in self.held.items())

    def values(self, found: np.ndarray) -> np.ndarray:
        """What was found at the points, on the grid: NaN outside the region; shape of `inside` + (m,)."""
        found = np.asarray(found, np.float64).reshape(*self.inside.shape, -1)
        return np.where(self.inside[..., None], found, np.nan)


def plane(region: AbstractRegion, sides: tuple[int, int]) -> Plane | None:
    """The grid that maps are drawn on, `sides[d − 1]` points per coordinate in d dimensions.

    Space coordinates after the second are held in their middle, where walls disturb least, and a time
    `t` at its last value, which is what one solves for. None for given points, which have no inside.
    """
    if region.given is not None:
        return None
    shown = region.coordinates[:2]
    axes = {name: np.linspace(*region.bounds[name], sides[len(shown) - 1]) for name in shown}
    held = {
        name: high if name == "t" else (low + high) / 2
        for name, (low, high) in region.bounds.items()
        if name not in shown
    }
    mesh = np.meshgrid(*axes.values(), *([value] for value in held.values()), indexing="ij")
    points = np.stack(mesh, axis=-1).reshape(-1, len(region.coordinates))
    inside = np.array(region.contains(points), bool)
    return Plane(axes, points, inside.reshape([len(axis) for axis in axes.values()]), held)


class Lines(NamedTuple):
    """Lines along a coordinate: points (n·m, d), n values, m lines each; which are inside (n, m)."""

    points: np.ndarray
    values: np.ndarray
    inside: np.ndarray


def lines(region: AbstractRegion, coordinate: str, count: int) -> Lines:
    """Lines along a coordinate through some points of the bounding box, the coordinate varying slowest."""
    low, high = np.array(list(region.bounds.values())).T
    axis = region.coordinates.index(coordinate)
    values = low[axis] + (high - low)[axis] * (np.arange(count) + 0.5) / count
    many = 1 if len(region.free) == 1 else LINES
    spread = low + np.outer((np.arange(many) + 0.5) / many, high - low)
    for other in range(spread.shape[1]):  # not all on the diagonal
        spread[:, other] = np.roll(spread[:, other], other * 5)
    points = np.repeat(spread[None], count, axis=0)
    points[:, :, axis] = values[:, None]
    points = points.reshape(-1, spread.shape[1])
    return Lines(points, values, np.array(region.contains(points), bool).reshape(count, many))
