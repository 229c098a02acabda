"""Numbers in sentences."""

from __future__ import annotations

from pinntk.words import number, percent, rounded, times

__all__ = ["number", "percent", "rounded", "times"]
