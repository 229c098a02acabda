"""`pinntk diagnose`: examine, try remedies, print the verdict in 80 columns, write a page."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pinntk.cli import tables
from pinntk.cli.loading import NATURAL_GRADIENT, Loaded, user_object
from pinntk.cli.options import Options
from pinntk.cli.spelling import options_of, total_options
from pinntk.diagnosis import (
    FINDINGS,
    PATIENCE,
    AbstractFinding,
    Diagnosis,
    Effort,
    Treatment,
    examine,
    finding_text,
    least_budget,
    treat,
)
from pinntk.errors import PinntkError
from pinntk.training import Setup
from pinntk.training.checkpoint import write_atomically
from pinntk.words import duration, number, percent

#: An examination that trains for longer than this, in seconds, is announced.
LONG = 20.0
#: The file name of a page.
PAGE = "report.html"


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """What is diagnosed: what was loaded, the options on top, the setup that they make, its seed.

    `findings` are the user's, which are looked for beside those of pinntk; `patience` is how long the
    examination may take, in seconds; `first_order` leaves second-order optimizers out of the trials.
    """

    loaded: Loaded
    options: Options
    setup: Setup
    seed: int
    findings: Sequence[AbstractFinding] = ()
    patience: float = PATIENCE
    first_order: bool = False

    def option_of(self, before: Setup, after: Setup) -> str | None:
        """A changed setup as options of the command line."""
        return options_of(before, after, self.loaded.presets)

    def command(self, after: Setup) -> str:
        """The command that trains a setup; empty where options cannot say it."""
        loaded = self.loaded
        words = ["pinntk", "train", loaded.spec]
        if loaded.preset is not None:
            words += ["--preset", loaded.preset]
        options = total_options(loaded.setup, self.options, self.setup, after, loaded.presets)
        return "" if options is None else f"{shlex.join(words)} {options}".strip()


def load_findings(specs: Sequence[str]) -> list[AbstractFinding]:
    """The findings that `--finding FILE.py:NAME` names."""
    expected = "a finding, a subclass of pinntk.AbstractFinding"
    return [user_object(spec, "--finding", AbstractFinding, expected) for spec in specs]


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
    """`out`, or a new folder named after the problem; none where the record goes to standard output."""
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


def run(case: Case, budget: float, where: Destination, command: str) -> bool:
    """Everything the command does; whether it was interrupted during the trials."""
    natural = case.loaded.presets.get(NATURAL_GRADIENT)
    with _bar() as progress:
        diagnosis = examine(
            case.setup,
            case.seed,
            findings=[*FINDINGS, *case.findings],
            alternatives={} if natural is None else {NATURAL_GRADIENT: natural()},
            patience=case.patience,
            progress=progress,
            announce=_announce,
        )
    if not where.to_stdout:
        print_verdict(diagnosis, case)
    treatment, interrupted = None, False
    if budget > 0:
        try:
            with _bar() as progress:
                treatment = treat(
                    diagnosis, budget, first_order=case.first_order, progress=progress
                )
            interrupted = treatment.interrupted
        except KeyboardInterrupt:  # before the first trial was made ready
            interrupted = True
        if interrupted and not (treatment and treatment.trials):
            tables.print_error("interrupted")
    if treatment is not None and not where.to_stdout:
        print_trials(treatment, case)
    _write(_record(diagnosis, treatment, case, command), where)
    return interrupted


def _announce(effort: Effort) -> None:
    """What an examination will take, on standard error, where it is long."""
    if effort.seconds > LONG:
        tables.errors.print(
            f"A large network: the examination trains {effort.draws} of them for {effort.steps:,} steps, "
            f"about {duration(effort.seconds)} of one core, and computes their kernels.",
            soft_wrap=True,
            highlight=False,
        )


def _record(
    diagnosis: Diagnosis, treatment: Treatment | None, case: Case, command: str
) -> dict[str, Any]:
    record = diagnosis.as_dict(case.option_of)
    if treatment is not None:
        record = treatment.added_to(record, case.option_of)
        if treatment.winner is not None:
            record["winner"]["command"] = case.command(treatment.winner.setup)
    record["problem"]["name"] = case.loaded.spec
    record["provenance"]["command"] = command
    return record


def _write(record: dict[str, Any], where: Destination) -> None:
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    if where.to_stdout:
        sys.stdout.write(text)
    elif where.json_file is not None:
        write_atomically(where.json_file, text.encode())
    if where.folder is not None:
        from pinntk.page import write_page  # Bokeh is loaded where a page is made

        page = write_page(record, where.folder / PAGE)
        if not where.to_stdout:
            tables.show(f"\nThe whole diagnosis, with figures: {page}")


def print_verdict(diagnosis: Diagnosis, case: Case) -> None:
    """Every finding with its reason and remedies; a remedy that is no option comes with its code."""
    columns = max(30, min(80, tables.console.width))
    for finding in diagnosis.findings:
        tables.show(f"\n{finding_text(finding, diagnosis.setup, columns, case.option_of)}")


def print_trials(treatment: Treatment, case: Case) -> None:
    """A row per trial, then the winner as a command and as code."""
    if not treatment.trials:
        return
    tables.console.print()
    tables.console.print(tables.trials_table(treatment.trials))
    tables.show(f"\n{_reached(treatment)}")
    winner = treatment.winner
    if winner is None:
        tables.show("No remedy that was tried did better than the training as planned.")
        return
    columns = max(30, min(80, tables.console.width))
    said = f"T{winner.change[1:]}." if winner.cure else winner.sentence
    tables.show(f"\n{'CURE  ' if winner.cure else ''}{winner.remedy.text}")
    tables.show(textwrap.indent(textwrap.fill(said, columns - 6), " " * 6))
    if winner.gap is not None:
        where = ", ".join(number(value) for value in winner.gap.point)
        tables.show(
            f"      Against that solution the training as planned is off by "
            f"{percent(winner.gap.relative_l2)}, most at ({where})."
        )
    for line in (case.command(winner.setup), *winner.remedy.code.splitlines()):
        if line:
            tables.show(f"      {line}")


def _reached(treatment: Treatment) -> str:
    """What the training as planned came to: it replaces what the verdict expected from fewer steps."""
    first = treatment.trials[0]
    if first.reason:
        return f"The training as planned does not begin: {first.reason}"
    known = first.relative_l2 is not None
    what = "a relative error" if known else "a held-out residual"
    now = first.relative_l2 if first.relative_l2 is not None else first.held_out
    text = f"The training as planned reached {what} of {number(now)} in {first.steps:,} steps"
    if not first.cut or treatment.expected is None:
        return f"{text}."
    return f"{text}; at its end, after {first.planned:,}, {number(treatment.expected)} is expected."


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
