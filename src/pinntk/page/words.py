"""Numbers and curves in words, and the rows of tables: the text of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pinntk import words

#: What stands where there is no number.
NOTHING = "–"
#: The most rows of a table beside a figure, and the most points of a drawn curve.
ROWS, DRAWN = 24, 400


def number(value: Any) -> str:
    """A number with three digits: 12,400, 0.31, 4.4e-3; texts as they are, a dash for no number."""
    missing = value is None or (isinstance(value, float | np.floating) and not math.isfinite(value))
    return NOTHING if missing else words.number(value, 3)


def seconds(value: float | None) -> str:
    """A time with its unit."""
    return NOTHING if value is None else words.duration(value)


def percent(share: float | None) -> str:
    """A share in percent."""
    return NOTHING if share is None else words.percent(share)


def quoted(name: str) -> str:
    """A name of the user's inside a sentence."""
    return f"‘{name}’"


def factor(before: float | None, after: float | None) -> str:
    """How many times smaller or larger, in words; empty where that cannot be said."""
    if not before or not after or before < 0 or after < 0:
        return ""
    if before >= after:
        return f"{_about(before / after)} times smaller"
    return f"{_about(after / before)} times larger"


def floats(values: Any) -> np.ndarray:
    """Numbers of a record as an array, null as NaN."""
    return np.array(values, dtype=np.float64)


def thinned(length: int, most: int, *, logarithmic: bool = False) -> np.ndarray:
    """At most `most` of `length` indices with the first and the last, evenly or by ratio."""
    if length <= most:
        return np.arange(length)
    if logarithmic:
        found = np.geomspace(1, length, most).round().astype(int) - 1
    else:
        found = np.linspace(0, length - 1, most).round().astype(int)
    return np.unique(found)


def went(name: str, x: np.ndarray, y: np.ndarray, unit: str) -> str:
    """A curve in a sentence: where it starts, where it ends, and its extremes if they lie between."""
    keep = np.isfinite(y)
    x, y = x[keep], y[keep]
    if not len(y):
        return f"{name}: no finite value."
    if len(y) == 1 or np.all(y == y[0]):
        return f"{name}: {number(float(y[0]))} throughout."
    text = f"{name}: from {number(float(y[0]))} to {number(float(y[-1]))}"
    for word, index in (("least", int(np.argmin(y))), ("most", int(np.argmax(y)))):
        if 0 < index < len(y) - 1 and not np.isclose(y[index], [y[0], y[-1]], rtol=0.05).any():
            text += f", {word} {number(float(y[index]))} at {unit} {number(_tidy(x[index]))}"
    return text + "."


def spread(values: np.ndarray, axes: Sequence[tuple[str, np.ndarray]], what: str) -> str:
    """A map in a sentence: its range, its root mean square, and where its magnitude is largest."""
    finite = np.isfinite(values)
    if not finite.any():
        return f"{what}: no finite value."
    magnitude = np.where(finite, np.abs(values), -1.0)
    place = np.unravel_index(int(np.argmax(magnitude)), values.shape)
    where = ", ".join(
        f"{name} = {number(float(grid[i]))}" for (name, grid), i in zip(axes, place, strict=True)
    )
    low, high = float(np.min(values[finite])), float(np.max(values[finite]))
    mean = float(np.sqrt(np.mean(values[finite] ** 2)))
    return (
        f"{what}: between {number(low)} and {number(high)}, root mean square {number(mean)}, largest in "
        f"magnitude at {where}."
    )


def columns(
    x: np.ndarray, ys: Sequence[np.ndarray], *, logarithmic: bool = False, whole: bool = False
) -> list[list[str]]:
    """Rows of a table: x and every y there, at most `ROWS` of them."""
    rows = thinned(len(x), ROWS, logarithmic=logarithmic)
    first = [number(int(v)) if whole and np.isfinite(v) else number(float(v)) for v in x[rows]]
    return [
        [label, *(number(float(y[i])) if i < len(y) else NOTHING for y in ys)]
        for label, i in zip(first, rows, strict=True)
    ]


def _about(times: float) -> str:
    return number(float(f"{times:.2g}"))


def _tidy(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)
