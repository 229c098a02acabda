"""Numbers in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percent(share: float) -> str:
    """A share in per cent with two digits or so: 0%, 1.2%, 53%, 950%, >1000%."""
    value = 100 * share
    if value < 0.001:
        return "0%"
    if value > 1000:
        return ">1000%"
    return f"{value:.2g}%" if value < 99.5 else f"{value:.0f}%"


def number(value: float) -> str:
    """Two or three digits, without an exponent where it reads better: 0.05, 13, 1,200, 3.7e-06."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if 100 <= abs(value) < 1e6:
        return f"{rounded(value):,}"
    if abs(value) >= 1e-3 and abs(value) < 100:
        return f"{value:.2g}"
    return f"{value:.1e}"


def times(factor: float) -> str:
    """A factor: 3.2×, 13×, 1,200×, beyond a million a power of ten."""
    if not math.isfinite(factor):
        return "infinitely"
    return f"{number(factor)}×"


def rounded(value: float) -> int:
    """Two significant digits, as a whole number."""
    digits = max(0, math.floor(math.log10(abs(value))) - 1)
    return int(round(value / 10**digits) * 10**digits)


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
