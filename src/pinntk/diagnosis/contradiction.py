"""Two conditions that ask for different values of the same thing at the same point."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from pinntk.diagnosis.subject import AbstractSubject
from pinntk.domain import AbstractRegion, Box, Points, Union
from pinntk.problem import Batch, Sample

#: Points of data that are looked at, the first so many.
DATA = 64
#: Two rows of the Jacobian are the same demand where the cosine between them is 1 up to this: float64
#: leaves 1e-15 of it, and different points or derivatives of a network differ by far more.
PARALLEL = 1e-9


class Clash(NamedTuple):
    """Rows of two conditions that no parameters can satisfy both.

    `gap` is how far apart the two demands are, `relative` the same over the rms residual of the
    untrained conditions.
    """

    first: str
    second: str
    point: tuple[float, ...]
    gap: float
    relative: float


def find_clash(subject: AbstractSubject) -> Clash | None:
    """The worst clash at corners, middles of faces and data points; None where there is none.

    Rows i and j of the Jacobian at one point ask for the same thing where J_i = c J_j. Then r_i − c r_j
    is what no parameters can change.
    """
    batch = _probes(subject)
    if not batch:
        return None
    model = subject.draws[0].model
    kernel, residuals = subject.kernel(model, batch), subject.residuals(model, batch)
    names, places, values, rms = [], [], [], {}
    for name in kernel.names:
        r = residuals[name]
        rms[name] = float(np.sqrt(np.mean(r**2)))
        points = np.asarray(batch[name].points, np.float64)
        names += [name] * r.size
        places += [tuple(point) for point in points for _ in range(r.shape[1])]
        values += r.ravel().tolist()
    diagonal = np.diag(kernel.matrix)
    worst: Clash | None = None
    by_place: dict[tuple[float, ...], list[int]] = {}
    for row, place in enumerate(places):
        by_place.setdefault(place, []).append(row)
    for place, rows in by_place.items():
        for i, j in itertools.combinations(rows, 2):
            if not diagonal[i] > 0 or not diagonal[j] > 0:
                continue
            product = kernel.matrix[i, j]
            if product**2 < (1 - PARALLEL) * diagonal[i] * diagonal[j]:
                continue
            factor = product / diagonal[j]
            gap = abs(values[i] - factor * values[j])
            scale = max(rms[names[i]], abs(factor) * rms[names[j]])
            clash = Clash(names[i], names[j], place, gap, gap / scale if scale else 0.0)
            if worst is None or clash.relative > worst.relative:
                worst = clash
    return worst


def _probes(subject: AbstractSubject) -> Batch:
    """Corners and middles of every region, and the data, for all conditions that hold there."""
    problem, dtype = subject.problem, subject.dtype
    places = np.concatenate([_places(c.where) for c in problem.conditions])
    batch = {}
    for condition in problem.conditions:
        if condition.targets is not None:
            assert isinstance(condition.where, Points)
            points = np.asarray(condition.where.points)[:DATA]
            targets = jnp.asarray(np.asarray(condition.targets)[:DATA], dtype)
            batch[condition.name] = Sample(jnp.asarray(points, dtype), targets)
            continue
        if isinstance(condition.where, Box) and not condition.where.fixed:
            continue  # the equation itself; what it demands is no value
        inside = np.unique(places[condition.where.contains(places)], axis=0)
        if len(inside):
            batch[condition.name] = Sample(jnp.asarray(inside, dtype))
    return batch


def _places(region: AbstractRegion) -> np.ndarray:
    if isinstance(region, Union):
        return np.concatenate([_places(part) for part in region.parts])
    if isinstance(region, Points):
        return np.asarray(region.points, np.float64)[:DATA]
    if not isinstance(region, Box):
        return np.empty((0, len(region.coordinates)))
    low, high = np.array(region.low_corner), np.array(region.high_corner)
    moving = np.flatnonzero(low < high)[:4]
    corners = []
    for ends in itertools.product((0, 1), repeat=len(moving)):
        corner = low.copy()
        corner[moving] = np.where(np.array(ends, bool), high[moving], low[moving])
        corners.append(corner)
    return np.stack([*corners, (low + high) / 2])
