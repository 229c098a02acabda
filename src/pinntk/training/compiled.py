"""The parts of training that are compiled: steps, losses, error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from pinntk.errors import PinntkError
from pinntk.jacobian import block_traces
from pinntk.optim import AbstractOptimizer
from pinntk.problem import Batch, Problem, relative_l2
from pinntk.weighting import AbstractWeighting, NTKWeights, TraceInformation, Weights


class TrainState(NamedTuple):
    """Everything that training changes; saving it is saving the run."""

    step: Array
    parameters: Any
    optimizer: Any
    weights: Weights
    batch: Batch


class Chunk(NamedTuple):
    """The outcome of some steps: the state, and the losses and weights at their first and last."""

    state: TrainState
    first: tuple[dict[str, Array], Weights]
    last: tuple[dict[str, Array], Weights]
    finite: Array


def compile_chunk(
    problem: Problem,
    rest: Any,
    optimizer: AbstractOptimizer,
    weighting: AbstractWeighting,
    key: PRNGKeyArray,
) -> Callable[[TrainState, int], Chunk]:
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
    def run(state: TrainState, n: int) -> Chunk:
        nothing = jax.tree.map(jnp.zeros_like, (state.weights, state.weights))
        carry = (0, state, nothing, nothing, jnp.asarray(True))
        carry = jax.lax.while_loop(lambda c: (c[0] < n) & c[4], body, carry)
        return Chunk(*carry[1:])

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


def first_points(batch: Batch, count: int) -> Batch:
    """The first `count` points of every condition."""
    return {name: jax.tree.map(lambda a: a[:count], sample) for name, sample in batch.items()}


def compile_look(problem: Problem, rest: Any) -> Callable[[TrainState], dict[str, Array]]:
    """State ↦ the unweighted losses of its parameters on its points."""
    return jax.jit(lambda state: problem.losses(eqx.combine(state.parameters, rest), state.batch))


def compile_error(problem: Problem, rest: Any, dtype: Any) -> Callable[[Any], Array] | None:
    """θ ↦ relative L2 error on the problem's test points, or None without a solution."""
    if problem.solution is None:
        return None
    points = problem.test_points(dtype)
    try:
        exact = jax.vmap(problem.field(problem.solution))(points)
    except Exception as problem_error:  # from the user's own function
        raise PinntkError(
            "solution",
            got=f"{type(problem_error).__name__}: {problem_error}",
            expected=f"a function of one point that returns {', '.join(problem.fields)}",
        ) from problem_error

    @jax.jit
    def error(parameters: Any) -> Array:
        prediction = jax.vmap(problem.field(eqx.combine(parameters, rest)))(points)
        return relative_l2(prediction, exact)

    return error


def _all_finite_traced(tree: Any) -> Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf) for leaf in jax.tree.leaves(tree)]))
