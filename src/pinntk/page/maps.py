"""The sections of the page that show places: maps of the trained network, points, slow directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pinntk.page.figure import Axes, Plot
from pinntk.page.plots import Series, curves, heat, scattered
from pinntk.page.sections import NO_TRAINING, Record, Section
from pinntk.page.words import (
    columns,
    floats,
    number,
    percent,
    quoted,
    spread,
    thinned,
)

#: The most values of a map along one axis, points drawn of one condition, and slow directions drawn.
CELLS, POINTS, MODES = 161, 600, 6
#: Rows and columns of the table beside a map.
COARSE = 7

Grids = Sequence[tuple[str, np.ndarray]]


def maps(record: Record) -> Section:
    """Prediction, error and residual over the domain, with the collocation points."""
    found, title = record["maps"], "Where it is wrong"
    if found is None:
        return Section("maps", title, absent=NO_TRAINING)
    grids = [(axis["name"], floats(axis["values"])) for axis in found["axes"]]
    places = [record["problem"]["coordinates"].index(name) for name, _ in grids]
    points = {
        name: floats(rows).reshape(len(rows), -1)[:, places]
        for name, rows in record["points"].items()
        if rows
    }
    points = {name: p[thinned(len(p), POINTS)] for name, p in points.items()}
    draw = _line if len(grids) == 1 else _map
    plots = [
        draw(f"map-prediction-{i}", f"Prediction of {quoted(field)}", floats(v), grids, False, {})
        for i, (field, v) in enumerate(found["prediction"].items())
    ]
    for i, (field, v) in enumerate((found["error"] or {}).items()):
        plots.append(
            draw(f"map-error-{i}", f"Error of {quoted(field)}", floats(v), grids, True, points)
        )
    for i, (name, v) in enumerate(found["residual"].items()):
        own = {name: points[name]} if name in points else {}
        plots.append(
            draw(f"map-residual-{i}", f"Residual of {quoted(name)}", floats(v), grids, True, own)
        )
    lead = "The trained network over the domain. Errors and residuals are drawn without their sign."
    if found["error"] is None:
        lead += " No error is drawn, because no solution is known."
    if found["title"]:
        lead += f" {found['title']}."
    return Section("maps", title, lead, plots)


def _line(
    id: str,
    title: str,
    values: np.ndarray,
    grids: Grids,
    magnitude: bool,
    points: Mapping[str, np.ndarray],
) -> Plot:
    ((name, grid),) = grids
    shown = np.abs(values) if magnitude else values
    label = "magnitude" if magnitude else "value"
    series = [Series(title, grid, shown, marked=False)]
    axes = Axes(name, label, yscale="log" if magnitude else "linear")
    item, legend = curves(series, axes, {key: p[:, 0] for key, p in points.items()})
    text = spread(values, grids, title)
    return Plot(id, title, text, item, legend, [name, label], columns(grid, [values]))


def _map(
    id: str,
    title: str,
    values: np.ndarray,
    grids: Grids,
    magnitude: bool,
    points: Mapping[str, np.ndarray],
) -> Plot:
    rows, columns = (thinned(n, CELLS) for n in values.shape)
    shown = values[np.ix_(rows, columns)]
    few = [(grids[0][0], grids[0][1][rows]), (grids[1][0], grids[1][1][columns])]
    item, legend = heat(
        np.abs(shown) if magnitude else shown, few, magnitude=magnitude, points=points
    )
    head, body = _coarse(values, grids)
    return Plot(id, title, spread(values, grids, title), item, legend, head, body)


def _coarse(values: np.ndarray, grids: Grids) -> tuple[list[str], list[list[str]]]:
    """A map as a small table: the first coordinate down, the second across."""
    (down, x), (across, y) = grids
    rows, columns = thinned(len(x), COARSE), thinned(len(y), COARSE)
    head = [f"{down} \\ {across}", *(number(float(y[j])) for j in columns)]
    body = [[number(float(x[i])), *(number(float(values[i, j])) for j in columns)] for i in rows]
    return head, body


def modes(record: Record) -> Section:
    """The slow directions of the kernel, at the points of the condition they live in."""
    title = "Slow directions"
    found = [mode for mode in record["modes"] if mode["values"]][:MODES]
    if not found:
        return Section(
            "modes",
            title,
            absent="No direction is too slow for the planned steps, or none was computed.",
        )
    coordinates = record["problem"]["coordinates"]
    plots = [_mode(f"mode-{i}", i + 1, mode, coordinates) for i, mode in enumerate(found)]
    held = sum(mode["share"] or 0.0 for mode in found)
    lead = (
        "Eigenvectors of the kernel that training hardly moves, at the points of a condition: this is what "
        f"is left of the residual. Those drawn hold {percent(held)} of its energy."
    )
    return Section("modes", title, lead, plots)


def _mode(id: str, rank: int, mode: Mapping[str, Any], coordinates: Sequence[str]) -> Plot:
    place, values = floats(mode["points"]), floats(mode["values"])
    place = place.reshape(len(values), -1)
    few = thinned(len(values), POINTS)
    place, values = place[few], values[few]
    # The coordinates along which the points lie; on a face of the domain one of them is constant.
    along = [i for i in range(place.shape[1]) if np.ptp(place[:, i]) > 0][:2] or [0]
    names = [coordinates[i] for i in along]
    if len(along) == 1:
        order = np.argsort(place[:, along[0]])
        place, values = place[order], values[order]
        series = [Series(f"Direction {rank}", place[:, along[0]], values, marked=False)]
        item, legend = curves(series, Axes(names[0], "eigenvector", yscale="linear"))
    else:
        item, legend = scattered(place[:, along], values, (names[0], names[1]))
    largest = int(np.nanargmax(np.abs(values))) if np.isfinite(values).any() else 0
    there = place[largest, along]
    where = ", ".join(f"{n} = {number(float(v))}" for n, v in zip(names, there, strict=True))
    text = (
        f"Eigenvalue {number(mode['eigenvalue'])}, {percent(mode['share'])} of the residual's energy, in "
        f"{quoted(mode['condition'])}; largest at {where}."
    )
    rows = thinned(len(values), 12)
    return Plot(
        id=id,
        title=f"Direction {rank}",
        text=text,
        item=item,
        legend=legend if len(legend) > 1 else (),
        head=[*names, "eigenvector"],
        rows=[
            [*(number(float(place[r, i])) for i in along), number(float(values[r]))] for r in rows
        ],
    )
