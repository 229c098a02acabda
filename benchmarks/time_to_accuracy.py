"""Error against wall time, compilation included, for problems × optimizers × seeds.

Every run is a process of its own, one after the other, in float64 and pinntk's training loop. For a
problem and a seed all optimizers start from the same network and train on the same points. The time
limit ends a run; one that fails is kept in the record with its reason. Writes
results/time_to_accuracy.json, the figure beside it and docs/time-to-accuracy.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import math
import os
import subprocess
import sys
import time
from typing import Any

import jax
import numpy as np

from accuracy_page import MADE, NAMES, TARGETS
from common import RESULTS, parser, use_cores, write
from optimizers import OWN, PEERS
from pinntk.cli.loading import load
from pinntk.errors import PinntkError
from pinntk.jacobian import parameter_count, trainable
from pinntk.training import Setup, Start, Training, initial_state, precision, train
from pinntk.training.compiled import compile_chunk
from pinntk.training.network import as_network
from pinntk.training.resampling import AsConditioned
from pinntk.weighting import Fixed

PROBLEMS = ["poisson1d:a=4", "wave1d", "helmholtz2d", "burgers1d"]
OPTIMIZERS = [
    "adam",
    "adam-ntk",
    "lbfgs",
    "lbfgs-wolfe",
    "bfgs",
    "ssbroyden",
    "natural-gradient",
    "natural-gradient-ntk",
]
ROWS = 200  # of history over the budget
POINTS = 60  # of history that the record keeps
STEPS = 10**9  # more than any budget allows


def options() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--problems", nargs="+", default=PROBLEMS)
    made.add_argument("--optimizers", nargs="+", default=OPTIMIZERS, choices=[*OWN, *PEERS])
    made.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    made.add_argument("--budget", type=float, default=60.0, help="seconds of a run")
    made.add_argument("--cores", type=int, default=1)
    made.add_argument("--merge", action="store_true", help="keep what is on record of other pairs")
    made.add_argument("--worker", default=None, help=argparse.SUPPRESS)
    arguments = made.parse_args()
    if arguments.smoke:
        arguments.problems, arguments.optimizers = ["poisson1d"], ["adam", "ssbroyden"]
        arguments.seeds, arguments.budget = 1, 1.0
    return arguments


def prepare(problem: str, optimizer: str) -> Setup:
    """Network and fixed points of the natural gradient's preset, with the optimizer of that name."""
    usual, setup = load(problem).setup, load(problem, preset="natural-gradient").setup
    if optimizer in PEERS:
        names = as_network(setup.network).reduced(setup.problem).names
        chosen, weighting = PEERS[optimizer](names), Fixed()
    else:
        own = OWN[optimizer]
        chosen, weighting = own.optimizer or usual.training.optimizer, own.weighting
    training = setup.training.replace(
        optimizer=chosen, weighting=weighting, resampling=AsConditioned(), steps=STEPS
    )
    return setup.replace(training=training)


def steps_per_second(start: Start, training: Training) -> float:
    """The pace after compilation, from steps that are thrown away."""
    run = compile_chunk(start.problem, trainable(start.model)[1], training, start.key)
    state = initial_state(start.problem, start.model, training, start.batch)
    state = jax.block_until_ready(run(state, 2)).state
    steps, began = 0, time.perf_counter()
    while (used := time.perf_counter() - began) < 0.5:
        size = 2 if steps == 0 else max(1, min(steps, int(0.2 * steps / used)))
        state = jax.block_until_ready(run(state, size)).state
        steps += size
    return steps / used


def work(task: dict[str, Any]) -> dict[str, Any]:
    """One run: its history, thinned, and when it first reached each target."""
    setup = prepare(task["problem"], task["optimizer"])
    with precision(setup.dtype):
        start = setup.start(task["seed"])
        pace = steps_per_second(start, setup.training)
        result = train(
            start.problem,
            start.model,
            setup.training.replace(log_every=max(1, round(pace * task["budget"] / ROWS))),
            key=start.key,
            batch=start.batch,
            budget=task["budget"],
        )
    rows = [(r.seconds, r.step, r.relative_l2, dict(r.losses)) for r in result.history]
    rows.append((result.seconds, result.steps, result.relative_l2, dict(result.losses)))
    errors = [(seconds, math.inf if error is None else error) for seconds, _, error, _ in rows]
    return {
        "outcome": str(result.outcome),
        "message": result.message,
        "parameters": parameter_count(start.model),
        "points": {name: len(sample.points) for name, sample in start.batch.items()},
        "steps": result.steps,
        "seconds": round(result.seconds, 2),
        "relative_l2": result.relative_l2,
        "best_relative_l2": min(error for _, error in errors),
        "losses": dict(result.losses),
        "reached": {
            f"{target:g}": next((round(s, 3) for s, e in errors if e <= target), None)
            for target in TARGETS
        },
        "history": thinned(rows),
    }


def thinned(rows: list[tuple[float, int, Any, dict[str, float]]]) -> dict[str, Any]:
    """At most `POINTS` rows, about equally spaced in the logarithm of the time, first and last kept."""
    seconds = np.array([row[0] for row in rows])
    wanted = np.geomspace(max(seconds[0], 1e-3), max(seconds[-1], 2e-3), POINTS)
    keep = sorted({0, len(rows) - 1, *(int(np.abs(seconds - t).argmin()) for t in wanted)})
    kept = [rows[i] for i in keep]

    def figures(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else float(f"{value:.4g}")

    return {
        "seconds": [figures(row[0]) for row in kept],
        "steps": [row[1] for row in kept],
        "relative_l2": [figures(row[2]) for row in kept],
        "losses": {name: [figures(row[3][name]) for row in kept] for name in kept[0][3]},
    }


def attempt(task: dict[str, Any]) -> dict[str, Any]:
    """`work` in a process of its own; a failure is a record too."""
    command = [sys.executable, __file__, "--worker", json.dumps(task)]
    limit = 3 * task["budget"] + 180
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"outcome": "timeout", "message": f"not done after {limit:.0f} s"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        reason = f"exit code {done.returncode}: {' '.join(last)[:300]}"
        return {"outcome": "failed", "message": reason}


def on_record(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The runs that a merge keeps: of pairs of problem and optimizer that are not measured again."""
    kept = RESULTS / "time_to_accuracy.json"
    if not arguments.merge or not kept.exists():
        return []
    record = json.loads(kept.read_text())
    if record["budget"] != arguments.budget:
        budget = record["budget"]
        raise SystemExit(f"--budget: got {arguments.budget:g}, expected {budget:g} as on record")
    again = set(itertools.product(arguments.problems, arguments.optimizers))
    return [run for run in record["runs"] if (run["problem"], run["optimizer"]) not in again]


def place(run: dict[str, Any]) -> tuple[int, int, int]:
    """Where a run stands in the record."""
    problem = PROBLEMS.index(run["problem"]) if run["problem"] in PROBLEMS else len(PROBLEMS)
    return problem, list(NAMES).index(run["optimizer"]), run["seed"]


def main() -> None:
    arguments = options()
    if arguments.worker is not None:
        task = json.loads(arguments.worker)
        try:
            print(json.dumps(work(task)))
        except PinntkError as error:
            print(json.dumps({"outcome": "failed", "message": str(error)}))
        return
    use_cores(arguments.cores)
    runs = on_record(arguments)
    for problem in arguments.problems:
        for seed in range(arguments.seeds):
            for optimizer in arguments.optimizers:
                task = {"problem": problem, "optimizer": optimizer, "seed": seed}
                found = attempt(task | {"budget": arguments.budget})
                load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
                runs.append(task | found | {"load": load})
                error = found.get("relative_l2")
                shown = found["message"] if error is None else f"{error:.2e}"
                print(f"{problem:16s} seed {seed} {optimizer:17s} {shown}", flush=True)
    record = {
        "dtype": "float64",
        "budget": arguments.budget,
        "optimistix": importlib.metadata.version("optimistix"),
        "runs": sorted(runs, key=place),
    }
    MADE.renew(write("time_to_accuracy", arguments, record, short=True))


if __name__ == "__main__":
    main()
