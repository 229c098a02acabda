"""One training among the trials of remedies, which goes on in turns."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from pinntk.diagnosis.baseline import extrapolated
from pinntk.diagnosis.finding import OptionOf, Proposal, changes
from pinntk.diagnosis.score import Score, without
from pinntk.errors import PinntkError, PinntkWarning, brief
from pinntk.problem import Problem
from pinntk.training import (
    Observer,
    Outcome,
    Result,
    Resumption,
    Row,
    Setup,
    Start,
    TrainState,
    precision,
    train,
)

#: A first turn with this budget, in seconds, compiles and takes a single step.
ONE_STEP = 1e-9
#: A run is judged by its numbers after so many steps: before, they are those of the start.
JUDGED = 10
#: Outcomes of a training that could not begin, and of one that there was no time for.
REFUSED, NOT_TRIED = "refused", "not tried"
#: What the training without a remedy is called.
BASELINE = "baseline"


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """One remedy, tried: what it was, how far it came; no `remedy` is the training as planned.

    `steps` of `planned` were taken in `seconds`, of which `compilation` went before the first.
    `held_out` is Σ λ_k mean r_k² on points that no trial trains on, with one set of weights λ for all
    trials; `estimate` the relative error that the kernel estimates, where it was asked for; `history`
    its course. `reason` says why a training was refused or not tried.
    """

    remedy: Proposal | None
    outcome: str
    reason: str
    steps: int
    planned: int
    seconds: float
    compilation: float
    held_out: float
    relative_l2: float | None
    estimate: float | None
    rounds: int
    kept: bool
    history: Mapping[str, list[float] | None]

    @property
    def name(self) -> str:
        """The remedy in words."""
        return BASELINE if self.remedy is None else self.remedy.text

    @property
    def cut(self) -> bool:
        """Whether it was stopped before its plan was done."""
        return self.outcome in (Outcome.BUDGET, Outcome.INTERRUPTED)

    def as_dict(self, before: Setup, option_of: OptionOf | None = None) -> dict[str, Any]:
        """JSON-ready, as `docs/record.md` says."""
        measured = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "remedy"
        }
        remedy = self.remedy or Proposal("")
        return {
            "name": self.name,
            "option": remedy.option(before, option_of),
            "code": remedy.code,
            "changes": changes(before, remedy.setup),
            **measured,
        }


class Race:
    """A training that goes on in turns, from the same seed as all others."""

    def __init__(self, setup: Setup, seed: int, remedy: Proposal | None = None):
        self.setup, self.seed, self.remedy = setup, seed, remedy
        #: Drawn once, so that a turn compiles nothing anew.
        self.start: Start | None = None
        self.result: Result | None = None
        self.reason = ""
        self.rounds, self.seconds, self.compilation = 0, 0.0, 0.0
        self.held_out = math.inf
        self.error: float | None = None
        self.estimate: float | None = None
        self.history: dict[str, list[float]] = {"seconds": [], "held_out": [], "relative_l2": []}
        self._state: TrainState | None = None

    @property
    def name(self) -> str:
        """The remedy in words."""
        return BASELINE if self.remedy is None else self.remedy.text

    def rank(self, score: Score) -> float:
        """What trials are ordered by: of all the same number, infinite where there is none."""
        value = self.error if score.by_error else self.held_out
        return math.inf if value is None else value

    @property
    def judged(self) -> bool:
        """Whether its rank says anything: not in its first steps; of slabs of time, after the last."""
        if self.result is None or self.setup.training.slabs is not None:
            return self.finished
        return self.result.steps >= JUDGED or self.finished

    @property
    def begun(self) -> bool:
        """Whether there is anything to tell of it."""
        return self.result is not None or bool(self.reason)

    @property
    def finished(self) -> bool:
        """Whether there is nothing to go on with."""
        ended = (Outcome.COMPLETED, Outcome.CONVERGED, Outcome.STALLED, Outcome.DIVERGED)
        return bool(self.reason) or (self.result is not None and self.result.outcome in ended)

    def go_on(self, seconds: float, score: Score) -> bool:
        """Train for so many seconds more, the compilation not counted; whether it was interrupted.

        Input that pinntk refuses and errors in the user's residual are kept as `reason`: the residual
        may have no gradient, or fail in float64.
        """
        if self.finished:
            return False
        try:
            with precision(self.setup.dtype):
                if self.result is None:
                    began = time.perf_counter()
                    self.result = self._train(ONE_STEP, score)
                    self.compilation = time.perf_counter() - began
                if self.result.outcome is Outcome.BUDGET:
                    self.result = self._train(seconds, score)
                self.seconds = self.result.seconds
                self.held_out = score(self.result.model)
                self.error = score.error(self.result.model)
        except KeyboardInterrupt:
            return True
        except Exception as error:
            if not isinstance(error, PinntkError) and not _in_residual(error, self.setup.problem):
                raise
            self.reason, self.result = brief(error), None
            return False
        self.rounds += 1
        self.history["seconds"].append(self.seconds)
        self.history["held_out"].append(self.held_out)
        if self.error is not None:
            self.history["relative_l2"].append(self.error)
        return self.result.outcome is Outcome.INTERRUPTED

    def at_the_end(self, score: Score) -> float:
        """`rank`, or what its power law makes of it at the end of the plan where that is less."""
        now, rows = self.rank(score), () if self.result is None else self.result.history
        if self.result is None or self.finished or len(rows) < 2:
            return now
        values = np.array([self._ranked(row, score) for row in rows], float)
        far = extrapolated([row.step for row in rows], values, self.setup.training.steps)
        decline = far / values[-1] if values[-1] > 0 else 1.0
        return now * min(1.0, decline) if math.isfinite(decline) else now

    @staticmethod
    def _ranked(row: Row, score: Score) -> float | None:
        return row.relative_l2 if score.by_error else score.total(row.held_out)

    def _train(self, seconds: float, score: Score) -> Result:
        if self.start is None:
            start = self.setup.start(self.seed)
            self.start = start._replace(batch=without(start.batch, score.split))
        start, resume = self.start, None
        if self.result is not None and self._state is not None:
            resume = Resumption(self._state, self.result.history, self.result.seconds)

        def keep(state: TrainState, _: float) -> None:
            self._state = state

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PinntkWarning)  # trials are told by their numbers
            return train(
                start.problem,
                start.model,
                self.setup.training,
                key=start.key,
                batch=start.batch,
                budget=seconds,
                observers=[Observer(checkpoint=keep)],
                resume=resume,
            )

    def trial(self) -> Trial:
        """The record of it; a training that was refused took no step."""
        last = self.result
        errors = self.history["relative_l2"]
        outcome = REFUSED if self.reason else NOT_TRIED
        return Trial(
            self.remedy,
            outcome if last is None else str(last.outcome),
            self.reason if self.begun else "no time was left for it",
            0 if last is None else last.steps,
            self.setup.training.steps,
            self.seconds,
            self.compilation,
            self.held_out,
            self.error,
            self.estimate,
            self.rounds,
            self.finished or self.rounds > 1,
            {**self.history, "relative_l2": errors or None},
        )


def _in_residual(error: Exception, problem: Problem) -> bool:
    """Whether an error came up in a call of one of the problem's residuals."""
    own = {getattr(condition.residual, "__code__", None) for condition in problem.conditions}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in own:
            return True
        trace = trace.tb_next
    return False
