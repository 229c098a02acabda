"""Figures of runs: arrays in, files out. Never trains."""

from pinntk.report.write import write_report

__all__ = ["write_report"]
