"""Write docs/numbers.md and the README's table from the records under results/. Run it after a benchmark.

`--check` writes nothing and fails where a page is not what the records say.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from kernel_tables import kernel_rows, section, table
from solver_page import TARGETS, error_of, runs_of
from unseen_bars import bars
from unseen_counts import as_planned, better, row_of_seeds, visits

ROOT = Path(__file__).resolve().parent.parent
README, PAGE = ROOT / "README.md", ROOT / "docs" / "numbers.md"
RECORDS = ("poisson_weights", "wave_weights", "wave_step", "kernel_cost", "large_step")
MARKERS = re.compile(r"(<!-- numbers -->\n).*?(<!-- /numbers -->)", re.DOTALL)


def load(name: str) -> dict[str, Any]:
    """The record of one benchmark."""
    return json.loads((ROOT / "results" / f"{name}.json").read_text())


def provenance(record: dict[str, Any]) -> str:
    """Command, machine and versions of a record, in one sentence."""
    versions = record["versions"]
    return (
        f"`{record['command']}`, {record['dtype']}, {record['processor']}, "
        f"{record['cores']} core(s), JAX {versions['jax']}, Python {record['python']}.\n"
    )


def poisson(record: dict[str, Any]) -> str:
    """Poisson a = 4: error, weight ratio and time by way of weighting."""
    rows = []
    for way, found in record["ways"].items():
        errors = [run["relative_l2"] for run in found["runs"]]
        rows.append(
            [
                way,
                f"{found['median_relative_l2']:.2e}",
                f"{min(errors):.2e} to {max(errors):.2e}",
                f"{found['median_weight_ratio']:.0f}",
                f"{found['median_seconds']:.2f} s",
            ]
        )
    header = ["weights", "relative L2, median", "range", "λ_boundary / λ_residual", "time of steps"]
    return table(header, rows)


def wave_step(record: dict[str, Any]) -> str:
    """The time of an Adam step of the wave problem."""
    rows = [
        [
            str(row["width"]),
            f"{row['pinntk_ms']:.1f} ms",
            f"{row['plain_jax_ms']:.1f} ms",
            f"{row['ratio']:.2f}",
            f"{row['limit_ms']:.1f} ms",
            f"{row['share_of_limit']:.0%}",
        ]
        for row in record["rows"]
    ]
    header = [
        "width",
        "pinntk",
        "plain JAX",
        "ratio",
        "matrix products alone",
        "limit / time",
    ]
    return table(header, rows)


def wave_weights(record: dict[str, Any]) -> str:
    """The wave problem with and without Algorithm 1, seed by seed."""
    plain, weighted = (record["ways"][way]["runs"] for way in ("plain", "Algorithm 1"))
    rows = [
        [
            str(a["seed"]),
            f"{a['relative_l2']:.2e}",
            f"{b['relative_l2']:.2e}",
            f"{ratio:.1f}",
        ]
        for a, b, ratio in zip(plain, weighted, record["ratios"], strict=True)
    ]
    header = ["seed", "plain", "Algorithm 1", "plain / Algorithm 1"]
    return table(header, rows)


def large(record: dict[str, Any]) -> str:
    """Steps on sizes whose matrices would not be held."""
    rows = [
        [
            "conjugate gradients" if run["optimizer"].startswith("Natural") else "SPRING",
            f"{run['residuals']:,}",
            f"{run['parameters']:,}",
            f"{run['dense_gigabytes']:.2f} GB, {run['kernel_gigabytes']:.2f} GB",
            f"{run['steps']}",
            f"{run['seconds_per_step']:.2g} s",
            f"{run['loss_before']:.2g} → {run['loss_after']:.2g}",
            f"{run['error_before']:.2g} → {run['error_after']:.2g}",
        ]
        for run in record["runs"]
    ]
    header = [
        *("solver", "residuals", "parameters", "size of J and of the smaller matrix", "steps"),
        *("time per step", "loss", "relative L2"),
    ]
    peak = f"\nPeak memory of the process: {record['peak_gigabytes']:.1f} GB.\n"
    return table(header, rows) + peak


def page() -> str:
    """docs/numbers.md."""
    first, second, third, fourth, fifth = (load(name) for name in RECORDS)
    return f"""# Numbers

`python benchmarks/tables.py` writes this page from the records under `results/`, which hold every run
with its seed, versions, device and command. The command of each benchmark is below its table.

## Poisson, a = 4

The setting of the authors' notebook: one hidden layer of width 100, {first["steps"]:,} steps of
gradient descent at 1e-5, 100 points per term, {len(first["ways"]["unweighted"]["runs"])} seeds. The
paper reports 2.40e-01 with equal weights and 1.63e-03 with λ_boundary = 100, each from one run. Times
exclude compilation.

{poisson(first)}
{provenance(first)}
## Wave equation, with and without weights

Width {second["width"]}, 3 hidden layers, {second["steps"]:,} Adam steps: relative L2 errors from the
same seed.

{wave_weights(second)}
{provenance(second)}
## One training step of the wave equation

Adam on [2, w, w, w, 1] with {third["points_per_term"]} points for each of the three terms, on one core.
"Plain JAX" is the same loss written by hand with nested forward mode, in the same compiled loop and the
same run, timed alternately. For u_tt − 4 u_xx, pinntk carries four quantities through each layer.
Nested differentiation carries five or more, because it computes both second derivatives although only
their combination is needed. pinntk also merges equal parts of the program before differentiating, which
a compiler cannot do afterwards. The limit is the time that the matrix products of this program take at
the speed measured for such products on this machine.

{wave_step(third)}
{provenance(third)}
On one core of an AMD EPYC processor with AVX-512, the authors' TensorFlow code took 41 ms per step at
width 500. This was a separate measurement, which is not repeated here.

## What kernels cost

{section(fourth)}
{provenance(fourth)}
## The natural gradient without matrices

The wave equation with a 3×100 network. Conjugate gradients form neither J nor K; SPRING uses a few
hundred new points at every step. Losses are unweighted sums over the conditions.

{large(fifth)}
{provenance(fifth)}"""


def solver_rows(record: dict[str, Any]) -> list[list[str]]:
    """What the natural gradient reaches on the paper's two problems and on Burgers' equation."""
    rows = []
    for problem in ("poisson1d:a=4", "wave1d", "burgers1d"):
        runs = runs_of(record, problem)
        error = statistics.median(error_of(run) for run in runs)
        seconds, title = f"{runs[0]['limit']:.0f} s", TARGETS[problem].title
        what = f"{title}, natural gradient: relative L2 error after {seconds}"
        rows.append([what, f"{error:.1e}"])
    return rows


def doctor_rows(unseen: dict[str, Any], patients: dict[str, Any]) -> list[list[str]]:
    """How good the diagnosis is on problems that shaped none of its rules."""
    lead, rows = "diagnosis of problems that it was not tuned to", []
    for bar in bars(unseen, patients):
        if bar.unseen:
            rows.append([f"{lead}: {bar.what}", f"{sum(bar.unseen)} of {len(bar.unseen)}"])
            lead = "the same problems"
    return rows


def caveat(unseen: dict[str, Any], patients: dict[str, Any]) -> str:
    """What the rows on the diagnosis do not say by themselves."""
    counted = as_planned(unseen, row_of_seeds(unseen))
    found = [result["treatment"] for _, result in visits(unseen, counted) if better(result)]
    natural = sum("natural" in (treatment["remedy"] or "") for treatment in found)
    first = bars(unseen, patients)[0].tuned
    right = f"{sum(first)} of {len(first)} examinations"
    won = f"{natural} of the {len(found)} problems whose error was reduced"
    return (
        "The problems come from a generator, and were first examined when the rules were fixed. On the "
        f"cases that\nshaped the rules, the first finding is right in {right}. The best remedy was the\n"
        f"natural gradient in {won}."
    )


def readme() -> str:
    """The README with its table of numbers."""
    first, second, third, fourth, _ = (load(name) for name in RECORDS)
    unseen, patients = load("unseen"), load("patients")
    ways = first["ways"]
    widest = third["rows"][-1]
    worst = min(second["ratios"])
    rows = [
        [
            "Poisson, a = 4, gradient descent: relative L2 error with equal weights",
            f"{ways['unweighted']['median_relative_l2']:.1e}",
        ],
        [
            "the same with NTK weights (Algorithm 1)",
            f"{ways['Algorithm 1']['median_relative_l2']:.1e}",
        ],
        [
            f"wave equation, width {second['width']}: error reduction from NTK weights",
            f"at least {worst:.1f}-fold over {len(second['ratios'])} seeds",
        ],
        [
            f"wave equation, width {widest['width']}: time per step, relative to plain JAX",
            f"{widest['ratio']:.2f}",
        ],
        *kernel_rows(fourth),
        *solver_rows(load("solver_accuracy")),
        *doctor_rows(unseen, patients),
    ]
    body = table(["what", "measured"], rows)
    pages = ", ".join(
        f"[{page}]({page})"
        for page in ("docs/numbers.md", "docs/solver-accuracy.md", "docs/unseen.md")
    )
    text = f"\\g<1>{body}\n{caveat(unseen, patients)}\n\nCommands, seeds and machines: {pages}.\n\\g<2>"
    return MARKERS.sub(text, README.read_text())


def main() -> int:
    """Write the pages, or with `--check` say which is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [
        file for file, text in ((PAGE, page()), (README, readme())) if file.read_text() != text
    ]
    if check:
        for file in stale:
            print(f"{file.name} is not what results/ says: run python benchmarks/tables.py")
        return len(stale)
    PAGE.write_text(page())
    README.write_text(readme())
    return 0


if __name__ == "__main__":
    sys.exit(main())
