"""A small residual that belongs to no solution, or to another one."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import ClassVar

import numpy as np

from pinntk.diagnosis.evidence import FAILED, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Severity
from pinntk.diagnosis.growth import GROWS, TINY, initial_growth, tangent_growth
from pinntk.diagnosis.linearized import rms
from pinntk.diagnosis.long_times import LONG_TIMES
from pinntk.words import percent, times


@dataclasses.dataclass(frozen=True)
class Spurious(AbstractFinding):
    """Residuals so small that the solution seems found, and draws that disagree or errors that grow."""

    name: ClassVar[str] = "spurious solution"
    needs_training: ClassVar[bool] = True

    #: Two networks that are off by E and E' at most differ by E + E' at most; estimates are claimed to be
    #: right within this factor.
    claimed: float = 3.0
    #: Growth of an error at the start within the time span that leaves nothing of an estimate: its inverse
    #: is the share of a mode below which the estimate does not see it.
    grows: float = GROWS

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        apart, share = self._apart(e)
        growth = e.measured(_growths)
        # Errors that training and rounding have made small enough to grow are no failure.
        grown_error = lambda i: growth[i] * e.after[i].linearized.error
        growing = e.share(lambda i: growth[i] > self.grows and grown_error(i) > FAILED)
        disagree, unstable = e.enough(share), e.enough(growing)
        if not disagree and not unstable:
            return None
        grown = float(np.median([g for g in growth if g > self.grows])) if unstable else 1.0
        estimate = e.median(lambda i: e.after[i].linearized.error)
        if unstable:
            lead = (
                f"along the solution that was found, an error at the start grows {times(grown)} within the "
                f"time span, so that the residual does not tell the error (estimated: {percent(estimate)})"
            )
        else:
            lead = (
                f"networks from different draws differ by {percent(apart)} where their residuals promise "
                f"errors of {percent(estimate)}"
            )
        return Found(
            self.name,
            Severity.SEVERE,
            growing if unstable else share,
            f"Spurious solution: {lead}.",
            "An unstable state meets the equation as well as the solution does, and training stays with it."
            if unstable
            else "One solution cannot be two fields: what was found depends on the draw.",
            {
                "growth of an error at the start": grown,
                "difference between draws, relative": apart,
                "relative error estimated": estimate,
            },
            "maps",
            e.proposals(*LONG_TIMES),
        )

    def _apart(self, e: Evidence) -> tuple[float, float]:
        """The median difference of the pairs that disagree, and the share of pairs that do."""
        fields = e.measured(_fields)
        found: list[float] = []
        for (i, one), (j, other) in itertools.combinations(fields.items(), 2):
            apart = rms(one - other) / max(rms(one), rms(other), TINY)
            errors = e.after[i].linearized.error + e.after[j].linearized.error
            if apart > max(self.claimed * errors, FAILED):
                found.append(apart)
        total = math.comb(e.draws, 2)
        return (float(np.median(found)), len(found) / total) if found else (0.0, 0.0)


def _solved(e: Evidence, draw: int) -> bool:
    """Whether a draw seems to be solved: only then is a residual small."""
    return not e.baseline.diverged[draw] and e.after[draw].linearized.error <= FAILED


def _fields(e: Evidence) -> dict[int, np.ndarray]:
    """The fields of the draws that seem solved."""
    points = e.problem.test_points(e.subject.dtype)
    solved = [i for i in range(e.draws) if _solved(e, i)]
    return {i: e.subject.field(e.baseline.models[i], points) for i in solved}


def _growths(e: Evidence) -> list[float]:
    """How much an error at the start grows, of every draw that seems solved; 1 of the others."""
    return [_growth(e, i) if _solved(e, i) else 1.0 for i in range(e.draws)]


def _growth(e: Evidence, draw: int) -> float:
    model, after = e.baseline.models[draw], e.after[draw]
    exact = initial_growth(e.problem, model)
    if exact is not None:
        return exact
    side = 33 if len(e.problem.domain.coordinates) == 2 else None
    points = e.problem.test_points(e.subject.dtype, side)
    found = tangent_growth(e.subject, model, after.batch, after.kernel, points)
    return 1.0 if found is None else found
