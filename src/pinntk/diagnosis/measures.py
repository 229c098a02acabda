"""The numbers a verdict rests on: what is measured on one network and its points, at one time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.diagnosis.linearised import Linearised, linearised, rms
from pinntk.diagnosis.reach import Reach, reach
from pinntk.diagnosis.units import Units, hidden_units
from pinntk.domain import Lines, Sobol, lines
from pinntk.errors import ResidualError
from pinntk.jacobian import cast, model_dtype
from pinntk.kernel import TangentKernel, tangent_kernel
from pinntk.nets import InputScaling
from pinntk.problem import Batch, Model, Problem, Sample, draw, subsample

#: Points per condition that kernels are computed at. An eigendecomposition costs their cube, and 128
#: points see twice as many modes as short trainings learn.
POINTS = 128
#: A key of its own for them.
OBSERVED = 0x0B5E7
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
    standard deviation) are the model's own. `extents`
    are the half-range and the largest magnitude of the inputs as the network sees them.
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
    linearised: Linearised
    extents: tuple[float, float]
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
    problem: Problem, model: Model, batch: Batch, weights: Mapping[str, float], steps: int
) -> Measures:
    """Look at a model with so many `steps` planned, at points that it is not trained on: `observed`."""
    kernel = tangent_kernel(problem, model, batch)
    residuals = residuals_at(problem, model, batch)
    exact = _exact(problem, model, batch, residuals)
    losses = {name: float(np.mean(r**2)) for name, r in residuals.items()}
    inside = main_condition(problem)
    cosines, cancelled = _gradients(kernel, residuals, weights)
    points = problem.test_points(
        model_dtype(model), 33 if len(problem.domain.coordinates) == 2 else None
    )
    field = np.asarray(jax.jit(jax.vmap(problem.field(model)))(points), np.float64)
    return Measures(
        losses=losses,
        rates=kernel.rates(),
        rows=kernel.rows,
        reach=reach(kernel, residuals, weights, steps),
        cosines=cosines,
        cancelled=cancelled,
        noise={name: rms(r - exact[name]) for name, r in residuals.items()},
        residual_rms={name: rms(r) for name, r in exact.items()},
        profile=_profile(problem, model, inside),
        waves=_waves(problem, model, inside),
        field_rms=float(np.sqrt(np.mean(field**2))),
        field_swing=float(np.sqrt(np.mean((field - field.mean(axis=0)) ** 2))),
        linearised=linearised(problem, model, batch, kernel, residuals, points),
        extents=_extents(model, np.asarray(points, np.float64)),
        units=hidden_units(model, points[:: max(1, len(points) // 256)]),
        kernel=kernel,
        residuals=residuals,
        batch=batch,
    )


def residuals_at(problem: Problem, model: Model, batch: Batch) -> dict[str, np.ndarray]:
    """r_k as flat float64 arrays, computed in the model's precision."""
    found = _residuals(problem, model, batch)
    return {name: np.asarray(r, np.float64).ravel() for name, r in found.items()}


@eqx.filter_jit
def _residuals(problem: Problem, model: Model, batch: Batch) -> dict[str, Array]:
    return problem.residuals(model, batch)


def check_finite(problem: Problem, model: Model, batch: Batch) -> None:
    """Raise `ResidualError` with the first point at which a residual is not finite."""
    for name, r in _residuals(problem, model, batch).items():
        values = np.asarray(r, np.float64).reshape(len(r), -1)
        bad: np.ndarray = np.logical_not(np.all(np.isfinite(values), axis=1))
        if bad.any():
            point = np.asarray(batch[name].points)[int(bad.argmax())]
            where = ", ".join(
                f"{c} = {x:.6g}" for c, x in zip(problem.domain.coordinates, point, strict=True)
            )
            raise ResidualError(
                f"residual of condition {name!r}",
                got=f"NaN or infinity at {int(bad.sum())} of {len(bad)} points, first at {where}",
                expected="finite residuals",
            )


def main_condition(problem: Problem) -> str:
    """The equation: the condition of the greatest dimension, and of those the one with most points."""

    def size(name: str) -> tuple[int, int]:
        condition = problem.condition(name)
        return condition.where.dimension, condition.points

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


def product_error(dtype: Any, product: Callable[[Array, Array], Array] = jnp.matmul) -> float:
    """The relative error of a matrix product as the device computes it in `dtype`, against float64.

    Flags say what was asked for; this is what was done. 1e-7 or so is float32; 5e-4 are the 10 bits of
    TF32, 4e-3 the 7 of bfloat16, which accelerators may use for float32 products.
    """
    random = np.random.default_rng(0)
    left, right = random.standard_normal((2, 128, 128))
    factors = (jnp.asarray(left, dtype), jnp.asarray(right, dtype))
    exact = np.asarray(factors[0], np.float64) @ np.asarray(factors[1], np.float64)
    found = np.asarray(jax.jit(product)(*factors), np.float64)
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def _exact(
    problem: Problem, model: Model, batch: Batch, residuals: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """The residuals in float64, at the same parameters and points."""
    if model_dtype(model) == jnp.float64:
        return residuals
    with jax.enable_x64(True):
        return residuals_at(problem, cast(model, jnp.float64), cast(batch, jnp.float64))


def _profile(problem: Problem, model: Model, name: str) -> np.ndarray | None:
    domain = problem.domain
    if domain.given is not None or "t" not in domain.free:
        return None
    if problem.condition(name).targets is not None:
        return None
    along = lines(domain, "t", BINS * 8)
    squares = np.mean(_along(problem, model, name, along) ** 2, axis=2).reshape(BINS, -1)
    inside = along.inside.reshape(BINS, -1)
    counts = inside.sum(axis=1)
    if not counts.all():
        return None
    return np.where(inside, squares, 0.0).sum(axis=1) / counts


def _waves(problem: Problem, model: Model, name: str) -> dict[str, float]:
    """Waves over the extent of each coordinate that hold the residual's energy: its mean wave number.

    The power of the residual along lines, its mean taken out and its ends tapered, summed over lines.
    A line that leaves the domain is several, each with ends of its own.
    """
    domain = problem.domain
    if domain.given is not None or problem.condition(name).targets is not None:
        return {}
    found = {}
    for coordinate in domain.free:
        along = lines(domain, coordinate, LINE)
        residual = _along(problem, model, name, along)
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


def _along(problem: Problem, model: Model, name: str, along: Lines) -> np.ndarray:
    """The residual of one condition at the points of lines: shape (n, lines, components)."""
    points = jnp.asarray(along.points, model_dtype(model))
    found = np.asarray(_residuals_of(problem, model, name, points), np.float64)
    return found.reshape(*along.inside.shape, -1)


@eqx.filter_jit
def _residuals_of(problem: Problem, model: Model, name: str, points: Array) -> Array:
    return jax.vmap(lambda x: problem.residual_at(name, model, Sample(x)))(points)


def _extents(model: Model, points: np.ndarray) -> tuple[float, float]:
    """Half the smallest range, and the largest magnitude, of the inputs behind the model's scaling."""
    leaves = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, InputScaling))
    scalings = [leaf for leaf in leaves if isinstance(leaf, InputScaling)]
    seen = np.asarray(jax.vmap(scalings[0])(jnp.asarray(points))) if scalings else points
    return float(np.ptp(seen, axis=0).min() / 2), float(np.abs(seen).max())
