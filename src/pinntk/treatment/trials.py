"""Trials of remedies within a time budget: successive halving from one seed against the baseline."""

from __future__ import annotations

import dataclasses
import math
import shlex
import time
from collections.abc import Mapping
from typing import Any

from pinntk.diagnosis import Diagnosis, Draw, Remedy, Severity, command_options, examined
from pinntk.diagnosis.examination import DRAWS, Progress, no_progress
from pinntk.diagnosis.remedies import NATURAL
from pinntk.diagnosis.views import plain
from pinntk.errors import PinntkError
from pinntk.runs import Setup, prepare
from pinntk.treatment.running import Run, Score, Trial

#: No more trials than this: each pays for a compilation.
TRIALS = 4
#: A trial needs this long to say something: a compilation takes 3 to 8 s on two cores.
LEAST_SECONDS = 4.0
#: Rounds of the halving: all, the better half, the better half of it.
ROUNDS = 3
#: Seconds under which a turn is not worth its overhead.
LEAST_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Winner:
    """The remedy that came furthest, as a command and as code, with what it changed."""

    name: str
    option: str
    command: str
    code: str
    held_out_before: float
    held_out_after: float
    relative_l2_before: float | None
    relative_l2_after: float | None


@dataclasses.dataclass(frozen=True)
class Treatment:
    """The trials, the baseline first and then by rank; no winner where none beat the baseline."""

    trials: tuple[Trial, ...]
    winner: Winner | None
    seconds: float
    interrupted: bool = False

    def as_dict(self) -> dict[str, Any]:
        """`trials` and `winner`, JSON-ready, as `docs/record.md` says."""
        winner = None if self.winner is None else dataclasses.asdict(self.winner)
        return plain({"trials": [trial.as_dict() for trial in self.trials], "winner": winner})

    def added_to(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record of the diagnosis with the trials in it."""
        return {**record, **self.as_dict()}


def examine(setup: Setup, *, progress: Progress = no_progress, **options: Any) -> Diagnosis:
    """Examine a setup with `DRAWS` networks and sets of points, those of its seed and the next ones."""
    others = [redrawn(setup, setup.seed + i) for i in range(1, DRAWS)]
    draws = [Draw(item.model, item.batch) for item in (setup, *others)]
    return examined(
        setup.problem,
        draws,
        setup.recipe,
        setup.key,
        seed=setup.seed,
        progress=progress,
        **options,
    )


def redrawn(setup: Setup, seed: int) -> Setup:
    """Another network and other points for the same problem object, so that nothing compiles twice."""
    other = prepare(setup.original, setup.changes, seed, spec=setup.spec, preset=setup.preset)
    return dataclasses.replace(other, problem=setup.problem)


def treat(
    setup: Setup,
    diagnosis: Diagnosis,
    budget: float,
    *,
    progress: Progress = no_progress,
) -> Treatment:
    """Try the remedies of the findings for `budget` seconds in all, by successive halving.

    The baseline and every remedy train in turns from the same seed; after each round the worse half is
    dropped and the others go on from where they stand. They are ranked by relative L2 error where the
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
            fix="--budget 0s examines and tries nothing.",
        )
    affordable = max(1, min(TRIALS, int(budget / LEAST_SECONDS) - 1))
    began = time.perf_counter()
    score = Score(setup, diagnosis)
    runs = [Run("baseline", None, setup, setup.changes)]
    for remedy in remedies[:affordable]:
        made = _prepared(setup, remedy)
        if made is not None:
            runs.append(Run(remedy.text, remedy, *made))
    racing, interrupted = list(runs), False
    for turn in range(ROUNDS):
        # Every round has the same time, so that what is left in the race goes on for longer.
        used = time.perf_counter() - began
        ends = used + (budget - used) / (ROUNDS - turn)
        for place, run in enumerate(racing):
            now = time.perf_counter() - began
            left, share = budget - now, (ends - now) / (len(racing) - place)
            if interrupted or share < LEAST_SHARE:
                continue
            progress(f"round {turn + 1}: {run.name}", 1 - left / budget)
            interrupted = run.go_on(share, score)
        judged = [run for run in runs[1:] if not run.finished and (run in racing or turn > 0)]
        ranked = sorted(judged, key=lambda run: (run.judged, run.rank))
        racing = ranked[: max(1, math.ceil(len(ranked) / 2))]
        if turn < ROUNDS - 2 and not runs[0].finished:
            racing.insert(0, runs[0])  # what the others are measured by goes on for a while
    trials = [run.trial() for run in runs if run.begun]
    first, others = trials[0], sorted(trials[1:], key=_rank)
    return Treatment(
        (first, *others),
        _winner(setup, first, others),
        time.perf_counter() - began,
        interrupted,
    )


def least_budget(remedies: int) -> float:
    """Seconds that the baseline and so many remedies need to say anything."""
    return LEAST_SECONDS * (1 + remedies)


def choose(diagnosis: Diagnosis) -> list[Remedy]:
    """The remedies of the findings that are options of a run, the most important finding's first.

    The natural gradient is always among the first: it takes away what most findings are about.
    """
    found: list[Remedy] = []
    for finding in diagnosis.findings:
        for remedy in finding.remedies if finding.severity is not Severity.NOTE else ():
            if remedy.changes and all(other.changes != remedy.changes for other in found):
                found.append(remedy)
    natural = diagnosis.evidence.recipe.optimizer != "natural-gradient"
    if natural and NATURAL not in found:
        found.append(NATURAL)
    if NATURAL in found[TRIALS:]:
        found.remove(NATURAL)
        found.insert(1, NATURAL)
    return found


def _prepared(setup: Setup, remedy: Remedy) -> tuple[Setup, dict[str, Any]] | None:
    """The setup under a remedy; None where the problem does not admit it."""
    changes = dict(remedy.changes) if remedy.fresh else {**setup.changes, **remedy.changes}
    problem = setup.original
    if not remedy.own_network:
        problem = dataclasses.replace(problem, network=None)
    try:
        made = prepare(problem, changes, setup.seed, spec=setup.spec, preset=setup.preset)
    except PinntkError:
        return None
    return made, changes


def _rank(trial: Trial) -> float:
    return trial.held_out if trial.relative_l2 is None else trial.relative_l2


def _winner(setup: Setup, first: Trial, others: list[Trial]) -> Winner | None:
    if not others or not _rank(others[0]) < _rank(first):
        return None
    best = others[0]
    option = command_options(best.changes)
    words = ["pinntk", "train", setup.spec]
    if setup.preset is not None:
        words += ["--preset", setup.preset]
    command = " ".join([shlex.join(words), option] if option else [shlex.join(words)])
    code = best.remedy.code if best.remedy is not None else ""
    return Winner(
        best.name,
        option,
        command,
        code,
        first.held_out,
        best.held_out,
        first.relative_l2,
        best.relative_l2,
    )
