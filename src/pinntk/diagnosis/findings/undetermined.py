"""Conditions that leave the solution undetermined."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.findings.zero import zero_solves
from pinntk.diagnosis.freedom import Freedom, freedom
from pinntk.diagnosis.stated import (
    Index,
    derivatives_of,
    in_place,
    start_coefficients,
    true_coefficients,
)
from pinntk.nets import WithCoefficients
from pinntk.problem import Model
from pinntk.words import listed, number

#: A trace of a null field is seen where it is a tenth of what the same derivative is inside.
SEEN = 0.1
#: Models that agree so well on something have it by construction.
HELD = 1e-5


class Free(NamedTuple):
    """Something that is free: a derivative of a field at an end of a coordinate; a constant without one."""

    field: int
    alpha: Index
    axis: int | None
    end: float
    text: str
    remedy: str
    code: str


@dataclasses.dataclass(frozen=True)
class Undetermined(AbstractFinding):
    """A visible field may be added to the solution, and no condition changes.

    The conditions are linearised at the solution, or else at the trained network, and put on polynomials
    φ of rms 1. The least change of all residuals, each in the unit Σ_α |b_α| of its own linearisation,
    is bounded below by the stability of the problem where it determines the field, whatever the
    degree; where it does not, it falls geometrically with the degree. A field that passes both tests is
    called free where one of its traces is: at the first instant a derivative below the equation's order in
    t; along another coordinate where fewer traces than the order are held at both ends together, so
    that a field that merely grows from what is held accuses nobody.
    """

    name: ClassVar[str] = "undetermined solution"

    def judge(self, evidence: Evidence) -> Found | None:
        found = evidence.measured(_free)
        if not found:
            return None
        fields = evidence.setup.problem.fields
        level = all(each.axis is None for each in found) and len(fields) > 1
        remedies = tuple(Proposal(each.remedy, None, each.code) for each in found)
        return Found(
            self.name,
            Severity.MODERATE if level else Severity.SEVERE,
            1.0,
            f"Undetermined: {listed([each.text for each in found])}; fields that differ in that meet all "
            "conditions alike.",
            "Which of them is found depends on the network's draw, and no loss tells them apart.",
            {"free": listed([each.text for each in found])},
            "maps",
            remedies,
        )


def left_open(evidence: Evidence) -> Freedom | None:
    """The conditions on polynomials, linearised at the solution or else at the trained network."""
    problem, true = evidence.setup.problem, true_coefficients(evidence.setup.problem)
    if problem.solution is not None and true is not None:
        return freedom(problem, in_place(problem, problem.solution, true))
    trained = evidence.baseline.models[0]
    return freedom(problem, in_place(problem, _network(trained), start_coefficients(trained)))


def _free(evidence: Evidence) -> list[Free]:
    draws = evidence.subject.draws
    if evidence.measured(zero_solves) is not None:
        return []  # of a homogeneous problem the size is free, which is told
    left = evidence.measured(left_open)
    if left is None or not left.null.shape[1]:
        return []
    trained = evidence.baseline.models[0]
    models = [_network(model) for model in (*(draw.model for draw in draws), trained)]
    return [each for each in what_is_free(left) if not _is_held(left, each, models)]


def _network(model: Model) -> Model:
    return model.network if isinstance(model, WithCoefficients) else model


def what_is_free(left: Freedom) -> list[Free]:
    """What a null space moves, by name; empty where nothing can be named."""
    problem = left.problem
    d, several = len(problem.domain.coordinates), len(problem.fields) > 1
    found = []
    for f, name in enumerate(problem.fields):
        if not left.constant(f):
            continue
        u = f'u["{name}"]' if several else "u"
        text = f"a constant may be added to {name}"
        remedy = f"Ask for one value of {name}, at any point, or for its mean."
        code = f'pk.Condition("level", lambda u, p: {u}(p) - value, point, 1)'
        found.append(Free(f, (0,) * d, None, 0.0, text, remedy, code))
    if found and left.null.shape[1] <= len(found):
        return found
    for axis, coordinate in enumerate(problem.domain.coordinates):
        for f in range(len(problem.fields)):
            found += _along(left, f, axis, coordinate)
    return found


def _along(left: Freedom, f: int, axis: int, coordinate: str) -> list[Free]:
    """The free traces of a field at the ends of a coordinate."""
    problem, order = left.problem, int(left.order[f, axis])
    d = len(problem.domain.coordinates)
    low, high = left.lives[f][:, axis].min(), left.lives[f][:, axis].max()
    whole = problem.domain.bounds[coordinate]
    if order == 0 or high - low < 0.9 * (whole[1] - whole[0]):
        return []  # a part of the domain has ends of its own
    seen: dict[tuple[float, int], bool] = {}
    for end in whole:
        points = left.lives[f].copy()
        points[:, axis] = end
        points = points[np.array(problem.domain.near(points))]
        if not len(points):
            return []
        for k in range(order):
            index = tuple(k * int(i == axis) for i in range(d))
            inside = left.seen(f, left.lives[f], index)
            seen[end, k] = inside > 0 and left.seen(f, points, index) > SEEN * inside
    if coordinate == "t" and not _asked_for(left, axis, whole[1]):
        places = [(whole[0], k) for k in range(order) if seen[whole[0], k]]
    else:
        if sum(not free for free in seen.values()) >= order:
            return []
        held = {end: sum(not seen[end, k] for k in range(order)) for end in whole}
        places = [(end, 0) for end in whole if held[end] == min(held.values())]
    return [_named(left, f, axis, end, k) for end, k in places]


def _asked_for(left: Freedom, axis: int, end: float) -> bool:
    """Whether a condition holds at this end of a coordinate."""
    regions = (part for c in left.problem.conditions for part in c.where.parts)
    return any(part.lower[axis] == part.upper[axis] == end for part in regions)


def _named(left: Freedom, f: int, axis: int, end: float, k: int) -> Free:
    problem = left.problem
    d, field, name = (
        len(problem.domain.coordinates),
        problem.fields[f],
        problem.domain.coordinates[axis],
    )
    index = tuple(k * int(i == axis) for i in range(d))
    derivative = (
        field if k == 0 else f"∂{field}/∂{name}" if k == 1 else f"∂^{k} {field}/∂{name}^{k}"
    )
    place = f"{name} = {number(end)}"
    if name == "t" and k < 2:
        kind = ("initial_value", "initial_velocity")[k]
        code = f'pk.{kind}("{kind}", domain, value, points=...)'
    else:
        code = f'pk.dirichlet("end", domain.face({name}={end:g}), value, points=...)'
    remedy = (
        f"Say what {derivative} is at {place}."
        if name == "t"
        else f"Say what {field} does at {place}."
    )
    return Free(f, index, axis, float(end), f"{derivative} at {place} is free", remedy, code)


def _is_held(left: Freedom, free: Free, models: Sequence[Model]) -> bool:
    """Whether all models have the same there, by construction: then the network asks for it."""
    points = left.lives[free.field].copy()
    if free.axis is not None:
        points[:, free.axis] = free.end
    found = [derivatives_of(left.problem, model, points, (free.alpha,)) for model in models]
    values = [each[free.alpha][:, free.field] for each in found if each]
    if len(values) < len(models):
        return True
    spread = np.ptp(np.array(values), axis=0).max()
    return bool(spread <= HELD * max(np.abs(values).max(), left.sizes[free.field]))
