"""What an experiment is, and what it leaves: arrays, claims with the numbers that decide them."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

#: JSON-ready results of an experiment: numbers, lists and names.
Arrays = dict[str, Any]


@runtime_checkable
class Watch(Protocol):
    """Makes the progress bar of a part of an experiment: how many steps it takes, and its name."""

    def __call__(self, steps: int, label: str) -> contextlib.AbstractContextManager[Any]: ...


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of the paper as a predicate: it holds where `low ≤ measured ≤ high`.

    `paper` is the statement with the paper's number where it gives one; `spread` says what `measured`
    is taken over; `remark` explains a deviation.
    """

    name: str
    paper: str
    measured: float
    low: float = -math.inf
    high: float = math.inf
    spread: str = ""
    remark: str = ""

    @property
    def holds(self) -> bool:
        """Whether the measured number is in the range. NaN is not."""
        return self.low <= self.measured <= self.high

    @property
    def required(self) -> str:
        """The range in words."""
        if math.isinf(self.low):
            return f"at most {self.high:.3g}"
        if math.isinf(self.high):
            return f"at least {self.low:.3g}"
        return f"{self.low:.3g} to {self.high:.3g}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, numbers that are not finite as None."""
        record = {**dataclasses.asdict(self), "required": self.required, "holds": self.holds}
        for name in ("measured", "low", "high"):
            record[name] = record[name] if math.isfinite(record[name]) else None
        return record


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A figure or a theorem of the paper.

    `sizes` are frozen settings by name; `run(config, folder, watch)` computes the arrays and may keep
    unfinished work under `folder`; `plot(arrays)` draws without computing; `claims(arrays)` judges;
    `package` is what `run` needs beyond the plain installation, part of the extra `paper`.
    """

    name: str
    title: str
    statement: str
    sizes: Mapping[str, Any]
    run: Callable[[Any, Path, Watch], Arrays]
    plot: Callable[[Arrays], Any]
    claims: Callable[[Arrays], Sequence[Claim]]
    more_plots: Mapping[str, Callable[[Arrays], Any]] = dataclasses.field(default_factory=dict)
    package: str | None = None


def listed(values: Any, digits: int = 6) -> Any:
    """An array as nested lists of numbers with so many significant digits."""
    array = np.asarray(values, np.float64)
    if array.ndim == 0:
        return float(f"{float(array):.{digits}g}")
    return [listed(row, digits) for row in array]


def spread(values: Sequence[float] | np.ndarray, what: str = "seeds") -> str:
    """The range of a number over repetitions, in words."""
    found = np.asarray(values, float)
    return f"{found.min():.3g} to {found.max():.3g} over {found.size} {what}"
