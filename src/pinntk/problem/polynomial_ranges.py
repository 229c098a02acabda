"""Ranges of the fields in a polynomial that solves a problem, found by least squares of its residuals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pinntk.problem.probing import Probes
from pinntk.problem.states import ABSENT, Range, Row, constant, rms, rows_at

#: A polynomial solves a problem where it meets each row up to 1% of the row's largest term: its range is
#: then known far better than the factor that a scale needs.
MET = 0.01
#: Steps of Gauss and Newton towards it; a linear problem needs one, and one more with better scales.
STEPS = 5


def ranges_of_a_polynomial(
    probes: Probes, shift: np.ndarray, prior: np.ndarray
) -> list[Range | None] | None:
    """The range of each field in a polynomial that solves the problem; None where none does.

    None for a field that is constant in it, too.
    """
    base = constant(probes, shift)
    state, scale = base, prior
    for _ in range(STEPS):
        rows = rows_at(probes, state)
        step = _step(probes, rows, scale)
        if step is None or not np.isfinite(step).all():
            return None
        state = state + step
        ranges = _range(probes, rows, state)
        halves = np.array([0.0 if found is None else np.ptp(found) / 2 for found in ranges])
        scale = np.where(halves > 0, halves, prior)
        if _met(probes, base, state, scale):
            varies = halves > ABSENT * np.maximum(np.abs(state).max(axis=1), prior)
            return [found if v else None for found, v in zip(ranges, varies, strict=True)]
    return None


def _step(probes: Probes, rows: Sequence[Row], scale: np.ndarray) -> np.ndarray | None:
    """One Gauss–Newton step (fields, K), by least squares of all rows divided by their sizes."""
    blocks, sides = [], []
    for row in rows:
        size = max(float(np.max(row.sizes * scale)), rms(row.r))
        if size == 0 or not len(row.r):
            continue
        terms = np.einsum("nfb,nba->nfa", row.terms, probes.moved(row.points))
        weight = 1 / (size * math.sqrt(len(row.r)))
        blocks.append((weight * terms * scale[:, None]).reshape(len(row.r), -1))
        sides.append(-weight * row.r)
    if not blocks:
        return None
    found = np.linalg.lstsq(np.concatenate(blocks), np.concatenate(sides), rcond=1e-12)[0]
    return found.reshape(probes.fields, -1) * scale[:, None]


def _met(probes: Probes, base: np.ndarray, state: np.ndarray, scale: np.ndarray) -> bool:
    """Whether a polynomial meets every row up to `MET` of the size that it has for these scales."""
    for before, row in zip(rows_at(probes, base), rows_at(probes, state), strict=True):
        if len(row.r) < len(before.r):  # it is not defined where the constant was
            return False
        size = max(float(np.max(row.sizes * scale)), rms(before.r))
        if rms(row.r) > MET * size:
            return False
    return True


def _range(probes: Probes, rows: Sequence[Row], state: np.ndarray) -> list[Range | None]:
    """The least and greatest value of each field, at the points of the rows in which it occurs."""
    found: list[Range | None] = []
    for field in range(probes.fields):
        points = [row.points for row in rows if row.sizes[field] > 0]
        if not points:
            found.append(None)
            continue
        values = probes.values(state, np.concatenate(points))[:, field]
        found.append((float(values.min()), float(values.max())))
    return found
