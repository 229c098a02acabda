"""Ranges of the fields of an initial value problem, by integrating it once with an ordinary solver."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.integrate

from pinntk.problem.probing import Probe, Probes
from pinntk.problem.problem import Problem
from pinntk.problem.states import Range

#: A range needs few digits; an error that grows a thousandfold still leaves one.
ACCURACY = 1e-4
#: Below this share of the largest value at the start a value is taken as zero.
NEGLIGIBLE = 1e-8
#: Evaluations after which the integration is given up; each is a fraction of a millisecond.
EVALUATIONS = 10_000
#: Instants at which the solution is looked at.
INSTANTS = 400
#: The highest order of derivatives: Newton's second law has two, a beam four.
ORDER = 4
#: What rounding leaves of a residual that is solved for, of its largest term.
ROUNDING = 1e-6


class _GivenUpError(Exception):
    """The integration takes too long."""


def ranges_from_the_start(problem: Problem, probes: Probes) -> list[Range] | None:
    """The least and greatest value of each field of u^(m) = f(t, u, ..., u^(m-1)) from its start.

    None where the problem is not of this kind: it has more than one coordinate, unknown coefficients, a
    condition elsewhere than at its first instant, too few of them, or equations that do not determine the
    highest derivatives, which have to be of one order for all fields. None, too, where the integration
    does not get to the end.
    """
    bounds = list(problem.domain.bounds.values())
    if len(bounds) != 1 or problem.coefficients or probes.refused:
        return None
    equations, starts = [], []
    for probe in probes.probes.values():
        if probe.condition.targets is not None:
            continue  # data are on the solution
        if probe.condition.where.fills(problem.domain):
            equations.append(probe)
        elif (probe.points == bounds[0][0]).all():
            starts.append(probe)
        else:
            return None
    if not equations or not starts:
        return None
    order = _order(equations, probes)
    if order is None:
        return None
    start = _start(starts, order, probes)
    return None if start is None else _integrated(_Motion(equations, order, probes), start, probes)


def _order(equations: Sequence[Probe], probes: Probes) -> int | None:
    """The order of the highest derivative at zero fields; None where there is none, or too high a one."""
    highest = 0
    for probe in equations:
        zero = np.zeros((len(probe.points), probes.fields, len(probes.powers)))
        terms = np.abs(probe.at(zero, probe.points).terms)
        if np.isfinite(terms).all():
            highest = max([highest, *np.flatnonzero(terms.max(axis=(0, 1, 2)))])
    return int(highest) if 1 <= highest <= ORDER else None


class _Motion:
    """u^(m) as a function of the instant ξ ∈ [−1, 1] and of u and its derivatives below (m, fields)."""

    def __init__(self, equations: Sequence[Probe], order: int, probes: Probes):
        self.equations, self.order, self.probes = equations, order, probes
        self.left = EVALUATIONS

    def rows(self, at: float, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The residuals (rows,) and their terms (rows, fields, K) at one instant and state."""
        if self.left == 0:
            raise _GivenUpError
        self.left -= 1
        return _rows(self.equations, self.probes, at, state)

    def __call__(self, at: float, flat: np.ndarray) -> np.ndarray:
        state = flat.reshape(self.order, -1)
        r, terms = self.rows(at, state)
        highest = np.linalg.lstsq(terms[:, :, self.order], -r, rcond=None)[0]
        return np.concatenate([state[1:], highest[None]]).ravel()

    def is_determined(self, start: np.ndarray) -> bool:
        """Whether the derivatives that are found at the start meet the equations, and only these do."""
        try:
            highest = self(-1.0, start.ravel()).reshape(start.shape)[-1]
            r, terms = self.rows(-1.0, np.concatenate([start, highest[None]]))
        except np.linalg.LinAlgError:
            return False
        matrix = terms[:, :, self.order]
        if not (np.isfinite(matrix).all() and np.isfinite(r).all()):
            return False
        largest = np.abs(terms[:, :, : self.order + 1]).max() * max(1.0, np.abs(start).max())
        full = np.linalg.matrix_rank(matrix) == len(highest)
        return bool(full and np.abs(r).max() <= ROUNDING * largest)


def _rows(
    found: Sequence[Probe], probes: Probes, at: float, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    about = np.zeros((1, probes.fields, len(probes.powers)))
    about[0, :, : len(state)] = state.T
    point = np.array([[probes.scaling.shift[0] + probes.scaling.scale[0] * at]])
    responses = [probe.at(about, point) for probe in found]
    return (
        np.concatenate([response.residuals[0] for response in responses]),
        np.concatenate([response.terms[0] for response in responses]),
    )


def _start(starts: Sequence[Probe], order: int, probes: Probes) -> np.ndarray | None:
    """The fields and their lower derivatives at the first instant (m, fields), if they are determined."""
    r, terms = _rows(starts, probes, -1.0, np.zeros((order, probes.fields)))
    matrix = np.moveaxis(terms[:, :, :order], 2, 1).reshape(len(r), -1)
    if not (np.isfinite(matrix).all() and np.isfinite(r).all()):
        return None
    if np.linalg.matrix_rank(matrix) < order * probes.fields:
        return None
    state = np.linalg.lstsq(matrix, -r, rcond=None)[0].reshape(order, -1)
    left, _ = _rows(starts, probes, -1.0, state)
    met = np.abs(left).max() <= ROUNDING * max(np.abs(r).max(), np.abs(matrix).max())
    return state if met else None


def _integrated(motion: _Motion, start: np.ndarray, probes: Probes) -> list[Range] | None:
    size = float(np.abs(start).max()) or 1.0
    try:
        if not motion.is_determined(start):
            return None
        found = scipy.integrate.solve_ivp(
            motion,
            (-1.0, 1.0),
            start.ravel(),
            "LSODA",
            np.linspace(-1.0, 1.0, INSTANTS),
            rtol=ACCURACY,
            atol=NEGLIGIBLE * size,
        )
    except (_GivenUpError, ValueError, np.linalg.LinAlgError):
        return None
    values = found.y[: probes.fields]
    if not found.success or not np.isfinite(values).all():
        return None
    ranges = [(float(row.min()), float(row.max())) for row in values]
    return ranges if all(math.isfinite(high - low) for low, high in ranges) else None
