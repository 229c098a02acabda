"""Figures of runs: arrays in, files out. Never trains."""

from pinntk.report.figures import save, solution_map
from pinntk.report.panels import Curve, Panel, draw
from pinntk.report.write import write_report

__all__ = ["Curve", "Panel", "draw", "save", "solution_map", "write_report"]
