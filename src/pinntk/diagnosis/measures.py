"""The measurements behind a verdict: one network and its points, at one time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinntk.diagnosis.linearized import Linearized, linearized, rms
from pinntk.diagnosis.reach import Reach, reach
from pinntk.diagnosis.subject import AbstractSubject
from pinntk.diagnosis.units import Units
from pinntk.domain import Lines, Sobol, lines
from pinntk.errors import ResidualError
from pinntk.kernel import TangentKernel
from pinntk.problem import (
    Batch,
    Model,
    Problem,
    Sample,
    draw,
    not_finite_residual,
    subsample,
)

#: Points per condition that kernels are computed at. An eigendecomposition costs their cube, and 128
#: points see twice as many modes as short trainings learn.
POINTS = 128
#: A key of its own for them.
OBSERVED = 0x0B5E7
#: Points at which hidden units are looked at.
UNITS_AT = 256
#: Bins of time that the residual is averaged over.
BINS = 8
#: Points per coordinate of the lines along which the frequency of the residual is looked for.
LINE = 128
#: The fewest of them in a piece of such a line.
SHORTEST = 16


@dataclasses.dataclass(frozen=True)
class Measures:
    """All of one draw at one time; conditions by name.

    `rates` are tr(K_kk)/N_k. `cosines` are those between the gradients of the unweighted losses, by pair.
    `cancelled` is 1 − ‖Σ λ_k∇L_k‖/Σ ‖λ_k∇L_k‖. `noise` is ‖r₃₂ − r₆₄‖/√N, the rounding of the residual
    in the model's precision, and `residual_rms` the residual in float64. `profile` is the mean of r² in
    bins of time of the condition that covers time and most points, None without time. `waves` is the
    dominant number of waves of that residual along each coordinate. `field_rms` and `field_swing` (its
    standard deviation) are the model's own.
    """

    losses: Mapping[str, float]
    rates: Mapping[str, float]
    rows: Mapping[str, int]
    reach: Reach
    cosines: Mapping[tuple[str, str], float]
    cancelled: float
    noise: Mapping[str, float]
    residual_rms: Mapping[str, float]
    profile: np.ndarray | None
    waves: Mapping[str, float]
    field_rms: float
    field_swing: float
    linearized: Linearized
    units: Units
    kernel: TangentKernel
    residuals: Mapping[str, np.ndarray]
    batch: Batch


def observed(problem: Problem, dtype: Any) -> Batch:
    """Where all draws are looked at: `POINTS` Sobol points of every condition, and as many of its data.

    They are not those of the training: what holds on the points alone is seen from between them.
    """
    found = {}
    for i, condition in enumerate(problem.conditions):
        where = condition.where
        key = jax.random.fold_in(jax.random.key(OBSERVED), i)
        if where.given is not None:
            every = {"": draw(condition, key, dtype)}
            found[condition.name] = subsample(every, POINTS, key)[""]
            continue
        count = POINTS if where.dimension > 0 else min(condition.points, POINTS)
        seen = dataclasses.replace(condition, points=count, sampler=Sobol())
        found[condition.name] = draw(seen, key, dtype)
    return found


def measure(
    subject: AbstractSubject, model: Model, batch: Batch, weights: Mapping[str, float], steps: int
) -> Measures:
    """Look at a model with so many `steps` planned, at points that it is not trained on: `observed`."""
    problem = subject.problem
    kernel = subject.kernel(model, batch)
    residuals = _flat(subject.residuals(model, batch))
    exact = _flat(subject.residuals(model, batch, exact=True))
    inside = main_condition(problem)
    cosines, cancelled = _gradients(kernel, residuals, weights)
    points = problem.test_points(
        subject.dtype, 33 if len(problem.domain.coordinates) == 2 else None
    )
    field = subject.field(model, points)
    return Measures(
        losses={name: float(np.mean(r**2)) for name, r in residuals.items()},
        rates=kernel.rates(),
        rows=kernel.rows,
        reach=reach(kernel, residuals, weights, steps),
        cosines=cosines,
        cancelled=cancelled,
        noise={name: rms(r - exact[name]) for name, r in residuals.items()},
        residual_rms={name: rms(r) for name, r in exact.items()},
        profile=_profile(subject, model, inside),
        waves=_waves(subject, model, inside),
        field_rms=float(np.sqrt(np.mean(field**2))),
        field_swing=float(np.sqrt(np.mean((field - field.mean(axis=0)) ** 2))),
        linearized=linearized(subject, model, batch, kernel, residuals, points, field),
        units=subject.units(model, points[_some(len(points))]),
        kernel=kernel,
        residuals=residuals,
        batch=batch,
    )


def _some(count: int) -> np.ndarray:
    """Some of so many rows, evenly, the first and the last among them: those are corners of a box."""
    return np.unique(np.linspace(0, count - 1, UNITS_AT).round().astype(int))


def _flat(residuals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: r.ravel() for name, r in residuals.items()}


def check_finite(subject: AbstractSubject, model: Model, batch: Batch) -> None:
    """Raise `ResidualError` with the first point at which a residual is not finite, and why."""
    found = not_finite_residual(subject.problem, model, batch, subject.residuals(model, batch))
    if found is not None:
        raise ResidualError(
            f"residual of condition {found.condition!r}",
            got=f"NaN or infinity at {found.bad} of {found.points} points, first at {found.at}",
            expected="finite residuals",
            fix=found.fix,
        )


def main_condition(problem: Problem) -> str:
    """The equation: the condition of the greatest dimension, and of those the one with most points."""

    def size(name: str) -> tuple[int, int]:
        condition = problem.condition(name)
        return condition.where.dimension, int(condition.points)

    return max(problem.names, key=size)


def _gradients(
    kernel: TangentKernel, residuals: Mapping[str, np.ndarray], weights: Mapping[str, float]
) -> tuple[dict[tuple[str, str], float], float]:
    """∇L_k · ∇L_l = 4/(N_k N_l) r_kᵀ K_kl r_l."""
    names, rows = kernel.names, kernel.rows
    products = np.array(
        [
            [
                4 / (rows[k] * rows[m]) * residuals[k] @ kernel.block(k, m) @ residuals[m]
                for m in names
            ]
            for k in names
        ]
    )
    norms = np.sqrt(np.maximum(np.diag(products), 0.0))
    cosines = {
        (k, m): float(products[i, j] / (norms[i] * norms[j])) if norms[i] * norms[j] > 0 else 0.0
        for i, k in enumerate(names)
        for j, m in enumerate(names)
        if i < j
    }
    scale = np.array([weights[name] for name in names])
    total = math.sqrt(max(float(scale @ products @ scale), 0.0))
    parts = float(scale @ norms)
    return cosines, 1.0 - total / parts if parts > 0 else 0.0


def _profile(subject: AbstractSubject, model: Model, name: str) -> np.ndarray | None:
    domain = subject.problem.domain
    if domain.given is not None or "t" not in domain.free:
        return None
    if subject.problem.condition(name).targets is not None:
        return None
    along = lines(domain, "t", BINS * 8)
    squares = np.mean(_along(subject, model, name, along) ** 2, axis=2).reshape(BINS, -1)
    inside = along.inside.reshape(BINS, -1)
    counts = inside.sum(axis=1)
    if not counts.all():
        return None
    return np.where(inside, squares, 0.0).sum(axis=1) / counts


def _waves(subject: AbstractSubject, model: Model, name: str) -> dict[str, float]:
    """Waves over the extent of each coordinate that hold the residual's energy: its mean wave number.

    The power of the residual along lines, its mean taken out and its ends tapered, summed over lines.
    A line that leaves the domain is several, each with ends of its own.
    """
    domain = subject.problem.domain
    if domain.given is not None or subject.problem.condition(name).targets is not None:
        return {}
    found = {}
    for coordinate in domain.free:
        along = lines(domain, coordinate, LINE)
        residual = _along(subject, model, name, along)
        pieces = [
            _tapered(residual[:, line], run)
            for line in range(residual.shape[1])
            for run in _runs(along.inside[:, line])
        ]
        if not pieces:
            continue
        power = np.sum([np.abs(np.fft.rfft(piece, axis=0)) ** 2 for piece in pieces], axis=(0, 2))
        power = power[1:]
        waves = np.arange(1, len(power) + 1)
        found[coordinate] = float(power @ waves / power.sum()) if power.sum() > 0 else 0.0
    return found


def _runs(inside: np.ndarray) -> list[slice]:
    """The pieces of a line that lie in the domain, those that are too short for a wave left out."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    pairs = edges.reshape(-1, 2)
    return [slice(start, stop) for start, stop in pairs if stop - start >= SHORTEST]


def _tapered(line: np.ndarray, run: slice) -> np.ndarray:
    """A piece of a line (n, m) without its mean, its ends tapered, and zeros around it."""
    piece = np.zeros_like(line)
    inside = line[run]
    piece[run] = (inside - inside.mean(axis=0)) * np.hanning(len(inside))[:, None]
    return piece


def _along(subject: AbstractSubject, model: Model, name: str, along: Lines) -> np.ndarray:
    """The residual of one condition at the points of lines: shape (n, lines, components)."""
    points = jnp.asarray(along.points, subject.dtype)
    found = subject.residuals(model, {name: Sample(points)})[name]
    return found.reshape(*along.inside.shape, -1)
