"""What every benchmark shares: its options, one core where asked, and a JSON record with provenance."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS, DOCS = ROOT / "results", ROOT / "docs"


def parser(description: str) -> argparse.ArgumentParser:
    """`--smoke` for seconds instead of minutes, `--out FILE` for the record."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--smoke", action="store_true", help="a short form that only shows it runs")
    made.add_argument("--out", type=Path, default=None, help="where to write the JSON record")
    return made


def parse(description: str, **flags: str) -> argparse.Namespace:
    """The options of `parser`, and flags of its own."""
    made = parser(description)
    for flag, text in flags.items():
        made.add_argument(f"--{flag}", action="store_true", help=text)
    return made.parse_args()


def use_one_core() -> None:
    """Pin the process to one core. Call it before JAX is imported."""
    use_cores(1)


def use_cores(count: int) -> None:
    """Pin the process, and those it starts, to the first cores it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [
                line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
            ]
        return names[0]
    except (OSError, IndexError):
        return platform.processor()


def commit() -> str | None:
    """The commit that is checked out beside the benchmarks, None outside of Git."""
    asked = ["git", "rev-parse", "--short=10", "HEAD"]
    try:
        found = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def milliseconds(call: Callable[[], Any], repeats: int) -> list[float]:
    """Wall times of a call that blocks, after one call that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - began))
    return times


def write(
    name: str, arguments: argparse.Namespace, record: dict[str, Any], short: bool = False
) -> Path | None:
    """Write the record with command, versions and device; a smoke run only where `--out` says so.

    `short` puts lists of numbers on one line. Returns where the record is, if anywhere.
    """
    from pinntk.training import environment

    target = arguments.out or (None if arguments.smoke else RESULTS / f"{name}.json")
    record = {
        "benchmark": name,
        "smoke": arguments.smoke,
        "command": shlex.join(["python", f"benchmarks/{name}.py", *sys.argv[1:]]),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        **environment(),
        **record,
    }
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(record, indent=2)
        if short:
            text = re.sub(r"\[[^\[\]{}\"]*\]", lambda found: " ".join(found[0].split()), text)
        target.write_text(text + "\n")
        print(f"wrote {target.name}")
    return target


def keep_page(page: Path, text: str, checked_by: str = "") -> int:
    """Write a page made from a record, or only compare it where the script to run is named; 0 if right."""
    if not checked_by:
        page.write_text(text)
        return 0
    if page.exists() and page.read_text() == text:
        return 0
    print(f"{page.name} is not what results/ says: run python {checked_by}")
    return 1


def keep_from_command_line(
    keep: Callable[[Any, str], int], record: Path, description: str, script: str
) -> int:
    """Write what `keep` makes of a record, or with `--check` say what is out of date; an exit code."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--check", action="store_true")
    check = made.parse_args().check
    return keep(json.loads(record.read_text()), script if check else "")


class MadePage(NamedTuple):
    """A page of the documentation and its figure, both made from a record in results/.

    `draw(record, target)` writes the figure beside the record; `script` is what one runs to do it all.
    `others` are further files that are made from the record.
    """

    page: Path
    record: Path
    script: str
    text: Callable[[dict[str, Any]], str]
    draw: Callable[[dict[str, Any], Path], None]
    others: Mapping[Path, Callable[[dict[str, Any]], str]] = {}

    def renew(self, written: Path | None) -> None:
        """After a run: the figure beside its record, and the page where it is the record of results/."""
        if written is None:
            return
        record = json.loads(written.read_text())
        self.draw(record, written)
        if written.parent == RESULTS:
            self._keep(record)

    def _keep(self, record: dict[str, Any], checked_by: str = "") -> int:
        made = {self.page: self.text, **self.others}
        return sum(keep_page(file, text(record), checked_by) for file, text in made.items())

    def main(self, description: str | None) -> int:
        """Write page and figure, or with `--check` say whether the page is out of date."""
        options = argparse.ArgumentParser(description=description)
        options.add_argument("--check", action="store_true")
        check = options.parse_args().check
        record = json.loads(self.record.read_text())
        if not check:
            self.draw(record, self.record)
        return self._keep(record, self.script if check else "")


median = statistics.median
