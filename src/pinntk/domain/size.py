"""How large a region is: exactly for what is made of boxes, by counting points for what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pinntk.domain.samplers import unit_points

if TYPE_CHECKING:
    from pinntk.domain.region import AbstractRegion

#: Points of the bounding box that are counted, and the most cells that unions of boxes are cut into.
COUNTED, CELLS = 2**16, 10**6


def size(region: AbstractRegion) -> float | None:
    """The length, area or volume of a region; the number of points in dimension 0; None if unknown."""
    if region.dimension == 0:
        points = [_corners(part)[0] if part.given is None else part.given for part in region.parts]
        return float(len(np.unique(np.concatenate([np.atleast_2d(p) for p in points]), axis=0)))
    parts = [part for part in region.parts if part.dimension == region.dimension]
    if all(part.is_box for part in parts):
        found = _of_boxes([_corners(part) for part in parts])
        if found is not None:
            return found
    if region.dimension == len(region.free):
        volume = float(np.prod([high - low for low, high in region.bounds.values() if low < high]))
        return volume * float(np.mean(region.contains(hull_points(region, COUNTED))))
    sizes = [part.measure for part in parts] if len(region.parts) > 1 else [None]
    known = [found for found in sizes if found is not None]
    return sum(known) if len(known) == len(sizes) else None


def hull_points(region: AbstractRegion, n: int) -> np.ndarray:
    """The first `n` points (n, d) of the Sobol sequence in the bounding box of a region."""
    low, high = _corners(region)
    free = np.flatnonzero(low < high)
    points = np.tile(low, (n, 1))
    points[:, free] += (high - low)[free] * unit_points(n, len(free))
    return points


def _corners(region: AbstractRegion) -> np.ndarray:
    return np.array(list(region.bounds.values())).T


def _of_boxes(boxes: Sequence[np.ndarray]) -> float | None:
    """The measure of a union of boxes of one dimension, each (2, d); None where there are too many.

    All ends of all boxes cut space into cells, each of which is in a box or out of it. Boxes that are
    flat in other ways, such as two faces, have no measure in common.
    """
    planes: dict[tuple, list[np.ndarray]] = {}
    for box in boxes:
        flat = box[0] == box[1]
        key = (tuple(flat.tolist()), tuple(box[0][flat].tolist()))
        planes.setdefault(key, []).append(box[:, ~flat])
    total = 0.0
    for found in planes.values():
        stacked = np.stack(found)
        ends = [np.unique(stacked[:, :, axis]) for axis in range(stacked.shape[2])]
        if np.prod([float(len(cuts)) for cuts in ends]) > CELLS:
            return None
        covered = np.zeros([len(cuts) - 1 for cuts in ends], bool)
        for box in stacked:
            cells = [slice(*np.searchsorted(c, e)) for c, e in zip(ends, box.T, strict=True)]
            covered[tuple(cells)] = True
        sizes = np.ones(())
        for cuts in ends:
            sizes = sizes[..., None] * np.diff(cuts)
        total += float(np.sum(sizes[covered]))
    return total
