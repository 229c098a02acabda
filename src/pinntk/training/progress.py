"""A progress bar with losses, weights, error and time left. Rich is imported only when it is shown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from pinntk.training.compiled import TrainState
from pinntk.training.history import Row


class ProgressBar:
    """An observer of `train` that draws on a Rich progress display; made by `progress_bar`."""

    def __init__(self, display: Any, steps: int):
        self._display = display
        self._task = display.add_task("", total=steps, detail="compiling")

    def row(self, row: Row) -> None:
        """Rows are shown with the progress."""

    def progress(self, step: int, steps: int, row: Row | None) -> None:
        """Move the bar."""
        detail = "" if row is None else describe_row(row)
        self._display.update(self._task, completed=step, total=steps, detail=detail)

    def checkpoint(self, state: TrainState, seconds: float) -> None:
        """Nothing to draw."""


@contextlib.contextmanager
def progress_bar(steps: int, console: Any = None, label: str = "") -> Iterator[ProgressBar]:
    """A bar that is there while the block runs, with `label` before it.

    >>> with progress_bar(1000) as bar:  # doctest: +SKIP
    ...     train(problem, model, ..., observers=[bar])
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(label),
        MofNCompleteColumn(),
        BarColumn(bar_width=20),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    console = console or Console(stderr=True)
    shown = console.is_terminal
    with Progress(
        *columns[not label :], console=console, transient=True, disable=not shown
    ) as display:
        yield ProgressBar(display, steps)


def describe_row(row: Row) -> str:
    """One line of a history row: loss of every condition (with its weight unless 1), and the error."""
    parts = []
    for name, loss in row.losses.items():
        weight = row.weights[name]
        parts.append(f"{name} {loss:.1e}" + ("" if weight == 1.0 else f" ×{weight:.3g}"))
    if row.relative_l2 is not None:
        parts.append(f"error {row.relative_l2:.2e}")
    return "  ".join(parts)
