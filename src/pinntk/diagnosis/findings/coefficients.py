"""Unknown coefficients that the conditions do not determine, or that training does not reach."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from pinntk.diagnosis.evidence import FAILED, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.findings.undetermined import left_open
from pinntk.diagnosis.freedom import undetermined_coefficients
from pinntk.nets import WithCoefficients
from pinntk.problem import Model
from pinntk.training import Setup
from pinntk.words import listed, number

#: Of the largest entry of a direction: a coefficient with less has no part in it.
PART = 0.05


class Unknowns(NamedTuple):
    """All coefficients that are numbers, flat: their labels, values before and after, true ones or NaN."""

    labels: tuple[str, ...]
    start: np.ndarray
    end: np.ndarray
    true: np.ndarray


@dataclasses.dataclass(frozen=True)
class Coefficients(AbstractFinding):
    """Unknown coefficients: not determined by the conditions, orders off at the start, or stuck.

    Not determined: the residuals are linearised in field and coefficients at the solution, or else at the
    trained network. Where a field, among polynomials, makes up for a change of coefficients by their
    own size, no data tell them apart: the Schur complement of the information matrix vanishes in
    that direction. The rest compares with the declared true values, which training does not know.
    """

    name: ClassVar[str] = "coefficients"

    #: An order of magnitude: a plain optimizer's steps are made for numbers that are right up to a factor.
    orders: float = 10.0
    #: A coefficient that moved by less than this share of itself did not move.
    moved: float = 1e-3
    #: Losses that fell so far show that all else moved.
    fell: float = 10.0

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        known = e.measured(unknowns)
        if known is None:
            return None
        measured = {
            f"{label}: start, end, true": ", ".join(map(number, (float(s), float(v), float(t))))
            for label, s, v, t in zip(*known, strict=True)
        }
        combinations = e.measured(_undetermined)
        if combinations:
            return Found(
                self.name,
                Severity.SEVERE,
                1.0,
                f"Not determined by the conditions: {listed(combinations)}. A value that training prints "
                "is no result.",
                "A change of the field makes up for a change of the coefficients, so no loss tells them "
                "apart.",
                measured,
                "losses",
                e.proposals(more_data),
            )
        off = _apart(known.start, known.true) > self.orders
        wrong = np.abs(known.end - known.true) > FAILED * np.abs(known.true)
        stuck = wrong & (np.abs(known.end - known.start) < self.moved * np.abs(known.start))
        if not _fell(e, self.fell):
            stuck = np.zeros_like(stuck)
        if not off.any() and not stuck.any():
            return None
        # One that stays an order off spoils the field too; one that finds its way is told beside the rest.
        lost = bool((off & (_apart(known.end, known.true) > self.orders)).any())
        which = [label for label, is_off in zip(known.labels, off | stuck, strict=True) if is_off]
        what = (
            "starts more than an order of magnitude from the declared true value"
            if off.any()
            else "did not move while the losses fell, though the declared true value is another"
        )
        return Found(
            self.name,
            Severity.SEVERE if lost else Severity.MODERATE,
            1.0,
            f"Coefficients: {listed(which)} {what}.",
            "One rate serves all parameters; a coefficient of another size moves too slowly or too far.",
            measured,
            "losses",
            e.proposals(rescale),
        )


def _apart(values: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The factor between two numbers, whichever is larger; NaN where one is zero or not known."""
    ratio = np.abs(values / np.where(true == 0, np.nan, true))
    return np.fmax(ratio, 1 / np.where(ratio > 0, ratio, np.nan))


def _fell(e: Evidence, factor: float) -> bool:
    total = np.sum([losses[:, 0] for losses in e.baseline.losses.values()], axis=0)
    return bool(total[0] > factor * total[-1])


def unknowns(evidence: Evidence) -> Unknowns | None:
    """Those of the first draw; None where there are none."""
    start, end = _values(evidence.subject.draws[0].model), _values(evidence.baseline.models[0])
    if not start:
        return None
    labels, true = [], []
    for name, value in start.items():
        several = value.size > 1
        labels += [f"{name}[{i}]" for i in range(value.size)] if several else [name]
        declared = evidence.setup.problem.coefficients.get(name)
        known = None if declared is None else declared.true
        if known is None or callable(known):
            true.append(np.full(value.size, np.nan))
        else:
            true.append(np.broadcast_to(np.asarray(known, float), value.shape).ravel())
    flat = [np.concatenate([v.ravel() for v in each.values()]) for each in (start, end)]
    return Unknowns(tuple(labels), flat[0], flat[1], np.concatenate(true))


def _values(model: Model) -> dict[str, np.ndarray]:
    if not isinstance(model, WithCoefficients):
        return {}
    values = model.values()
    return {name: np.asarray(values[name], np.float64) for name in sorted(values)}


def _undetermined(evidence: Evidence) -> list[str]:
    """What is not known, in words."""
    left, known = evidence.measured(left_open), evidence.measured(unknowns)
    if left is None or known is None or left.columns.shape[1] != len(known.labels):
        return []
    directions = undetermined_coefficients(left)
    values = np.concatenate([v.ravel() for v in _values(left.model).values()])
    changes = directions * np.where(values == 0, 1.0, np.abs(values))[:, None]
    return combinations(known.labels, directions, changes)


def combinations(labels: Sequence[str], relative: np.ndarray, changes: np.ndarray) -> list[str]:
    """Directions (m, q) along which coefficients change unseen, in words."""
    if relative.shape[1] == 0:
        return []
    largest = np.abs(relative).max(axis=1)
    part = np.flatnonzero(largest > PART * largest.max()).tolist()
    names = [labels[i] for i in part]
    if relative.shape[1] >= len(part):
        return names
    if relative.shape[1] == 1 and len(part) == 2:
        i, j = part
        slope = float(changes[j, 0] / changes[i, 0])
        sign = "−" if slope > 0 else "+"
        factor = "" if abs(abs(slope) - 1) < 5e-3 else f"{number(abs(slope), 3)}·"
        return [
            f"{labels[i]} and {labels[j]}, of which only {labels[j]} {sign} {factor}{labels[i]} is known"
        ]
    return [f"{listed(names)}, of which only combinations are known"]


def more_data(setup: Setup, evidence: Evidence) -> Proposal:
    """Data that tell them apart, or one coefficient less."""
    del setup, evidence
    return Proposal(
        "Hold one of them at a known value, solve for the combination that is known, or add data of "
        "another solution of the same equation, in which they act differently.",
        None,
        "pk.observations(name, domain, points, values)",
    )


def rescale(setup: Setup, evidence: Evidence) -> Proposal:
    """A start of the right order, and steps that are relative."""
    del setup, evidence
    return Proposal(
        "Start within a factor of what you expect; a coefficient that is positive moves by relative steps "
        "as pk.Positive.",
        None,
        "pk.Unknown(pk.Positive(start), true=value)",
    )
