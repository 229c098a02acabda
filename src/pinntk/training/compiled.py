"""The parts of training that are compiled: steps, losses, error, sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from pinntk.errors import PinntkError, ResidualError, brief
from pinntk.jacobian import block_traces, implicit, model_dtype, trainable
from pinntk.optim import Objective, Status
from pinntk.problem import Batch, Model, Problem, combined, field_errors
from pinntk.training import programs
from pinntk.training.history import Row
from pinntk.training.information import (
    check_needs,
    in_one_pass,
    updated_when_due,
    weights_and_objective,
)
from pinntk.training.plan import Training
from pinntk.weighting import WeightingState


class TrainState(NamedTuple):
    """Everything that training changes; saving it is saving the run. `status` is a `Status`."""

    step: Array
    parameters: Any
    optimizer: Any
    weighting: WeightingState
    batch: Batch
    status: Array

    @property
    def weights(self) -> Mapping[str, Array]:
        """The loss weights in force."""
        return self.weighting.weights


class Moment(NamedTuple):
    """What one step reports: unweighted losses and weights by condition, and the optimizer's metrics."""

    losses: Mapping[str, Array]
    weights: Mapping[str, Array]
    metrics: Mapping[str, Array | float]


class Chunk(NamedTuple):
    """The outcome of some steps: the state, what the first and the last of them reported."""

    state: TrainState
    first: Moment
    last: Moment
    finite: Array


class Resumption(NamedTuple):
    """Where a run continues: its state, the rows of history before it, the seconds already used.

    The state is a `TrainState`, or for a march through slabs of time a `MarchState`.
    """

    state: Any
    rows: Sequence[Row]
    seconds: float


def initial_state(
    problem: Problem, model: Model, training: Training, batch: Batch, weights: Any = None
) -> TrainState:
    """The state before the first step; `weights` replaces the rule's first weights, by condition."""
    parameters, _ = trainable(model)
    dtype = model_dtype(model)
    check_needs(training.weighting)
    weighting = training.weighting.init(problem.names)
    if weights is not None:
        weighting = weighting._replace(weights={name: weights[name] for name in problem.names})
    weighting = jax.tree.map(lambda value: jnp.asarray(value, dtype), weighting)
    return TrainState(
        jnp.zeros((), int),
        parameters,
        training.optimizer.init(parameters),
        weighting,
        batch,
        jnp.asarray(int(Status.RUNNING), jnp.int32),
    )


def compile_chunk(
    problem: Problem, rest: Any, training: Training, key: PRNGKeyArray
) -> Callable[[TrainState, int], Chunk]:
    """`run(state, n)`: n steps, or as many as have finite losses and weights and are wanted.

    One compilation for all n, and for all runs of equal trainings: networks that differ in their arrays
    and keys that differ share it.
    """
    arrays, static = eqx.partition(rest, eqx.is_array)
    parts = (problem, training.optimizer, training.weighting, training.resampling)
    program = programs.STEPS.get(parts, static, lambda: _steps(problem, static, training))
    return lambda state, n: program(arrays, key, state, n)


def _steps(
    problem: Problem, static: Any, training: Training
) -> Callable[[Any, PRNGKeyArray, TrainState, int], Chunk]:
    optimizer, weighting, resampling = training.optimizer, training.weighting, training.resampling

    @jax.jit  # traced once, though it is asked for its shapes first
    def one_step(
        arrays: Any, key: PRNGKeyArray, state: TrainState
    ) -> tuple[TrainState, Moment, Array]:
        rest = eqx.combine(arrays, static)
        model = eqx.combine(state.parameters, rest)
        batch = resampling.refresh(problem, model, state.batch, state.step, key)
        if in_one_pass(weighting):
            weights, objective = weights_and_objective(
                problem, rest, weighting, state.weighting, state.parameters, batch
            )
        else:
            weights = updated_when_due(
                problem, rest, weighting, state.weighting, state.parameters, batch, state.step, key
            )
            objective = Objective(problem, rest, weights.weights, batch)
        done = optimizer.step(state.parameters, state.optimizer, objective)
        moment = Moment(done.losses, weights.weights, done.metrics)
        finite = _all_finite((moment.losses, moment.weights))
        step = jnp.where(finite, state.step + 1, state.step)
        status = jnp.asarray(done.status, jnp.int32)
        after = TrainState(step, done.parameters, done.state, weights, batch, status)
        return after, moment, finite

    @jax.jit
    def run(arrays: Any, key: PRNGKeyArray, state: TrainState, n: Int[Array, ""]) -> Chunk:
        def body(carry: tuple) -> tuple:
            done, state, first, _, _ = carry
            state, now, finite = one_step(arrays, key, state)
            first = jax.tree.map(lambda old, new: jnp.where(done == 0, new, old), first, now)
            return done + 1, state, first, now, finite

        _, shapes, _ = jax.eval_shape(one_step, arrays, key, state)
        nothing = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        carry = (0, state, nothing, nothing, jnp.asarray(True))
        wanted = lambda c: (c[0] < n) & c[4] & (c[1].status == int(Status.RUNNING))
        return Chunk(*jax.lax.while_loop(wanted, body, carry)[1:])

    return run


def compile_look(problem: Problem, rest: Any) -> Callable[[Any, Batch], dict[str, Array]]:
    """(θ, batch) ↦ the unweighted losses."""
    arrays, static = eqx.partition(rest, eqx.is_array)

    def losses(arrays: Any, parameters: Any, batch: Batch) -> dict[str, Array]:
        return problem.losses(eqx.combine(parameters, eqx.combine(arrays, static)), batch)

    program = programs.LOOKS.get((problem,), static, lambda: jax.jit(losses))
    return lambda parameters, batch: program(arrays, parameters, batch)


def compile_error(problem: Problem, rest: Any, dtype: Any) -> Callable[[Any], Array] | None:
    """θ ↦ relative L2 error on the problem's test points, or None without a solution."""
    errors = compile_errors(problem, rest, dtype)
    return None if errors is None else lambda parameters: combined(errors(parameters))


def compile_errors(problem: Problem, rest: Any, dtype: Any) -> Callable[[Any], Array] | None:
    """θ ↦ relative L2 error of each field on the problem's test points, or None without a solution."""
    if problem.solution is None:
        return None
    arrays, static = eqx.partition(rest, eqx.is_array)

    def make() -> Callable[[Any, Any], Array]:
        points = problem.test_points(dtype)
        exact = _exact(problem, points)

        @jax.jit
        def errors(arrays: Any, parameters: Any) -> Array:
            model = eqx.combine(parameters, eqx.combine(arrays, static))
            return field_errors(jax.vmap(problem.field(model))(points), exact)

        return errors

    program = programs.ERRORS.get((problem, jnp.dtype(dtype).name), static, make)
    return lambda parameters: program(arrays, parameters)


def _exact(problem: Problem, points: Array) -> Array:
    assert problem.solution is not None
    try:
        return jax.vmap(problem.field(problem.solution))(points)
    except Exception as error:  # from the user's own function, or of what it returned
        raise PinntkError(
            "solution",
            got=brief(error),
            expected=f"a function of one point that returns {', '.join(problem.fields)}",
        ) from error


def check_sensitivity(problem: Problem, model: Model, batch: Batch) -> None:
    """Raise `ResidualError` for a condition whose residual does not depend on the parameters.

    Four points of each condition are looked at first, all of them only where those show nothing.
    """
    parameters, rest = trainable(model)
    arrays, static = eqx.partition(rest, eqx.is_array)

    def traces_at(arrays: Any, parameters: Any, batch: Batch) -> dict[str, Array]:
        model = eqx.combine(parameters, eqx.combine(arrays, static))
        return block_traces(implicit(problem, model, batch))

    measure = programs.SENSITIVITIES.get((problem,), static, lambda: jax.jit(traces_at))
    few = {name: jax.tree.map(lambda a: a[:4], sample) for name, sample in batch.items()}
    traces = measure(arrays, parameters, few)
    if any(float(trace) == 0 for trace in traces.values()):
        traces = measure(arrays, parameters, batch)
    for name, trace in traces.items():
        if float(trace) == 0:
            raise ResidualError(
                f"residual of condition {name!r}",
                got="a kernel block of zeros: no parameter of the model changes the residual",
                expected="a residual that depends on the model, differentiably",
                fix="Look for stop_gradient, rounding, or a residual that does not call u.",
            )


def _all_finite(tree: Any) -> Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf) for leaf in jax.tree.leaves(tree)]))
