"""Trials of remedies within a time budget: successive halving from one seed against the baseline."""

from __future__ import annotations

import dataclasses
import math
import shlex
import time
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from pinntk.diagnosis import Diagnosis, Draw, Remedy, command_options, examined
from pinntk.diagnosis.examination import Progress, no_progress
from pinntk.diagnosis.measures import residuals_at
from pinntk.diagnosis.remedies import NATURAL
from pinntk.diagnosis.views import plain
from pinntk.errors import PinntkError
from pinntk.jacobian import cast, model_dtype
from pinntk.problem import Model, Problem, relative_l2
from pinntk.runs import Setup, prepare
from pinntk.training import (
    Outcome,
    Result,
    Resumption,
    Row,
    TrainState,
    build_optimizer,
    build_resampling,
    build_weighting,
    train,
)
from pinntk.weighting import ntk_weights

#: Networks and sets of points that an examination looks at.
DRAWS = 3
#: No more trials than this: each pays for a compilation.
TRIALS = 5
#: A trial needs this long to say something: a compilation takes 3 to 8 s on two cores.
LEAST_SECONDS = 4.0
#: Rounds of the halving: all, the better half, the better half of it.
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Trial:
    """One remedy, tried: what it was, how far it came. `held_out` is Σ λ_k mean r_k² on points that no
    trial trains on, with one set of weights λ for all trials; `history` its course.
    """

    name: str
    remedy: Remedy | None
    changes: Mapping[str, Any]
    outcome: str
    steps: int
    seconds: float
    held_out: float
    relative_l2: float | None
    rounds: int
    kept: bool
    history: Mapping[str, list[float] | None]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, as `docs/record.md` says."""
        record = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "remedy"
        }
        option = command_options(self.changes) if self.remedy else ""
        return record | {"option": option, "code": self.remedy.code if self.remedy else ""}


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
    runs = [_Run("baseline", None, setup, setup.changes)]
    for remedy in remedies[:affordable]:
        made = _prepared(setup, remedy)
        if made is not None:
            runs.append(_Run(remedy.text, remedy, *made))
    racing, interrupted = list(runs), False
    for turn in range(ROUNDS):
        if interrupted:
            break
        for place, run in enumerate(racing):
            left = budget - (time.perf_counter() - began)
            waiting = len(racing) - place
            rounds_left = ROUNDS - turn
            share = left / (
                waiting if rounds_left == 1 else waiting + (rounds_left - 1) * waiting / 2
            )
            if share <= 0.5:
                continue
            done = 1 - left / budget
            progress(f"round {turn + 1}: {run.name}", done)
            interrupted = run.go_on(share, score)
            if interrupted:
                break
        ranked = sorted(racing[1:] if turn == 0 else racing, key=lambda run: run.rank)
        racing = ranked[: max(1, math.ceil(len(ranked) / 2))]
    trials = [
        run.trial(kept=run.rounds == ROUNDS or run.finished)
        for run in runs
        if run.result is not None
    ]
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
        for remedy in finding.remedies:
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


class Score:
    """One measure for all trials: Σ λ_k mean r_k² over held-out points of the problem as it was stated.

    λ are Algorithm 1's weights for the network that was diagnosed, before training: no condition drowns
    another. Conditions that a trial has built into its model count too; they are zero.
    """

    def __init__(self, setup: Setup, diagnosis: Diagnosis):
        self.problem = setup.original
        first = diagnosis.evidence.before[0]
        rates = {n: rate for n, rate in first.rates.items() if rate > 0}
        weights = ntk_weights(rates, dict.fromkeys(rates, 1)) if rates else {}
        least = min((float(w) for w in weights.values()), default=1.0)
        self.weights = {n: float(w) / least for n, w in weights.items()}
        self.points = self.problem.held_out(setup.key, np.float64)
        self.targets = self.problem.test_points(np.float64)

    def __call__(self, model: Model) -> float:
        """Smaller is better; infinite where the model is not finite."""
        dtype = model_dtype(model)
        residuals = residuals_at(self.problem, model, cast(self.points, dtype))
        total = sum(
            self.weights.get(name, 1.0) * float(np.mean(r**2)) for name, r in residuals.items()
        )
        return total if math.isfinite(total) else math.inf

    def error(self, model: Model) -> float | None:
        """The relative L2 error, where the solution is known."""
        if self.problem.solution is None:
            return None
        points = self.targets.astype(model_dtype(model))
        found = _field(self.problem, model, points)
        exact = jax.vmap(self.problem.field(self.problem.solution))(points)
        error = float(relative_l2(found, exact))
        return error if math.isfinite(error) else math.inf


@eqx.filter_jit
def _field(problem: Problem, model: Model, points: jax.Array) -> jax.Array:
    return jax.vmap(problem.field(model))(points)


class _Run:
    """A training that goes on in turns."""

    def __init__(self, name: str, remedy: Remedy | None, setup: Setup, changes: Mapping[str, Any]):
        self.name, self.remedy, self.setup, self.changes = name, remedy, setup, changes
        self.result: Result | None = None
        self.state: TrainState | None = None
        self.rounds, self.seconds = 0, 0.0
        self.held_out, self.error = math.inf, None
        self.history: dict[str, list[float]] = {"seconds": [], "held_out": [], "relative_l2": []}
        # One of each for all turns, so that a turn compiles nothing anew.
        recipe = setup.recipe
        self.optimizer, self.weighting = build_optimizer(recipe), build_weighting(recipe)
        self.resampling = build_resampling(recipe)

    def row(self, row: Row) -> None:
        """Rows come with the result."""

    def progress(self, step: int, steps: int, row: Row | None) -> None:
        """The treatment tells the progress."""

    def checkpoint(self, state: TrainState, seconds: float) -> None:  # noqa: ARG002
        """The last state, to go on from."""
        self.state = state

    @property
    def rank(self) -> float:
        """What trials are ordered by."""
        return self.held_out if self.error is None else self.error

    @property
    def judged(self) -> bool:
        """Whether it has trained for as long as it has compiled: before that, its rank says little."""
        rows = () if self.result is None else self.result.history
        return bool(rows) and self.seconds > 2 * rows[0].seconds

    @property
    def finished(self) -> bool:
        """Whether there is nothing to go on with."""
        ended = (Outcome.COMPLETED, Outcome.CONVERGED, Outcome.STALLED, Outcome.DIVERGED)
        return self.result is not None and self.result.outcome in ended

    def go_on(self, seconds: float, score: Score) -> bool:
        """Train for so many seconds more; whether it was interrupted."""
        if self.finished:
            return False
        recipe = self.setup.recipe
        resume = None
        if self.result is not None and self.state is not None:
            resume = Resumption(self.state, self.result.history, self.seconds)
        self.result = train(
            self.setup.problem,
            self.setup.model,
            optimizer=self.optimizer,
            weighting=self.weighting,
            steps=recipe.steps,
            key=self.setup.key,
            batch=self.setup.batch,
            log_every=max(1, recipe.log_every),
            budget=seconds,
            observers=[self],
            resume=resume,
            resampling=self.resampling,
        )
        self.seconds = self.result.seconds
        self.rounds += 1
        self.held_out, self.error = score(self.result.model), score.error(self.result.model)
        self.history["seconds"].append(self.seconds)
        self.history["held_out"].append(self.held_out)
        if self.error is not None:
            self.history["relative_l2"].append(self.error)
        return self.result.outcome is Outcome.INTERRUPTED

    def trial(self, kept: bool) -> Trial:
        """The record of it."""
        assert self.result is not None
        rows = self.result.history
        errors = [row.relative_l2 for row in rows if row.relative_l2 is not None]
        history = {
            "seconds": self.history["seconds"],
            "held_out": self.history["held_out"],
            "relative_l2": self.history["relative_l2"] if errors else None,
        }
        return Trial(
            self.name,
            self.remedy,
            dict(self.changes),
            str(self.result.outcome),
            self.result.steps,
            self.seconds,
            self.held_out,
            self.error,
            self.rounds,
            kept,
            history,
        )


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
