"""Is a verdict the same on any machine? Ten cases: two cores, one, a busy machine, the other precision.

    python benchmarks/same_verdict.py [--smoke] [--only NAME ...] [--merge]

Every case is examined from seed 0 in a process of its own: as it is, on a single core, beside two busy
loops, and in the other precision. What must not differ is the first finding and its severity, and the set
of severe findings. Writes results/same_verdict.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import RESULTS, parser, write

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from clinic import PATIENTS

CASES = (
    "imbalance_heat",
    "imbalance_wave",
    "spectral_poisson",
    "step_descent",
    "conflict_heat",
    "causality_convection",
    "points_relaxation",
    "contradiction_corner",
    "scaling_long",
    "healthy_poisson",
)
WAYS = ("as it is", "one core", "busy", "other precision")
#: A process that burns one core.
BURN = [sys.executable, "-c", "while True: pass"]


def examined(name: str, way: str, smoke: bool) -> dict[str, Any]:
    """The verdict on a case, in this process."""
    from pinntk.diagnosis import examine

    setup = PATIENTS[name].form("sick")
    if way == "other precision":
        setup = setup.replace(dtype={"float32": "float64", "float64": "float32"}[setup.dtype])
    short: dict[str, Any] = {"draws": 1, "steps": 20} if smoke else {}
    diagnosis = examine(setup, 0, **short)
    severe = [found.name for found in diagnosis.findings if str(found.severity) == "severe"]
    first = diagnosis.findings[0]
    return {
        "first": first.name,
        "severity": str(first.severity),
        "severe": sorted(severe),
        "steps": diagnosis.evidence.baseline.done,
        "seconds": round(diagnosis.seconds, 1),
    }


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many loops beside what is done."""
    running = [subprocess.Popen(BURN) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()


def attempt(name: str, way: str, smoke: bool) -> dict[str, Any]:
    """`examined` in a process of its own, on one core where that is asked for."""
    command = [sys.executable, __file__, "--worker", json.dumps([name, way, smoke])]
    if way == "one core":
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    with busy(2 if way == "busy" else 0):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return {"failed": done.stderr[-300:]}


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--only", nargs="+", default=list(CASES), choices=list(PATIENTS))
    made.add_argument("--merge", action="store_true", help="keep the record's other results")
    made.add_argument("--worker", default=None)
    arguments = made.parse_args()
    if arguments.worker is not None:
        print(json.dumps(examined(*json.loads(arguments.worker))))
        return
    path = RESULTS / "same_verdict.json"
    cases = CASES[-1:] if arguments.smoke else arguments.only
    kept = json.loads(path.read_text())["cases"] if arguments.merge and path.exists() else {}
    for name in cases:
        ways = WAYS[:2] if arguments.smoke else WAYS
        found = {way: attempt(name, way, arguments.smoke) for way in ways}
        keys = ("first", "severity", "severe")
        verdicts = [[each.get(key) for key in keys] for each in found.values()]
        same = all(verdict == verdicts[0] for verdict in verdicts) and None not in verdicts[0]
        kept[name] = {"same": same, **found}
        print(f"{name:26s} {'same' if same else 'DIFFERS'}  {found['as it is'].get('first')}")
        write("same_verdict", arguments, {"cases": kept})
    print(f"{sum(case['same'] for case in kept.values())} of {len(kept)} verdicts are the same")


if __name__ == "__main__":
    main()
