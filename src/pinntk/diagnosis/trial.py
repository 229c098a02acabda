"""One training among the trials of remedies, which goes on in turns, and the measure they are ranked by."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from pinntk.diagnosis.diagnosis import Diagnosis
from pinntk.diagnosis.finding import OptionOf, Proposal, changes
from pinntk.diagnosis.subject import field_at, residuals_at
from pinntk.errors import PinntkError, PinntkWarning, brief
from pinntk.jacobian import cast, model_dtype
from pinntk.problem import Model, Problem, relative_l2
from pinntk.training import (
    Observer,
    Outcome,
    Result,
    Resumption,
    Setup,
    Start,
    TrainState,
    precision,
    train,
)
from pinntk.weighting import ntk_weights

#: A run whose time is mostly compilation is not judged yet: it is ranked first, so that it goes on.
COMPILED = 2.0
#: The outcome of a training that could not begin.
REFUSED = "refused"
#: What the training without a remedy is called.
BASELINE = "baseline"


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """One remedy, tried: what it was, how far it came; no `remedy` is the training as planned.

    `held_out` is Σ λ_k mean r_k² on points that no trial trains on, with one set of weights λ for all
    trials; `history` its course. `reason` says why a training was refused.
    """

    remedy: Proposal | None
    outcome: str
    reason: str
    steps: int
    seconds: float
    held_out: float
    relative_l2: float | None
    rounds: int
    kept: bool
    history: Mapping[str, list[float] | None]

    @property
    def name(self) -> str:
        """The remedy in words."""
        return BASELINE if self.remedy is None else self.remedy.text

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


class Score:
    """One measure for all trials: Σ λ_k mean r_k² over held-out points of the problem as it was stated.

    λ are Algorithm 1's weights for the network that was diagnosed, before training: no condition drowns
    another. Conditions that a trial has built into its model count too; they are zero. Call it within
    the precision of the model.
    """

    def __init__(self, diagnosis: Diagnosis):
        setup = diagnosis.setup
        self.problem = setup.problem
        first = diagnosis.evidence.before[0]
        rates = {n: rate for n, rate in first.rates.items() if rate > 0}
        weights = ntk_weights(rates, dict.fromkeys(rates, 1)) if rates else {}
        least = min((float(w) for w in weights.values()), default=1.0)
        self.weights = {n: float(w) / least for n, w in weights.items()}
        with precision(setup.dtype):
            self.points = self.problem.held_out(setup.start(diagnosis.seed).key)
            self.targets = self.problem.test_points()

    def __call__(self, model: Model) -> float:
        """Smaller is better; infinite where the model is not finite."""
        residuals = residuals_at(self.problem, model, cast(self.points, model_dtype(model)))
        total = sum(
            self.weights.get(name, 1.0) * float(np.mean(r**2)) for name, r in residuals.items()
        )
        return total if math.isfinite(total) else math.inf

    @property
    def by_error(self) -> bool:
        """Whether the solution is known, so that trials are ranked by their error."""
        return self.problem.solution is not None

    def error(self, model: Model) -> float | None:
        """The relative L2 error, where the solution is known."""
        if self.problem.solution is None:
            return None
        points = self.targets.astype(model_dtype(model))
        found = field_at(self.problem, model, points)
        exact = field_at(self.problem, self.problem.solution, points)
        error = float(relative_l2(jnp.asarray(found), jnp.asarray(exact)))
        return error if math.isfinite(error) else math.inf


class Race:
    """A training that goes on in turns, from the same seed as all others."""

    def __init__(self, setup: Setup, seed: int, remedy: Proposal | None = None):
        self.setup, self.seed, self.remedy = setup, seed, remedy
        # Drawn once, so that a turn compiles nothing anew.
        self._start: Start | None = None
        self.result: Result | None = None
        self.reason = ""
        self.rounds, self.seconds = 0, 0.0
        self.held_out, self.error = math.inf, None
        self.history: dict[str, list[float]] = {"seconds": [], "held_out": [], "relative_l2": []}
        self._state: TrainState | None = None

    def rank(self, score: Score) -> float:
        """What trials are ordered by: of all the same number, infinite where there is none."""
        value = self.error if score.by_error else self.held_out
        return math.inf if value is None else value

    @property
    def judged(self) -> bool:
        """Whether it has trained for as long as it has compiled: before that, its rank says little."""
        rows = () if self.result is None else self.result.history
        return bool(rows) and self.seconds > COMPILED * rows[0].seconds

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
        """Train for so many seconds more; whether it was interrupted.

        Input that pinntk refuses and errors in the user's residual are kept as `reason`: the residual
        may have no gradient, or fail in float64.
        """
        if self.finished:
            return False
        try:
            with precision(self.setup.dtype):
                self.result = self._train(seconds)
                self.seconds = self.result.seconds
                self.held_out = score(self.result.model)
                self.error = score.error(self.result.model)
        except KeyboardInterrupt:
            return True
        except Exception as error:
            if not isinstance(error, PinntkError) and not _in_residual(error, self.setup.problem):
                raise
            self.reason = brief(error)
            return False
        self.rounds += 1
        self.history["seconds"].append(self.seconds)
        self.history["held_out"].append(self.held_out)
        if self.error is not None:
            self.history["relative_l2"].append(self.error)
        return self.result.outcome is Outcome.INTERRUPTED

    def _train(self, seconds: float) -> Result:
        if self._start is None:
            self._start = self.setup.start(self.seed)
        start, resume = self._start, None
        if self.result is not None and self._state is not None:
            resume = Resumption(self._state, self.result.history, self.seconds)

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
        return Trial(
            self.remedy,
            REFUSED if last is None else str(last.outcome),
            self.reason,
            0 if last is None else last.steps,
            self.seconds,
            self.held_out,
            self.error,
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
