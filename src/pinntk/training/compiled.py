"""The parts of training that are compiled: steps, losses, error."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from pinntk.errors import PinntkError
from pinntk.jacobian import Use, block_traces, factored, implicit, vjp
from pinntk.optim import AbstractOptimizer, Objective, Status, weighted_sum
from pinntk.problem import Batch, Problem, relative_l2
from pinntk.training.resampling import AbstractResampling, AsConditioned
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


class _Cache:
    """The newest programs, by the identity of the objects that went into them and are kept alive here."""

    def __init__(self, size: int):
        self._size = size
        self._kept: OrderedDict[tuple, tuple[Any, Any]] = OrderedDict()

    def get(self, objects: tuple, static: Any, make: Callable[[], Any]) -> Any:
        leaves, structure = jax.tree.flatten(static)
        every = (*objects, *leaves)
        key = (tuple(map(id, every)), structure, jax.dtypes.canonicalize_dtype(float))
        if key not in self._kept:
            self._kept[key] = (every, make())
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return self._kept[key][1]


#: A treatment goes round some five trainings in turns, after an examination.
_PROGRAMS, _LOOKS = _Cache(8), _Cache(8)
_AS_CONDITIONED = AsConditioned()


def compile_chunk(
    problem: Problem,
    rest: Any,
    optimizer: AbstractOptimizer,
    weighting: AbstractWeighting,
    key: PRNGKeyArray,
    resampling: AbstractResampling | None = None,
) -> Callable[[TrainState, int], Chunk]:
    """`run(state, n)`: n steps, or as many as have finite losses and weights and are wanted.

    One compilation for every size of the batch, and for all runs of the same objects: networks that
    differ in their arrays and keys that differ share it. Points change as the conditions say unless
    `resampling` does.
    """
    resampling = resampling or _AS_CONDITIONED
    arrays, static = eqx.partition(rest, eqx.is_array)
    make = lambda: _steps(problem, static, optimizer, weighting, resampling)
    program = _PROGRAMS.get((problem, optimizer, weighting, resampling), static, make)
    return lambda state, n: program(arrays, key, state, n)


def _steps(
    problem: Problem,
    static: Any,
    optimizer: AbstractOptimizer,
    weighting: AbstractWeighting,
    resampling: AbstractResampling,
) -> Callable[[Any, PRNGKeyArray, TrainState, int], Chunk]:
    def one_step(
        rest: Any, key: PRNGKeyArray, state: TrainState
    ) -> tuple[TrainState, tuple, Array]:
        model = eqx.combine(state.parameters, rest)
        batch = resampling.refresh(problem, model, state.batch, state.step, key)
        state = state._replace(batch=batch)
        if _in_one_pass(weighting):
            weights, objective = _weights_and_objective(problem, rest, weighting, state)
        else:
            weights = _updated_weights(problem, rest, weighting, state)
            objective = Objective(problem, rest, weights, batch)
        parameters, optimizer_state, losses = optimizer.step(
            state.parameters, state.optimizer, objective
        )
        finite = _all_finite_traced((losses, weights))
        after = TrainState(state.step + 1, parameters, optimizer_state, weights, batch)
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after.step, state.step)
        return after._replace(step=kept), (losses, weights), finite

    @jax.jit
    def run(arrays: Any, key: PRNGKeyArray, state: TrainState, n: int) -> Chunk:
        rest = eqx.combine(arrays, static)

        def body(carry: tuple) -> tuple:
            done, state, first, _, _ = carry
            state, now, finite = one_step(rest, key, state)
            first = jax.tree.map(lambda old, new: jnp.where(done == 0, new, old), first, now)
            return done + 1, state, first, now, finite

        nothing = jax.tree.map(jnp.zeros_like, (state.weights, state.weights))
        carry = (0, state, nothing, nothing, jnp.asarray(True))
        running = lambda state: optimizer.status(state.optimizer) == Status.RUNNING
        carry = jax.lax.while_loop(lambda c: (c[0] < n) & c[4] & running(c[1]), body, carry)
        return Chunk(*carry[1:])

    return run


def _in_one_pass(weighting: AbstractWeighting) -> bool:
    """Whether every step needs the traces of the points that it trains on."""
    return isinstance(weighting, NTKWeights) and weighting.every == 1 and not weighting.subsample


def _weights_and_objective(
    problem: Problem, rest: Any, weighting: AbstractWeighting, state: TrainState
) -> tuple[Weights, Objective]:
    """New weights and the objective under them, from one Jacobian.

    ∇L = Jᵀ v with v_k = 2 λ_k r_k / N_k, so that one backward pass gives the traces and the gradient.
    """
    model = eqx.combine(state.parameters, rest)
    jacobian = factored(problem, model, state.batch, Use.DIAGONAL)
    weights = _weights_from(weighting, state.weights, block_traces(jacobian), jacobian.rows)

    plain = Objective(problem, rest, weights, state.batch)

    def gradient(parameters: Any) -> tuple[tuple[Array, dict[str, Array]], Any]:
        if parameters is not state.parameters:
            return plain(parameters)
        residuals = {name: jacobian.residuals[name].ravel() for name in jacobian.names}
        losses = {name: jnp.mean(r**2) for name, r in residuals.items()}
        vectors = {name: 2 * weights[name] / r.size * r for name, r in residuals.items()}
        return (weighted_sum(weights, losses), losses), vjp(jacobian, vectors)

    return weights, dataclasses.replace(plain, gradient=gradient)


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
        jacobian = implicit(problem, model, batch)
        return _weights_from(weighting, state.weights, block_traces(jacobian), jacobian.rows)

    due = state.step % weighting.every == 0
    return jax.lax.cond(due, update, lambda state: state.weights, state)


def _weights_from(
    weighting: AbstractWeighting, old: Weights, traces: dict[str, Array], rows: dict[str, int]
) -> Weights:
    fresh = weighting.update(old, TraceInformation(traces, rows))
    return {name: fresh[name].astype(value.dtype) for name, value in old.items()}


def first_points(batch: Batch, count: int) -> Batch:
    """The first `count` points of every condition."""
    return {name: jax.tree.map(lambda a: a[:count], sample) for name, sample in batch.items()}


def compile_look(problem: Problem, rest: Any) -> Callable[[Any, Batch], dict[str, Array]]:
    """(θ, batch) ↦ the unweighted losses."""
    arrays, static = eqx.partition(rest, eqx.is_array)

    def losses(arrays: Any, parameters: Any, batch: Batch) -> dict[str, Array]:
        return problem.losses(eqx.combine(parameters, eqx.combine(arrays, static)), batch)

    program = _LOOKS.get((problem,), static, lambda: jax.jit(losses))
    return lambda parameters, batch: program(arrays, parameters, batch)


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
