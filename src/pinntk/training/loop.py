"""The only training loop: compiled as a whole, one host visit per chunk of steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from pinntk.errors import PinntkError, ResidualError
from pinntk.jacobian import block_traces, model_dtype, trainable
from pinntk.optim import AbstractOptimizer
from pinntk.problem import Batch, Model, Problem, Sample, relative_l2
from pinntk.training.history import Outcome, Result, Row
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights, TraceInformation, Weights

#: The host looks in about this often: for progress, the time budget and Ctrl-C.
SECONDS_PER_VISIT = 0.5


class TrainState(NamedTuple):
    """Everything that training changes; saving it is saving the run."""

    step: Array
    parameters: Any
    optimizer: Any
    weights: Weights
    batch: Batch


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


class _Chunk(NamedTuple):
    """The outcome of some steps: the state, and the losses and weights at their first and last."""

    state: TrainState
    first: tuple[dict[str, Array], Weights]
    last: tuple[dict[str, Array], Weights]
    finite: Array


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
) -> Result:
    """Minimise Σ_k λ_k mean_i r_{k,i}² over the trainable arrays of `model`.

    **Arguments:**

    - `optimizer`, `weighting`: objects that choose the behaviour; no weighting means all weights 1.
    - `key`: draws the points, now and when a condition redraws them; the same key, the same run.
    - `batch`: the points to start from; drawn with `key` when None.
    - `log_every`: steps between two rows of history. `checkpoint_every`: steps between two calls of
      the observers' `checkpoint`, never when None (the last state is always offered).
    - `budget`: seconds, compilation included, after which the run stops with outcome "budget".
    - `resume`: where an earlier run of the same arguments stopped; the result is the same, bit for
      bit, as if it had not.

    Losses or weights that are not finite end the run at once with outcome "diverged"; the result then
    holds the last good model. Ctrl-C ends it with outcome "interrupted". Neither raises.
    """
    weighting = weighting or Fixed()
    for argument, value in (("steps", steps), ("log_every", log_every)):
        if not isinstance(value, int) or value < 1:
            raise PinntkError(argument, got=value, expected="a whole number, 1 or more")
    if budget is not None and not budget > 0:
        raise PinntkError("budget", got=budget, expected="a positive number of seconds")
    began = time.perf_counter()
    batch = problem.sample(key, model_dtype(model)) if batch is None else batch
    problem.check(model, batch)
    check_sensitivity(problem, model, batch)
    rows: list[Row] = []
    state = start(problem, model, optimizer, weighting, batch)
    if resume is not None:
        state, rows = resume.state, list(resume.rows)
        began -= resume.seconds
    _, rest = trainable(model)
    run = compile_chunk(problem, rest, optimizer, weighting, key)
    look = _compile_look(problem, rest)
    error = _compile_error(problem, rest, model_dtype(model))

    def record(step: int, losses: Any, weights: Any, parameters: Any) -> Row:
        return Row(
            step,
            {name: float(losses[name]) for name in problem.names},
            {name: float(weights[name]) for name in problem.names},
            float(optimizer.learning_rate(step)),
            None if error is None else float(error(parameters)),
            time.perf_counter() - began,
        )

    outcome, message = Outcome.COMPLETED, ""
    pace = np.inf  # steps per second, unknown before the second chunk
    step = int(state.step)
    try:
        while step < steps:
            stops = [steps, _next_multiple(step, log_every)]
            if checkpoint_every is not None:
                stops.append(_next_multiple(step, checkpoint_every))
            size = min(stops) - step
            if np.isfinite(pace):
                size = max(1, min(size, int(pace * SECONDS_PER_VISIT)))
            visit = time.perf_counter()
            chunk = jax.block_until_ready(run(state, size))
            if step % log_every == 0 and _all_finite(chunk.first):
                rows.append(record(step, *chunk.first, state.parameters))
                for observer in observers:
                    observer.row(rows[-1])
            if not chunk.finite:
                outcome = Outcome.DIVERGED
                bad = int(chunk.state.step)
                message = _divergence(bad, chunk.last)
                # The steps are deterministic: run again up to the last state with finite losses.
                state = run(state, max(0, bad - 1 - step)).state if bad > step else state
                break
            state, step = chunk.state, int(chunk.state.step)
            # The first chunk's time is mostly compilation, so the pace is taken from the second on.
            pace = size / (time.perf_counter() - visit) if rows and np.isfinite(pace) else 1.0
            for observer in observers:
                observer.progress(step, steps, rows[-1] if rows else None)
            if checkpoint_every is not None and step % checkpoint_every == 0 and step < steps:
                for observer in observers:
                    observer.checkpoint(state, time.perf_counter() - began)
            if budget is not None and step < steps and time.perf_counter() - began > budget:
                outcome = Outcome.BUDGET
                message = f"stopped after {step} of {steps} steps, when {budget:g} s were used"
                break
    except KeyboardInterrupt:
        outcome = Outcome.INTERRUPTED
        message = f"interrupted after {int(state.step)} of {steps} steps"

    step = int(state.step)
    losses = look(state)
    if outcome is Outcome.COMPLETED:
        if _all_finite((losses, state.weights)):
            message = f"completed {steps} steps"
        else:
            outcome, message = Outcome.DIVERGED, _divergence(step, (losses, state.weights))
    final = record(step, losses, state.weights, state.parameters)
    if outcome is Outcome.COMPLETED and (not rows or rows[-1].step < step):
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
    )


def compile_chunk(
    problem: Problem,
    rest: Any,
    optimizer: AbstractOptimizer,
    weighting: AbstractWeighting,
    key: PRNGKeyArray,
) -> Callable[[TrainState, int], _Chunk]:
    """`run(state, n)`: n steps, or as many as have finite losses and weights. One compilation."""

    def one_step(state: TrainState) -> tuple[TrainState, tuple, Array]:
        batch = problem.redraw(state.batch, state.step, key)
        weights = _updated_weights(problem, rest, weighting, state._replace(batch=batch))

        def objective(parameters: Any) -> tuple:
            def loss(parameters: Any) -> tuple[Array, dict[str, Array]]:
                losses = problem.losses(eqx.combine(parameters, rest), batch)
                return jnp.sum(jnp.stack([weights[name] * losses[name] for name in losses])), losses

            return jax.value_and_grad(loss, has_aux=True)(parameters)

        parameters, optimizer_state, losses = optimizer.step(
            state.parameters, state.optimizer, objective
        )
        finite = _all_finite_traced((losses, weights))
        after = TrainState(state.step + 1, parameters, optimizer_state, weights, batch)
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after.step, state.step)
        return after._replace(step=kept), (losses, weights), finite

    def body(carry: tuple) -> tuple:
        done, state, first, _, _ = carry
        state, now, finite = one_step(state)
        first = jax.tree.map(lambda old, new: jnp.where(done == 0, new, old), first, now)
        return done + 1, state, first, now, finite

    @jax.jit
    def run(state: TrainState, n: int) -> _Chunk:
        nothing = jax.tree.map(jnp.zeros_like, (state.weights, state.weights))
        carry = (0, state, nothing, nothing, jnp.asarray(True))
        carry = jax.lax.while_loop(lambda c: (c[0] < n) & c[4], body, carry)
        return _Chunk(*carry[1:])

    return run


def _updated_weights(
    problem: Problem, rest: Any, weighting: AbstractWeighting, state: TrainState
) -> Weights:
    if weighting.every is None:
        return state.weights

    def update(state: TrainState) -> Weights:
        if weighting.needs is not TraceInformation:
            raise PinntkError(
                "weighting", got=weighting.needs.__name__, expected="information the loop can give"
            )
        model = eqx.combine(state.parameters, rest)
        batch = state.batch
        if isinstance(weighting, NTKWeights) and weighting.subsample is not None:
            batch = first_points(batch, weighting.subsample)
        traces = block_traces(problem, model, batch)
        fresh = weighting.update(
            state.weights, TraceInformation(traces, problem.rows(model, batch))
        )
        return {name: fresh[name].astype(old.dtype) for name, old in state.weights.items()}

    due = state.step % weighting.every == 0
    return jax.lax.cond(due, update, lambda state: state.weights, state)


def check_sensitivity(problem: Problem, model: Model, batch: Batch) -> None:
    """Raise `ResidualError` for a condition whose residual does not depend on the parameters.

    Four points of each condition are looked at first, all of them only where those show nothing.
    """
    parameters, rest = trainable(model)
    measure = jax.jit(lambda p, points: block_traces(problem, eqx.combine(p, rest), points))
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


def first_points(batch: Batch, count: int) -> Batch:
    """The first `count` points of every condition."""
    return {name: Sample(*(jax.tree.map(lambda a: a[:count], s))) for name, s in batch.items()}


def _compile_look(problem: Problem, rest: Any) -> Callable[[TrainState], dict[str, Array]]:
    return jax.jit(lambda state: problem.losses(eqx.combine(state.parameters, rest), state.batch))


def _compile_error(problem: Problem, rest: Any, dtype: Any) -> Callable[[Any], Array] | None:
    """θ ↦ relative L2 error on the problem's test points, or None without a solution."""
    if problem.solution is None:
        return None
    points = problem.test_points(dtype)
    exact = jax.vmap(problem.solution)(points)

    @jax.jit
    def error(parameters: Any) -> Array:
        prediction = jax.vmap(problem.field(eqx.combine(parameters, rest)))(points)
        return relative_l2(prediction, exact)

    return error


def _next_multiple(step: int, every: int) -> int:
    return (step // every + 1) * every


def _all_finite(tree: Any) -> bool:
    return all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


def _all_finite_traced(tree: Any) -> Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf) for leaf in jax.tree.leaves(tree)]))


def _divergence(step: int, last: tuple[Any, Any]) -> str:
    losses, weights = last
    for what, values in (("weight", weights), ("loss", losses)):
        bad = [name for name, value in values.items() if not np.isfinite(value)]
        if bad:
            return (
                f"diverged at step {step}: the {what} of condition {bad[0]!r} is "
                f"{float(values[bad[0]])}; the last good state is kept"
            )
    return f"diverged at step {step}; the last good state is kept"
