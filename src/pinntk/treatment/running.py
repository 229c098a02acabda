"""One training of a treatment, which goes on in turns, and the measure that all are ranked by."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np

from pinntk.diagnosis import Diagnosis, Remedy, command_options
from pinntk.diagnosis.measures import residuals_at
from pinntk.jacobian import cast, model_dtype
from pinntk.problem import Model, Problem, relative_l2
from pinntk.runs import Setup
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

#: A run whose time is mostly compilation is not judged yet: it is ranked first, so that it goes on.
COMPILED = 2.0


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
        self.points = self.problem.held_out(setup.key)
        self.targets = self.problem.test_points()

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


class Run:
    """A training that goes on in turns."""

    def __init__(self, name: str, remedy: Remedy | None, setup: Setup, changes: Mapping[str, Any]):
        self.name, self.remedy, self.setup, self.changes = name, remedy, setup, changes
        self.result: Result | None = None
        self.state: TrainState | None = None
        self.refused: str | None = None
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
        return bool(rows) and self.seconds > COMPILED * rows[0].seconds

    @property
    def begun(self) -> bool:
        """Whether there is anything to tell of it."""
        return self.result is not None or self.refused is not None

    @property
    def finished(self) -> bool:
        """Whether there is nothing to go on with."""
        ended = (Outcome.COMPLETED, Outcome.CONVERGED, Outcome.STALLED, Outcome.DIVERGED)
        last = self.result
        return self.refused is not None or (last is not None and last.outcome in ended)

    def go_on(self, seconds: float, score: Score) -> bool:
        """Train for so many seconds more; whether it was interrupted."""
        if self.finished:
            return False
        recipe = self.setup.recipe
        resume = None
        if self.result is not None and self.state is not None:
            resume = Resumption(self.state, self.result.history, self.seconds)
        try:
            self.result = train(
                self.setup.problem,
                self.setup.model,
                optimizer=self.optimizer,
                weighting=self.weighting,
                steps=recipe.steps,
                key=self.setup.key,
                batch=self.setup.batch,
                log_every=recipe.log_every,
                budget=seconds,
                observers=[self],
                resume=resume,
                resampling=self.resampling,
            )
        except Exception as error:  # a residual without a gradient, or one that fails in float64
            self.refused = f"{type(error).__name__}: {error}"
            return False
        self.seconds = self.result.seconds
        self.rounds += 1
        self.held_out, self.error = score(self.result.model), score.error(self.result.model)
        self.history["seconds"].append(self.seconds)
        self.history["held_out"].append(self.held_out)
        if self.error is not None:
            self.history["relative_l2"].append(self.error)
        return self.result.outcome is Outcome.INTERRUPTED

    def trial(self) -> Trial:
        """The record of it; a training that was refused took no step."""
        last = self.result
        errors = self.history["relative_l2"]
        return Trial(
            self.name,
            self.remedy,
            dict(self.changes),
            "refused" if last is None else str(last.outcome),
            0 if last is None else last.steps,
            self.seconds,
            self.held_out,
            self.error,
            self.rounds,
            self.finished or self.rounds > 1,
            {**self.history, "relative_l2": errors or None},
        )
