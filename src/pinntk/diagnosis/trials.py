"""Trials of remedies within a time budget: successive halving from one seed against the baseline."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

from pinntk.diagnosis.claim import Winner, winner_of
from pinntk.diagnosis.diagnosis import Diagnosis
from pinntk.diagnosis.examination import Progress, no_progress
from pinntk.diagnosis.finding import OptionOf, Proposal, Severity
from pinntk.diagnosis.remedies import first_order_only, natural_gradient
from pinntk.diagnosis.score import Score
from pinntk.diagnosis.slab_remedy import time_slabs
from pinntk.diagnosis.trial import Race, Trial
from pinntk.errors import PinntkError
from pinntk.training import Setup, strict

#: No more trials than this: each pays for a compilation.
TRIALS = 4
#: A shorter trial says nothing.
LEAST_SECONDS = 4.0
#: Rounds of the halving: all, the better half, the better half of it.
ROUNDS = 3
#: Seconds under which a turn is not worth its overhead.
LEAST_SHARE = 0.5
#: A trial that is an order ahead of the next one after a round goes on alone.
AHEAD = 10.0


@dataclasses.dataclass(frozen=True, eq=False)
class Treatment:
    """The trials, the baseline first and then by rank; no winner if none beat the baseline.

    `setup` is what was diagnosed, which the remedies changed. `expected` is the error, or the held-out
    residual where no solution is known, that the training as planned is expected to end with, from what
    it reached in its trial.
    """

    setup: Setup
    trials: tuple[Trial, ...]
    winner: Winner | None
    expected: float | None
    seconds: float
    interrupted: bool = False

    def as_dict(self, option_of: OptionOf | None = None) -> dict[str, Any]:
        """`trials`, `winner` and `expected`, JSON-ready, as `docs/record.md` says."""
        winner = None if self.winner is None else self.winner.as_dict(self.setup, option_of)
        trials = [trial.as_dict(self.setup, option_of) for trial in self.trials]
        return strict({"trials": trials, "winner": winner, "expected": self.expected})

    def added_to(
        self, record: Mapping[str, Any], option_of: OptionOf | None = None
    ) -> dict[str, Any]:
        """The record of the diagnosis with the trials in it."""
        return {**record, **self.as_dict(option_of)}


def treat(
    diagnosis: Diagnosis,
    budget: float,
    *,
    first_order: bool = False,
    progress: Progress = no_progress,
) -> Treatment:
    """Try the remedies of the findings for `budget` seconds of training, by successive halving.

    The baseline and all remedies take turns training from the same seed. After each round the worse half
    is dropped, and the others continue. They are ranked by relative L2 error where the
    solution is known, by the held-out residual where not. Compilation is not counted, so that each one
    that is begun trains; beside the first remedy and the natural gradient, none is begun where
    compilation has taken the budget a second time. `first_order` leaves out second-order optimizers.
    Ctrl-C keeps what there is.

    **Raises:** `PinntkError` where the budget is too short to try one remedy.
    """
    remedies = choose(diagnosis, first_order)
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
        interrupted = _race(races, budget, score, progress)
    except KeyboardInterrupt:  # between two turns: what they came to is kept
        interrupted = True
    first, others = races[0], sorted(races[1:], key=lambda race: race.rank(score))
    begun = [race for race in others if race.begun]
    progress("comparing", 0.99)
    winner = winner_of(first, begun, score, estimate=not interrupted)
    told = [race for race in (first, *others) if race.begun or not interrupted]
    end = first.at_the_end(score)
    return Treatment(
        setup,
        tuple(race.trial() for race in told),
        winner,
        end if math.isfinite(end) else None,
        time.perf_counter() - began,
        interrupted,
    )


def _race(races: list[Race], budget: float, score: Score, progress: Progress) -> bool:
    """The rounds; whether they were interrupted."""
    racing, began, trained = list(races), time.perf_counter(), 0.0
    second_order = [race for race in races[1:] if race.remedy and race.remedy.second_order]
    due = {id(race) for race in (*races[:2], *second_order[:1])}
    for turn in range(ROUNDS):
        # Every round has the same time, so that what is left in the race goes on for longer.
        share = (budget - trained) / (ROUNDS - turn) / max(len(racing), 1)
        for race in racing:
            waited = time.perf_counter() - began - trained  # for compilation
            late = waited > budget and not race.begun and id(race) not in due
            if share < LEAST_SHARE or late:
                continue
            done = (turn + racing.index(race) / len(racing)) / ROUNDS
            progress(f"round {turn + 1}: {race.name}", done)
            before = race.seconds - race.compilation
            if race.go_on(share, score):
                return True
            trained += max(0.0, race.seconds - race.compilation - before)
        racing = _better(races, racing, score, turn)
    return False


def _better(races: list[Race], racing: list[Race], score: Score, turn: int) -> list[Race]:
    """Who goes on after a round: the better half, or the one that is far ahead; early on, the baseline."""
    again = [r for r in races[1:] if r.begun and not r.finished and (r in racing or turn > 0)]
    ranked = sorted(again, key=lambda race: (race.judged, race.rank(score)))
    kept = ranked[: max(1, math.ceil(len(ranked) / 2))]
    rivals = sorted((r for r in races if r.begun), key=lambda race: race.rank(score))
    ahead = len(rivals) > 1 and rivals[0].rank(score) * AHEAD < rivals[1].rank(score)
    if ahead and rivals[0] in ranked and all(race.judged for race in ranked):
        kept = rivals[:1]
    if turn < ROUNDS - 2 and not races[0].finished:
        kept = [races[0], *kept]  # what the others are measured by goes on for a while
    return kept


def least_budget(remedies: int) -> float:
    """Seconds that the baseline and so many remedies need to say anything."""
    return LEAST_SECONDS * (1 + remedies)


def choose(diagnosis: Diagnosis, first_order: bool = False) -> list[Proposal]:
    """The proposals of the findings that change the setup, the most important finding's first.

    The natural gradient is always among the first, because it helps against most findings, and so are slabs
    of time for ordinary differential equations; no second-order optimizer is where only `first_order` is
    asked for.
    """
    evidence = diagnosis.evidence
    found = [
        proposal
        for finding in diagnosis.findings
        if finding.severity is not Severity.NOTE
        for proposal in finding.remedies
        if proposal.setup is not None
    ]
    always = [] if first_order else [natural_gradient(evidence.setup, evidence)]
    if not first_order and evidence.problem.domain.dimension == 1:
        always.append(time_slabs(evidence.setup, evidence))
    found += [proposal for proposal in always if proposal is not None]
    different = {(proposal.text, proposal.code): proposal for proposal in reversed(found)}
    chosen = [p for p in found if different[p.text, p.code] is p]
    texts = [proposal.text for proposal in always if proposal is not None]
    for late in [p for p in chosen[TRIALS:] if p.text in texts]:
        chosen.remove(late)
        chosen.insert(1, late)
    if first_order:
        return list(first_order_only(chosen))
    return chosen
