"""Tasks of a benchmark, each in a process of its own, and a record that grows as they end."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from common import parser

Record = dict[str, Any]
#: What tells a task from the others.
KEY = ("kind", "name", "seed")
#: The line of a traceback that names the error.
ERROR = re.compile(r"[\w.]*(Error|Exception)\b")


def clinic_parser(description: str, names: Sequence[str], budget: float) -> argparse.ArgumentParser:
    """The options of a benchmark that visits the clinic, one process for each task."""
    made = parser(description)
    made.add_argument("--only", nargs="+", default=list(names), choices=list(names))
    made.add_argument("--workers", type=int, default=1, help="processes at a time, a core each")
    made.add_argument("--budget", type=float, default=budget, help="seconds for a treatment")
    made.add_argument("--verify", action="store_true", help="train sick and twin; ask no doctor")
    made.add_argument("--merge", action="store_true", help="keep the record's other results")
    made.add_argument("--again", action="store_true", help="also measure what is there already")
    made.add_argument("--worker", default=None, help=argparse.SUPPRESS)
    return made


def answer(script: str, task: Record, patience: float) -> Record:
    """What a script says to `--worker TASK` in a process of its own; a failure is a result too."""
    command = [sys.executable, script, "--worker", json.dumps(task)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=patience
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer within {patience:.0f} s"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        # JAX adds a remark below the error.
        last = ([line for line in lines if ERROR.match(line)] or lines)[-1:]
        return {"failed": f"exit code {done.returncode}: {' '.join(last)[:300]}"}


def same(one: Record, other: Record) -> bool:
    """Whether two records are of one task."""
    return all(one[key] == other[key] for key in KEY)


def run(todo: list[Record], workers: int, attempt: Callable[[Record], Record]) -> Iterator[Record]:
    """Every task with its result, as they come."""
    with ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(attempt, task): task for task in todo}
        for done in as_completed(waiting):
            load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
            yield waiting[done] | done.result() | {"load": load}


def kept(arguments: argparse.Namespace, target: Path, names: Sequence[str]) -> list[Record]:
    """The results of an earlier run that `--merge` keeps."""
    if not (arguments.merge and target.exists()):
        return []
    return [r for r in json.loads(target.read_text())["results"] if r["name"] in names]


def missing(todo: list[Record], results: list[Record], again: bool) -> list[Record]:
    """The tasks whose result is not there or failed; all of them if `again`."""
    good = [] if again else [result for result in results if "failed" not in result]
    return [task for task in todo if not any(same(task, result) for result in good)]


def with_result(results: list[Record], result: Record, names: Sequence[str]) -> list[Record]:
    """The results with a new one in its place."""
    found = [old for old in results if not same(old, result)] + [result]
    order = list(names)
    return sorted(found, key=lambda r: (r["kind"], order.index(r["name"]), r["seed"]))


def checkpoint(target: Path, results: list[Record]) -> None:
    """The results so far, where `--merge` finds them; never half a file."""
    partial = target.with_suffix(".partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    old = json.loads(target.read_text()) if target.exists() else {}
    partial.write_text(json.dumps({**old, "results": results}, indent=2) + "\n")
    partial.replace(target)
