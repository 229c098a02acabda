"""What all figures of the page have in common: colors and shapes, axes, switches, the frame.

Colours are those for white paper; the page turns them over where it is dark. Curves differ by dash and
marker as well, so that they can be told apart in grey.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    LinearColorMapper,
    PlainText,
)
from bokeh.palettes import Blues256, Cividis256
from bokeh.plotting import figure

COLOURS = ("#111111", "#0072B2", "#B34700", "#00805C", "#A8467F", "#8A6500", "#2E7FB0")
DASHES = ((), (7, 4), (10, 3, 2, 3), (2, 3), (14, 3), (7, 3, 2, 3, 2, 3), (4, 2))
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "plus", "x")
#: Marker shapes as paths in a box from −4 to 4, for the samples in the legend.
SHAPES = {
    "circle": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z",
    "square": "M-3-3h6v6h-6z",
    "triangle": "M0-3.5L3.5 3h-7z",
    "diamond": "M0-4L3 0L0 4L-3 0z",
    "inverted_triangle": "M0 3.5L3.5-3h-7z",
    "plus": "M-4 0h8M0-4v8",
    "x": "M-3-3l6 6M-3 3l6-6",
}
FONT = "system-ui, sans-serif"
HEIGHT = 300
AXIS = {
    "axis_label_text_font": FONT,
    "axis_label_text_font_style": "normal",
    "axis_label_text_font_size": "13px",
    "axis_label_text_color": "#3a3a3a",
    "axis_line_color": "#8a8a8a",
    "major_label_text_font": FONT,
    "major_label_text_font_size": "13px",
    "major_label_text_color": "#3a3a3a",
    "major_tick_line_color": "#8a8a8a",
    "minor_tick_line_color": None,
}
#: Light to dark, so that what is large is dark on paper, and bright where the page is dark.
MAGNITUDE = tuple(reversed(Blues256))
VALUE = tuple(reversed(Cividis256))


@dataclasses.dataclass(frozen=True)
class Legend:
    """One switch of a figure: what it shows and hides, and how that is drawn."""

    key: str
    name: str
    colour: str
    dash: str
    shape: str
    line: bool = True


@dataclasses.dataclass(frozen=True)
class Plot:
    """A figure, what it shows in words (`text`), and its numbers as a table."""

    id: str
    title: str
    text: str
    item: Any
    legend: tuple[Legend, ...] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    wide: bool = False


@dataclasses.dataclass(frozen=True)
class Axes:
    """Labels and scales. `floor` shades what is below; `low` is the least y to show."""

    xlabel: str
    ylabel: str
    xscale: str = "linear"
    yscale: str = "log"
    floor: float | None = None
    low: float | None = None
    high: float | None = None


def new_figure(xlabel: str, ylabel: str, xscale: str = "linear", yscale: str = "linear") -> Any:
    """Empty axes in the page's style; labels are plain text, never TeX."""
    plot: Any = figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        x_axis_type=xscale,  # pyright: ignore[reportArgumentType]
        y_axis_type=yscale,  # pyright: ignore[reportArgumentType]
        toolbar_location=None,
        tools="",
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
    )
    plot.xaxis.axis_label = PlainText(text=xlabel)
    plot.yaxis.axis_label = PlainText(text=ylabel)
    for axis in plot.axis:
        axis.update(**AXIS)
    plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_color = "#e4e4e4"
    return plot


def add(plot: Any, data: Mapping[str, Any], glyph: Any, key: str = "") -> Any:
    """Draw `data` as `glyph`; the switch `key` of the legend shows and hides it."""
    return plot.add_glyph(ColumnDataSource(dict(data)), glyph, tags=[key] if key else [])


def add_bar(plot: Any, mapper: LinearColorMapper) -> None:
    """A scale of colours at the right."""
    plot.add_layout(
        ColorBar(
            color_mapper=mapper,
            ticker=BasicTicker(desired_num_ticks=5),
            width=10,
            padding=4,
            background_fill_color=None,
            bar_line_color=None,
            major_tick_line_color=None,
            major_label_text_font=FONT,
            major_label_text_font_size="12px",
            major_label_text_color="#3a3a3a",
        ),
        "right",
    )


def logarithmic_ticks(bottom: float, top: float) -> tuple[list[float], bool]:
    """At most seven powers of ten, or (False) multiples of them where the powers are too few."""
    first, last = math.ceil(math.log10(bottom)), math.floor(math.log10(top))
    if last - first >= 2:
        step = -(-(last - first) // 6)
        return [10.0**power for power in range(first, last + 1, step)], True
    multiples = (1, 2, 5) if top / bottom < 60 else (1, 3)
    all_of = (m * 10.0**power for power in range(first - 1, last + 1) for m in multiples)
    return [tick for tick in all_of if bottom <= tick <= top], False
