"""Numbers, times and lists as sentences and tables show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def number(value: Any, digits: int = 2) -> str:
    """A number as people write it: 0.05, 13, 1,200, 3.7e-6; whole numbers in full, texts as they are."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if not isinstance(value, float | np.floating):
        return str(value)
    if value == 0 or not math.isfinite(value):
        return f"{abs(value):g}" if value == 0 else f"{value:g}"
    value = float(f"{value:.{digits}g}")
    exponent = math.floor(math.log10(abs(value)))
    if not -3 <= exponent < 6:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}e{int(power)}"
    return f"{value:,.0f}" if exponent >= digits - 1 else f"{value:.{digits}g}"


def percent(share: float) -> str:
    """A share in percent: 0%, 1.2%, 53%, 950%, >1000%."""
    value = 100 * share
    if value < 0.001:
        return "0%"
    if value > 1000:
        return ">1000%"
    return f"{value:.2g}%" if value < 99.5 else f"{value:.0f}%"


def times(factor: float) -> str:
    """A factor: 3.2×, 13×, 1,200×, beyond a million a power of ten."""
    return f"{number(float(factor))}×" if math.isfinite(factor) else "infinitely"


def rounded(value: float) -> int:
    """Two significant digits, as a whole number."""
    digits = max(0, math.floor(math.log10(abs(value))) - 1)
    return int(round(value / 10**digits) * 10**digits)


def duration(seconds: float) -> str:
    """A time: 4.2 s, 12 min, 2.3 h."""
    if seconds < 120:
        return f"{number(float(seconds), 3)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words as a sentence lists them: a, b and c."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text: the first flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        [cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(pairs)]
        for pairs in (zip(row, widths, strict=True) for row in (head, *rows))
    ]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def quoted(names: Sequence[str]) -> str:
    """'a' and 'b'."""
    return " and ".join(f"'{name}'" for name in names)
