"""Figures 4 and 5: what the weight of the boundary condition does to the Poisson problem, a = 4."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinntk.library import poisson1d_paper
from pinntk.paper.record import Arrays, Claim, Experiment, Watch, listed, spread
from pinntk.paper.sweep import draw_models, train_many, with_network
from pinntk.report import Curve, Panel, draw
from pinntk.training import Look, Setup, member_model
from pinntk.weighting import NTKWeights

#: Points at which solutions are drawn.
DRAWN = 201


@dataclasses.dataclass(frozen=True)
class Config:
    """Width, steps and seeds; `weights` are the λ_boundary that are tried, λ_residual is 1."""

    weights: tuple[float, ...]
    seeds: tuple[int, ...]
    width: int = 100
    steps: int = 40_000
    rows: int = 40


def _setting(config: Config) -> tuple[Setup, list[int]]:
    setup = with_network(poisson1d_paper(4.0), width=config.width)
    return setup, [round(s) for s in np.linspace(0, config.steps, config.rows + 1)]


def run_fig4(config: Config, folder: Path, watch: Watch) -> Arrays:  # noqa: ARG001
    """Errors by weight, (seeds, rows), and the solutions of the first seed."""
    setup, at = _setting(config)
    models, batch = draw_models(setup, config.seeds)
    grid = jnp.linspace(0.0, 1.0, DRAWN)[:, None]
    solution = setup.problem.solution
    assert solution is not None
    out: dict[str, Any] = {
        "steps": at,
        "x": listed(grid[:, 0]),
        "exact": listed(jax.vmap(solution)(grid)),
        "weight": {},
    }
    with watch(len(config.weights) * config.steps, "training") as bar:
        for number, weight in enumerate(config.weights):
            weights = [{"boundary": weight, "residual": 1.0}] * len(models)
            errors = []
            last: Look | None = None
            for last in train_many(setup, models, batch, at, weights):
                errors.append(last.errors)
                done = number * config.steps + last.step
                bar.progress(done, len(config.weights) * config.steps, None)
            assert last is not None
            out["weight"][f"{weight:g}"] = {
                "error": listed(np.transpose(errors)),
                "solution": listed(jax.vmap(member_model(last.parameters, models[0], 0))(grid)),
            }
    return out


def plot_fig4(arrays: Arrays) -> object:
    """The solutions of the first seed, and the errors of all during training."""
    drawn = [Curve(arrays["x"], arrays["exact"], "exact")]
    errors = []
    for weight, found in arrays["weight"].items():
        drawn.append(Curve(arrays["x"], found["solution"], f"λ_b = {weight}"))
        values = np.array(found["error"])
        label = f"λ_b = {weight}"
        errors.append(
            Curve(arrays["steps"], np.median(values, 0), label, values.min(0), values.max(0))
        )
    return draw(
        [
            Panel(drawn, "solution, first seed", "x", "u", yscale="linear", legend_below=True),
            Panel(errors, "relative L2 error", "step", ""),
        ]
    )


def claims_fig4(arrays: Arrays) -> Sequence[Claim]:
    """Without weights the training fails, with λ_b = 100 it works."""
    finals = {weight: np.array(f["error"])[:, -1] for weight, f in arrays["weight"].items()}
    (_, plain), (weight, weighted) = list(finals.items())[:2]
    remark = (
        "The paper's figure is one run of one seed; ours are medians. The paper draws its networks "
        "anew, so only the order of magnitude can agree."
    )
    return [
        Claim(
            "unweighted fails",
            "relative L2 error 2.40e-01 without weights",
            float(np.median(plain)),
            low=5e-2,
            spread=spread(plain),
            remark=remark,
        ),
        Claim(
            "weighted works",
            f"relative L2 error 1.63e-03 with λ_b = {weight}",
            float(np.median(weighted)),
            high=3 * 1.63e-3,
            spread=spread(weighted),
            remark=remark,
        ),
    ]


def run_fig5(config: Config, folder: Path, watch: Watch) -> Arrays:  # noqa: ARG001
    """Final errors, (weights, seeds), all trained at once; and Algorithm 1's own weights and errors."""
    setup, at = _setting(config)
    models, batch = draw_models(setup, config.seeds)
    trials = [(weight, model) for weight in config.weights for model in models]
    weights = [{"boundary": weight, "residual": 1.0} for weight, _ in trials]
    with watch(2 * config.steps, "training") as bar:
        last = None
        for last in train_many(setup, [model for _, model in trials], batch, at, weights):
            bar.progress(last.step, 2 * config.steps, None)
        assert last is not None
        assert last.errors is not None
        errors = last.errors.reshape(len(config.weights), len(models))
        weighted = setup.training.replace(weighting=NTKWeights(every=100))
        for last in train_many(setup.replace(training=weighted), models, batch, at):
            bar.progress(config.steps + last.step, 2 * config.steps, None)
    return {
        "weights": list(config.weights),
        "error": listed(errors),
        "algorithm_1": {
            "weight": listed(last.weights["boundary"] / last.weights["residual"]),
            "error": listed(last.errors),
        },
    }


def plot_fig5(arrays: Arrays) -> object:
    """The mean error over the weight with the range of the trials; Algorithm 1 as points."""
    errors = np.array(arrays["error"])
    own = arrays["algorithm_1"]
    panel = Panel(
        [
            Curve(
                arrays["weights"], errors.mean(1), "mean of trials", errors.min(1), errors.max(1)
            ),
            Curve(own["weight"], own["error"], "Algorithm 1, its own weight", points=True),
        ],
        "",
        "λ_b",
        "relative L2 error",
        xscale="log",
    )
    return draw([panel], height=3.2)


def claims_fig5(arrays: Arrays) -> Sequence[Claim]:
    """Where the smallest mean error lies, what it is, and where Algorithm 1 falls on the curve."""
    errors = np.array(arrays["error"])
    mean, best = errors.mean(1), int(np.argmin(errors.mean(1)))
    own = arrays["algorithm_1"]
    return [
        Claim(
            "the smallest error",
            "the error falls from about 2e-01 to about 1.63e-03 (smallest mean error over λ_b)",
            float(mean[best]),
            high=3 * 1.63e-3,
            spread=f"{spread(errors[best], 'trials')}, at λ_b = {arrays['weights'][best]:g}",
        ),
        Claim(
            "the weight matters",
            "larger λ_b, smaller error (mean error at the smallest λ_b over the smallest)",
            float(mean[0] / mean[best]),
            low=30.0,
            spread=spread(errors[0], "trials"),
        ),
        Claim(
            "Algorithm 1 on the curve",
            "not drawn in the paper: the error with Algorithm 1's own weights over the smallest mean "
            "error of all fixed weights",
            float(np.mean(own["error"]) / mean[best]),
            high=2.0,
            spread=f"λ_b/λ_r {spread(own['weight'], 'trials')}; error {spread(own['error'], 'trials')}",
        ),
    ]


FIG4 = Experiment(
    name="fig4",
    title="Poisson, a = 4: without weights and with λ_b = 100",
    statement="Trained without weights the network misses the solution (relative L2 error 2.40e-01); "
    "with λ_b = 100 it is found (1.63e-03).",
    sizes={
        "smoke": Config((1.0, 100.0), (0,), width=20, steps=200, rows=4),
        "paper": Config((1.0, 100.0), tuple(range(5))),
    },
    run=run_fig4,
    plot=plot_fig4,
    claims=claims_fig4,
)
FIG5 = Experiment(
    name="fig5",
    title="Poisson, a = 4: error against λ_b",
    statement="The error falls as λ_b grows from 1 to 500 (mean of 10 trials).",
    sizes={
        "smoke": Config((1.0, 100.0), (0, 1), width=20, steps=200, rows=2),
        "paper": Config(
            (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 250, 300, 400, 500), tuple(range(10))
        ),
    },
    run=run_fig5,
    plot=plot_fig5,
    claims=claims_fig5,
)
