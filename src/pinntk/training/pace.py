"""How many steps to take before control returns to the host, from the time that steps take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

#: The host looks in about this often: for progress, the time budget and Ctrl-C.
SECONDS_PER_VISIT = 0.5
#: A chunk is at most so many times as long as the one before, until the pace is known.
GROWTH = 10


class Pace:
    """Sizes of chunks. The first one, and the first with points of another shape, is a single step.

    `compilation` is the time of those single steps, less what a step takes afterwards.
    """

    def __init__(self) -> None:
        self._compiled: set[Any] = set()
        self._seconds_per_step: float | None = None
        self._last_size = 1
        self._first_times: list[float] = []

    @property
    def compilation(self) -> float:
        """Seconds in which programs were compiled."""
        step = self._seconds_per_step or 0.0
        return sum(max(0.0, seconds - step) for seconds in self._first_times)

    def size(self, most: int, deadline: float | None, shapes: Any) -> int:
        """How many of `most` steps to take now on points of these shapes, to be back by `deadline`."""
        if self._seconds_per_step is None or shapes not in self._compiled:
            return 1
        seconds = SECONDS_PER_VISIT
        if deadline is not None:
            seconds = min(seconds, deadline - time.perf_counter())
        affordable = int(seconds / max(self._seconds_per_step, 1e-9))
        return max(1, min(most, affordable, GROWTH * self._last_size))

    @contextlib.contextmanager
    def timed(self, size: int, shapes: Any) -> Iterator[None]:
        """Take the time of a chunk of `size` steps on points of these shapes."""
        began = time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        if shapes in self._compiled:
            self._seconds_per_step = seconds / size
        else:
            self._compiled.add(shapes)
            self._first_times.append(seconds)
        self._last_size = size
