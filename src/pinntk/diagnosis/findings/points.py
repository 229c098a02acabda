"""Collocation points that are too few for what the network can learn."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import ClassVar

from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.evidence import FAILED, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.measures import main_condition
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.training import AsConditioned, ResidualAdaptive, Setup
from pinntk.words import number, times


@dataclasses.dataclass(frozen=True)
class Points(AbstractFinding):
    """Too few collocation points for what the network can learn."""

    name: ClassVar[str] = "collocation points"

    #: Sampling a band of m modes takes 2m points (Shannon); fewer than m cannot even see them all.
    nyquist: float = 2.0
    #: Held-out over trained loss that calls a residual overfitted: its rms is then three times larger.
    overfit: float = 10.0

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        name = main_condition(e.problem)
        count = int(e.problem.condition(name).points)
        modes = e.median(lambda i: e.before[i].reach.learnable[name])
        ratio = e.median(lambda i: _overfit(e, i, name))
        wrong = e.median(lambda i: _between(e, i, name))
        measured = {
            "points": count,
            "modes that the planned steps learn": modes,
            "held-out loss over trained loss": ratio,
            "residual between the points over that before training (rms)": wrong,
        }
        limit = e.orders(self.overfit)
        overfit = lambda i: _overfit(e, i, name) > limit and _between(e, i, name) > FAILED
        few = lambda i: count < self.nyquist * e.before[i].reach.learnable[name]
        severe, share = e.share(overfit), e.share(lambda i: overfit(i) or few(i))
        if not e.enough(share):
            return None
        seen = (
            f"between them the loss is {times(ratio)} that on them"
            if ratio > self.overfit
            else "the network can fit each of them by itself"
        )
        needed = int(2 ** math.ceil(math.log2(max(2 * self.nyquist * modes, 4 * count))))
        return Found(
            self.name,
            Severity.SEVERE if e.enough(severe) else Severity.MODERATE,
            share,
            f"Too few points: {count} for '{name}', where the network learns about {number(modes)} modes; "
            f"{seen}.",
            "A residual that vanishes on the points says nothing about the field between them.",
            measured,
            "maps",
            e.proposals(
                functools.partial(more_points, name, needed), follow_residual, natural_gradient
            ),
        )


def _overfit(e: Evidence, draw: int, name: str) -> float:
    held, taken = e.baseline.held_out.get(name), e.baseline.points
    if held is None or (taken is not None and taken < e.counts[name]):
        return 1.0  # trained on fewer points than are planned
    trained = e.baseline.losses[name][-1, draw]
    return float(held[-1, draw] / trained) if trained > 0 else 1.0


def _between(e: Evidence, draw: int, name: str) -> float:
    """The rms residual on held-out points after the baseline over that before training."""
    held, before = e.baseline.held_out.get(name), e.before[draw].losses[name]
    return math.sqrt(float(held[-1, draw]) / before) if held is not None and before > 0 else 0.0


def more_points(name: str, needed: int, setup: Setup, evidence: Evidence) -> Proposal:
    """As many points as the network's modes need."""
    del evidence
    changed = setup.replace(problem=setup.problem.with_points({name: needed}))
    text = f"Use {needed:,} points for '{name}'."
    return Proposal(text, changed, changed_code(setup, changed), "more-points")


def follow_residual(setup: Setup, evidence: Evidence) -> Proposal | None:
    """As many points, drawn anew where the residual is large: what lies between them is seen in time."""
    del evidence
    if not isinstance(setup.training.resampling, AsConditioned):
        return None
    changed = setup.replace(training=setup.training.replace(resampling=ResidualAdaptive()))
    text = "Draw new points where the residual is large, as the training goes on."
    return Proposal(text, changed, changed_code(setup, changed), "points-by-residual")
