"""`pinntk diagnose`: examine, try remedies, say it in 80 columns, leave a page."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pinntk.cli import tables
from pinntk.diagnosis import Diagnosis, finding_text, number
from pinntk.errors import PinntkError
from pinntk.runs import Setup
from pinntk.training.checkpoint import write_atomically
from pinntk.treatment import Treatment, examine, least_budget, treat

#: What a page is called.
PAGE = "report.html"


@dataclasses.dataclass(frozen=True)
class Destination:
    """Where a diagnosis is written: the folder of the page, the JSON file, either None."""

    folder: Path | None
    json_file: Path | None

    @property
    def to_stdout(self) -> bool:
        """Whether standard output is for the JSON record alone."""
        return str(self.json_file) == "-"


def destination(name: str, out: Path | None, json_file: Path | None) -> Destination:
    """`out`, or a new folder called after the problem; none where the record goes to standard output."""
    to_stdout = str(json_file) == "-"
    if out is None and to_stdout:
        return Destination(None, json_file)
    base = re.sub(r"[^\w.-]+", "-", name).strip("-") or "problem"
    folder = out if out is not None else _free(Path(f"diagnosis-{base}"))
    if (folder / PAGE).exists():
        raise PinntkError(
            "--out",
            got=f"{folder}, which holds a {PAGE} already",
            expected="a new folder, or one without it",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise PinntkError(
            "--out",
            got=f"{folder} ({error.strerror})",
            expected="a folder that can be written",
        ) from error
    return Destination(folder, json_file)


def _free(base: Path) -> Path:
    found, count = base, 1
    while found.exists():
        count += 1
        found = base.with_name(f"{base.name}-{count}")
    return found


def check_budget(seconds: float) -> None:
    """Raise before any work where the budget would not do for one remedy; 0 tries none."""
    if 0 < seconds < least_budget(1):
        raise PinntkError(
            "--budget",
            got=f"{seconds:g}s",
            expected=f"{least_budget(1):g}s or more, to train the baseline and one remedy",
            fix="--budget 0s examines and tries nothing.",
        )


def run(setup: Setup, budget: float, where: Destination, command: str) -> bool:
    """Everything the command does; whether it was interrupted during the trials."""
    with _bar() as progress:
        diagnosis = examine(setup, progress=progress)
    if not where.to_stdout:
        print_verdict(diagnosis)
    treatment = None
    if budget > 0:
        with _bar() as progress:
            treatment = treat(setup, diagnosis, budget, progress=progress)
        if not where.to_stdout:
            print_trials(treatment)
    record = diagnosis.as_dict()
    if treatment is not None:
        record = treatment.added_to(record)
    record["problem"]["name"] = setup.spec
    record["provenance"]["command"] = command
    _write(record, where)
    return treatment is not None and treatment.interrupted


def _write(record: dict[str, Any], where: Destination) -> None:
    text = json.dumps(record, indent=1) + "\n"
    if where.to_stdout:
        sys.stdout.write(text)
    elif where.json_file is not None:
        write_atomically(where.json_file, text.encode())
    if where.folder is not None:
        from pinntk.report.page import write_page  # Bokeh is loaded where a page is made

        page = write_page(record, where.folder / PAGE)
        shown = f"\nThe whole story, with figures: {page}"
        if not where.to_stdout:
            tables.console.print(shown, markup=False, highlight=False, soft_wrap=True)


def print_verdict(diagnosis: Diagnosis) -> None:
    """Every finding with its reason and remedies."""
    for finding in diagnosis.findings:
        columns = max(30, min(80, tables.console.width))
        text = finding_text(finding, columns)
        tables.console.print(f"\n{text}", markup=False, highlight=False, soft_wrap=True)


def print_trials(treatment: Treatment) -> None:
    """A row per trial, then the winner as a command and as code."""
    tables.console.print()
    tables.console.print(tables.trials_table(treatment.trials))
    winner = treatment.winner
    show = lambda text: tables.console.print(text, markup=False, highlight=False, soft_wrap=True)
    if winner is None:
        show("\nNo remedy that was tried did better than the training as planned.")
        return
    before, after = winner.relative_l2_before, winner.relative_l2_after
    what = "The relative L2 error"
    if before is None or after is None:
        before, after, what = winner.held_out_before, winner.held_out_after, "The held-out residual"
    show(f"\nCURE  {winner.name}")
    show(f"      {what} went from {number(before)} to {number(after)}.")
    show(f"      {winner.command}")
    if winner.code:
        show(f"      {winner.code}")


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str, float], None]]:
    """Progress with the time left, on standard error, where that is a terminal."""
    console = tables.errors
    columns = (
        BarColumn(bar_width=20),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as display:
        task = display.add_task("", total=1.0)

        def update(what: str, done: float) -> None:
            display.update(task, completed=done, description=what[: max(10, console.width - 40)])

        yield update
