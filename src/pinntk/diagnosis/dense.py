"""The residual between the points: on a dense grid, and in the gap beside the faces of conditions.

A residual that vanishes on its points can be large where no point lies, and held-out points are as many
as those of the training, so that a jump of the field narrower than their spacing hides from both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pinntk.conditions import Condition
from pinntk.diagnosis.subject import AbstractSubject, ByCondition, residuals_at
from pinntk.domain import AbstractRegion, evenly
from pinntk.problem import Batch, Model, Problem, Sample
from pinntk.words import number

#: Points of the dense grid of each condition: several for each one of a usual training.
DENSE = 4096
#: At least so many for each point of the training, up to the most: closer than they are to each other.
FINER, MOST = 4, 2**15
#: Points of another condition beside which the gap is looked at: one in an ordinary differential equation.
EDGES = 8
#: Distances from it: from the mean spacing of the training's points down to 1/4096 of it, by factors of
#: 1.09, so that a jump which is a tenth as wide as it is far from the face does not slip through.
DISTANCES = 2.0 ** (-np.arange(97) / 8)
#: Mean square between the points over that on them which calls a residual unseen: its rms is then three
#: times larger, as for a residual that is overfitted on held-out points.
UNSEEN = 10.0
#: And it matters where its rms is above this share of what it was before training.
MATTERS = 0.05


class Dense(NamedTuple):
    """A condition's residual on a dense grid beside that on the training points.

    `largest` is max |r| and `place` where it is; `on_points` is max |r| on the training points. The mean
    squares are over the region, gaps by their share of it (counted twice at most), and over the points.
    A residual that is not finite somewhere is infinite there.
    """

    largest: float
    place: Mapping[str, float]
    on_points: float
    mean_square: float
    mean_square_on_points: float

    @property
    def ratio(self) -> float:
        """The largest residual over that on the points."""
        return self.largest / self.on_points if self.on_points > 0 else math.inf

    def unseen(self, before: Dense, limit: float = UNSEEN, matters: float = MATTERS) -> bool:
        """Whether the points do not see most of the residual, and this is not small: `before` training."""
        hidden = self.mean_square > limit * self.mean_square_on_points
        return hidden and self.mean_square > matters**2 * before.mean_square

    @property
    def where(self) -> str:
        """The place in words: `x = 0.5, t = 0.003`."""
        return ", ".join(f"{name} = {number(value)}" for name, value in self.place.items())


def dense_residual(subject: AbstractSubject, model: Model, batch: Batch) -> dict[str, Dense]:
    """By condition, the residual between the points of a batch, in float64; see `Dense`.

    Conditions on given points and in a single point are left out: nothing lies between those.
    """
    return _dense(subject.problem, lambda at: subject.residuals(model, at, exact=True), batch)


def dense_residual_of(problem: Problem, model: Model, batch: Batch) -> dict[str, Dense]:
    """`dense_residual` of any model of a problem, such as a trained one at the points it was trained on."""
    return _dense(problem, lambda at: residuals_at(problem, model, at, exact=True), batch)


def _dense(
    problem: Problem, residuals: Callable[[Batch], ByCondition], batch: Batch
) -> dict[str, Dense]:
    looked = {
        c.name: _where(problem, c, np.asarray(batch[c.name].points, np.float64))
        for c in problem.conditions
        if c.name in batch and _has_gaps(c)
    }
    with jax.enable_x64(True):
        points = {name: Sample(jnp.asarray(each.points)) for name, each in looked.items()}
        found = residuals(points) if points else {}
    return {name: _summary(problem, each, found[name]) for name, each in looked.items()}


class _Where(NamedTuple):
    """Points (n, d) and their weights: those of the training first, the dense ones, those beside faces."""

    points: np.ndarray
    trained: int
    weights: np.ndarray


def _has_gaps(condition: Condition) -> bool:
    where = condition.where
    return (
        condition.targets is None
        and where.dimension > 0
        and all(part.given is None for part in where.parts)
    )


def _where(problem: Problem, condition: Condition, trained: np.ndarray) -> _Where:
    where, count = condition.where, len(trained)
    dense = _grid(where, min(max(DENSE, FINER * count), MOST))
    points, weights = [trained, dense], [np.full(len(dense), 1 / len(dense))]
    if where.fills(problem.domain):
        for other in problem.conditions:
            if other.where.dimension == problem.domain.dimension - 1:
                beside, share = _beside(where, other.where, count)
                points.append(beside)
                weights.append(share)
    return _Where(np.concatenate(points), count, np.concatenate(weights))


def _grid(where: AbstractRegion, count: int) -> np.ndarray:
    """Equal steps from end to end along an interval, Sobol points elsewhere."""
    if not where.is_box or len(where.free) != 1:
        return where.uniform(count)
    low, high = np.array(list(where.bounds.values())).T
    return low + (high - low) * np.linspace(0.0, 1.0, count)[:, None]


def _beside(
    where: AbstractRegion, face: AbstractRegion, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points of a region at `DISTANCES` from a face, along each axis that leads away from it, and weights.

    The layer is as thick as the mean spacing of `count` points, whose share of an axis is n^(−1/d).
    """
    extents = np.array([high - low for low, high in where.bounds.values()])
    spacing = count ** (-1 / where.dimension)
    edges = face.uniform(EDGES)
    edges = edges[evenly(len(edges), EDGES)]
    points, shares = [np.empty((0, len(extents)))], [np.empty(0)]
    steps = -np.diff(np.append(DISTANCES, 0.0))
    for axis in np.flatnonzero(extents > 0):
        for sign in (-1.0, 1.0):
            beside = np.repeat(edges[:, None], len(DISTANCES), axis=1)
            beside[:, :, axis] += sign * spacing * extents[axis] * DISTANCES
            beside = beside.reshape(-1, len(extents))
            inside = np.array(where.contains(beside), bool) & ~face.near(beside)
            points.append(beside[inside])
            shares.append(np.tile(steps, len(edges))[inside])
    total = sum(float(share.sum()) for share in shares)
    pieces = len(face.given) if face.given is not None else len(face.parts)
    layer = min(1.0, pieces * spacing)
    return np.concatenate(points), np.concatenate(shares) * (layer / total if total > 0 else 0.0)


def _summary(problem: Problem, where: _Where, residual: np.ndarray) -> Dense:
    size = np.where(np.isfinite(residual), np.abs(residual), np.inf).max(axis=1)
    squares = np.mean(np.where(np.isfinite(residual), residual, np.inf) ** 2, axis=1)
    worst = int(size.argmax())
    return Dense(
        float(size[worst]),
        dict(zip(problem.domain.coordinates, where.points[worst].tolist(), strict=True)),
        float(size[: where.trained].max()),
        float(where.weights @ squares[where.trained :]),
        float(np.mean(squares[: where.trained])),
    )
