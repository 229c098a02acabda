"""What the conditions ask of the fields themselves: values on a boundary, at the start, in data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.diagnosis.subject import field_at
from pinntk.problem import Batch, Problem, Sample

#: How well a residual must follow a field to be its value less a number, as a share of what both are:
#: float32 keeps seven digits, of which derivatives that cancel may cost a few.
SAME = 1e-3


def values_asked(problem: Problem, batch: Batch) -> dict[str, np.ndarray]:
    """Field → the values g that conditions of the form u_i − g = 0 ask for at the points of a batch.

    A condition is of this form where its residual moves by φ, or by −φ, as the field does from 0 to φ, by
    twice that as it does from 0 to 2φ, and with no other field. φ is a wave, so derivatives would show.
    Fields of which no condition asks values are left out.
    """
    found: dict[str, list[np.ndarray]] = {}
    for name, sample in batch.items():
        try:
            for field, values in _asked(problem, name, sample).items():
                found.setdefault(field, []).append(values)
        except Exception:  # a residual that a wave does not fit asks for no values
            continue
    return {field: np.concatenate(parts) for field, parts in found.items()}


def field_sizes(problem: Problem, batch: Batch) -> dict[str, float]:
    """The root mean square of every field: of the solution where it is known, else of `values_asked`.

    Fields of which nothing is known, or which are asked to be zero alone, are left out.
    """
    values = known_values(problem, batch)
    sizes = {name: float(np.sqrt(np.mean(v**2))) for name, v in values.items()}
    return {name: size for name, size in sizes.items() if size > 0 and math.isfinite(size)}


def known_values(problem: Problem, batch: Batch) -> dict[str, np.ndarray]:
    """Values of the fields by name: of the solution at test points, else what conditions ask for."""
    if problem.solution is None:
        return values_asked(problem, batch)
    points = problem.test_points(next(iter(batch.values())).points.dtype)
    values = field_at(problem, problem.solution, points)
    return dict(zip(problem.fields, values.T, strict=True))


def _asked(problem: Problem, name: str, sample: Sample) -> Mapping[str, np.ndarray]:
    count = len(problem.fields)

    def rows(parts: np.ndarray, size: float) -> np.ndarray:
        """The residual (n, m) of the fields `parts` · size · φ."""
        field = _field(lambda x: size * _wave(x), parts)
        residual = jax.jit(jax.vmap(lambda row: problem.residual_at(name, field, row)))
        found = np.asarray(residual(sample), np.float64)
        return found.reshape(len(found), -1)

    base = rows(np.zeros(count), 1.0)
    if not np.isfinite(base).all():
        return {}
    # As large as the values, so that rounding of their difference does not hide it.
    size = max(1.0, float(np.abs(base).max()))
    wave = size * np.asarray(jax.vmap(_wave)(sample.points), np.float64)[:, None]
    once = [rows(part, size) - base for part in np.eye(count)]
    twice = [rows(part, 2 * size) - base for part in np.eye(count)]
    near = lambda a, b: np.abs(a - b).max(axis=0) <= SAME * size
    still = [near(move, 0 * base) for move in once]
    found: dict[str, np.ndarray] = {}
    for i, field in enumerate(problem.fields):
        for sign in (1.0, -1.0):
            follows = near(once[i], sign * wave) & near(twice[i], 2 * sign * wave)
            alone = np.all([quiet for j, quiet in enumerate(still) if j != i], axis=0)
            asked = follows & alone & ~still[i]
            if asked.any():
                found[field] = -sign * base[:, asked].ravel()
    return found


def _wave(x: Array) -> Array:
    """A function of a point none of whose derivatives is itself, between 1 and 2 in size."""
    steps = jnp.asarray(np.sqrt(np.arange(2, 2 + len(x))), x.dtype)
    return 1.5 + 0.5 * jnp.sin(jnp.dot(steps, x) + 0.7)


def _field(value: Callable[[Array], Array], parts: np.ndarray) -> Callable[[Array], Any]:
    def function(x: Array) -> Array:
        every = value(x) * jnp.asarray(parts, x.dtype)
        return every if len(parts) > 1 else every[0]

    return function
