"""Figures of several panels from plain data: curves with bands, log or linear, readable in grayscale."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pinntk.report.figures import COLOURS, MARKERS, SETTINGS, STYLES, new_figure

Numbers = Sequence[float] | np.ndarray

#: Strokes and gaps of the level lines of a panel, one after the other.
DASHES = ((6, 2), (1.5, 1.5), (6, 2, 1, 2))


@dataclasses.dataclass(frozen=True)
class Curve:
    """y over x, with a band from `low` to `high` where given.

    `points` draws markers without a line, `marked` some markers on it.
    """

    x: Numbers
    y: Numbers
    label: str = ""
    low: Numbers | None = None
    high: Numbers | None = None
    points: bool = False
    marked: bool = False


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes. `levels` are labelled horizontal lines, `verticals` labelled vertical ones.

    On a logarithmic scale what is not positive is left out. `floor` shades what lies below it, which
    is rounding. `xticks` are all the ticks of x. The legend stands below the axes where
    `legend_below`.
    """

    curves: Sequence[Curve]
    title: str = ""
    xlabel: str = ""
    ylabel: str = ""
    xscale: str = "linear"
    yscale: str = "log"
    levels: Mapping[str, float] = dataclasses.field(default_factory=dict)
    verticals: Mapping[str, float] = dataclasses.field(default_factory=dict)
    floor: float | None = None
    xticks: Sequence[float] = ()
    legend_below: bool = False


def draw(panels: Sequence[Panel], columns: int | None = None, height: float = 2.6) -> Figure:
    """The panels in rows of `columns` (all in one row when None), each with its own legend."""
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(columns, height * rows, 2.9 * columns, rows)
        for panel, ax in zip(panels, axes, strict=False):
            _draw(panel, ax)
        for ax in axes[len(panels) :]:
            ax.remove()
    return figure


def _draw(panel: Panel, ax: Axes) -> None:
    ax.set_xscale(panel.xscale)
    ax.set_yscale(panel.yscale)
    for curve, colour, style, marker in zip(
        panel.curves, cycle(COLOURS), cycle(STYLES), cycle(MARKERS), strict=False
    ):
        x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
        keep = np.isfinite(y)
        keep &= (x > 0) | (panel.xscale != "log")
        keep &= (y > 0) | (panel.yscale != "log")
        (line,) = ax.plot(x[keep], y[keep], color=colour, label=curve.label or None)
        line.set(linestyle="none", marker=marker) if curve.points else line.set(linestyle=style)
        if curve.marked and not curve.points:
            line.set(marker=marker, markevery=0.15)
        if curve.low is not None and curve.high is not None:
            low, high = np.asarray(curve.low, float), np.asarray(curve.high, float)
            ax.fill_between(x[keep], low[keep], high[keep], color=colour, alpha=0.18, linewidth=0)
    for (name, level), dashes in zip(panel.levels.items(), cycle(DASHES), strict=False):
        ax.axhline(level, color="#777777", linewidth=0.9, linestyle=(0, dashes), label=name)
    for name, place in panel.verticals.items():
        ax.axvline(place, color="#777777", linewidth=0.9, linestyle=(0, (1, 2)), label=name)
    if panel.floor is not None:
        top = ax.get_ylim()[1]
        ax.axhspan(panel.floor * 1e-9, panel.floor, color="#eeeeee", zorder=0)
        ax.set_ylim(panel.floor * 0.01, top)
        above = [np.asarray(c.x)[np.asarray(c.y) > panel.floor * 0.01].max() for c in panel.curves]
        ax.set_xlim(right=1.1 * max(above))
    if panel.xticks:
        ax.set_xticks(panel.xticks, [f"{tick:g}" for tick in panel.xticks])
        ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    ax.set_title(panel.title)
    ax.set_xlabel(panel.xlabel)
    ax.set_ylabel(panel.ylabel)
    if labels := ax.get_legend_handles_labels()[1]:
        columns = 2 if max(map(len, labels)) < 24 else 1
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": columns}
        ax.legend(fontsize=7, **(below if panel.legend_below else {}))
