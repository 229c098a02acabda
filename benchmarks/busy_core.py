"""What a busy core costs the natural gradient: a quiet machine, one busy process, one core.

Two cores at most. Every measurement is a process of its own that trains with the library's settings and
times the same steps of a run, compilation left out. Beside it nothing else runs, or one Python loop
pinned to the last core, or the process itself is pinned to one core before JAX starts. The three take
turns, for all libraries' threads in the same minutes. The control lets LAPACK have a thread per core, as
JAX does by itself. The bars: beside a busy process 3 times slower than on the quiet machine, on one core
2.5 times. Writes results/busy_core.json.

A round waits until other processes leave the cores alone, for `--patience` seconds at most; how much of
the cores they took while it was measured is on record (`others`, in cores).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from common import median, parser, use_cores, write

PROBLEMS = ["wave1d", "poisson1d"]
PLACES = ["quiet", "busy", "pinned"]
BARS = {"busy": 3.0, "pinned": 2.5}
#: Steps that are not timed, and those that are, by problem.
STEPS = {"wave1d": (20, 120), "poisson1d": (50, 500)}
SEED = 0


def options() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--problems", nargs="+", default=PROBLEMS, choices=PROBLEMS)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seconds", type=float, default=30.0, help="of a measurement at most")
    made.add_argument(
        "--patience", type=float, default=60.0, help="seconds to wait for quiet cores"
    )
    made.add_argument("--worker", default=None, help=argparse.SUPPRESS)
    arguments = made.parse_args()
    if arguments.smoke:
        arguments.problems, arguments.rounds = ["poisson1d"], 1
        arguments.seconds, arguments.patience = 0.5, 0.0
    return arguments


def used() -> float:
    """Seconds that all cores together were busy since the machine started; NaN where it does not say."""
    try:
        with open("/proc/stat", encoding="utf-8") as lines:
            total = [int(number) for number in next(lines).split()[1:9]]
    except OSError:
        return float("nan")
    return (sum(total) - total[3] - total[4]) / os.sysconf("SC_CLK_TCK")


def wait_for_quiet(patience: float) -> None:
    """Until other processes take less than a twentieth of a core."""
    end = time.perf_counter() + patience
    while time.perf_counter() < end:
        before = used()
        time.sleep(1.0)
        if not used() - before > 0.05:
            return


@contextlib.contextmanager
def busy_process(core: int | None) -> Iterator[None]:
    """One other process that never sleeps, pinned to a core where the system can do that."""
    pin = "" if core is None else f"import os; os.sched_setaffinity(0, [{core}])\n"
    loop = subprocess.Popen([sys.executable, "-c", f"{pin}while True: pass"])
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def measure(task: dict[str, Any], cache: str) -> dict[str, Any]:
    """Steps per second of one process, in its place."""
    command = [sys.executable, __file__, "--worker", json.dumps(task)]
    # What was compiled once is not compiled again: the three places then run the same program.
    settings = {
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None]
    with busy_process(cores[-1]) if task["place"] == "busy" else contextlib.nullcontext():
        done = subprocess.run(
            command, stdout=subprocess.PIPE, env=os.environ | settings, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


class Stopwatch:
    """Times the steps between two as a run goes on, and stops it after the second."""

    def __init__(self, first: int, last: int, seconds: float):
        self.first, self.last, self.seconds = first, last, seconds
        self.start = self.end = (0, 0.0, 0.0, 0.0)

    def progress(self, step: int, steps: int, row: Any) -> None:  # noqa: ARG002
        now = (step, time.perf_counter(), time.process_time(), used())
        if step >= self.first and not self.start[0]:
            self.start = now
        elif self.start[0]:
            self.end = now
            if step >= self.last or now[1] - self.start[1] > self.seconds:
                raise KeyboardInterrupt


def work(task: dict[str, Any]) -> None:
    """Train and print what was measured. JAX is imported here, after the process is pinned."""
    if task["place"] == "pinned":
        use_cores(1)
    from pinntk import threads
    from pinntk.cli.loading import load
    from pinntk.jacobian import parameter_count
    from pinntk.training import Observer, start_run

    if task["control"]:
        threads.ROWS = 0
    first, last = STEPS[task["problem"]]
    # A row of history costs time of its own, which is not a step's.
    setup = load(task["problem"], preset="natural-gradient").setup
    setup = setup.replace(training=setup.training.replace(steps=2 * last, log_every=first))
    watch = Stopwatch(first, last, task["seconds"])
    result = start_run(setup, SEED, observers=[Observer(progress=watch.progress)])
    steps, seconds, own, busy = (b - a for a, b in zip(watch.start, watch.end, strict=True))
    others = (busy - own) / seconds - (task["place"] == "busy")
    found = {
        "steps": steps,
        "steps_per_second": steps / seconds,
        "cores": own / seconds,
        "others": None if others != others else others,
        "parameters": parameter_count(result.model),
    }
    print(json.dumps(found))


def compare(
    problem: str, control: bool, arguments: argparse.Namespace, cache: str
) -> dict[str, Any]:
    """The places in turns, and the ratios of their medians."""
    found: dict[str, list[dict[str, Any]]] = {place: [] for place in PLACES}
    for _ in range(arguments.rounds):
        for place in PLACES:
            wait_for_quiet(arguments.patience)
            task = {"problem": problem, "place": place, "control": control}
            found[place].append(measure(task | {"seconds": arguments.seconds}, cache))
    rates = {place: median([one["steps_per_second"] for one in found[place]]) for place in PLACES}
    slower = {place: rates["quiet"] / rates[place] for place in BARS}
    threads = "one per core" if control else "the library's"
    parameters = found["quiet"][0]["parameters"]
    print(
        f"{problem}, {parameters} parameters, LAPACK's threads {threads}: "
        + ", ".join(f"{place} {rate:.3g} steps/s" for place, rate in rates.items())
        + "".join(
            f"; {place} {slower[place]:.2f} times slower (bar {bar:g})"
            for place, bar in BARS.items()
        ),
        flush=True,
    )
    return {
        "problem": problem,
        "parameters": parameters,
        "lapack_threads": threads,
        "steps_per_second": rates,
        "times_slower": slower,
        "within_bars": all(slower[place] <= bar for place, bar in BARS.items()),
        "rounds": {
            place: [{k: v for k, v in one.items() if k != "parameters"} for one in runs]
            for place, runs in found.items()
        },
    }


def main() -> None:
    arguments = options()
    if arguments.worker is not None:
        work(json.loads(arguments.worker))
        return
    use_cores(2)
    with tempfile.TemporaryDirectory() as cache:
        rows = [
            compare(problem, control, arguments, cache)
            for problem in arguments.problems
            for control in ((False,) if arguments.smoke else (False, True))
        ]
    record = {"seed": SEED, "dtype": "float64", "bars": BARS, "rows": rows}
    write("busy_core", arguments, record)


if __name__ == "__main__":
    main()
