"""docs/time-to-accuracy.md and its figure from the record of `time_to_accuracy.py`.

    python benchmarks/accuracy_page.py [--check]

`--check` writes nothing and fails where the page is not what the record says.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from common import DOCS, RESULTS, MadePage
from kernel_tables import table
from pinntk.report.figures import save
from pinntk.report.panels import Curve, Panel
from pinntk.report.panels import draw as draw_panels

TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
TARGETS = (1e-2, 1e-3, 1e-4, 1e-5)
#: What an optimizer is called on the page, and what it is.
NAMES = {
    "adam": ("Adam", "the preset's rate and decay, all weights 1"),
    "adam-ntk": ("Adam, NTK weights", "the same with Algorithm 1 every 100 steps"),
    "lbfgs": ("L-BFGS, Optimistix", "50 pairs, backtracking until Armijo's condition holds"),
    "lbfgs-wolfe": ("L-BFGS, Wolfe", "Optax's memory of 50 pairs, a strong Wolfe line search"),
    "bfgs": ("BFGS, Optimistix", "dense, backtracking until Armijo's condition holds"),
    "bfgs-wolfe": ("BFGS, Wolfe", "dense, a strong Wolfe line search"),
    "ssbfgs": ("SSBFGS", "self-scaled BFGS, a strong Wolfe line search"),
    "ssbroyden": ("SSBroyden", "self-scaled Broyden, a strong Wolfe line search"),
    "natural-gradient": (
        "natural gradient",
        "Levenberg–Marquardt steps with the kernel, all weights 1",
    ),
    "natural-gradient-ntk": (
        "natural gradient, NTK weights",
        "the same with Algorithm 1 every 50 steps",
    ),
}
#: Outcomes after which the error stays what it was; after any other it counts as infinite.
ENDED_WELL = ("budget", "completed", "converged", "stalled")

Record = dict[str, Any]


def distinct(runs: Iterable[Record], key: str) -> list[Any]:
    """The values of a field in the order in which they come."""
    return list(dict.fromkeys(run[key] for run in runs))


def chosen(record: Record, **wanted: Any) -> list[Record]:
    """The runs with these fields."""
    return [r for r in record["runs"] if all(r[key] == value for key, value in wanted.items())]


def errors_at(run: Record, times: np.ndarray) -> np.ndarray:
    """The error last recorded at each time: NaN before the first, infinite after a failure."""
    history = run.get("history")
    if history is None:
        return np.full(len(times), np.inf)
    seconds = np.array(history["seconds"])
    errors = np.array([np.inf if e is None else e for e in history["relative_l2"]], float)
    index = np.searchsorted(seconds, times, side="right") - 1
    values = np.where(index >= 0, errors[index], np.nan)
    if run["outcome"] not in ENDED_WELL:
        values = np.where(times > seconds[-1], np.inf, values)
    return values


def median_of(values: list[float]) -> float:
    """The median, where None counts as infinite."""
    return statistics.median(values)


def final_error(run: Record) -> float:
    error = run.get("relative_l2")
    return error if error is not None and run["outcome"] in ENDED_WELL else float("inf")


def panel(record: Record, problem: str) -> Panel:
    """Error over seconds: the median over seeds as a line, the smallest and largest as a band."""
    curves = []
    for optimizer in distinct(record["runs"], "optimizer"):
        runs = chosen(record, problem=problem, optimizer=optimizer)
        begun = [run["history"]["seconds"][0] for run in runs if "history" in run]
        if not begun:
            continue
        first, last = max(min(begun), 1e-2), record["budget"]
        times = np.geomspace(first, max(last, 1.01 * first), 80)
        errors = np.stack([errors_at(run, times) for run in runs])
        errors = errors[:, ~np.isnan(errors).any(axis=0)]
        shown = times[len(times) - errors.shape[1] :]
        low, middle, high = errors.min(0), np.median(errors, axis=0), errors.max(0)
        high = np.where(np.isfinite(high), high, 1e9)
        label = NAMES[optimizer][0]
        curves.append(Curve(shown, middle, label, low=low, high=high, marked=True))
    title = f"{problem}, {len(distinct(record['runs'], 'seed'))} seed(s)"
    times = [
        run["history"]["seconds"][0] for run in chosen(record, problem=problem) if "history" in run
    ]
    ticks = [t for t in TICKS if 0.8 * min(times, default=1) <= t <= 1.1 * record["budget"]]
    return Panel(
        curves,
        title=title,
        xlabel="seconds",
        ylabel="relative L2 error",
        xscale="log",
        xticks=ticks,
        legend_below=True,
    )


def draw(record: Record, target: Path) -> None:
    """The figure beside the record, as PDF and PNG."""
    panels = [panel(record, problem) for problem in distinct(record["runs"], "problem")]
    figure = draw_panels(panels, columns=min(2, len(panels)), height=3.6)
    for axes in figure.axes:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 1e-12), min(high, 1e2))
    for ending in (".pdf", ".png"):
        save(figure, target.with_suffix(ending))


def reached(runs: list[Record], target: float) -> str:
    """The median time over the seeds that got there, and how many of how many did."""
    times = [run["reached"][f"{target:g}"] for run in runs if "reached" in run]
    times = [seconds for seconds in times if seconds is not None]
    if not times:
        return "–"
    count = "" if len(times) == len(runs) else f" ({len(times)}/{len(runs)})"
    return f"{median_of(times):.3g} s{count}"


def results(record: Record, problem: str) -> str:
    """The table of one problem."""
    rows = []
    for optimizer in distinct(record["runs"], "optimizer"):
        runs = chosen(record, problem=problem, optimizer=optimizer)
        if not runs:
            continue
        errors = [final_error(run) for run in runs]
        middle, steps = median_of(errors), [run["steps"] for run in runs if "steps" in run]
        spread = f"{min(errors):.1e} to {max(errors):.1e}" if len(errors) > 1 else "one seed"
        rows.append(
            [
                NAMES[optimizer][0],
                "–" if np.isinf(middle) else f"{middle:.1e}",
                spread.replace("inf", "failed"),
                *(reached(runs, target) for target in TARGETS),
                f"{median_of(steps):,.0f}" if steps else "–",
            ]
        )
    header = ["optimizer", "final error", "range", *(f"to {t:.0e}" for t in TARGETS), "steps"]
    return table(header, rows)


def failures(record: Record) -> str:
    """The runs that did not end well, with the reason of each."""
    lines = [
        f"- {run['problem']}, {NAMES[run['optimizer']][0]}, seed {run['seed']}: "
        f"{run['outcome']}; {run['message']}"
        for run in record["runs"]
        if run["outcome"] not in ENDED_WELL
    ]
    return "\n".join(lines) if lines else "None."


def disturbed(record: Record) -> str:
    """What to know of the times where other work ran beside the runs."""
    loads = [run.get("load") for run in record["runs"] if "history" in run]
    if None in loads:
        return (
            "\n**Preliminary:** other work ran on the same core during these runs, so times are too long, "
            "by unequal amounts.\n"
        )
    if median_of(loads) > record["cores"] + 0.5:
        return (
            "\n**Other programs ran at the same time.** On average "
            f"{median_of(loads):.1f} processes competed for the processor, while a run here\n"
            f"needs {record['cores']} core(s). On an idle machine, times are shorter.\n"
        )
    return ""


def plain(text: str) -> str:
    """A message as text: no links, no code."""
    return text.replace("[", "\\[").replace("]", "\\]").replace("`", "'")


def page(record: Record) -> str:
    """docs/time-to-accuracy.md."""
    problems = distinct(record["runs"], "problem")
    seeds = distinct(record["runs"], "seed")
    sizes = {
        run["problem"]: (run["parameters"], sum(run["points"].values()))
        for run in record["runs"]
        if "parameters" in run
    }
    described = "\n".join(
        f"- **{NAMES[name][0]}**: {NAMES[name][1]}."
        for name in distinct(record["runs"], "optimizer")
    )
    tables = "\n".join(
        f"### {problem}\n\n"
        + (
            f"{sizes[problem][0]:,} parameters, {sizes[problem][1]:,} points.\n\n"
            if problem in sizes
            else ""
        )
        + results(record, problem)
        for problem in problems
    )
    versions = record["versions"]
    return f"""# Time to accuracy

How fast each optimizer reaches an error, compilation included. Each runs in pinntk's training loop, in
a process of its own, for {record["budget"]:g} s, with {len(seeds)} seed(s), in float64. For a given
problem and seed, all optimizers start from the same network and train on the same fixed points, those
of the problem's natural-gradient preset ([accuracy](solver-accuracy.md)). The clock starts when
training is called, after Python's imports. Errors are those of the newest parameters, not of the best
ones so far.

{described}

Lines show the median over seeds, bands the smallest and the largest error.

![Error against seconds](measured/time_to_accuracy.png)

## Time to each error

The tables show the error when the time was up, and the seconds until the error was first at most 1e-2,
1e-3, 1e-4 and 1e-5 at a row of the history. A run has about 200 rows, and a row is recorded when the
steps up to the next one are done, so times may be too long by a hundredth of the limit. A dash means
that no seed got there. (2/3) means that two of three did; the median is over those. {disturbed(record)}
{tables}
## Runs that failed

{plain(failures(record))}

## What is compared and what is not

BFGS and L-BFGS are those of [Optimistix](https://docs.kidger.site/optimistix/) {record["optimistix"]},
stepped one trial point at a time. Their line search only checks Armijo's condition, so L-BFGS appears a
second time with a search for the strong Wolfe conditions.

SSBroyden follows Urbán, Stefanou and Pons, *Unveiling the optimization process of physics informed
neural networks: how accurate and competitive can PINNs be?*, J. Comput. Phys. 523 (2025) 113656, in the
variant that the authors' script calls SSBroyden2, with a dense inverse Hessian and without their
initial Adam steps. The package [ssbroyden-optimistix](https://pypi.org/project/ssbroyden-optimistix/)
has the same formulas; for the same matrix and step, both give the same update up to rounding.

SOAP is missing: Optax {versions["optax"]} does not have it, and we found no maintained package for JAX.
Nothing here was tuned for a problem.

`{record["command"]}`, {record["dtype"]}, {record["processor"]}, {record["cores"]} core(s),
JAX {versions["jax"]}, Python {record["python"]}. This page is written by
`python benchmarks/accuracy_page.py` from results/time_to_accuracy.json.
"""


MADE = MadePage(
    DOCS / "time-to-accuracy.md",
    RESULTS / "time_to_accuracy.json",
    "benchmarks/accuracy_page.py",
    page,
    draw,
)

if __name__ == "__main__":
    sys.exit(MADE.main(__doc__))
