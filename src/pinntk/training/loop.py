"""The only training loop: compiled as a whole, one host visit per chunk of steps."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from pinntk import threads
from pinntk.errors import PinntkError, PinntkWarning, ResidualError
from pinntk.jacobian import block_traces, implicit, model_dtype, parameter_count, trainable
from pinntk.optim import AbstractOptimizer, Objective, Status
from pinntk.problem import Batch, Model, Problem
from pinntk.training.compiled import (
    Chunk,
    TrainState,
    compile_chunk,
    compile_error,
    compile_look,
    first_points,
)
from pinntk.training.history import Outcome, Result, Row
from pinntk.training.resampling import AbstractResampling, AsConditioned, resized
from pinntk.weighting import AbstractWeighting, Fixed

#: The host looks in about this often: for progress, the time budget and Ctrl-C.
SECONDS_PER_VISIT = 0.5

#: A residual is called overfitted where its loss elsewhere is this many times that on its points. The
#: root mean square is then 10 times larger, more than uneven points explain.
OVERFIT = 100.0
#: Losses below this are rounding in float64 (an rms of 1e-15), and their ratios mean nothing.
TINY = 1e-30
#: Runs that end by themselves log their last step.
FINISHED = (Outcome.COMPLETED, Outcome.CONVERGED, Outcome.STALLED)
#: How a run ends that its optimiser ends.
ENDINGS = {
    Status.LOSS: (Outcome.CONVERGED, "the loss is at its tolerance"),
    Status.STEP: (Outcome.CONVERGED, "the steps are at their tolerance"),
    Status.GRADIENT: (Outcome.CONVERGED, "the gradient is at its tolerance"),
    Status.STALLED: (Outcome.STALLED, "no step lowers the loss any further at this precision"),
}


class Resumption(NamedTuple):
    """Where a run goes on from: its state, the rows of history before it, the seconds already used."""

    state: TrainState
    rows: Sequence[Row]
    seconds: float


class Observer(Protocol):
    """What a run tells while it goes on."""

    def row(self, row: Row) -> None:
        """A row of history was recorded."""

    def progress(self, step: int, steps: int, row: Row | None) -> None:
        """The run stands at `step` of `steps`; `row` is the newest one."""

    def checkpoint(self, state: TrainState, seconds: float) -> None:
        """A state worth keeping."""


def start(
    problem: Problem,
    model: Model,
    optimizer: AbstractOptimizer,
    weighting: AbstractWeighting,
    batch: Batch,
) -> TrainState:
    """The state before the first step."""
    parameters, _ = trainable(model)
    dtype = model_dtype(model)
    initial = weighting.initial(problem.names)
    weights = {name: jnp.asarray(value, dtype) for name, value in initial.items()}
    return TrainState(jnp.zeros((), int), parameters, optimizer.init(parameters), weights, batch)


def train(
    problem: Problem,
    model: Model,
    *,
    optimizer: AbstractOptimizer,
    weighting: AbstractWeighting | None = None,
    steps: int,
    key: PRNGKeyArray,
    batch: Batch | None = None,
    log_every: int = 100,
    checkpoint_every: int | None = None,
    budget: float | None = None,
    observers: Sequence[Observer] = (),
    resume: Resumption | None = None,
    resampling: AbstractResampling | None = None,
) -> Result:
    """Minimise Σ_k λ_k mean_i r_{k,i}² over the trainable arrays of `model`.

    **Arguments:**

    - `optimizer`, `weighting`: objects that choose the behaviour; no weighting means all weights 1.
    - `key`: draws the points, now and when a condition redraws them; the same key, the same run.
    - `batch`: the points to start from; drawn with `key` when None.
    - `log_every`: steps between two rows of history. `checkpoint_every`: steps between two calls of
      the observers' `checkpoint`, never when None (the last state is always offered).
    - `budget`: seconds of this call, compilation included, after which it stops with outcome
      "budget".
    - `resampling`: how the points change: `ByResidual()`, `Growing()`; None leaves it to the conditions.
    - `resume`: where an earlier run of the same arguments stopped; the result is the same, bit for
      bit, as if it had not.

    An optimiser that finds nothing more to do ends it with outcome "converged", or "stalled" where no
    step lowers the loss. A residual that is fitted on its points but not between them is said in the
    result's `notes`.

    Losses or weights that are not finite end the run at once with outcome "diverged"; the result then
    holds the last good model. Ctrl-C ends it with outcome "interrupted". Neither raises.
    """
    weighting = weighting or Fixed()
    counts = {"steps": steps, "log_every": log_every}
    if checkpoint_every is not None:
        counts["checkpoint_every"] = checkpoint_every
    for argument, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise PinntkError(argument, got=value, expected="a whole number, 1 or more")
    if budget is not None and not budget > 0:
        raise PinntkError("budget", got=budget, expected="a positive number of seconds")
    opened = began = time.perf_counter()
    batch = problem.sample(key, model_dtype(model)) if batch is None else batch
    problem.check(model, batch)
    check_sensitivity(problem, model, batch)
    rows: list[Row] = []
    resampling = resampling or AsConditioned()
    state = start(problem, model, optimizer, weighting, batch)
    parameters, rest = trainable(model)
    notes = optimizer.check(Objective(problem, rest, state.weights, batch), parameters)
    for note in notes:
        warnings.warn(note, PinntkWarning, stacklevel=2)
    if resume is not None:
        state, rows = resume.state, list(resume.rows)
        began -= resume.seconds
    smaller = min(parameter_count(model), sum(problem.rows(model, batch).values()))
    program = compile_chunk(problem, rest, optimizer, weighting, key, resampling)
    run = threads.sized(program, smaller)
    losses_at = compile_look(problem, rest)
    error = compile_error(problem, rest, model_dtype(model))
    other_points = problem.held_out(key, model_dtype(model))

    def look(state: TrainState) -> dict[str, Any]:
        return losses_at(state.parameters, state.batch)

    def record(step: int, losses: Any, weights: Any, state: TrainState) -> Row:
        held_out = losses_at(state.parameters, other_points)
        damping = float(optimizer.damping_of(state.optimizer))
        return Row(
            step,
            {name: float(losses[name]) for name in problem.names},
            {name: float(weights[name]) for name in problem.names},
            float(optimizer.learning_rate(step)),
            None if error is None else float(error(state.parameters)),
            time.perf_counter() - began,
            None if np.isnan(damping) else damping,
            {name: float(held_out[name]) for name in problem.names if name in held_out},
        )

    outcome, message = Outcome.COMPLETED, f"completed {steps} steps"
    pace = np.inf  # steps per second, unknown before the second chunk
    step = int(state.step)
    before = state  # one chunk earlier
    status = Status(int(optimizer.status(state.optimizer)))
    try:
        while step < steps and status is Status.RUNNING:
            counts = resampling.counts(problem, step)
            state = state._replace(batch=resized(problem, state.batch, counts, key))
            stops = [steps, _next_multiple(step, log_every)]
            change = resampling.next_change(step)
            if change is not None:
                stops.append(change)
            if checkpoint_every is not None:
                stops.append(_next_multiple(step, checkpoint_every))
            size = min(stops) - step
            if np.isfinite(pace):
                size = max(1, min(size, int(pace * SECONDS_PER_VISIT)))
            visit = time.perf_counter()
            chunk = jax.block_until_ready(run(state, size))
            if step % log_every == 0 and _all_finite(chunk.first):
                losses, weights = chunk.first
                rows.append(record(step, losses, weights, state))
                for observer in observers:
                    observer.row(rows[-1])
            if not chunk.finite:
                bad = int(chunk.state.step)
                outcome, message = Outcome.DIVERGED, _divergence(bad, chunk.last)
                state = _last_good(run, (state, before), bad)
                break
            before, state, step = state, chunk.state, int(chunk.state.step)
            status = Status(int(optimizer.status(state.optimizer)))
            # The first chunk's time is mostly compilation, so the pace is taken from the second on.
            pace = size / (time.perf_counter() - visit) if rows and np.isfinite(pace) else 1.0
            for observer in observers:
                observer.progress(step, steps, rows[-1] if rows else None)
            due = checkpoint_every is not None and step % checkpoint_every == 0 and step < steps
            if due and _all_finite(look(state)):
                for observer in observers:
                    observer.checkpoint(state, time.perf_counter() - began)
            if budget is not None and step < steps and time.perf_counter() - opened > budget:
                outcome = Outcome.BUDGET
                message = f"stopped after {step} of {steps} steps, when {budget:g} s were used"
                break
        if status is not Status.RUNNING and outcome is Outcome.COMPLETED:
            outcome, why = ENDINGS[status]
            message = f"{outcome} after {step} of {steps} steps: {why}"
    except KeyboardInterrupt:
        outcome = Outcome.INTERRUPTED
        message = f"interrupted after {int(state.step)} of {steps} steps"

    losses = look(state)
    if outcome is not Outcome.DIVERGED and not _all_finite(losses):
        bad = int(state.step)
        outcome, message = Outcome.DIVERGED, _divergence(bad, (losses, state.weights))
        state = _last_good(run, (state, before), bad)
        losses = look(state)
    step = int(state.step)
    final = record(step, losses, state.weights, state)
    if outcome in FINISHED and (not rows or rows[-1].step < step):
        rows.append(final)
        for observer in observers:
            observer.row(final)
    for observer in observers:
        observer.checkpoint(state, final.seconds)
    return Result(
        model=eqx.combine(state.parameters, rest),
        outcome=outcome,
        message=message,
        steps=step,
        seconds=final.seconds,
        losses=final.losses,
        weights=final.weights,
        relative_l2=final.relative_l2,
        history=tuple(rows),
        held_out=final.held_out or {},
        notes=(*notes, *overfitted(final)),
    )


def overfitted(row: Row) -> tuple[str, ...]:
    """A sentence for every condition that is fitted on its points and not between them."""
    return tuple(
        f"Overfitted: on points that were not trained on, the loss of {name!r} is {held:.1e}, "
        f"{held / max(row.losses[name], TINY):,.0f} times that on its own. Use more points, or draw "
        "them anew by residual."
        for name, held in (row.held_out or {}).items()
        if held > OVERFIT * row.losses[name] and held > TINY
    )


def check_sensitivity(problem: Problem, model: Model, batch: Batch) -> None:
    """Raise `ResidualError` for a condition whose residual does not depend on the parameters.

    Four points of each condition are looked at first, all of them only where those show nothing.
    """
    parameters, rest = trainable(model)
    measure = jax.jit(
        lambda p, points: block_traces(implicit(problem, eqx.combine(p, rest), points))
    )
    traces = measure(parameters, first_points(batch, 4))
    if any(float(trace) == 0 for trace in traces.values()):
        traces = measure(parameters, batch)
    for name, trace in traces.items():
        if float(trace) == 0:
            raise ResidualError(
                f"residual of condition {name!r}",
                got="a kernel block of zeros: no parameter of the model changes the residual",
                expected="a residual that depends on the model, differentiably",
                fix="Look for stop_gradient, rounding, or a residual that does not call u.",
            )


def _next_multiple(step: int, every: int) -> int:
    return (step // every + 1) * every


def _all_finite(tree: Any) -> bool:
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


def _divergence(step: int, last: tuple[Any, Any]) -> str:
    losses, weights = last
    what, values = ("weight", weights) if _all_finite(losses) else ("loss", losses)
    name = next(name for name, value in values.items() if not np.isfinite(value))
    found = f"at step {step}: the {what} of condition {name!r} is {float(values[name])}"
    if step == 0:
        return f"not finite {found}, before any training"
    return f"diverged {found}; the last good state is kept"
