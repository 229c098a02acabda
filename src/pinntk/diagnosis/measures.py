"""The numbers a verdict rests on: what is measured on one network and its points, at one time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinntk.diagnosis.linearized import Linearized, linearized, rms
from pinntk.diagnosis.reach import Reach, reach
from pinntk.diagnosis.subject import AbstractSubject
from pinntk.diagnosis.units import Units
from pinntk.domain import AbstractRegion, Box, Points, Sobol, Union
from pinntk.errors import ResidualError
from pinntk.kernel import TangentKernel
from pinntk.problem import Batch, Model, Problem, Sample, draw, subsample

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
    """Where all draws are looked at: `POINTS` Sobol points of every condition, and the data as they are.

    They are not those of the training: what holds on the points alone is seen from between them.
    """
    found = {}
    for i, condition in enumerate(problem.conditions):
        where = condition.where
        if isinstance(where, Points):
            key = jax.random.key(0)
            found[condition.name] = subsample({"": draw(condition, key, dtype)}, POINTS, key)[""]
            continue
        several = any(part.free for part in _boxes(where)) if _boxes(where) else True
        count = POINTS if several else min(condition.points, POINTS)
        seen = dataclasses.replace(condition, points=count, sampler=Sobol())
        key = jax.random.fold_in(jax.random.key(OBSERVED), i)
        found[condition.name] = draw(seen, key, dtype)
    return found


def _boxes(where: AbstractRegion) -> list[Box]:
    parts = where.parts if isinstance(where, Union) else (where,)
    return [part for part in parts if isinstance(part, Box)]


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
    """Raise `ResidualError` with the first point at which a residual is not finite."""
    for name, values in subject.residuals(model, batch).items():
        bad: np.ndarray = np.logical_not(np.all(np.isfinite(values), axis=1))
        if bad.any():
            point = np.asarray(batch[name].points)[int(bad.argmax())]
            coordinates = subject.problem.domain.coordinates
            where = ", ".join(f"{c} = {x:.6g}" for c, x in zip(coordinates, point, strict=True))
            raise ResidualError(
                f"residual of condition {name!r}",
                got=f"NaN or infinity at {int(bad.sum())} of {len(bad)} points, first at {where}",
                expected="finite residuals",
            )


def main_condition(problem: Problem) -> str:
    """The equation: the condition over the most coordinates, and of those the one with most points."""

    def size(name: str) -> tuple[int, int]:
        condition = problem.condition(name)
        where = condition.where
        free = len(where.free) if isinstance(where, Box) else 0
        return free, condition.points

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
    problem, domain = subject.problem, subject.problem.domain
    if not isinstance(domain, Box) or "t" not in domain.free:
        return None
    if problem.condition(name).targets is not None:
        return None
    points, times = _grid(problem, "t", BINS * 8, subject.dtype)
    residual = subject.residuals(model, {name: Sample(points)})[name].reshape(len(times), -1)
    return np.mean(residual**2, axis=1).reshape(BINS, -1).mean(axis=1)


def _waves(subject: AbstractSubject, model: Model, name: str) -> dict[str, float]:
    """Waves over the extent of each coordinate that hold the residual's energy: its mean wave number.

    The power of the residual along lines, its mean taken out and its ends tapered, summed over lines.
    """
    problem, domain = subject.problem, subject.problem.domain
    if not isinstance(domain, Box) or problem.condition(name).targets is not None:
        return {}
    found = {}
    taper = np.hanning(LINE)[:, None]
    for coordinate in domain.free:
        points, values = _grid(problem, coordinate, LINE, subject.dtype)
        lines = subject.residuals(model, {name: Sample(points)})[name].reshape(len(values), -1)
        power = np.abs(np.fft.rfft((lines - lines.mean(axis=0)) * taper, axis=0)) ** 2
        power = power.sum(axis=1)[1:]
        waves = np.arange(1, len(power) + 1)
        found[coordinate] = float(power @ waves / power.sum()) if power.sum() > 0 else 0.0
    return found


def _grid(
    problem: Problem, coordinate: str, count: int, dtype: Any
) -> tuple[Float[Array, "n d"], np.ndarray]:
    """Lines along a coordinate through some points of the domain, the coordinate varying slowest."""
    domain = problem.domain
    assert isinstance(domain, Box)
    axis = domain.coordinates.index(coordinate)
    low, high = domain.bounds[coordinate]
    values = low + (high - low) * (np.arange(count) + 0.5) / count
    lines = 1 if len(domain.free) == 1 else 16
    fractions = (np.arange(lines) + 0.5) / lines
    spread = np.array(domain.lower) + np.outer(fractions, np.subtract(domain.upper, domain.lower))
    for other in range(spread.shape[1]):  # not all on the diagonal
        spread[:, other] = np.roll(spread[:, other], other * 5)
    points = np.repeat(spread[None], count, axis=0)
    points[:, :, axis] = values[:, None]
    return jnp.asarray(points.reshape(-1, spread.shape[1]), dtype), values
