"""How many periods a problem has along each coordinate: from its solution, or from its equation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.linalg

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.stated import (
    Operator,
    at_points,
    domain_points,
    in_place,
    operator_of,
    start_coefficients,
    true_coefficients,
    values_of,
)
from pinntk.domain import lines
from pinntk.problem import Model, Problem

#: Points per coordinate of the lines along which a solution is looked at: 512 periods are seen.
ALONG = 1024
#: Of the rms of the field: a line along which it varies less says nothing about waves.
FLAT = 1e-3
#: Operators at two fields that agree so well are one: the equation is linear.
SAME = 1e-5


class Periods(NamedTuple):
    """Periods over the extent of each coordinate, and what they were read off."""

    along: Mapping[str, float]
    source: str


def periods(evidence: Evidence) -> Periods:
    """Those of the solution where it is given, else those of the equation where it is linear."""
    problem = evidence.setup.problem
    if problem.solution is not None:
        return Periods(of_field(problem, problem.solution), "solution")
    models = [draw.model for draw in evidence.subject.draws]
    return Periods(of_equation(problem, models), "equation")


def of_field(problem: Problem, function: Model) -> dict[str, float]:
    """Half the sign changes of a formula about its mean along lines: the most of all fields."""
    if problem.domain.given is not None:
        return {}
    found = {}
    for coordinate in problem.domain.free:
        along = lines(problem.domain, coordinate, ALONG)
        values = values_of(problem, function, along.points)
        if values is None:
            continue
        values = values.reshape(*along.inside.shape, -1)
        seen = np.where(along.inside[..., None], values, np.nan)
        if not np.isfinite(seen).any():
            continue
        size = np.sqrt(np.nanmean(seen**2))
        swing = np.array([_swing(line) for line in np.moveaxis(seen, 1, 0)])  # (lines, fields)
        counts = np.array([_turns(line) for line in np.moveaxis(seen, 1, 0)])
        counts = np.where(swing > FLAT * size, counts, 0.0)
        found[coordinate] = float(np.max(np.median(counts, axis=0)))
    return found


def _swing(line: np.ndarray) -> np.ndarray:
    kept = line[np.isfinite(line).all(axis=1)]
    return np.ptp(kept, axis=0) if len(kept) else np.zeros(line.shape[1])


def _turns(line: np.ndarray) -> np.ndarray:
    """Half the sign changes of a line (n, fields) about its mean."""
    kept = line[np.isfinite(line).all(axis=1)]
    if not len(kept):
        return np.zeros(line.shape[1])
    above = kept > kept.mean(axis=0)
    return np.sum(above[1:] != above[:-1], axis=0) / 2


def of_equation(problem: Problem, models: list[Model]) -> dict[str, float]:
    """Periods of the free waves of a linear equation, over the domain; empty where they are not known.

    On a line: with solutions e^(λs), s = (x − x₀)/extent, det Σ_m B_m λ^m = 0, where B_m are the
    coefficients (equations × fields) of D^m; Im λ/2π is the number of periods, of roots that turn faster
    than they grow or decay. Its mean over the points is the phase integral where B varies. For
    u''/2 + u = 0 on a line of length L, λ² = −2L² and there are √2·L/2π periods.

    In more dimensions: of Σ_i b_ii D_i² u + b_0 u with all b of one sign, √(b_0/b_ii)/2π along x_i, those
    of a wave that runs along it. Other equations take their waves from their data, not from the operator.
    """
    domain = problem.domain
    whole = [c for c in problem.conditions if c.targets is None and c.where.fills(domain)]
    if not whole or not models:
        return {}
    points = domain_points(problem)
    known = true_coefficients(problem) or start_coefficients(models[0])
    bases = [getattr(m, "network", m) if problem.coefficients else m for m in models[:2]]
    at = [
        [
            operator_of(problem, c.name, in_place(problem, b, known), at_points(points))
            for c in whole
        ]
        for b in bases
    ]
    first = [each for each in at[0] if each is not None]
    if len(first) < len(whole):
        return {}
    for other in at[1:]:
        for one, two in zip(first, other, strict=True):
            if two is None or np.abs(one.values - two.values).max() > SAME * one.sizes.max():
                return {}
    if len(domain.coordinates) == 1:
        return {domain.coordinates[0]: _on_a_line(first)}
    return _in_space(first[0], domain.coordinates) if len(first) == 1 else {}


def _on_a_line(operators: list[Operator]) -> float:
    """The mean over points of the fastest root's periods; 0 where rows and fields are not as many."""
    stacked = np.concatenate(
        [each.values for each in operators], axis=1
    )  # (n, rows, order, fields)
    rows, _, fields = stacked.shape[1:]
    if rows != fields or not np.isfinite(stacked).all():
        return 0.0
    present = [a[0] for each in operators for a in each.present()]
    order = max(present)
    if order == 0:
        return 0.0
    found = []
    for matrix in stacked:
        blocks = [matrix[:, k] for k in range(order + 1)]
        left = np.zeros((order * fields, order * fields))
        right = np.eye(order * fields)
        left[: -fields or None, fields:] = np.eye((order - 1) * fields)
        left[-fields:] = -np.concatenate(blocks[:-1], axis=1)
        right[-fields:, -fields:] = blocks[-1]
        pair = scipy.linalg.eigvals(left, right, homogeneous_eigvals=True)
        finite = np.abs(pair[1]) > 1e-12 * np.abs(pair[0])
        roots = pair[0][finite] / pair[1][finite]
        turning = np.abs(roots.imag) > np.abs(roots.real)
        found.append(np.max(np.abs(roots.imag[turning]), initial=0.0) / (2 * math.pi))
    return float(np.mean(found))


def _in_space(operator: Operator, coordinates: tuple[str, ...]) -> dict[str, float]:
    d = len(coordinates)
    if operator.values.shape[1] != 1 or operator.values.shape[3] != 1:
        return {}
    twice = [tuple(2 * int(i == axis) for i in range(d)) for axis in range(d)]
    if set(operator.present()) != {(0,) * d, *twice}:
        return {}
    zero = operator.at((0,) * d)[:, 0, 0]
    second = {name: operator.at(a)[:, 0, 0] for name, a in zip(coordinates, twice, strict=True)}
    if any((zero * b <= 0).any() for b in second.values()):
        return {}
    return {name: float(np.mean(np.sqrt(zero / b)) / (2 * math.pi)) for name, b in second.items()}


def points_needed(along: Mapping[str, float], per_period: float) -> float:
    """So many points per period along every coordinate that has more than one point's worth."""
    return math.prod(max(1.0, per_period * n) for n in along.values())
