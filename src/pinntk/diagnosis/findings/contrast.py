"""Coefficients that jump inside the domain, and fields that live on a part of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.freedom import LOOKS, where_fields_live
from pinntk.diagnosis.stated import Zero, at_points, in_place, operator_of, start_coefficients
from pinntk.domain import lines
from pinntk.problem import Problem
from pinntk.training import Setup
from pinntk.words import listed, number, times

#: Points per coordinate of the lines along which coefficients are followed.
ALONG = 64
#: Of the extent of a coordinate: a condition this near to a jump is about it.
NEAR = 0.02


class Jump(NamedTuple):
    """The largest change of an equation's highest coefficients from one point of a line to the next."""

    name: str
    coordinate: str
    place: float
    factor: float


@dataclasses.dataclass(frozen=True)
class Contrast(AbstractFinding):
    """Coefficients jump inside the domain, where one field crosses and no condition joins both sides.

    The coefficients of the highest derivatives of an equation, linearised at zero, are followed along
    lines. Across a jump of k, k ∂u/∂n is continuous, which a residual k Δu on both sides does not say: one
    smooth field solves that too. A condition at the place of the jump is taken to say it. Where there
    are several fields, it names those that an equation asks for on a part of the domain alone.
    """

    name: ClassVar[str] = "contrast"

    #: From one material to another, per step of a 64th of the domain. A coefficient that varies smoothly
    #: by so much from point to point would be resolved by nothing.
    jumps: float = 100.0
    #: Less than this share of the domain is a part of it.
    whole: float = 0.95

    def judge(self, evidence: Evidence) -> Found | None:
        jump = evidence.measured(_jump)
        if jump is not None and jump.factor > self.jumps:
            return Found(
                self.name,
                Severity.MODERATE,
                1.0,
                f"Contrast: the coefficients of '{jump.name}' jump by {times(jump.factor)} at "
                f"{jump.coordinate} = {number(jump.place)}, and no condition says "
                "that the flux is continuous there.",
                "A smooth field meets the equation on both sides; the kink of the solution is asked for by "
                "nothing.",
                {"jump": jump.factor, "place": f"{jump.coordinate} = {number(jump.place)}"},
                "maps",
                evidence.proposals(join),
            )
        parts = evidence.measured(_parts)
        local = {name: share for name, share in parts.items() if share < self.whole}
        if not local:
            return None
        return Found(
            self.name,
            Severity.NOTE,
            1.0,
            f"Parts: {listed(sorted(local))} {'is' if len(local) == 1 else 'are'} asked for on a part of "
            "the domain only. Errors and their estimate count the rest of it, too.",
            "Nothing determines a field where no equation asks for it.",
            {f"share of the domain for {name}": share for name, share in local.items()},
            "maps",
        )


def _jump(evidence: Evidence) -> Jump | None:
    return find_jump(evidence.setup.problem, start_coefficients(evidence.subject.draws[0].model))


def find_jump(problem: Problem, coefficients: Mapping[str, Any]) -> Jump | None:
    """The largest jump of the equations' highest coefficients that no condition lies at."""
    domain = problem.domain
    if domain.given is not None:
        return None
    model = in_place(problem, Zero(len(problem.fields)), coefficients)
    worst: Jump | None = None
    for condition in problem.conditions:
        if condition.targets is not None or not condition.where.fills(domain):
            continue
        for coordinate in domain.free:
            along = lines(domain, coordinate, ALONG)
            operator = operator_of(problem, condition.name, model, at_points(along.points))
            if operator is None or not operator.differentiates:
                continue
            order = max(map(sum, operator.present()))
            highest = [sum(index) == order for index in operator.indices]
            size = np.sqrt(np.sum(operator.values[:, :, highest] ** 2, axis=(1, 2, 3)))
            inside = along.inside & condition.where.near(along.points).reshape(along.inside.shape)
            size = np.where(inside, size.reshape(along.inside.shape), np.nan)
            low, high = np.fmin(size[1:], size[:-1]), np.fmax(size[1:], size[:-1])
            both = np.isfinite(size[1:]) & np.isfinite(size[:-1]) & (low > 0)
            factor = np.where(both, high / np.where(low > 0, low, 1.0), 0.0)
            row = int(factor.max(axis=1).argmax())
            place = float((along.values[row] + along.values[row + 1]) / 2)
            axis = domain.coordinates.index(coordinate)
            found = Jump(condition.name, coordinate, place, float(factor.max()))
            if _joined(problem, axis, place):
                continue
            if worst is None or found.factor > worst.factor:
                worst = found
    return worst


def _joined(problem: Problem, axis: int, place: float) -> bool:
    """Whether a condition lies at a value of a coordinate, inside the domain."""
    low, high = list(problem.domain.bounds.values())[axis]
    regions = (part for c in problem.conditions if c.targets is None for part in c.where.parts)
    flat = [part.lower[axis] for part in regions if part.lower[axis] == part.upper[axis]]
    return any(abs(value - place) < NEAR * (high - low) for value in flat)


def _parts(evidence: Evidence) -> dict[str, float]:
    """The share of the domain on which an equation asks for a field, where there are several."""
    problem = evidence.setup.problem
    if len(problem.fields) < 2:
        return {}
    if problem.domain.given is not None:
        return {}
    lives = where_fields_live(problem, evidence.subject.draws[0].model)
    count = len(problem.domain.uniform(LOOKS))
    return {problem.fields[f]: len(points) / count for f, points in lives.items() if len(points)}


def join(setup: Setup, evidence: Evidence) -> Proposal:
    """One field for each material, and what they share where they meet."""
    del evidence
    fields = setup.problem.fields
    return Proposal(
        f"Give each material a field of its own (fields={(*fields, fields[0] + '_2')!r}), its equation on "
        "its part, and a condition where they meet: equal values, and equal k ∂u/∂n.",
        None,
        'pk.Condition("meet", lambda w, p: jnp.stack([w["a"](p) - w["b"](p), '
        'k_a * w["a"].d("y")(p) - k_b * w["b"].d("y")(p)]), interface, points=100)',
    )
