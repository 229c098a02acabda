"""Numbers in sentences."""

from __future__ import annotations

from pinntk.words import number, percent, quoted, rounded, table, times

__all__ = ["number", "percent", "quoted", "rounded", "table", "times"]
