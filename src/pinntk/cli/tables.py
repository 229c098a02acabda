"""What the commands print: tables, lines, errors and warnings, through Rich."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinntk.errors import PinntkWarning
from pinntk.library.registry import PROBLEMS
from pinntk.program import in_library
from pinntk.training import Result
from pinntk.words import number

if TYPE_CHECKING:  # one loads Matplotlib, the other is not needed by every command
    from pinntk.diagnosis import Trial
    from pinntk.paper import Claim

console = Console()
errors = Console(stderr=True)


def show(text: str) -> None:
    """A line on standard output, as it is."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def problem_table() -> Table:
    """The library, one problem per line; presets that only some problems have."""
    table = Table("name", "conditions", "more presets", "problem", box=None, header_style="bold")
    shared = set.intersection(*(set(entry.presets) for entry in PROBLEMS.values()))
    for name, entry in PROBLEMS.items():
        conditions = ", ".join(entry.problem().names)
        more = ", ".join(preset for preset in entry.presets if preset not in shared)
        table.add_row(name, conditions, more, entry.description)
    return table


def trials_table(trials: Sequence[Trial]) -> Table:
    """A row per trial: the baseline, then the remedies by rank; under a refused one, the reason."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("tried", ratio=1)
    for column in ("steps", "time", "held-out residual", "error"):
        table.add_column(column, justify="right")
    for trial in trials:
        if trial.reason:
            table.add_row(Text(f"{trial.name}\n  {trial.outcome}: {trial.reason}"), *"––––")
            continue
        error = "" if trial.relative_l2 is None else number(float(trial.relative_l2))
        steps = f"{trial.steps:,} of {trial.planned:,}" if trial.cut else f"{trial.steps:,}"
        table.add_row(
            Text(trial.name),
            steps,
            f"{trial.seconds:.0f} s",
            number(float(trial.held_out)),
            error,
        )
    return table


def result_table(result: Result) -> Table:
    """Loss and weight of every condition at the end."""
    table = Table("condition", box=None, header_style="bold", pad_edge=False)
    table.add_column("loss", justify="right")
    table.add_column("weight", justify="right")
    for name in result.losses:
        table.add_row(name, f"{result.losses[name]:.3e}", f"{result.weights[name]:.4g}")
    return table


def result_line(result: Result) -> str:
    """How a run ended, in one line."""
    text = f"{result.message[:1].upper()}{result.message[1:]} ({result.seconds:.1f} s)."
    if result.relative_l2 is not None:
        text += f" Relative L2 error {result.relative_l2:.3e}"
        parts = [f"{name} {error:.1e}" for name, error in result.errors.items()]
        text += f" ({', '.join(parts)})." if len(parts) > 1 else "."
    return text


def claims_table(name: str, claims: Sequence[Claim], size: str) -> Table:
    """A row per claim of an experiment; only those of size `paper` are judged."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(name, ratio=1)
    for column in ("measured", "claimed", "holds"):
        table.add_column(column, justify="right", no_wrap=True)
    for claim in claims:
        judged = ("yes" if claim.holds else "NO") if size == "paper" else "–"
        table.add_row(claim.name, f"{claim.measured:.3g}", claim.required, judged)
    return table


def settings_line(setting: Mapping[str, object]) -> str:
    """`name value` pairs in one line."""
    return " · ".join(f"{name} {value}".strip() for name, value in setting.items())


def print_error(message: str) -> None:
    """An error on standard error, without markup."""
    errors.print(Text.assemble(("Error: ", "bold red"), message), soft_wrap=True)


def print_warning(message: str) -> None:
    """A warning on standard error."""
    errors.print(Text.assemble(("Warning: ", "bold yellow"), message), soft_wrap=True)


@contextlib.contextmanager
def one_printer() -> Iterator[None]:
    """Python's warnings in the block are printed once each, in one line without the place in the source.

    Those of pinntk are silent: results hold them as notes, which are printed at the end. So are those
    that point into libraries, where a user can change nothing.
    """
    seen: set[str] = set()

    def show_once(message: Any, category: Any, filename: str, *place: Any, **more: Any) -> None:
        del category, place, more
        text = " ".join(str(message).split())
        if text not in seen and not in_library(filename):
            seen.add(text)
            print_warning(text)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PinntkWarning)
        warnings.showwarning = show_once
        yield
