"""When the best of the trials may be called a cure, and what its solution says of the baseline."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from pinntk.diagnosis.evidence import FAILED
from pinntk.diagnosis.finding import OptionOf, Proposal
from pinntk.diagnosis.score import Gap, Score
from pinntk.diagnosis.trained import trained_notes
from pinntk.diagnosis.trial import Race
from pinntk.training import Setup, precision
from pinntk.words import number, percent, times

#: A cure is this much better than the training as planned at the end of its plan: half a decimal order,
#: more than what the draws of one setup differ by.
BETTER = 3.0


@dataclasses.dataclass(frozen=True, eq=False)
class Winner:
    """The best remedy, with what it changed.

    `before` and `after` are those of the training as planned and of the remedy, as far as they came;
    `expected_before` is what the former is expected to end with: an error, or a held-out residual where
    no solution is known. `estimate`s are relative errors by the kernel, for problems without a solution.
    `cure` says whether it may be called one, `doubt` why not. `gap` is how far the training as planned
    is from the solution of a cure, where none is known.
    """

    remedy: Proposal
    held_out_before: float
    held_out_after: float
    relative_l2_before: float | None
    relative_l2_after: float | None
    expected_before: float
    estimate_before: float | None
    estimate_after: float | None
    cure: bool
    doubt: str
    gap: Gap | None

    @property
    def setup(self) -> Setup:
        """What to train."""
        assert self.remedy.setup is not None  # remedies without a setup are not tried
        return self.remedy.setup

    @property
    def change(self) -> str:
        """What it changed, as a clause."""
        before, after = self.relative_l2_before, self.relative_l2_after
        if before is not None and after is not None:
            return f"the relative error went from {number(before)} to {number(after)}"
        before, after = self.estimate_before, self.estimate_after
        if before is not None and after is not None:
            return f"the estimated relative error went from {number(before)} to {number(after)}"
        before, after = self.held_out_before, self.held_out_after
        return f"the held-out residual went from {number(before)} to {number(after)}"

    @property
    def sentence(self) -> str:
        """The whole claim."""
        if self.cure:
            return f"Cure: {self.change}."
        return f"Best of what was tried: {self.change}; not a cure, because {self.doubt}."

    def as_dict(self, before: Setup, option_of: OptionOf | None = None) -> dict[str, Any]:
        """JSON-ready; the command line puts its own command in."""
        measured = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("remedy", "gap")
        }
        return {
            "name": self.remedy.text,
            "option": self.remedy.option(before, option_of),
            "command": "",
            "code": self.remedy.code,
            **measured,
            "sentence": self.sentence,
            "gap": None if self.gap is None else self.gap._asdict(),
        }


def winner_of(
    first: Race, others: Sequence[Race], score: Score, *, estimate: bool = True
) -> Winner | None:
    """The best of the trials, which come by rank, if it did better than the baseline by the same number.

    Without a solution the errors are estimated, unless that is not wanted: then nothing is a cure.
    """
    if not first.begun or not others or not others[0].rank(score) < first.rank(score):
        return None
    best = others[0]
    assert best.remedy is not None
    if estimate and not score.by_error:
        for race in (first, best):
            race.estimate = _estimate(race, score)
    doubt = _doubt(first, best, score)
    if not doubt and not score.by_error:
        doubt = _hidden(best, score)
    gap = None
    if not doubt and not score.by_error and first.result is not None and best.result is not None:
        gap = score.gap(first.result.model, best.result.model)
    return Winner(
        best.remedy,
        first.held_out,
        best.held_out,
        first.error,
        best.error,
        first.at_the_end(score),
        first.estimate,
        best.estimate,
        not doubt,
        doubt,
        gap,
    )


def _estimate(race: Race, score: Score) -> float | None:
    if race.result is None:
        return None
    with precision(race.setup.dtype):
        return score.estimate(race.result.model)


def _hidden(race: Race, score: Score) -> str:
    """What a small residual on the points does not tell, where it matters; empty where nothing."""
    if race.result is None or race.start is None:
        return ""
    with precision(race.setup.dtype):
        start = race.start
        notes = trained_notes(score.problem, race.result.model, start.model, start.batch)
    return f"a closer look finds more: {notes[0].rstrip('.')}" if notes else ""


def _doubt(first: Race, best: Race, score: Score) -> str:
    """What keeps a trial from being a cure; empty where nothing does."""
    error = best.error if score.by_error else best.estimate
    if error is None:
        return "its error was not estimated"
    kind = "error" if score.by_error else "estimated error"
    if not error <= FAILED:
        return f"an {kind} of {percent(error)} is more than {percent(FAILED)}"
    if not best.held_out <= first.held_out:
        return "its held-out residual is larger"
    if first.result is None:
        return ""  # the training as planned cannot even begin
    # A residual enters the error by its root.
    gain = first.at_the_end(score) / max(best.rank(score), 1e-300)
    gain = gain if score.by_error else math.sqrt(gain)
    if not gain >= BETTER:
        planned = first.setup.training.steps
        return (
            f"it is {times(gain)} better than what the training as planned is expected to reach in "
            f"{planned:,} steps, and {times(BETTER)} is asked for"
        )
    return ""
