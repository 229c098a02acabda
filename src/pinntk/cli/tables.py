"""What the commands print: tables and verdicts, through Rich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinntk.problems.registry import PROBLEMS
from pinntk.training import Result
from pinntk.treatment import Trial

if TYPE_CHECKING:  # it loads Matplotlib
    from pinntk.paper import Claim

console = Console()
errors = Console(stderr=True)


def problem_table() -> Table:
    """The library, one problem per line."""
    table = Table("name", "conditions", "presets", "problem", box=None, header_style="bold")
    for name, entry in PROBLEMS.items():
        names = ", ".join(entry.factory().names)
        table.add_row(name, names, ", ".join(entry.presets), entry.description)
    return table


def trials_table(trials: Sequence[Trial]) -> Table:
    """A row per trial: the baseline, then the remedies by rank."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("tried", ratio=1)
    for column in ("steps", "time", "held-out residual", "error"):
        table.add_column(column, justify="right")
    for trial in trials:
        error = "" if trial.relative_l2 is None else f"{trial.relative_l2:.1e}"
        residual = f"{trial.held_out:.1e}"
        table.add_row(
            Text(trial.name), f"{trial.steps:,}", f"{trial.seconds:.0f} s", residual, error
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
        text += f" Relative L2 error {result.relative_l2:.3e}."
    return text


def coefficient_lines(result: Result) -> list[str]:
    """The unknown coefficients that were found, one a line."""
    return [
        f"{name} = {np.array2string(np.asarray(value), precision=6)}"
        for name, value in result.coefficients.items()
    ]


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


def duration(seconds: float) -> str:
    """4.2 s, 12 min, 2.3 h."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def print_error(message: str) -> None:
    """An error on standard error, without markup."""
    errors.print(Text.assemble(("Error: ", "bold red"), message), soft_wrap=True)


def print_warning(message: str) -> None:
    """A warning on standard error."""
    errors.print(Text.assemble(("Warning: ", "bold yellow"), message), soft_wrap=True)


def settings_line(setting: Mapping[str, object]) -> str:
    """`name value` pairs in one line."""
    return " · ".join(f"{name} {value}".strip() for name, value in setting.items())
