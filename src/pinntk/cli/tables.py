"""What the commands print: tables and verdicts, through Rich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinntk.diagnosis import FAR, FirstLook, percent
from pinntk.problems.registry import PROBLEMS
from pinntk.training import Result

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


def diagnosis_table(found: FirstLook) -> Table:
    """A row per condition."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("condition")
    columns = ("tr K", "rate", "λ_max", "rank", "unlearned", "loss left", "÷10 after", "weight")
    for column in columns:
        table.add_column(column, justify="right")
    for report in found.conditions:
        table.add_row(
            report.name,
            f"{report.trace:.2g}",
            f"{report.rate:.2g}",
            f"{report.largest_eigenvalue:.2g}",
            f"{report.rank}/{report.residuals}",
            percent(report.out_of_reach),
            percent(report.loss_left),
            _about(report.steps_to_tenth, FAR * found.steps),
            f"{report.ntk_weight:.3g}",
        )
    return table


def diagnosis_legend(found: FirstLook) -> str:
    """What the columns mean."""
    return (
        "rate: tr K/N, the average convergence rate. "
        f"unlearned: energy of the initial residual in modes not learned in {found.steps:,} steps of "
        f"gradient descent at {found.learning_rate:.2g} (100% is all of the condition's own; slow modes "
        "shared with others can hold more). loss left: the loss predicted then, as a share of today's. "
        "÷10 after: steps until it is predicted to be a tenth. weight: what Algorithm 1 would set."
    )


def _about(steps: int | None, far: int) -> str:
    """A number of steps to two digits: 730, 56k, >4M."""
    value = float(f"{far if steps is None else steps:.2g}")
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= unit:
            value, name = (value / 1000, name) if unit == 1e4 else (value / unit, name)
            break
    else:
        name = ""
    return f"{'>' if steps is None else ''}{value:g}{name}"


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
