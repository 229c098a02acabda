"""Initial values whose gradient moves only the times beside them."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pinntk.diagnosis.evidence import BALANCED, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Severity
from pinntk.diagnosis.long_times import LONG_TIMES
from pinntk.diagnosis.measures import main_condition
from pinntk.diagnosis.propagation import initial_reach, neighbor_correlation
from pinntk.words import percent


@dataclasses.dataclass(frozen=True)
class Propagation(AbstractFinding):
    """Initial values that reach a small part of the time span, from where points must hand them on."""

    name: ClassVar[str] = "propagation failure"
    needs_training: ClassVar[bool] = True

    #: Initial values that reach less of the span have to be handed on more than ten times, one stage of
    #: training after the other, which a budget with room for a factor of ten does not have.
    reach: float = 1 / BALANCED

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        stuck = [i for i in range(e.draws) if e.stuck(i) and not e.baseline.diverged[i]]
        if not e.enough(len(stuck) / e.draws):
            return None
        reaches = e.measured(_reaches)
        near = lambda i: i in stuck and reaches[i] < self.reach
        share = e.share(near)
        if not e.enough(share):
            return None
        reach, correlation = e.median(lambda i: reaches[i]), e.measured(_correlation)
        together = (
            "" if correlation is None else f" (their gradients correlate by {correlation:.2f})"
        )
        return Found(
            self.name,
            Severity.MODERATE,
            share,
            f"Propagation failure: a step on the initial values moves the field over {percent(reach)} of "
            f"the time span, and from there neighboring points must hand it on{together}.",
            "Late times meet the equation from wrong values before the right ones arrive.",
            {
                "share of the time span that initial values move": reach,
                **({} if correlation is None else {CORRELATION: correlation}),
            },
            "maps",
            e.proposals(*LONG_TIMES),
        )


CORRELATION = "correlation of the field's gradients at neighboring points"


def _reaches(e: Evidence) -> list[float]:
    side = 33 if len(e.problem.domain.coordinates) == 2 else None
    points = e.problem.test_points(e.subject.dtype, side)
    found = []
    for i, after in enumerate(e.after):
        model = e.subject.draws[i].model if e.baseline.diverged[i] else e.baseline.models[i]
        reach = initial_reach(e.subject, model, after.batch, after.kernel, points)
        found.append(1.0 if reach is None else reach)
    return found


def _correlation(e: Evidence) -> float | None:
    """That of the first draw."""
    of_model = neighbor_correlation(e.problem, e.counts[main_condition(e.problem)])
    return None if of_model is None else of_model(e.baseline.models[0])
