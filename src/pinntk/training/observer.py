"""What a run reports while it trains, and the progress bar that shows it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from pinntk.training.history import Row


@dataclasses.dataclass(frozen=True)
class Observer:
    """Functions that a run calls while it trains; None for none.

    **Arguments:** `row(row)`: a row of history was recorded; `progress(step, steps, row)`: the run
    is at `step` of `steps`, and `row` is the newest row or None; `checkpoint(state, seconds)`:
    a state worth keeping; `stage(words)`: what is being done now, such as which slab of time is solved.
    """

    row: Callable[[Row], None] | None = None
    progress: Callable[[int, int, Row | None], None] | None = None
    checkpoint: Callable[[Any, float], None] | None = None
    stage: Callable[[str], None] | None = None


@contextlib.contextmanager
def progress_bar(steps: int, console: Any = None, label: str = "") -> Iterator[Observer]:
    """An observer that draws a bar with the time left while the block runs, with `label` before it.

    >>> with progress_bar(1000) as bar:  # doctest: +SKIP
    ...     train(problem, model, training, key=key, observers=[bar])
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
        task = display.add_task("", total=steps, detail="compiling")
        stages: list[str] = []

        def move(step: int, steps: int, row: Row | None) -> None:
            parts = [*stages[-1:], *([] if row is None else [describe_row(row)])]
            display.update(task, completed=step, total=steps, detail="  ".join(parts))

        yield Observer(progress=move, stage=stages.append)


def describe_row(row: Row) -> str:
    """One line of a history row: loss of every condition (with its weight unless 1), and the error."""
    parts = []
    for name, loss in row.losses.items():
        weight = row.weights[name]
        parts.append(f"{name} {loss:.1e}" + ("" if weight == 1.0 else f" ×{weight:.3g}"))
    if row.relative_l2 is not None:
        parts.append(f"error {row.relative_l2:.2e}")
    return "  ".join(parts)
