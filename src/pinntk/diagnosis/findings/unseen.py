"""A residual that is large where no point sees it."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from typing import ClassVar

from pinntk.diagnosis.dense import FINER, MATTERS, UNSEEN, Dense, dense_residual
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Severity
from pinntk.diagnosis.findings.points import more_points
from pinntk.diagnosis.long_times import LONG_TIMES
from pinntk.words import number

#: By condition, the dense residual before and after the short training.
Pairs = dict[str, tuple[Dense, Dense]]


@dataclasses.dataclass(frozen=True)
class UnseenResidual(AbstractFinding):
    """A residual that is large between its points, where neither they nor held-out points see it."""

    name: ClassVar[str] = "unseen residual"
    needs_training: ClassVar[bool] = True

    #: Mean square residual on a dense grid over that on the points: an order, as for held-out points.
    unseen: float = UNSEEN
    #: And the least share of the residual before training (rms) that matters: what is visible in a plot.
    matters: float = MATTERS

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence

        def hidden(i: int) -> list[str]:
            return [
                name
                for name, (old, new) in _measured(e, i).items()
                if new.unseen(old, self.unseen, self.matters)
                and not old._replace(**_held_out(e, i, name)).unseen(old, self.unseen, self.matters)
            ]

        share = e.share(lambda i: bool(hidden(i)))
        if not e.enough(share):
            return None
        names = sorted(name for i in range(e.draws) for name in hidden(i))
        name = statistics.mode(names)
        draw = max(
            (i for i in range(e.draws) if name in hidden(i)),
            key=lambda i: _measured(e, i)[name][1].ratio,
        )
        worst = _measured(e, draw)[name][1]
        count = e.counts[name]
        return Found(
            self.name,
            Severity.SEVERE,
            share,
            f"Unseen residual: '{name}' is off by {number(worst.largest)} at {worst.where}, between its "
            f"{count:,} points, where it is at most {number(worst.on_points)}.",
            "The field jumps in a gap between the points, and solves the equation from a wrong value on.",
            {
                "largest residual on a dense grid": worst.largest,
                "largest residual on the points": worst.on_points,
                "mean square residual on a dense grid over that on the points": e.median(
                    lambda i: _times(_measured(e, i)[name][1]) if name in _measured(e, i) else 1.0
                ),
            },
            "maps",
            e.proposals(functools.partial(more_points, name, FINER * count), *LONG_TIMES),
        )


def _held_out(e: Evidence, draw: int, name: str) -> dict[str, float]:
    """What held-out points see of a residual: where it is enough, too few points are found already."""
    trained = float(e.baseline.losses[name][-1, draw])
    held = e.baseline.held_out.get(name)
    seen = trained if held is None else float(held[-1, draw])
    return {"mean_square": seen, "mean_square_on_points": trained}


def _times(dense: Dense) -> float:
    on_points = dense.mean_square_on_points
    return dense.mean_square / on_points if on_points > 0 else math.inf


def _measured(e: Evidence, draw: int) -> Pairs:
    return e.measured(_all_measured)[draw]


def _all_measured(e: Evidence) -> list[Pairs]:
    """Of every draw; nothing of those that are stuck, whose residual the points do see."""
    return [{} if e.stuck(i) else _pairs(e, i) for i in range(e.draws)]


def _pairs(e: Evidence, draw: int) -> Pairs:
    model, batch = e.subject.draws[draw]
    trained = dense_residual(e.subject, e.baseline.models[draw], batch)
    start = dense_residual(e.subject, model, batch)
    return {name: (start[name], trained[name]) for name in trained}
