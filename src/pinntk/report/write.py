"""The figures of a run directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from pinntk.domain import plane
from pinntk.errors import MemoryLimitError, RunError
from pinntk.jacobian import model_dtype
from pinntk.kernel import Spectrum, spectrum, tangent_kernel
from pinntk.problem import Batch, Model, Problem
from pinntk.report import figures
from pinntk.training import Row, Setup, precision, strict, trained_model

#: Points per coordinate of a drawn solution.
GRID = 101


def write_report(directory: Path, setup: Setup) -> list[Path]:
    """Draw losses, weights, error, spectra and solution into `directory`/report; returns the files.

    `setup` is the one that the run was started with. Every figure is written as PNG and PDF;
    `spectra.json` holds the eigenvalues drawn. Spectra are left out where the kernel would not fit the
    memory. **Raises** `RunError` where the run is one of another setup, or has no history.
    """
    with precision(setup.dtype):
        run, start, model, state = trained_model(directory, setup)
        rows = run.rows()
        if not rows:
            raise RunError(str(directory), got="no history", expected="a run with at least one row")
        drawn = _history_figures(rows) | _solution_figures(start.problem, model)
        content = None
        try:
            snapshots = {"start": start.model, f"step {int(state.step)}": model}
            found = {name: _spectra(start.problem, m, state.batch) for name, m in snapshots.items()}
            drawn["spectra"] = _spectra_figure(found)
            content = {
                name: {block: s.eigenvalues.tolist() for block, s in blocks.items()}
                for name, blocks in found.items()
            }
        except MemoryLimitError:
            pass
    folder = run.path / "report"
    try:
        return _write(folder, drawn, content)
    except OSError as error:
        raise RunError(
            str(folder), got=str(error.strerror), expected="a folder that can be written"
        ) from error


def _write(folder: Path, drawn: Mapping[str, Figure], spectra: object) -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = []
    if spectra is not None:
        files.append(folder / "spectra.json")
        files[-1].write_text(json.dumps(strict(spectra), allow_nan=False) + "\n")
    for name, figure in drawn.items():
        for ending in ("png", "pdf"):
            files.append(folder / f"{name}.{ending}")
            figures.save(figure, files[-1])
    return sorted(files)


def _history_figures(rows: list[Row]) -> dict[str, Figure]:
    steps = [row.step for row in rows]
    names = list(rows[0].losses)
    drawn = {
        "losses": figures.curves(steps, {n: [r.losses[n] for r in rows] for n in names}, "loss"),
        "weights": figures.curves(
            steps, {n: [r.weights[n] for r in rows] for n in names}, "loss weight"
        ),
    }
    if rows[0].relative_l2 is not None:
        errors = [row.relative_l2 if row.relative_l2 is not None else np.nan for row in rows]
        drawn["error"] = figures.curves(steps, {"relative L2": errors}, "relative L2 error")
    return drawn


def _spectra(problem: Problem, model: Model, batch: Batch) -> dict[str, Spectrum]:
    kernel = tangent_kernel(problem, model, batch)
    blocks = {name: spectrum(kernel.block(name)) for name in kernel.names}
    return {"K": spectrum(kernel.matrix), **blocks}


def _spectra_figure(found: Mapping[str, Mapping[str, Spectrum]]) -> Figure:
    first = next(iter(found.values()))
    panels = {
        block: {name: blocks[block].eigenvalues for name, blocks in found.items()}
        for block in first
    }
    noise = {block: max(b[block].noise_floor for b in found.values()) for block in first}
    return figures.spectra(panels, noise)


def _solution_figures(problem: Problem, model: Model) -> dict[str, Figure]:
    """One figure per component, on `plane`: over the first two coordinates, blank off the domain."""
    grid = plane(problem.domain, (GRID, GRID))
    if grid is None:
        return {}
    points = jnp.asarray(grid.points, model_dtype(model))

    def values(function: object) -> np.ndarray:
        field = jax.vmap(problem.field(function))(points)  # type: ignore[arg-type]
        return grid.values(np.asarray(field))

    prediction = values(model)
    exact = None if problem.solution is None else values(problem.solution)
    names, shown = tuple(grid.axes), tuple(grid.axes.values())
    title = f"({grid.title})" if grid.held else ""
    drawn = {}
    for i, field in enumerate(problem.fields):
        name = "solution" if len(problem.fields) == 1 else f"solution_{field}"
        truth = None if exact is None else exact[..., i]
        if len(shown) == 1:
            drawn[name] = figures.solution_line(shown[0], prediction[..., i], truth, names[0])
        else:
            drawn[name] = figures.solution_map(
                (shown[0], shown[1]),
                (names[0], names[1]),
                prediction[..., i],
                truth,
                title,
            )
    return drawn
