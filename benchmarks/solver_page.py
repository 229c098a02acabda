"""docs/solver-accuracy.md and its figure from the record of `solver_accuracy.py`.

    python benchmarks/solver_page.py [--check]

`--check` writes nothing and fails where the page is not what the record says.
"""

from __future__ import annotations

import math
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common import DOCS, RESULTS, MadePage
from kernel_tables import table
from pinntk.report.figures import save
from pinntk.report.panels import Curve, Panel
from pinntk.report.panels import draw as draw_panels
from pinntk.words import listed

Record = dict[str, Any]


class Target(NamedTuple):
    """The error to reach within a time, the stretch goal, and what others published."""

    title: str
    must: float
    seconds: float
    aim: float
    published: str


PAPER = "1.63e-03, 40,000 steps of gradient descent (Wang, Yu, Perdikaris 2022)"
WAVE = "1.7e-03, 80,000 Adam steps with Algorithm 1 (the same paper); 2.9e-05 second order"
TARGETS = {
    "poisson1d:a=4": Target(
        "Poisson 1-D, a = 4",
        1e-8,
        10,
        1e-10,
        PAPER,
    ),
    "wave1d": Target("Wave equation", 1e-5, 60, 1e-6, WAVE),
    "burgers1d": Target(
        "Burgers, ν = 0.01/π",
        2e-5,
        120,
        7e-8,
        "8e-05 first order; 7.6e-08 self-scaled Broyden (Urbán, Stefanou, Pons 2025)",
    ),
    "allen_cahn1d": Target(
        "Allen–Cahn",
        5e-5,
        300,
        9e-7,
        "5.4e-05, 300,000 steps on a GPU (jaxpi); 9.4e-07 self-scaled Broyden",
    ),
    "helmholtz2d": Target("Helmholtz 2-D, (1, 4)", 1e-5, 60, 1e-7, "–"),
    "kdv1d": Target("Korteweg–de Vries", 1e-4, 300, 2e-6, "4.3e-04 (jaxpi); 2.2e-06"),
    "convection1d": Target("Convection, β = 50", 5e-4, 60, 1e-6, "7e-03, L-BFGS in float64"),
    "poisson_nd": Target(
        "Poisson 5-D", 1e-5, 120, 1e-7, "natural gradient within 7,000 s on a GPU"
    ),
    "kovasznay2d": Target("Kovasznay flow, Re = 20", 1e-6, 120, 1e-8, "–"),
}


def runs_of(record: Record, problem: str) -> list[Record]:
    return [run for run in record["runs"] if run["problem"] == problem]


def error_of(run: Record) -> float:
    """The error of the newest parameters at the end; infinite where the run failed."""
    error = run.get("relative_l2")
    return error if error is not None and run["outcome"] != "diverged" else math.inf


def reached(runs: list[Record], error: float) -> str:
    """The median time to an error over the seeds that got there, and how many did."""
    times = [run.get("reached", {}).get(f"{error:g}") for run in runs]
    times = [seconds for seconds in times if seconds is not None]
    if not times:
        return "–"
    count = "" if len(times) == len(runs) else f" ({len(times)}/{len(runs)})"
    return f"{statistics.median(times):.0f} s{count}"


def results(record: Record) -> str:
    rows = []
    for problem, target in TARGETS.items():
        runs = runs_of(record, problem)
        if not runs:
            continue
        errors = [error_of(run) for run in runs]
        middle = statistics.median(errors)
        rows.append(
            [
                target.title,
                target.published,
                f"{target.must:.0e} in {runs[0]['limit']:.0f} s",
                f"**{middle:.1e}**",
                f"{min(errors):.1e} to {max(errors):.1e}".replace("inf", "failed"),
                "yes" if middle <= target.must else "**no**",
                reached(runs, target.must),
                f"{target.aim:.0e}",
                reached(runs, target.aim),
            ]
        )
    header = [
        "problem",
        "published",
        "goal",
        "median final error",
        "range",
        "goal met",
        "reached after",
        "stretch goal",
        "reached after",
    ]
    return table(header, rows)


def weights(recipe: Record) -> str:
    """How a run was weighted."""
    if recipe["weighting"] == "ntk":
        return f"Algorithm 1 every {recipe['every']}"
    return ", ".join(f"{name} {value:g}" for name, value in recipe["weights"].items()) or "equal"


def settings(record: Record) -> str:
    rows = []
    for problem in TARGETS:
        runs = [run for run in runs_of(record, problem) if "recipe" in run]
        if not runs:
            continue
        run, recipe = runs[0], runs[0]["recipe"]
        points = ", ".join(f"{name} {count:,}" for name, count in run["points"].items())
        change = {
            "conditions": "fixed",
            "residual": f"by residual every {recipe['resample_every']}",
        }
        rows.append(
            [
                f"`{problem}`",
                f"{recipe['depth']}×{recipe['width']} {recipe['activation']}",
                f"{run['parameters']:,}",
                points,
                change.get(recipe["resampling"], recipe["resampling"]),
                "yes" if recipe["hard"] else "no",
                weights(recipe),
                f"{statistics.median(r['steps'] for r in runs):,.0f}",
                f"{max(sum(r['held_out'].values()) / sum(r['losses'].values()) for r in runs):,.1f}",
            ]
        )
    header = [
        "problem",
        "network",
        "parameters",
        "points",
        "points change",
        "hard constraints",
        "weights",
        "steps, median",
        "held-out / training loss, largest",
    ]
    return table(header, rows)


def panel(record: Record, problem: str) -> Panel:
    curves = []
    for run in runs_of(record, problem):
        if "history" in run:
            history = run["history"]
            label = f"seed {run['seed']}"
            curves.append(Curve(history["seconds"], history["relative_l2"], label))
    target = TARGETS[problem]
    levels = {"goal": target.must, "stretch goal": target.aim}
    return Panel(
        curves, title=target.title, xlabel="seconds", ylabel="relative L2 error", levels=levels
    )


def draw(record: Record, target: Path) -> None:
    """The figure beside the record, as PDF and PNG."""
    problems = [problem for problem in TARGETS if runs_of(record, problem)]
    panels = [panel(record, problem) for problem in problems]
    figure = draw_panels(panels, columns=min(3, len(panels)), height=2.8)
    for axes in figure.axes:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 1e-13), min(high, 1e2))
    for ending in (".pdf", ".png"):
        save(figure, target.with_suffix(ending))


def failures(record: Record) -> str:
    lines = [
        f"- {run['problem']}, seed {run['seed']}: {run['outcome']}; {run['message']}"
        for run in record["runs"]
        if run["outcome"] in ("failed", "diverged")
    ]
    return "\n".join(lines) or "None."


def cores(record: Record) -> str:
    """`2 cores`, or which problems had how many: `1 core (2 for kdv1d and wave1d)`."""
    problems: dict[int, list[str]] = {}
    for problem, count in {run["problem"]: run["cores"] for run in record["runs"]}.items():
        problems.setdefault(count, []).append(problem)
    usual, *others = sorted(problems)
    text = f"{usual} core" + "s" * (usual > 1)
    more = [f"{count} for {listed(problems[count])}" for count in others]
    return f"{text} ({'; '.join(more)})" if more else text


def page(record: Record) -> str:
    """docs/solver-accuracy.md."""
    seeds = len({run["seed"] for run in record["runs"]})
    versions = record["versions"]
    loads = [run["load"] for run in record["runs"] if run["load"] is not None]
    load = f"{np.median(loads):.1f}" if loads else "unknown"
    return f"""# Accuracy

How accurate the natural gradient is: `pinntk train PROBLEM --optimizer natural-gradient` with the
library's presets, in float64, on {cores(record)}. Each row of the table is the median over {seeds}
seeds. The clock starts before Python does, so all times include imports and compilation. Errors are
relative L2 errors of the newest parameters on a grid of about 10,000 points, measured against an exact
formula, or against a spectral reference whose own error is below 1e-9 ([the
library](problems.md#the-library) says which).

{results(record)}
![Relative L2 error against seconds, one line for each seed](measured/solver_accuracy.png)

"Reached after" is the time of the first logged step with at most that error. The error at the end can
be larger, because each step lowers the loss and not the error.

## The settings

These are the presets of the problems; nothing is tuned for a seed.

{settings(record)}
## Runs that failed

{failures(record)}

## What this shows

The networks are small, because a step costs the number of points times the square of the number of
parameters. A small network trained to convergence beats a large one that is not. The points decide what
remains of the error: if the held-out loss is far above the training loss, more points help and more
steps do not.

The published errors come from other networks, other numbers of points and other machines. They show
what is known to be reachable; they are not a competition. [Time to accuracy](time-to-accuracy.md)
compares optimizers on the same network and points.

`python benchmarks/solver_accuracy.py`, {record["processor"]}, JAX {versions["jax"]},
Python {record["python"]}, median load of the machine {load}. This page is written by
`python benchmarks/solver_page.py` from results/solver_accuracy.json.
"""


MADE = MadePage(
    DOCS / "solver-accuracy.md",
    RESULTS / "solver_accuracy.json",
    "benchmarks/solver_page.py",
    page,
    draw,
)

if __name__ == "__main__":
    sys.exit(MADE.main(__doc__))
