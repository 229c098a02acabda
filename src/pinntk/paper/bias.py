"""Spectral bias: the slow eigenvectors are the fast oscillations, and so are the slow errors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
import scipy.stats
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, dirichlet
from pinntk.domain import Interval, UniformGrid
from pinntk.jacobian import model_dtype, trainable
from pinntk.kernel import spectrum, tangent_kernel
from pinntk.library import poisson1d_paper
from pinntk.paper.record import Arrays, Claim, Experiment, Watch, listed, spread
from pinntk.paper.sweep import draw_models, train_many, with_network
from pinntk.problem import Problem
from pinntk.report import Curve, Panel, draw


@dataclasses.dataclass(frozen=True)
class Config:
    """u* = Σ sin(kπx)/k² over `modes`, gradient descent with λ_boundary = `weight`; several networks."""

    modes: tuple[int, ...] = (1, 4, 8, 12)
    weight: float = 100.0
    width: int = 100
    steps: int = 100_000
    rows: int = 40
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    modes_shown: int = 25


def several_modes(modes: Sequence[int]) -> Problem:
    """The equation u'' = f on [0, 1] with u* = Σ_k sin(kπx)/k², so that f holds all modes alike."""
    domain = Interval(x=(0.0, 1.0))
    numbers = np.asarray(modes, float)

    def solution(p: Point) -> Array:
        k = jnp.asarray(numbers, p.dtype)
        return jnp.sum(jnp.sin(math.pi * k * p[0]) / k**2)

    def poisson(u: AbstractField, p: Point) -> Array:
        k = jnp.asarray(numbers, p.dtype)
        return u.d("x", "x")(p) + math.pi**2 * jnp.sum(jnp.sin(math.pi * k * p[0]))

    conditions = [
        dirichlet("boundary", domain.faces(), solution, 100),
        Condition("residual", poisson, domain, 100, sampler=UniformGrid()),
    ]
    return Problem("several_modes", domain, conditions, solution=solution)


def dominant_frequency(vector: np.ndarray) -> float:
    """The k of the largest share of cos(kπx) in a vector over a uniform grid of x ∈ [0, 1] (DCT-I).

    Half-waves over the interval; whole k stand 1 apart.
    """
    return float(np.argmax(np.abs(np.asarray(scipy.fft.dct(vector, type=1)))))


def run(config: Config, folder: Path, watch: Watch) -> Arrays:  # noqa: ARG001
    """Dominant frequency against eigenvalue of K_rr by seed; the error of each mode, over the mode."""
    problem = several_modes(config.modes)
    setup = with_network(poisson1d_paper().replace(problem=problem), width=config.width)
    models, batch = draw_models(setup, config.seeds)
    eigenvalues, frequencies = [], []
    for model in models:
        found = spectrum(tangent_kernel(problem, model, batch).block("residual"))
        kept = min(config.modes_shown, found.rank)
        eigenvalues.append(listed(found.eigenvalues[:kept]))
        frequencies.append([dominant_frequency(v) for v in found.eigenvectors.T[:kept]])
    grid = np.linspace(0.0, 1.0, 513)
    k = np.asarray(config.modes, float)[:, None]
    basis = k**2 * np.sin(np.pi * k * grid) * 2 / (len(grid) - 1)  # of u*: 1 for every mode
    assert problem.solution is not None
    exact = np.asarray(jax.vmap(problem.solution)(jnp.asarray(grid)[:, None]))
    rest = trainable(models[0])[1]
    points = jnp.asarray(grid, model_dtype(models[0]))[:, None]
    at_points = jax.jit(jax.vmap(lambda p: jax.vmap(eqx.combine(p, rest))(points)))
    later = np.geomspace(10, config.steps, config.rows)
    at = (0, *sorted({round(float(s)) for s in later}))
    weights = [{"boundary": config.weight, "residual": 1.0}] * len(models)
    errors = []
    with watch(config.steps, "training") as bar:
        for look in train_many(setup, models, batch, at, weights):
            values = np.asarray(at_points(look.parameters), np.float64)
            errors.append(np.abs((values - exact) @ basis.T))
            bar.progress(look.step, config.steps, None)
    return {
        "eigenvalues": eigenvalues,
        "frequencies": frequencies,
        "modes": list(config.modes),
        "steps": list(at),
        "error": listed(np.transpose(errors, (2, 1, 0))),
    }


def plot(arrays: Arrays) -> object:
    """Frequency against eigenvalue, and the errors of the modes over the steps."""
    curves = [
        Curve(values, frequencies, points=True)
        for values, frequencies in zip(arrays["eigenvalues"], arrays["frequencies"], strict=True)
    ]
    errors = []
    for mode, values in zip(arrays["modes"], np.array(arrays["error"]), strict=True):
        label = f"sin {mode}πx" if mode > 1 else "sin πx"
        errors.append(
            Curve(arrays["steps"], np.median(values, 0), label, values.min(0), values.max(0))
        )
    return draw(
        [
            Panel(
                curves,
                "eigenvectors of K_rr",
                "eigenvalue",
                "half-waves over the interval",
                xscale="log",
                yscale="linear",
            ),
            Panel(errors, "relative error of each mode", "step", "", xscale="log"),
        ]
    )


def steps_to(errors: np.ndarray, steps: Sequence[int], share: float = 0.1) -> np.ndarray:
    """The first recorded step from which on an error stays under a share of its start; inf if none.

    `errors` (networks, rows).
    """
    above = errors > share * errors[:, :1]
    last = above.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1)
    after = np.append(np.asarray(steps, float)[1:], np.inf)
    return after[last]


def claims(arrays: Arrays) -> Sequence[Claim]:
    """Slow eigenvectors are fast oscillations; the error of the fastest mode falls last."""
    ranks = [
        -float(np.corrcoef(scipy.stats.rankdata(values), scipy.stats.rankdata(frequencies))[0, 1])
        for values, frequencies in zip(arrays["eigenvalues"], arrays["frequencies"], strict=True)
    ]
    errors = np.array(arrays["error"])
    times = np.stack([steps_to(mode, arrays["steps"]) for mode in errors])
    order = np.median(times, axis=1)
    return [
        Claim(
            "small eigenvalue, high frequency",
            "the eigenvectors of small eigenvalues oscillate fast (rank correlation of the dominant "
            "frequency with 1/eigenvalue)",
            float(np.median(ranks)),
            low=0.9,
            spread=spread(ranks, "networks"),
        ),
        Claim(
            "the highest frequency is learned last",
            "low frequencies are learned first (steps to a tenth of the error, mode "
            f"{arrays['modes'][-1]} over mode {arrays['modes'][0]})",
            float(order[-1] / order[0]) if np.isfinite(order[0]) else math.nan,
            low=10.0,
            spread="medians by mode: "
            + ", ".join(f"{m}: {t:g}" for m, t in zip(arrays["modes"], order, strict=True)),
        ),
    ]


EXPERIMENT = Experiment(
    name="bias",
    title="Spectral bias: eigenvectors of K_rr and the error of each Fourier mode",
    statement="Eigenvectors of small eigenvalues are the high frequencies, which are learned last.",
    sizes={
        "smoke": Config((1, 4), width=20, steps=100, rows=3, seeds=(0, 1)),
        "paper": Config(),
    },
    run=run,
    plot=plot,
    claims=claims,
)
