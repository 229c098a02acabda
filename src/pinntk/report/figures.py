"""Figures from arrays: losses, weights, error, spectra, solution. One style, readable in grayscale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Okabe and Ito's palette, which keeps apart for every kind of colour vision, from dark to light; for
#: the yellow of it, which is too light for a line, a brown comes last.
COLOURS = (
    "#000000",
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7A4F2A",
)
#: Line styles differ too, so that the curves can be told apart in print without colour.
STYLES: tuple[Any, ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1)),
    (0, (3, 1, 1, 1)),
    (0, (1, 1)),
    (0, (8, 1, 2, 1)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
WIDTH = 5.0  # inches, one column and a half of a journal page
SETTINGS: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 3,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
}

Curves = Mapping[str, Sequence[float] | np.ndarray]


def new_figure(
    columns: int = 1, height: float = 3.0, width: float = WIDTH, rows: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes in the house style, outside pyplot's global state."""
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = np.atleast_1d(figure.subplots(rows, columns)).ravel().tolist()
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending of `path` says in which format."""
    # A PDF bears no date, so that the same numbers give the same file.
    metadata = {"CreationDate": None} if path.suffix == ".pdf" else None
    with mpl.rc_context(SETTINGS):
        figure.savefig(path, metadata=metadata)


def curves(
    steps: Sequence[int], values: Curves, label: str, *, xlabel: str = "training step"
) -> Figure:
    """Named curves over training steps, logarithmic in the values."""
    with mpl.rc_context(SETTINGS):
        figure, (axes,) = new_figure()
        for (name, series), colour, style in zip(
            values.items(), cycle(COLOURS), cycle(STYLES), strict=False
        ):
            axes.plot(steps, series, color=colour, linestyle=style, label=name)
        axes.set_yscale("log")
        axes.set_xlabel(xlabel)
        axes.set_ylabel(label)
        if len(values) > 1:
            axes.legend()
    return figure


def spectra(panels: Mapping[str, Curves], noise: Mapping[str, float]) -> Figure:
    """Eigenvalues in descending order, log–log: a panel per block, a curve per snapshot.

    What lies in the shaded band under `noise` is rounding.
    """
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(len(panels), height=2.6, width=2.4 * len(panels))
        for panel, (title, snapshots) in zip(axes, panels.items(), strict=True):
            largest = max(float(np.max(values)) for values in snapshots.values())
            for (name, values), colour, style in zip(
                snapshots.items(), cycle(COLOURS), cycle(STYLES), strict=False
            ):
                positive = np.asarray(values)
                index = np.arange(1, len(positive) + 1)
                keep = positive > 0
                panel.loglog(index[keep], positive[keep], color=colour, linestyle=style, label=name)
            floor = noise[title]
            panel.axhspan(floor * 1e-6, floor, color="#eeeeee", zorder=0)
            panel.set_ylim(floor * 0.01, largest * 3)
            panel.set_title(title)
            panel.set_xlabel("index")
        axes[0].set_ylabel("eigenvalue")
        axes[0].legend()
    return figure


def solution_line(
    x: np.ndarray, prediction: np.ndarray, exact: np.ndarray | None, name: str
) -> Figure:
    """A field of one coordinate: prediction over exact solution, and the error beside them."""
    with mpl.rc_context(SETTINGS):
        figure, axes = new_figure(1 if exact is None else 2, width=6.4, height=2.6)
        if exact is not None:
            axes[0].plot(x, exact, color="#999999", linewidth=3, label="exact")
            axes[1].semilogy(x, np.abs(prediction - exact) + 1e-16, color=COLOURS[0])
            axes[1].set_ylabel("absolute error")
            axes[1].set_xlabel(name)
        axes[0].plot(x, prediction, color=COLOURS[1], linestyle="--", label="network")
        axes[0].set_xlabel(name)
        axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def solution_map(
    axes_values: tuple[np.ndarray, np.ndarray],
    axes_names: tuple[str, str],
    prediction: np.ndarray,
    exact: np.ndarray | None,
    title: str = "",
) -> Figure:
    """A field of two coordinates (n, m): prediction, exact solution, absolute error."""
    images = {"network": prediction}
    if exact is not None:
        images |= {"exact": exact, "absolute error": np.abs(prediction - exact)}
    with mpl.rc_context(SETTINGS):
        figure, panels = new_figure(len(images), width=2.6 * len(images), height=2.5)
        bounds = (
            [None, None] if exact is None else [float(np.nanmin(exact)), float(np.nanmax(exact))]
        )
        for panel, (name, image) in zip(panels, images.items(), strict=True):
            low, high = (0.0, None) if name == "absolute error" else bounds
            # cividis and Greys are monotone in lightness, so they survive a grey print.
            shown = panel.pcolormesh(
                *axes_values,
                np.ma.masked_invalid(image.T),
                cmap="Greys" if name == "absolute error" else "cividis",
                vmin=low,
                vmax=high,
                shading="gouraud",
                rasterized=True,
            )
            figure.colorbar(shown, ax=panel, shrink=0.85)
            panel.set_title(f"{name} {title}".strip())
            panel.set_xlabel(axes_names[0])
            panel.grid(visible=False)
        panels[0].set_ylabel(axes_names[1])
    return figure
