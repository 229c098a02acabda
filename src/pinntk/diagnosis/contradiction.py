"""Two conditions that ask for different values of the same thing at the same point."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from pinntk.diagnosis.subject import AbstractSubject
from pinntk.domain import GIVEN, AbstractRegion, evenly
from pinntk.problem import Batch, Sample

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
    """The worst clash at corners, edges, points of faces and data; None where there is none.

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
    """What is special in every region, and where regions meet, for all conditions that hold there."""
    problem, dtype = subject.problem, subject.dtype
    places = _places([c.where for c in problem.conditions])
    batch = {}
    for condition in problem.conditions:
        where = condition.where
        if condition.targets is not None:
            rows = evenly(len(condition.targets), GIVEN)
            if where.given is None:
                continue  # which target belongs to a place is not known
            targets = jnp.asarray(np.asarray(condition.targets)[rows], dtype)
            batch[condition.name] = Sample(jnp.asarray(where.given[rows], dtype), targets)
            continue
        if where.fills(problem.domain):
            continue  # the equation itself; what it demands is no value
        inside = np.unique(places[where.near(places)], axis=0)
        if len(inside):
            batch[condition.name] = Sample(jnp.asarray(inside, dtype))
    return batch


def _places(regions: Sequence[AbstractRegion]) -> np.ndarray:
    """The probes of all regions, and those moved to where a part of another region is flat.

    A point of a curved wall, moved to the first instant, is one of their common edge.
    """
    found = [region.probes() for region in regions]
    flats = {
        tuple((axis, low) for axis, (low, high) in enumerate(part.bounds.values()) if low == high)
        for region in regions
        if region.given is None
        for part in region.parts
    }
    curved = [
        part.probes()
        for region in regions
        for part in region.parts
        if part.given is None and not part.is_box
    ]
    for flat in flats - {()}:
        for probes in curved:
            moved = probes.copy()
            for axis, value in flat:
                moved[:, axis] = value
            found.append(moved)
    return np.concatenate(found)
