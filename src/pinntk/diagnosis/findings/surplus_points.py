"""More collocation points than the planned steps can use."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.evidence import MAJORITY, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.findings.many_periods import ENOUGH
from pinntk.diagnosis.measures import main_condition
from pinntk.diagnosis.periods import periods, points_needed
from pinntk.training import AsConditioned, ProgressivePoints, Setup
from pinntk.words import number

#: What progressive points begin with.
QUARTER = 4


@dataclasses.dataclass(frozen=True)
class SurplusPoints(AbstractFinding):
    """More collocation points than the planned steps use, where nothing else is wrong.

    Few modes are learned where training fails, too; so the note is given only where nothing is severe and
    no error stays, and never where a quarter of the points would resolve the equation's own waves no more.
    """

    name: ClassVar[str] = "surplus points"
    last: ClassVar[bool] = True
    needs_training: ClassVar[bool] = True

    #: More points than this for every mode that the planned steps learn are redundant: 25 times
    #: Shannon's two.
    redundant: float = 50.0

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        name = main_condition(e.problem)
        count = int(e.problem.condition(name).points)
        modes = e.median(lambda i: e.before[i].reach.learnable[name])
        if count <= self.redundant * max(modes, 1.0) or e.second_look:
            return None
        if e.share(lambda i: bool(e.stuck(i))) > MAJORITY:
            return None
        needed = points_needed(e.measured(periods).along, ENOUGH)
        if count / QUARTER < needed:
            return None
        return Found(
            self.name,
            Severity.NOTE,
            1.0,
            f"Many points: {count:,} for '{name}', where the planned steps learn about {number(modes)} "
            "modes; a quarter of them would do at first.",
            "Points beyond twice the modes that are learned cost time and tell nothing new, until later.",
            {
                "points": count,
                "modes that the planned steps learn": modes,
                "points that the waves of the problem take": needed,
            },
            "spectra",
            e.proposals(grow_points),
        )


def grow_points(setup: Setup, evidence: Evidence) -> Proposal | None:
    """Few points first."""
    del evidence
    if not isinstance(setup.training.resampling, AsConditioned):
        return None
    changed = setup.replace(training=setup.training.replace(resampling=ProgressivePoints()))
    text = "Begin with a quarter of the points and let them grow."
    return Proposal(text, changed, changed_code(setup, changed), "growing-points")
