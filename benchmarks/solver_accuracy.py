"""How exact the natural gradient gets, problem by problem, within a time limit that counts everything.

Every run is `pinntk train PROBLEM --optimizer natural-gradient` with the library's settings, in a process
of its own, one after the other: the clock starts before Python does, so imports and compilation are in
it. Three seeds, nothing tuned for a seed. Writes results/solver_accuracy.json, the figure beside it and
docs/solver-accuracy.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from typing import Any

from common import RESULTS, parser, use_cores, write
from solver_page import MADE, TARGETS

ROWS = 120  # of history that the record keeps


def options() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--problems", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    made.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    made.add_argument("--stretch", type=float, default=1.0, help="factor on the time limits")
    made.add_argument("--cores", type=int, default=1)
    made.add_argument("--merge", action="store_true", help="keep the record's other problems")
    made.add_argument("--worker", default=None, help=argparse.SUPPRESS)
    arguments = made.parse_args()
    if arguments.smoke:
        arguments.problems, arguments.seeds, arguments.stretch = ["poisson1d:a=4"], 1, 0.5
    return arguments


def work(task: dict[str, Any]) -> dict[str, Any]:
    """One run and its history, in seconds since the process was asked for."""
    from pinntk.cli.loading import load
    from pinntk.errors import PinntkWarning
    from pinntk.jacobian import parameter_count
    from pinntk.training import precision, start_run

    warnings.simplefilter("ignore", PinntkWarning)  # they are in the result
    setup = load(task["problem"], preset="natural-gradient").setup
    setup = setup.replace(training=setup.training.replace(steps=10**9))
    with precision(setup.dtype):
        start = setup.start(task["seed"])
    left = task["limit"] - (time.time() - task["asked"])
    result = start_run(setup, task["seed"], budget=left)
    late = time.time() - task["asked"] - result.seconds
    rows = [(late + row.seconds, row.step, row.relative_l2) for row in result.history]
    rows.append((late + result.seconds, result.steps, result.relative_l2))
    every = max(1, len(rows) // ROWS)
    kept = rows[::every] + ([] if (len(rows) - 1) % every == 0 else rows[-1:])
    return {
        "outcome": str(result.outcome),
        "message": result.message,
        "notes": list(result.notes),
        "parameters": parameter_count(start.model),
        "points": {name: len(sample.points) for name, sample in start.batch.items()},
        "recipe": recipe(setup),
        "steps": result.steps,
        "seconds": round(rows[-1][0], 2),
        "relative_l2": result.relative_l2,
        "losses": dict(result.losses),
        "held_out": dict(result.held_out),
        "reached": {
            f"{target:g}": next(
                (round(s, 2) for s, _, e in rows if e is not None and e <= target), None
            )
            for target in (TARGETS[task["problem"]].must, TARGETS[task["problem"]].aim)
        },
        "history": {
            "seconds": [round(s, 2) for s, _, _ in kept],
            "steps": [step for _, step, _ in kept],
            "relative_l2": [float(f"{e:.4g}") for _, _, e in kept],
        },
    }


def recipe(setup: Any) -> dict[str, Any]:
    """The settings that the page tells, as plain data."""
    from pinntk.training import AsConditioned, ProgressivePoints, ResidualAdaptive
    from pinntk.weighting import Fixed, NTKWeights

    network, training = setup.network, setup.training
    changes: dict[str, Any] = {}
    match training.resampling:
        case AsConditioned():
            changes = {"resampling": "conditions", "resample_every": None}
        case ResidualAdaptive(every=every):
            changes = {"resampling": "residual", "resample_every": every}
        case ProgressivePoints(every=every):
            changes = {"resampling": "growing", "resample_every": every}
    match training.weighting:
        case Fixed(weights=weights):
            changes |= {"weighting": "fixed", "weights": dict(weights), "every": None}
        case NTKWeights(every=every, factors=factors):
            changes |= {"weighting": "ntk", "weights": dict(factors), "every": every}
    return {
        "width": network.width,
        "depth": network.depth,
        "activation": network.activation.__name__,
        "hard": network.hard,
        **changes,
    }


def attempt(task: dict[str, Any]) -> dict[str, Any]:
    """`work` in a process of its own; a failure is a record too."""
    command = [sys.executable, __file__, "--worker", json.dumps(task | {"asked": time.time()})]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        return {
            "outcome": "failed",
            "message": f"exit code {done.returncode}: {' '.join(last)[:300]}",
        }


def main() -> None:
    arguments = options()
    if arguments.worker is not None:
        print(json.dumps(work(json.loads(arguments.worker))))
        return
    use_cores(arguments.cores)
    runs = []
    for problem in arguments.problems:
        for seed in range(arguments.seeds):
            seconds = arguments.stretch * TARGETS[problem].seconds
            task = {"problem": problem, "seed": seed, "limit": seconds}
            found = attempt(task)
            load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
            runs.append(task | found | {"cores": arguments.cores, "load": load})
            error = found.get("relative_l2")
            shown = found["message"] if error is None else f"{error:.2e}"
            print(f"{problem:16s} seed {seed} {shown} {found.get('seconds')} s", flush=True)
    kept = RESULTS / "solver_accuracy.json"
    if arguments.merge and kept.exists():
        old = json.loads(kept.read_text())["runs"]
        runs = [run for run in old if run["problem"] not in arguments.problems] + runs
        runs.sort(key=lambda run: (list(TARGETS).index(run["problem"]), run["seed"]))
    record = {"dtype": "float64", "runs": runs}
    MADE.renew(write("solver_accuracy", arguments, record, short=True))


if __name__ == "__main__":
    main()
