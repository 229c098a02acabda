"""The training loop: compiled as a whole, with one host visit per chunk of steps."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from pinntk import threads
from pinntk.errors import PinntkError, PinntkWarning
from pinntk.jacobian import model_dtype, parameter_count, trainable
from pinntk.optim import Objective, SecondOrder, Status
from pinntk.problem import (
    Batch,
    Model,
    NotFiniteResidual,
    Problem,
    combined,
    not_finite_residual,
)
from pinntk.training.compiled import (
    Chunk,
    Moment,
    Resumption,
    TrainState,
    check_sensitivity,
    compile_chunk,
    compile_errors,
    compile_look,
    initial_state,
)
from pinntk.training.history import Outcome, Result, Row
from pinntk.training.marching import march
from pinntk.training.observer import Observer
from pinntk.training.pace import Pace
from pinntk.training.plan import Training, check_count
from pinntk.training.resampling import resized

#: A residual is called overfitted where its loss elsewhere is this many times that on its points. The
#: root mean square is then 10 times larger, more than uneven points explain.
OVERFIT = 100.0
#: Losses below this are rounding in float64 (an rms of 1e-15), and their ratios mean nothing.
TINY = 1e-30
#: Runs that end by themselves log their last step.
FINISHED = (Outcome.COMPLETED, Outcome.CONVERGED, Outcome.STALLED)
#: How a run ends that its optimizer ends.
ENDINGS = {
    Status.LOSS: (Outcome.CONVERGED, "the loss is at its tolerance"),
    Status.STEP: (Outcome.CONVERGED, "the steps are at their tolerance"),
    Status.GRADIENT: (Outcome.CONVERGED, "the gradient is at its tolerance"),
    Status.STALLED: (Outcome.STALLED, "no step lowers the loss any further at this precision"),
}


def train(
    problem: Problem,
    model: Model,
    training: Training,
    *,
    key: PRNGKeyArray,
    batch: Batch | None = None,
    budget: float | None = None,
    checkpoint_every: int | None = None,
    observers: Sequence[Observer] = (),
    resume: Resumption | None = None,
) -> Result:
    """Minimize Σ_k λ_k mean_i r_{k,i}² over the trainable arrays of `model`.

    **Arguments:**

    - `training`: how to train: `pk.Training(pk.adam(1e-3), steps=5_000)`.
    - `key`: draws the points, now and whenever a condition redraws them; the same key, the same run.
    - `batch`: the points to start from; drawn with `key` when None.
    - `budget`: seconds of this call, compilation included, after which it stops with outcome "budget".
      It is kept to within one step, and first checked after the first step, which includes compilation.
    - `checkpoint_every`: steps between two calls of the observers' `checkpoint`, never when None (the
      last state is always offered).
    - `resume`: where an earlier run with the same arguments stopped; the result is the same, bit for
      bit, as if it had not.

    An optimizer that has reached its tolerance ends the run with outcome "converged"; if no step lowers
    the loss, with "stalled". The result's `notes` warn about residuals that are overfitted to their
    collocation points.

    Losses or weights that are not finite end the run at once with outcome "diverged"; the result then
    holds the last good model, and a `PinntkWarning` says so. Ctrl-C ends it with outcome "interrupted".
    Neither raises.
    """
    if not isinstance(training, Training):
        raise PinntkError(
            "training",
            got=training,
            expected="a Training",
            fix="Write pk.Training(pk.adam(1e-3), steps=10_000).",
        )
    if not isinstance(problem, Problem):
        raise PinntkError("problem", got=problem, expected="a pinntk.Problem")
    if not isinstance(key, jax.Array):
        raise PinntkError("key", got=key, expected="a key, like jax.random.key(0)")
    if checkpoint_every is not None:
        check_count("checkpoint_every", checkpoint_every)
    if budget is not None and not (isinstance(budget, int | float) and budget > 0):
        raise PinntkError("budget", got=budget, expected="a positive number of seconds")
    if training.slabs is not None:
        return march(
            problem,
            model,
            training,
            key=key,
            batch=batch,
            budget=budget,
            observers=observers,
            resume=resume,
        )
    run = _Run(problem, model, training, key, batch, observers, resume)
    run.go(budget, checkpoint_every)
    return run.result()


class _Run:
    """One training: its programs, where it stands, and what it has recorded."""

    def __init__(
        self,
        problem: Problem,
        model: Model,
        training: Training,
        key: PRNGKeyArray,
        batch: Batch | None,
        observers: Sequence[Observer],
        resume: Resumption | None,
    ):
        self.opened = self.began = time.perf_counter()
        self.problem, self.training, self.key, self.observers = problem, training, key, observers
        dtype = model_dtype(model)
        batch = problem.sample(key, dtype) if batch is None else batch
        _check_batch(problem, batch)
        batch = resized(problem, batch, training.resampling.counts(problem, 0), key)
        problem.check(model, batch)
        check_sensitivity(problem, model, batch)
        state = initial_state(problem, model, training, batch)
        self.rest = trainable(model)[1]
        self.notes = _notes(training, Objective(problem, self.rest, state.weights, batch), state)
        for note in self.notes:
            warnings.warn(note, PinntkWarning, stacklevel=4)
        self.rows: list[Row] = []
        if resume is not None:
            state, self.rows = resume.state, list(resume.rows)
            self.began -= resume.seconds
        smaller = min(parameter_count(model), sum(problem.rows(model, batch).values()))
        self.run = threads.sized(compile_chunk(problem, self.rest, training, key), smaller)
        self.losses_at = compile_look(problem, self.rest)
        self.errors = compile_errors(problem, self.rest, dtype)
        self.other_points = problem.held_out(key, dtype)
        self.state = self.before = state  # `before` is one chunk earlier
        self.outcome = Outcome.COMPLETED
        self.message = f"completed {training.steps} steps"
        self.metrics: dict[str, float] = {}
        self.pace = Pace()

    @property
    def step(self) -> int:
        return int(self.state.step)

    def go(self, budget: float | None, checkpoint_every: int | None) -> None:
        """Train to the end, or to whatever ends it before."""
        steps = self.training.steps
        try:
            while self.step < steps and self._running():
                self._visit(checkpoint_every, None if budget is None else self.opened + budget)
                if self.outcome is not Outcome.COMPLETED:
                    return
                if budget is not None and self.step < steps and self._elapsed() > budget:
                    self.outcome = Outcome.BUDGET
                    self.message = (
                        f"stopped after {self.step} of {steps} steps, when {budget:g} s were used"
                    )
                    return
            if not self._running():
                self.outcome, why = ENDINGS[Status(int(self.state.status))]
                self.message = f"{self.outcome} after {self.step} of {steps} steps: {why}"
        except KeyboardInterrupt:
            self.outcome = Outcome.INTERRUPTED
            self.message = f"interrupted after {self.step} of {steps} steps"

    def _running(self) -> bool:
        return int(self.state.status) == Status.RUNNING

    def _elapsed(self) -> float:
        return time.perf_counter() - self.opened

    def _visit(self, checkpoint_every: int | None, deadline: float | None) -> None:
        """One chunk of steps, and what is due after it."""
        step, every = self.step, self.training.log_every
        counts = self.training.resampling.counts(self.problem, step)
        start = self.state._replace(batch=resized(self.problem, self.state.batch, counts, self.key))
        stops = [self.training.steps, next_multiple(step, every)]
        change = self.training.resampling.next_change(step)
        stops += [] if change is None else [change]
        stops += [] if checkpoint_every is None else [next_multiple(step, checkpoint_every)]
        shapes = _shapes(start.batch)
        size = self.pace.size(min(stops) - step, deadline, shapes)
        with self.pace.timed(size, shapes):
            chunk = jax.block_until_ready(self.run(start, size))
        if step % every == 0 and all_finite(chunk.first[:2]):
            self._log(self._record(step, chunk.first, start))
        if not chunk.finite:
            self._diverge(chunk.last, int(chunk.state.step), (start, self.before))
            return
        self.before, self.state = start, chunk.state
        self.metrics = {name: float(value) for name, value in chunk.last.metrics.items()}
        for observer in self.observers:
            if observer.progress is not None:
                newest = self.rows[-1] if self.rows else None
                observer.progress(self.step, self.training.steps, newest)
        due = checkpoint_every is not None and self.step % checkpoint_every == 0
        if due and self.step < self.training.steps and all_finite(self._look(self.state)):
            self._keep(time.perf_counter() - self.began)

    def _look(self, state: TrainState) -> dict[str, Any]:
        return self.losses_at(state.parameters, state.batch)

    def _record(self, step: int, moment: Moment, state: TrainState) -> Row:
        held_out = self.losses_at(state.parameters, self.other_points)
        names = self.problem.names
        return Row(
            step,
            {name: float(moment.losses[name]) for name in names},
            {name: float(moment.weights[name]) for name in names},
            {name: float(value) for name, value in moment.metrics.items()},
            None if self.errors is None else float(combined(self.errors(state.parameters))),
            time.perf_counter() - self.began,
            {name: float(held_out[name]) for name in names if name in held_out},
        )

    def _log(self, row: Row) -> None:
        self.rows.append(row)
        for observer in self.observers:
            if observer.row is not None:
                observer.row(row)

    def _keep(self, seconds: float) -> None:
        for observer in self.observers:
            if observer.checkpoint is not None:
                observer.checkpoint(self.state, seconds)

    def _diverge(self, last: Moment, bad: int, visited: Sequence[TrainState]) -> None:
        self.outcome = Outcome.DIVERGED
        self.state = _last_good(self.run, visited, bad)
        found = self._reason(bad)
        self.message = _divergence(bad, last, "" if found is None else f" at {found.at}")
        if found is not None:
            self.notes = (*self.notes, found.fix)
        fix = "" if found is None else f". {found.fix}"
        warnings.warn(self.message + fix, PinntkWarning, stacklevel=6)

    def _reason(self, bad: int) -> NotFiniteResidual | None:
        """Which residual is not finite at step `bad`, where and why; None where none is, or it is unknown.

        After the start, numbers that are too large come of the steps and not of the residual.
        """
        state = self.state if self.step == bad else self.run(self.state, 1).state
        if not all_finite(state.parameters):
            return None
        model = eqx.combine(state.parameters, self.rest)
        residuals = self.problem.residuals(model, state.batch)
        found = not_finite_residual(self.problem, model, state.batch, residuals)
        overflow = found is not None and found.cause is not None and found.cause.overflow
        return None if bad > 0 and overflow else found

    def result(self) -> Result:
        """What came of it; the last state is offered to the observers."""
        losses = self._look(self.state)
        if self.outcome is not Outcome.DIVERGED and not all_finite(losses):
            moment = Moment(losses, self.state.weights, {})
            self._diverge(moment, self.step, (self.state, self.before))
            losses = self._look(self.state)
        final = self._record(
            self.step, Moment(losses, self.state.weights, self.metrics), self.state
        )
        if self.outcome in FINISHED and (not self.rows or self.rows[-1].step < self.step):
            self._log(final)
        self._keep(final.seconds)
        return Result(
            model=eqx.combine(self.state.parameters, self.rest),
            outcome=self.outcome,
            message=self.message,
            steps=self.step,
            seconds=final.seconds,
            losses=final.losses,
            weights=final.weights,
            relative_l2=final.relative_l2,
            history=tuple(self.rows),
            held_out=final.held_out,
            notes=(*self.notes, *overfitted(final)),
            compilation=self.pace.compilation,
            errors=self._by_field(),
        )

    def _by_field(self) -> dict[str, float]:
        if self.errors is None:
            return {}
        found = np.asarray(self.errors(self.state.parameters), float)
        return dict(zip(self.problem.fields, found.tolist(), strict=True))


def overfitted(row: Row) -> tuple[str, ...]:
    """A sentence for every condition that is fitted on its points and not between them."""
    found = []
    for name, held in row.held_out.items():
        trained = row.losses[name]
        if not np.isfinite(trained):
            continue
        if not np.isfinite(held):
            found.append(
                f"Not finite: on points that were not trained on, the loss of {name!r} is {held}. "
                "Look for a division by zero or a root of a negative number between the points."
            )
        elif held > OVERFIT * trained and held > TINY:
            found.append(
                f"Overfitted: on points that were not trained on, the loss of {name!r} is {held:.1e}, "
                f"{held / max(trained, TINY):,.0f} times that on its own. Use more points, or draw "
                "them anew by residual."
            )
    return tuple(found)


def _notes(training: Training, objective: Objective, state: TrainState) -> tuple[str, ...]:
    kind = training.optimizer.kind
    return kind.notes(objective, state.parameters) if isinstance(kind, SecondOrder) else ()


def _check_batch(problem: Problem, batch: Batch) -> None:
    missing = [name for name in problem.names if name not in batch]
    if missing:
        raise PinntkError(
            "batch",
            got=f"no points for {', '.join(map(repr, missing))}",
            expected=f"points for {', '.join(problem.names)}",
            fix="Draw them: problem.sample(key).",
        )


def _shapes(batch: Batch) -> tuple:
    return tuple((name, sample.points.shape) for name, sample in batch.items())


def next_multiple(step: int, every: int) -> int:
    """The first multiple of `every` above `step`."""
    return (step // every + 1) * every


def all_finite(tree: Any) -> bool:
    """Whether every number is finite."""
    return all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


def _last_good(
    run: Callable[[TrainState, int], Chunk], visited: Sequence[TrainState], bad: int
) -> TrainState:
    """The state one step before `bad`, from the newest visited one before it, which comes first.

    The steps are deterministic, so they are run again. Where the run began at `bad`, its first state.
    """
    for state in visited:
        step = int(state.step)
        if step < bad:
            return run(state, bad - 1 - step).state
    return visited[-1]


def _divergence(step: int, last: Moment, where: str) -> str:
    what, values = ("weight", last.weights) if all_finite(last.losses) else ("loss", last.losses)
    name = next(name for name, value in values.items() if not np.isfinite(value))
    found = f"at step {step}: the {what} of condition {name!r} is {float(values[name])}{where}"
    if step == 0:
        return f"not finite {found}, before any training"
    return f"diverged {found}; the last good state is kept"
