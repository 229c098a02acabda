"""Dynamics: the losses that a frozen kernel predicts for gradient descent, over those observed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pinntk.kernel import dynamics, parting, tangent_kernel
from pinntk.library import poisson1d_paper
from pinntk.nets import NTKParametrization
from pinntk.optim import gradient_descent
from pinntk.paper.record import Arrays, Claim, Experiment, Watch, listed, spread
from pinntk.paper.sweep import draw_models, train_many, with_network
from pinntk.report import Curve, Panel, draw

CONDITIONS = ("boundary", "residual")


@dataclasses.dataclass(frozen=True)
class Config:
    """Widths of one hidden layer in the NTK parametrization, plain gradient descent, several networks.

    In this parametrization the kernel is of the same size at every width, so that all learn alike.
    """

    widths: tuple[int, ...] = (30, 300, 3000)
    frequency: int = 1
    learning_rate: float = 1e-3
    steps: int = 10_000
    rows: int = 60
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


def run(config: Config, folder: Path, watch: Watch) -> Arrays:  # noqa: ARG001
    """Losses by width and condition, (seeds, rows): observed, predicted for descent and for flow."""
    setup = poisson1d_paper(config.frequency)
    problem, rate = setup.problem, config.learning_rate
    setup = setup.replace(training=setup.training.replace(optimizer=gradient_descent(rate)))
    later = np.geomspace(1, config.steps, config.rows)
    at = (0, *sorted({round(float(s)) for s in later}))
    ones = dict.fromkeys(problem.names, 1.0)
    out: dict[str, Any] = {"steps": list(at), "width": {}}
    with watch(len(config.widths) * config.steps, "training") as bar:
        for number, width in enumerate(config.widths):
            wide = with_network(setup, width=width, parametrization=NTKParametrization())
            models, batch = draw_models(wide, config.seeds)
            found: dict[str, list[list[dict[str, float]]]] = {"descent": [], "flow": []}
            for model in models:
                kernel = tangent_kernel(problem, model, batch)
                residuals = {n: np.asarray(r) for n, r in problem.residuals(model, batch).items()}
                moving = dynamics(kernel, residuals, ones)
                found["descent"].append([moving.after_steps(rate, step) for step in at])
                found["flow"].append([moving.after_time(rate * step) for step in at])
            losses = []
            for look in train_many(wide, models, batch, at):
                losses.append(look.losses)
                done = number * config.steps + look.step
                bar.progress(done, len(config.widths) * config.steps, None)
            out["width"][str(width)] = {
                name: {
                    "observed": listed(np.transpose([row[name] for row in losses])),
                    **{
                        kind: listed([[row[name] for row in rows] for rows in series])
                        for kind, series in found.items()
                    },
                }
                for name in CONDITIONS
            }
    return out


def partings(arrays: Arrays, width: str, name: str) -> list[float]:
    """The step at which prediction and observation part by 10%, by network; inf if never."""
    losses = arrays["width"][width][name]
    found = [
        parting(arrays["steps"], predicted, observed)
        for predicted, observed in zip(losses["descent"], losses["observed"], strict=True)
    ]
    return [np.inf if step is None else float(step) for step in found]


def plot(arrays: Arrays) -> object:
    """Observed losses of the first network and both predictions, a panel per width and condition."""
    panels = []
    for width in arrays["width"]:
        for name in CONDITIONS:
            losses = arrays["width"][width][name]
            curves = [
                Curve(arrays["steps"], losses[kind][0], label)
                for kind, label in (
                    ("observed", "observed"),
                    ("descent", "predicted, descent"),
                    ("flow", "predicted, flow"),
                )
            ]
            step = partings(arrays, width, name)[0]
            verticals = {f"part at step {step:,.0f}": step} if np.isfinite(step) else {}
            title = f"width {width}, {name}"
            panels.append(Panel(curves, title, "step", "loss", xscale="log", verticals=verticals))
    return draw(panels, columns=2)


def claims(arrays: Arrays) -> Sequence[Claim]:
    """The prediction holds longer in wide networks; descent and flow agree for small steps."""
    medians = {
        width: float(np.median([partings(arrays, width, name) for name in CONDITIONS]))
        for width in arrays["width"]
    }
    narrow, *_, wide = medians.values()
    widest = arrays["width"][list(medians)[-1]]
    early = arrays["steps"].index(max(s for s in arrays["steps"] if s <= 10))
    off = [
        abs(p[early] / o[early] - 1)
        for name in CONDITIONS
        for p, o in zip(widest[name]["descent"], widest[name]["observed"], strict=True)
    ]
    text = ", ".join(f"width {width}: step {step:,.0f}" for width, step in medians.items())
    return [
        Claim(
            "the first steps are predicted",
            "with K constant, each mode decays like e^(−λt) (relative difference of the losses after "
            f"{arrays['steps'][early]} steps, widest network, median)",
            float(np.median(off)),
            high=0.05,
            spread=spread(off, "losses"),
        ),
        Claim(
            "wide networks follow longer",
            "the prediction is that of the limit (step of parting by 10%, widest over narrowest network)",
            wide / narrow,
            low=3.0,
            spread=text,
        ),
    ]


EXPERIMENT = Experiment(
    name="dynamics",
    title="Losses that the kernel at the start predicts, over those observed, Poisson, a = 1",
    statement="With K constant, the residual decays in the eigenbasis of K like e^(−λt).",
    sizes={
        "smoke": Config((20, 80), steps=100, rows=5, seeds=(0, 1)),
        "paper": Config(),
    },
    run=run,
    plot=plot,
    claims=claims,
)
