"""Checks of the numbers that the library's problems take."""

from __future__ import annotations

import math
from typing import Any

from pinntk.errors import PinntkError


def finite(argument: str, value: Any) -> float:
    """`value` as a float; raises unless it is a finite number."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise PinntkError(argument, got=value, expected="a number")
    number = float(value)
    if not math.isfinite(number):
        raise PinntkError(argument, got=value, expected="a finite number")
    return number


def positive(argument: str, value: Any) -> float:
    """`value` as a float; raises unless it is a finite number above zero."""
    number = finite(argument, value)
    if number <= 0:
        raise PinntkError(argument, got=value, expected="a positive number")
    return number


def between(argument: str, value: Any, low: float, high: float) -> float:
    """`value` as a float; raises unless it is a number from `low` to `high`."""
    number = finite(argument, value)
    if not low <= number <= high:
        raise PinntkError(argument, got=value, expected=f"a number from {low:g} to {high:g}")
    return number


def whole(argument: str, value: Any, low: int, high: int) -> int:
    """`value` as an int, 5.0 as 5; raises unless it is a whole number from `low` to `high`."""
    number = finite(argument, value)
    if number != int(number) or not low <= number <= high:
        raise PinntkError(argument, got=value, expected=f"a whole number from {low} to {high}")
    return int(number)
