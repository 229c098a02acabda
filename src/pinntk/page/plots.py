"""The figures of the page: curves, maps and scattered points, with hovering.

Texts of the user go into figures as plain text or as data only, never as templates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.embed import json_item
from bokeh.models import (
    BasicTickFormatter,
    BoxAnnotation,
    FixedTicker,
    HoverTool,
    Image,
    Line,
    LinearColorMapper,
    LogTickFormatter,
    Range1d,
    Scatter,
)

from pinntk.page.figure import (
    COLOURS,
    DASHES,
    MAGNITUDE,
    MARKERS,
    SHAPES,
    VALUE,
    Axes,
    Legend,
    add,
    add_bar,
    logarithmic_ticks,
    new_figure,
)
from pinntk.page.words import DRAWN, number, quoted, thinned

#: A tooltip. Bokeh escapes what stands in the data.
TIP = '<div style="white-space: pre-line">@at\n@said</div>'
#: Strokes of a rug: their angle in the figure, and the same as a sample.
STROKES = ((math.pi / 2, "M0-4v8"), (math.pi / 3, "M2-4L-2 4"), (2 * math.pi / 3, "M-2-4L2 4"))


@dataclasses.dataclass(frozen=True)
class Series:
    """One curve. `style` picks colour, dash and marker; `marked` draws the markers."""

    name: str
    x: np.ndarray
    y: np.ndarray
    style: int = 0
    marked: bool = True


def curves(
    series: Sequence[Series], axes: Axes, marks: Mapping[str, np.ndarray] | None = None
) -> tuple[Any, tuple[Legend, ...]]:
    """Curves whose values show on hover; `marks` are places along x, drawn as a rug at the bottom."""
    shown = [_drawable(one, axes) for one in series]
    plot = new_figure(axes.xlabel, axes.ylabel, axes.xscale, axes.yscale)
    _vertical_range(plot, [y for _, y in shown], axes)
    if axes.floor is not None:
        plot.add_layout(
            BoxAnnotation(top=axes.floor, fill_color="#777777", fill_alpha=0.16, line_color=None)
        )
    legend = []
    for index, (one, (x, y)) in enumerate(zip(series, shown, strict=True)):
        key, colour = f"s{index}", COLOURS[one.style % len(COLOURS)]
        dash, marker = DASHES[one.style % len(DASHES)], MARKERS[one.style % len(MARKERS)]
        add(
            plot, {"x": x, "y": y}, Line(line_color=colour, line_dash=list(dash), line_width=2), key
        )
        if one.marked:
            few = thinned(len(x), 9)
            glyph = Scatter(marker=marker, size=7, fill_color=colour, line_color=colour)
            add(plot, {"x": x[few], "y": y[few]}, glyph, key)
        shape = SHAPES[marker] if one.marked else ""
        legend.append(Legend(key, one.name, colour, " ".join(map(str, dash)), shape))
    _read_off(plot, series, shown, axes)
    most_first = sorted((marks or {}).items(), key=lambda mark: -len(mark[1]))
    for index, (name, places) in enumerate(most_first):
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
    plot = new_figure(xname, yname)
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
    glyph = Image(x=left, y=bottom, dw=width, dh=height, color_mapper=mapper)
    image = add(plot, {"image": [values.T.astype(np.float32)]}, glyph)
    image.level = "image"
    plot.x_range = Range1d(start=left, end=left + width)
    plot.y_range = Range1d(start=bottom, end=bottom + height)
    plot.grid.visible = False
    add_bar(plot, mapper)
    tip = "<div>$x{0.000}, $y{0.000}<br>@image{%.3g}</div>"
    plot.add_tools(HoverTool(renderers=[image], tooltips=tip, formatters={"@image": "printf"}))
    legend = []
    for index, (name, place) in enumerate((points or {}).items()):
        key, marker = f"p{index}", MARKERS[index % 5]
        glyph = Scatter(
            marker=marker,
            size=5,
            fill_color="#ffffff",
            fill_alpha=0.75,
            line_color="#111111",
            line_alpha=0.75,
            line_width=0.8,
        )
        add(plot, {"x": place[:, 0], "y": place[:, 1]}, glyph, key)
        legend.append(
            Legend(key, f"points of {quoted(name)}", "#111111", "", SHAPES[marker], line=False)
        )
    return json_item(plot), tuple(legend)


def scattered(
    place: np.ndarray, values: np.ndarray, names: tuple[str, str]
) -> tuple[Any, tuple[Legend, ...]]:
    """Signed values at points of the plane: sign as shape, magnitude as size and darkness."""
    plot = new_figure(*names)
    largest = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    mapper = LinearColorMapper(palette=MAGNITUDE[40:], low=0.0, high=largest)
    add_bar(plot, mapper)
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
            "said": [number(float(v)) for v in values[chosen]],
        }
        drawn.append(add(plot, data, Scatter(size=16, fill_alpha=0.0, line_alpha=0.0)))
        glyph = Scatter(
            marker=marker,
            size="size",
            fill_color={"field": "magnitude", "transform": mapper},
            line_color="#333333",
            line_width=0.5,
        )
        add(plot, data, glyph, key)
        legend.append(Legend(key, name, "#333333", "", SHAPES[marker], line=False))
    plot.add_tools(HoverTool(renderers=drawn, tooltips=TIP, limit=1))
    return json_item(plot), tuple(legend)


def _read_off(
    plot: Any, series: Sequence[Series], shown: Sequence[tuple[np.ndarray, np.ndarray]], axes: Axes
) -> None:
    """Hovering: all curves at the nearest x where they share it, else the curve under the mouse.

    What is hit are lines that cannot be seen, as wide as a finger.
    """
    if not series:
        return
    if all(np.array_equal(one.x, series[0].x) for one in series):
        x = series[0].x
        few = thinned(len(x), DRAWN, logarithmic=axes.xscale == "log")
        said = ["\n".join(f"{one.name}: {number(float(one.y[i]))}" for one in series) for i in few]
        first = np.array(
            [next((float(o.y[i]) for o in series if np.isfinite(o.y[i])), 0.0) for i in few]
        )
        read, mode = [(x[few], first, said)], "vline"
    else:
        read, mode = [], "mouse"
        for one, (x, y) in zip(series, shown, strict=True):
            read.append((x, y, [f"{one.name}: {number(float(v))}" for v in y]))
    lines = []
    for x, y, said in read:
        at = [f"{axes.xlabel} {_plain(v)}" for v in x]
        data = {"x": x, "y": y, "at": at, "said": said}
        lines.append(add(plot, data, Line(line_width=14, line_alpha=0.0)))
    tool = HoverTool(renderers=lines, tooltips=TIP, mode=mode, line_policy="nearest")
    plot.add_tools(tool)


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
    bottom, top = middle / reach / 1.3, middle * reach * 1.3
    plot.y_range = Range1d(start=bottom, end=top)
    ticks, decades = logarithmic_ticks(bottom, top)
    plot.yaxis.ticker = FixedTicker(ticks=ticks)
    plot.yaxis.formatter = LogTickFormatter() if decades else BasicTickFormatter()


def _rug(plot: Any, key: str, name: str, places: np.ndarray, index: int, axes: Axes) -> Legend:
    height = plot.y_range.start * 1.3 * 1.6**index if axes.yscale == "log" else 0.0
    angle, sample = STROKES[index % len(STROKES)]
    colour = COLOURS[index % len(COLOURS)]
    glyph = Scatter(
        marker="dash", angle=angle, size=10, line_color=colour, line_width=1.3, line_alpha=0.7
    )
    add(plot, {"x": places, "y": np.full(len(places), height)}, glyph, key)
    return Legend(key, f"points of {quoted(name)}", colour, "", sample, line=False)


def _plain(value: float) -> str:
    return number(int(value) if float(value).is_integer() else float(value))
