"""A given solution that does not meet the conditions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from pinntk.diagnosis.evidence import FAILED, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.stated import (
    Index,
    Operator,
    derivatives_of,
    domain_points,
    in_place,
    looked_at,
    operator_of,
    residuals_of,
    true_coefficients,
)
from pinntk.domain import AbstractRegion
from pinntk.problem import Problem, Sample
from pinntk.training import Setup
from pinntk.words import number, percent

#: A mean is no accident of noise when it is so many of its standard errors from zero (once in 16,000).
CERTAIN = 4.0
#: The fewest data whose scatter says how large their noise is.
SCATTER = 4
#: Of a residual before training, or of the largest slope: what is smaller is rounding, or the error of a
#: reference that was computed.
ROUNDING = 1e-5


class Violation(NamedTuple):
    """A condition that a formula does not meet.

    `gap` is the largest residual and `point` where; `relative` is the residual over what it would be for
    fields of the solution's size; `values` says that the condition asks for values alone.
    """

    name: str
    relative: float
    gap: float
    point: tuple[float, ...]
    values: bool

    def place(self, problem: Problem) -> str:
        """The point in words: x = 0.5, t = 1."""
        pairs = zip(problem.domain.coordinates, self.point, strict=True)
        return ", ".join(f"{name} = {number(value)}" for name, value in pairs)


@dataclasses.dataclass(frozen=True)
class GivenSolution(AbstractFinding):
    """The solution against which errors are measured solves another problem.

    Its residual r_k is compared with Σ_α |b_α| · max(rms D^α u, rms u), where b are the coefficients of the
    condition's linearisation and D derivatives in units of the domain's extents: the size that r_k has
    for a field as large as the solution whose terms do not cancel. Of a condition on values that is
    |u|. The median over each part of the region counts, so that a front, a kink or a jump at a corner,
    where a series rings, accuses nobody. Of tables that are interpolated linearly, which have no second
    derivatives, only values are judged. Data are noisy: what counts is their mean, where it is
    beyond chance.
    """

    name: ClassVar[str] = "given solution"

    #: From a hundredth on, errors of a well trained network are errors of the formula.
    off: float = 0.01
    #: What is seen in a plot is severe.
    seen: float = FAILED

    def judge(self, evidence: Evidence) -> Found | None:
        worst = evidence.measured(_worst)
        if worst is None or not worst.relative > self.off or data_alone(evidence) is not None:
            return None
        place = worst.place(evidence.setup.problem)
        size = "the solution's size" if worst.values else "the size of its terms"
        sentence = (
            f"The given solution does not meet '{worst.name}': its residual is "
            f"{percent(worst.relative)} of {size} over it, {number(worst.gap)} at {place}. An error "
            "measured against it means nothing."
        )
        measured = {
            "condition": worst.name,
            "residual over size": worst.relative,
            "largest residual": worst.gap,
            "point": f"({', '.join(number(value) for value in worst.point)})",
        }
        return Found(
            self.name,
            Severity.SEVERE if worst.relative > self.seen else Severity.MODERATE,
            1.0,
            sentence,
            "The solution of the conditions is another function, and training goes there.",
            measured,
            "maps",
            evidence.proposals(correct),
        )


def data_alone(evidence: Evidence) -> Violation | None:
    """Data that the given solution does not meet, where it meets all else to 1%; None otherwise.

    Then not the solution is wrong, for the other conditions ask for it: the data ask for another one.
    """
    problem, worst = evidence.setup.problem, evidence.measured(_worst)
    if worst is None or problem.coefficients:
        return None
    others = [each for each in evidence.measured(_violated) if each.name != worst.name]
    condition = problem.condition(worst.name)
    given = condition.targets is not None and condition.where.given is not None
    met = all(each.relative <= GivenSolution.off for each in others)
    return worst if given and met and len(problem.names) > 1 else None


def _worst(evidence: Evidence) -> Violation | None:
    return max(evidence.measured(_violated), key=lambda each: each.relative, default=None)


def _violated(evidence: Evidence) -> list[Violation]:
    return violations(evidence.setup.problem, evidence.before[0].residual_rms)


def violations(problem: Problem, before: Mapping[str, float] | None = None) -> list[Violation]:
    """Conditions that a problem's solution does not meet, as far as they can be judged.

    `before` are the rms residuals of an untrained network by condition, beside which rounding is nothing.
    """
    solution, coefficients = problem.solution, true_coefficients(problem)
    if solution is None or coefficients is None:
        return []
    model, batch = in_place(problem, solution, coefficients), looked_at(problem)
    vanishes = {name: ROUNDING * rms for name, rms in (before or {}).items()}
    suspects = {
        name: r
        for name, r in residuals_of(problem, model, batch).items()
        if np.isfinite(r).any() and np.sqrt(np.nanmean(r**2)) > vanishes.get(name, 0.0)
    }
    if not suspects:
        return []
    sizes = _Sizes.of(problem)
    found = []
    for name, residual in suspects.items():
        operator = operator_of(problem, name, model, batch[name])
        if operator is None or (operator.differentiates and sizes.is_table):
            continue
        regions = problem.condition(name).where.parts
        found.append(_violation(name, residual, batch[name], operator, sizes, regions))
    return found


@dataclasses.dataclass(frozen=True)
class _Sizes:
    """How large a solution and its derivatives are: rms over the domain, (fields,) by α.

    `is_table` says that it is interpolated linearly: its slope varies along a coordinate, and
    it has no second derivative anywhere.
    """

    by_index: Mapping[Index, np.ndarray]
    is_table: bool

    @classmethod
    def of(cls, problem: Problem) -> _Sizes:
        d, points = len(problem.domain.coordinates), domain_points(problem)
        units = [tuple(int(i == axis) for i in range(d)) for axis in range(d)]
        twice = {unit: tuple(2 * k for k in unit) for unit in units}
        every = [(0,) * d, *units, *twice.values()]
        found = derivatives_of(problem, problem.solution, points, every)
        table = False
        for unit, double in twice.items():
            if double not in found:
                table = True  # it has no derivatives at all
                continue
            slope, bend = np.nan_to_num(found[unit]), np.nan_to_num(found[double])
            least = ROUNDING * float(np.max(np.abs(slope)))
            table |= bool(np.ptp(slope, axis=0).max() > least > 0 and np.abs(bend).max() <= least)
        sizes = {i: np.sqrt(np.nanmean(v**2, axis=0)) for i, v in found.items()}
        return cls(sizes, table)

    def scale(self, operator: Operator) -> np.ndarray:
        """Σ |b_αf| · max(rms D^α u_f, rms u_f), by component."""
        size = next(iter(self.by_index.values()))
        total = np.zeros(operator.sizes.shape[0])
        for i, index in enumerate(operator.indices):
            total += operator.sizes[:, i] @ np.fmax(self.by_index.get(index, size), size)
        return total


def _violation(
    name: str,
    residual: np.ndarray,
    sample: Sample,
    operator: Operator,
    sizes: _Sizes,
    parts: Sequence[AbstractRegion],
) -> Violation:
    points = np.asarray(sample.points, np.float64)
    scale = sizes.scale(operator)
    share = np.abs(residual) / np.where(scale > 0, scale, np.inf)
    level, rows = np.zeros(share.shape[1]), np.ones(len(points), bool)
    if sample.targets is not None:
        mean, deviation = np.nanmean(residual, axis=0), np.nanstd(residual, axis=0)
        sure = np.abs(mean) > CERTAIN * deviation / np.sqrt(len(points))
        if len(points) >= SCATTER:
            level = np.where(sure, np.abs(mean) / np.where(scale > 0, scale, np.inf), 0.0)
    else:
        for part in parts:
            inside = part.near(points) & np.isfinite(share).all(axis=1)
            middle = np.median(share[inside], axis=0) if inside.any() else np.zeros_like(level)
            if middle.max() > level.max():
                level, rows = middle, inside
    component = int(np.argmax(level))
    off = np.where(rows, np.nan_to_num(np.abs(residual[:, component])), -1.0)
    worst = int(np.argmax(off))
    point = tuple(float(x) for x in points[worst])
    values = not operator.differentiates
    return Violation(name, float(level[component]), float(off[worst]), point, values)


def correct(setup: Setup, evidence: Evidence) -> Proposal:
    """Correct the formula or the condition; which of them is wrong is not known here."""
    del setup, evidence
    return Proposal(
        "Correct the solution or the condition, whichever is misprinted; or give no solution: the kernel "
        "estimates the error without one.",
        None,
        "dataclasses.replace(problem, solution=None)",
    )
