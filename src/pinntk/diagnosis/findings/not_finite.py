"""Residuals that are NaN or infinite, at the start or between the points."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax
import numpy as np

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.output_remedy import natural_gradient_with, positive_output
from pinntk.diagnosis.subject import AbstractSubject
from pinntk.problem import Batch, Model, NotFiniteResidual, not_finite_residual
from pinntk.program import Trouble
from pinntk.training import Setup
from pinntk.words import quoted

# A key of its own for points that are not trained on.
BETWEEN = 0xBE7EE
# Why an operation on what a network makes has no value, by what makes it not finite.
REASONS = {
    Trouble.NEGATIVE: "The operation exists for positive numbers only, and a network starts around "
    "zero with values of either sign.",
    Trouble.ZERO: "The operation has no value at zero, and a network starts around zero.",
    Trouble.OUTSIDE: "The function exists on a range only, and nothing keeps a network in it.",
    Trouble.OVERFLOW: "Numbers of this size do not fit the precision.",
}
UNKNOWN = "One such point makes the loss, and with it every step, NaN."
# The same where the points alone decide.
FORMULA = "The formula has no value there, whatever the network is."


@dataclasses.dataclass(frozen=True)
class NotFiniteAt:
    """The draws whose residuals are not finite at their own points, and the first such residual."""

    draws: tuple[int, ...]
    of: int
    first: NotFiniteResidual

    @property
    def every(self) -> bool:
        """Whether no draw is finite."""
        return len(self.draws) == self.of

    def found(self, setup: Setup) -> Found:
        """The finding, with remedies for this setup."""
        at = self.first
        operation = f": {at.operation}" if at.operation else ""
        return Found(
            NotFinite.name,
            Severity.SEVERE,
            len(self.draws) / self.of,
            f"In {len(self.draws)} of {self.of} draws the residual of '{at.condition}' is not finite at "
            f"the start, first at {at.place}{operation}.",
            reason_of(at),
            {
                "draws that are not finite": len(self.draws),
                f"points of '{at.condition}' that are not finite": at.bad,
                **operation_of(at),
            },
            "losses",
            remedies_of(at, setup),
        )


def not_finite(subject: AbstractSubject) -> NotFiniteAt | None:
    """Which draws are not finite at their own points, and why; None where all are finite.

    It needs residuals alone, no kernel. Call it in the precision of the subject.
    """
    first, draws = None, []
    for i, draw in enumerate(subject.draws):
        residuals = subject.residuals(draw.model, draw.batch)
        if all(np.isfinite(r).all() for r in residuals.values()):
            continue
        draws.append(i)
        if first is None:
            first = not_finite_residual(subject.problem, draw.model, draw.batch, residuals)
    return None if first is None else NotFiniteAt(tuple(draws), len(subject.draws), first)


@dataclasses.dataclass(frozen=True)
class NotFinite(AbstractFinding):
    """A residual that is NaN or infinite before any training: a power of a negative number, a pole."""

    name: ClassVar[str] = "not finite"

    def judge(self, evidence: Evidence) -> Found | None:
        at = evidence.not_finite
        return None if at is None else at.found(evidence.setup)


@dataclasses.dataclass(frozen=True)
class HeldOutNotFinite(AbstractFinding):
    """A residual that is finite at the collocation points and NaN or infinite between them."""

    name: ClassVar[str] = "held-out NaN"

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        if e.not_finite is not None:
            return None
        seen = e.measured(_between_the_points)
        share = len(seen) / e.draws
        if not e.enough(share):
            return None
        at, trained = seen[0]
        redrawn = [
            c.name for c in e.problem.conditions if c.redraw_every and c.name == at.condition
        ]
        when = f"after {e.baseline.done:,} steps" if trained else "before any training"
        operation = f": {at.operation}" if at.operation else ""
        meaning = (
            f"{quoted(redrawn)} draws new points, one of which will be such a point and end the training."
            if redrawn
            else "The loss does not see such a point, and says nothing about the solution beside it."
        )
        return Found(
            self.name,
            Severity.SEVERE if redrawn else Severity.MODERATE,
            share,
            f"The residual of '{at.condition}' is finite at its points and not between them: {when} it "
            f"has no value at {at.bad} of {at.points} others, first at {at.place}{operation}.",
            f"{reason_of(at)} {meaning}",
            {
                "draws that are not finite between their points": len(seen),
                f"other points of '{at.condition}' that are not finite": at.bad,
                **operation_of(at),
            },
            "losses",
            remedies_of(at, e.setup),
        )


def reason_of(at: NotFiniteResidual) -> str:
    """Why there is no finite value."""
    if at.cause is None or at.cause.trouble not in REASONS:
        return UNKNOWN
    return REASONS[at.cause.trouble] if at.of_the_network else FORMULA


def operation_of(at: NotFiniteResidual) -> dict[str, str]:
    """The operation and its line of code, where they are known."""
    if at.cause is None:
        return {}
    line = {"line of the residual": at.cause.line} if at.cause.line else {}
    return {"operation": at.operation, **line}


def remedies_of(at: NotFiniteResidual, setup: Setup) -> tuple[Proposal, ...]:
    """A positive output where it makes all residuals finite, alone and with the natural gradient."""
    if at.of_the_network:
        positive = positive_output(setup)
        if positive is not None:
            natural = natural_gradient_with(positive, setup)
            return (positive,) if natural is None else (positive, natural)
    return (Proposal(at.fix),)


def _between_the_points(evidence: Evidence) -> list[tuple[NotFiniteResidual, bool]]:
    """The first residual of every draw that is not finite at other points, and whether it was trained."""
    subject, found = evidence.subject, []
    for i, draw in enumerate(subject.draws):
        key = jax.random.fold_in(jax.random.key(BETWEEN), i)
        # Those that are given are the same, so that nothing is compiled anew.
        others = {**draw.batch, **subject.problem.held_out(key, subject.dtype)}
        models = [(draw.model, False)]
        if not evidence.baseline.diverged[i]:
            models.append((evidence.baseline.models[i], True))
        for model, trained in models:
            at = _residual_at(subject, model, others)
            if at is not None:
                found.append((at, trained))
                break
    return found


def _residual_at(subject: AbstractSubject, model: Model, batch: Batch) -> NotFiniteResidual | None:
    return not_finite_residual(subject.problem, model, batch, subject.residuals(model, batch))
