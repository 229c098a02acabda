"""Trials of remedies within a time budget: successive halving from one seed against the baseline."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

from pinntk.diagnosis.diagnosis import Diagnosis
from pinntk.diagnosis.examination import Progress, no_progress
from pinntk.diagnosis.finding import OptionOf, Proposal, Severity
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.diagnosis.trial import BASELINE, Race, Score, Trial
from pinntk.errors import PinntkError
from pinntk.training import Setup, strict

#: No more trials than this: each pays for a compilation.
TRIALS = 4
#: A shorter trial is mostly compilation, which takes 3 to 8 s on two cores.
LEAST_SECONDS = 4.0
#: Rounds of the halving: all, the better half, the better half of it.
ROUNDS = 3
#: Seconds under which a turn is not worth its overhead.
LEAST_SHARE = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Winner:
    """The best remedy, with what it changed."""

    remedy: Proposal
    held_out_before: float
    held_out_after: float
    relative_l2_before: float | None
    relative_l2_after: float | None

    @property
    def setup(self) -> Setup:
        """What to train."""
        assert self.remedy.setup is not None  # remedies without a setup are not tried
        return self.remedy.setup

    def as_dict(self, before: Setup, option_of: OptionOf | None = None) -> dict[str, Any]:
        """JSON-ready; the command line puts its own command in."""
        measured = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "remedy"
        }
        return {
            "name": self.remedy.text,
            "option": self.remedy.option(before, option_of),
            "command": "",
            "code": self.remedy.code,
            **measured,
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Treatment:
    """The trials, the baseline first and then by rank; no winner if none beat the baseline.

    `setup` is what was diagnosed, which the remedies changed.
    """

    setup: Setup
    trials: tuple[Trial, ...]
    winner: Winner | None
    seconds: float
    interrupted: bool = False

    def as_dict(self, option_of: OptionOf | None = None) -> dict[str, Any]:
        """`trials` and `winner`, JSON-ready, as `docs/record.md` says."""
        winner = None if self.winner is None else self.winner.as_dict(self.setup, option_of)
        trials = [trial.as_dict(self.setup, option_of) for trial in self.trials]
        return strict({"trials": trials, "winner": winner})

    def added_to(
        self, record: Mapping[str, Any], option_of: OptionOf | None = None
    ) -> dict[str, Any]:
        """The record of the diagnosis with the trials in it."""
        return {**record, **self.as_dict(option_of)}


def treat(diagnosis: Diagnosis, budget: float, *, progress: Progress = no_progress) -> Treatment:
    """Try the remedies of the findings for `budget` seconds in all, by successive halving.

    The baseline and all remedies take turns training from the same seed. After each round the worse half
    is dropped, and the others continue. They are ranked by relative L2 error where the
    solution is known, by the held-out residual where not. Ctrl-C keeps what there is.

    **Raises:** `PinntkError` where the budget is too short to try one remedy.
    """
    remedies = choose(diagnosis)
    needed = least_budget(min(1, len(remedies)))
    if not budget >= needed:
        raise PinntkError(
            "budget",
            got=f"{budget:g} s",
            expected=f"{needed:g} s or more, to train the baseline and one remedy",
            fix="Without trials, the diagnosis alone is `examine` or `diagnose`.",
        )
    affordable = max(1, min(TRIALS, int(budget / LEAST_SECONDS) - 1))
    began = time.perf_counter()
    setup, seed = diagnosis.setup, diagnosis.seed
    score = Score(diagnosis)
    races = [Race(setup, seed)]
    races += [Race(remedy.setup or setup, seed, remedy) for remedy in remedies[:affordable]]
    try:
        interrupted = _race(races, budget, began, score, progress)
    except KeyboardInterrupt:  # between two turns: what they came to is kept
        interrupted = True
    others = sorted((race for race in races[1:] if race.begun), key=lambda r: r.rank(score))
    told = [race for race in (races[0], *others) if race.begun]
    return Treatment(
        setup,
        tuple(race.trial() for race in told),
        _winner(races[0], others, score),
        time.perf_counter() - began,
        interrupted,
    )


def _race(races: list[Race], budget: float, began: float, score: Score, progress: Progress) -> bool:
    """The rounds; whether they were interrupted."""
    racing, interrupted = list(races), False
    for turn in range(ROUNDS):
        # Every round has the same time, so that what is left in the race goes on for longer.
        used = time.perf_counter() - began
        ends = used + (budget - used) / (ROUNDS - turn)
        for place, race in enumerate(racing):
            now = time.perf_counter() - began
            left, share = budget - now, (ends - now) / (len(racing) - place)
            if interrupted or share < LEAST_SHARE:
                continue
            name = BASELINE if race.remedy is None else race.remedy.text
            progress(f"round {turn + 1}: {name}", 1 - left / budget)
            interrupted = race.go_on(share, score)
        again = [race for race in races[1:] if not race.finished and (race in racing or turn > 0)]
        ranked = sorted(again, key=lambda race: (race.judged, race.rank(score)))
        racing = ranked[: max(1, math.ceil(len(ranked) / 2))]
        if turn < ROUNDS - 2 and not races[0].finished:
            racing.insert(0, races[0])  # what the others are measured by goes on for a while
    return interrupted


def least_budget(remedies: int) -> float:
    """Seconds that the baseline and so many remedies need to say anything."""
    return LEAST_SECONDS * (1 + remedies)


def choose(diagnosis: Diagnosis) -> list[Proposal]:
    """The proposals of the findings that change the setup, the most important finding's first.

    The natural gradient is always among the first, because it helps against most findings.
    """
    evidence = diagnosis.evidence
    found = [
        proposal
        for finding in diagnosis.findings
        if finding.severity is not Severity.NOTE
        for proposal in finding.remedies
        if proposal.setup is not None
    ]
    natural = natural_gradient(evidence.setup, evidence)
    if natural is not None:
        found.append(natural)
    different = {(proposal.text, proposal.code): proposal for proposal in reversed(found)}
    chosen = [p for p in found if different[p.text, p.code] is p]
    late = [p for p in chosen[TRIALS:] if natural is not None and p.text == natural.text]
    for proposal in late:
        chosen.remove(proposal)
        chosen.insert(1, proposal)
    return chosen


def _winner(first: Race, others: list[Race], score: Score) -> Winner | None:
    """The best trial, where it did better than the baseline by the same number."""
    if not first.begun or not others or not others[0].rank(score) < first.rank(score):
        return None
    best = others[0]
    assert best.remedy is not None
    return Winner(best.remedy, first.held_out, best.held_out, first.error, best.error)
