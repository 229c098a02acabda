"""The figures of the page in Bokeh: curves, maps and scattered points, each with its words and table.

Colours are those for white paper; the page turns them over where it is dark. Curves differ by dash and
marker as well, so that they can be told apart in grey. Texts of the user go into figures as plain text
or as data only, never as templates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.embed import json_item
from bokeh.models import (
    BasicTicker,
    BoxAnnotation,
    ColorBar,
    ColumnDataSource,
    HoverTool,
    LinearColorMapper,
    PlainText,
    Range1d,
)
from bokeh.palettes import Blues256, Cividis256
from bokeh.plotting import figure

from pinntk.report.page_words import DRAWN, number, thinned

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
#: Light to dark, so that a large magnitude is dark on paper.
MAGNITUDE = tuple(reversed(Blues256))
VALUE = Cividis256


@dataclasses.dataclass(frozen=True)
class Series:
    """One curve. `style` picks colour, dash and marker; `marked` draws the markers."""

    name: str
    x: np.ndarray
    y: np.ndarray
    style: int = 0
    marked: bool = True


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


def curves(
    series: Sequence[Series], axes: Axes, marks: Mapping[str, np.ndarray] | None = None
) -> tuple[Any, tuple[Legend, ...]]:
    """Curves that hovering reads off; `marks` are places along x, drawn as a rug at the bottom."""
    shown = [_drawable(one, axes) for one in series]
    plot = _figure(axes.xlabel, axes.ylabel, axes.xscale, axes.yscale)
    _vertical_range(plot, [y for _, y in shown], axes)
    if axes.floor is not None:
        plot.add_layout(
            BoxAnnotation(top=axes.floor, fill_color="#777777", fill_alpha=0.16, line_color=None)
        )
    legend, hovered = [], []
    for index, (one, (x, y)) in enumerate(zip(series, shown, strict=True)):
        key, colour = f"s{index}", COLOURS[one.style % len(COLOURS)]
        dash, marker = DASHES[one.style % len(DASHES)], MARKERS[one.style % len(MARKERS)]
        data = {
            "x": x,
            "y": y,
            "curve": [one.name] * len(x),
            "at": [_plain(v) for v in x],
            "value": [number(float(v)) for v in y],
        }
        line = plot.line(
            "x", "y", source=ColumnDataSource(data), color=colour, line_dash=list(dash), line_width=2
        )
        line.tags = [key]
        hovered.append(line)
        if one.marked:
            few = thinned(len(x), 9)
            plot.scatter(
                x[few], y[few], marker=marker, size=7, color=colour, fill_alpha=1.0
            ).tags = [key]
        shape = SHAPES[marker] if one.marked else ""
        legend.append(Legend(key, one.name, colour, " ".join(map(str, dash)), shape))
    mode = "vline" if len(series) <= 4 else "mouse"
    tips = [("", "@curve"), ("at", "@at"), ("value", "@value")]
    plot.add_tools(HoverTool(renderers=hovered, tooltips=tips, mode=mode, line_policy="nearest"))
    for index, (name, places) in enumerate((marks or {}).items()):
        legend.append(_rug(plot, f"m{index}", name, places, index, axes))
    return json_item(plot), tuple(legend)


def heat(
    values: np.ndarray,
    grids: Sequence[tuple[str, np.ndarray]],
    *,
    magnitude: bool,
    points: Mapping[str, np.ndarray] | None = None,
) -> tuple[Any, tuple[Legend, ...]]:
    """Values over two coordinates as colours of falling or rising lightness, with points on them."""
    (xname, x), (yname, y) = grids
    plot = _figure(xname, yname)
    finite = values[np.isfinite(values)]
    low = 0.0 if magnitude else float(finite.min(initial=0.0 if not finite.size else np.inf))
    high = float(finite.max(initial=low))
    mapper = LinearColorMapper(
        palette=MAGNITUDE if magnitude else VALUE,
        low=low,
        high=high if high > low else low + 1.0,
        nan_color="rgba(0,0,0,0)",
    )
    xstep, ystep = (float(g[-1] - g[0]) / max(len(g) - 1, 1) or 1.0 for g in (x, y))
    left, bottom = float(x[0]) - xstep / 2, float(y[0]) - ystep / 2
    width, height = xstep * len(x), ystep * len(y)
    image = plot.image(
        image=[values.T.astype(np.float32)],
        x=left,
        y=bottom,
        dw=width,
        dh=height,
        color_mapper=mapper,
        level="image",
    )
    plot.x_range = Range1d(left, left + width)
    plot.y_range = Range1d(bottom, bottom + height)
    plot.grid.visible = False
    _bar(plot, mapper)
    tips = [("at", "$x{0.000}, $y{0.000}"), ("value", "@image{%.3g}")]
    plot.add_tools(HoverTool(renderers=[image], tooltips=tips, formatters={"@image": "printf"}))
    legend = []
    for index, (name, place) in enumerate((points or {}).items()):
        key, marker = f"p{index}", MARKERS[index % 5]
        plot.scatter(
            place[:, 0],
            place[:, 1],
            marker=marker,
            size=5,
            fill_color="#ffffff",
            line_color="#111111",
            line_width=0.8,
            alpha=0.75,
        ).tags = [key]
        legend.append(Legend(key, f"points of {name}", "#111111", "", SHAPES[marker], line=False))
    return json_item(plot), tuple(legend)


def scattered(
    place: np.ndarray, values: np.ndarray, names: tuple[str, str]
) -> tuple[Any, tuple[Legend, ...]]:
    """Signed values at points of the plane: sign as shape, magnitude as size and darkness."""
    plot = _figure(*names)
    largest = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    mapper = LinearColorMapper(palette=MAGNITUDE[40:], low=0.0, high=largest)
    _bar(plot, mapper)
    legend, drawn = [], []
    for key, name, marker, chosen in (
        ("plus", "positive", "circle", values >= 0),
        ("minus", "negative", "inverted_triangle", values < 0),
    ):
        size = np.abs(values[chosen])
        data = {
            "x": place[chosen, 0],
            "y": place[chosen, 1],
            "size": 4 + 8 * size / largest,
            "magnitude": size,
            "at": [", ".join(map(_plain, row)) for row in place[chosen]],
            "value": [number(float(v)) for v in values[chosen]],
        }
        points = plot.scatter(
            "x",
            "y",
            source=ColumnDataSource(data),
            marker=marker,
            size="size",
            fill_color={"field": "magnitude", "transform": mapper},
            line_color="#333333",
            line_width=0.5,
        )
        points.tags = [key]
        drawn.append(points)
        legend.append(Legend(key, name, "#333333", "", SHAPES[marker], line=False))
    tips = [("at", "@at"), ("value", "@value")]
    plot.add_tools(HoverTool(renderers=drawn, tooltips=tips))
    return json_item(plot), tuple(legend)


def _figure(xlabel: str, ylabel: str, xscale: str = "linear", yscale: str = "linear") -> Any:
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
    for axis in (plot.xaxis, plot.yaxis):
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "13px"
        axis.axis_label_text_color = axis.major_label_text_color = "#3a3a3a"
        axis.axis_line_color = axis.major_tick_line_color = "#8a8a8a"
        axis.minor_tick_line_color = None
    plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_color = "#e4e4e4"
    return plot


def _bar(plot: Any, mapper: LinearColorMapper) -> None:
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


def _drawable(one: Series, axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """What can be drawn of a curve on these scales, not more than an eye can see."""
    keep = np.isfinite(one.x) & np.isfinite(one.y)
    keep &= (one.x > 0) | (axes.xscale != "log")
    keep &= (one.y > (axes.low or 0.0)) | (axes.yscale != "log")
    x, y = one.x[keep], one.y[keep]
    few = thinned(len(x), DRAWN, logarithmic=axes.xscale == "log")
    return x[few], y[few]


def _vertical_range(plot: Any, ys: Sequence[np.ndarray], axes: Axes) -> None:
    """A logarithmic axis over at least a decade, or the limits given."""
    if axes.yscale != "log":
        return
    values = np.concatenate([*ys, np.empty(0)])
    low = axes.low or float(values.min(initial=np.inf))
    high = axes.high or float(values.max(initial=0.0))
    if not low <= high < math.inf:
        low, high = 0.1, 10.0
    middle, reach = math.sqrt(low * high), max(math.sqrt(high / low), math.sqrt(10.0))
    plot.y_range = Range1d(middle / reach / 1.3, middle * reach * 1.3)


def _rug(plot: Any, key: str, name: str, places: np.ndarray, index: int, axes: Axes) -> Legend:
    height = plot.y_range.start * 1.25 * 1.35**index if axes.yscale == "log" else 0.0
    marks = plot.scatter(
        places,
        np.full(len(places), height),
        marker="dash",
        angle=math.pi / 2,
        size=9 + 4 * index,
        line_color=COLOURS[index % len(COLOURS)],
        alpha=0.7,
    )
    marks.tags = [key]
    colour = COLOURS[index % len(COLOURS)]
    return Legend(key, f"points of {name}", colour, "", "M0-4v8", line=False)


def _plain(value: float) -> str:
    return number(int(value) if float(value).is_integer() else float(value))
