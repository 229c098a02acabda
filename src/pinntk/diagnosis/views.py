"""The measurements as plain arrays by name, for the JSON record and the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinntk.diagnosis.baseline import weights_at
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.forecast import planned_rate
from pinntk.diagnosis.measures import Measures
from pinntk.diagnosis.subject import AbstractSubject, field_at
from pinntk.domain import plane
from pinntk.kernel import Spectrum, dynamics, spectrum
from pinntk.problem import Model, Sample, subsample

#: Points per coordinate of a map, or of a line in one dimension.
SIDE, LINE = 48, 256
#: Slow directions that are shown.
MODES = 4
#: Collocation points of one condition that are shown.
SHOWN = 512


def spectra(e: Evidence) -> dict[str, Any]:
    """Eigenvalues of K and of every block, largest first, of the first draw."""
    whole = {
        "before": spectrum(e.before[0].kernel.matrix),
        "after": spectrum(e.after[0].kernel.matrix),
    }

    def of(m: Measures, kernel: Spectrum) -> dict[str, Any]:
        blocks = {name: block.eigenvalues.tolist() for name, block in m.reach.blocks.items()}
        return {"kernel": kernel.eigenvalues.tolist(), "conditions": blocks}

    return {
        "before": of(e.before[0], whole["before"]),
        "after": of(e.after[0], whole["after"]),
        "noise_floor": {when: kernel.noise_floor for when, kernel in whole.items()},
    }


def baseline(e: Evidence) -> dict[str, Any]:
    """The history of the first draw, with what a frozen kernel predicts where descent is planned."""
    run = e.baseline
    first = lambda table: {name: values[:, 0].tolist() for name, values in table.items()}
    outcome = "diverged" if run.diverged[0] else "completed"
    errors = None if run.errors is None else run.errors[:, 0].tolist()
    seen = {0: e.before[0].rates, run.steps[run.middle]: e.midway_rates, run.done: e.after[0].rates}
    seen = {step: rates for step, rates in sorted(seen.items()) if rates}
    rates = {n: [found[n] for found in seen.values()] for n in e.problem.names}
    return {
        "steps": run.done,
        "seconds": run.seconds,
        "outcome": outcome,
        "message": f"{outcome} after {run.done} of {run.planned} planned steps",
        "relative_l2": None if errors is None else errors[-1],
        "history": {
            "steps": list(run.steps),
            "losses": first(run.losses),
            "predicted": _predicted(e),
            "weights": first(run.weights),
            "held_out": first(run.held_out),
            "relative_l2": errors,
        },
        "rates": {"steps": list(seen), "conditions": rates},
    }


def _predicted(e: Evidence) -> dict[str, list[float]] | None:
    """The losses at the rows under the kernel before training, for plain gradient descent."""
    rate = planned_rate(e.subject)
    if rate is None:
        return None
    m, weights = e.before[0], weights_at(e.baseline, 0, 0)
    moving = dynamics(m.kernel, m.residuals, weights)
    rows = [moving.after_steps(rate, step) for step in e.baseline.steps]
    return {name: [row[name] / weights[name] for row in rows] for name in e.problem.names}


def maps(subject: AbstractSubject, model: Model) -> dict[str, Any] | None:
    """Prediction, error and residuals on `plane`: over the first two coordinates, NaN off the domain."""
    problem = subject.problem
    grid = plane(problem.domain, (LINE, SIDE))
    if grid is None:
        return None
    points = jnp.asarray(grid.points, subject.dtype)
    field = subject.field(model, points)
    parts = lambda values: {
        name: grid.values(values)[..., i].tolist() for i, name in enumerate(problem.fields)
    }
    error = None
    if problem.solution is not None:
        error = parts(field - field_at(problem, problem.solution, points))
    residual = {}
    for condition in problem.conditions:
        if not condition.where.fills(problem.domain) or condition.targets is not None:
            continue
        values = subject.residuals(model, {condition.name: Sample(points)})[condition.name]
        size = grid.values(np.sqrt(np.mean(values**2, axis=1)))[..., 0]
        residual[condition.name] = size.tolist()
    return {
        "axes": [{"name": name, "values": axis.tolist()} for name, axis in grid.axes.items()],
        "title": grid.title,
        "prediction": parts(field),
        "error": error,
        "residual": residual,
    }


def points(batch: Mapping[str, Sample]) -> dict[str, list]:
    """The collocation points, by condition; `SHOWN` of them, drawn, where there are more."""
    few = subsample(dict(batch), SHOWN, jax.random.key(0))
    return {n: np.asarray(few[n].points, np.float64).tolist() for n in batch}


def modes(m: Measures) -> list[dict[str, Any]]:
    """The slow eigenmodes of the weighted kernel that hold most of what is left, in residual units."""
    reach = m.reach
    coefficients = reach.descent.moving.coefficients
    total = float(np.sum(coefficients**2))
    energy = np.where(reach.descent.slow, coefficients**2, 0.0)
    found = []
    for index in np.argsort(energy)[::-1][:MODES]:
        if total == 0 or energy[index] == 0:
            break
        vector = reach.modes.eigenvectors[:, index]
        parts = {n: vector[m.kernel.slice_of(n)] for n in m.kernel.names}
        name = max(parts, key=lambda n: float(parts[n] @ parts[n]))
        places = np.asarray(m.batch[name].points, np.float64)
        values = parts[name].reshape(len(places), -1)[:, 0]
        found.append(
            {
                "eigenvalue": max(float(reach.modes.eigenvalues[index]), 0.0),
                "share": float(energy[index] / total),
                "condition": name,
                "points": places.tolist(),
                "values": values.tolist(),
            }
        )
    return found
