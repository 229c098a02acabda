"""Many trainings of one problem at once: the steps of `train`, vectorized over networks and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from pinntk import threads
from pinntk.jacobian import model_dtype, parameter_count, trainable
from pinntk.optim import AbstractOptimizer, SecondOrder
from pinntk.problem import Batch, Model, Problem
from pinntk.training.compiled import (
    TrainState,
    compile_chunk,
    compile_error,
    compile_look,
    initial_state,
)
from pinntk.training.plan import Training
from pinntk.training.resampling import resized


class Member(NamedTuple):
    """One network and the points it is trained on, with its first loss weights where they are its own."""

    model: Model
    batch: Batch
    weights: Mapping[str, float] | None = None


class Look(NamedTuple):
    """All members at one step; their numbers are stacked along the first axis, (members,).

    `losses` and `held_out` are unweighted means of r² by condition, on the points trained on and on
    others; `errors` are relative L2, None where no solution is known; `finite` says which members have
    finite losses and parameters still.
    """

    step: int
    parameters: Any
    losses: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]
    held_out: Mapping[str, np.ndarray]
    errors: np.ndarray | None
    finite: np.ndarray


def train_ensemble(
    problem: Problem,
    members: Sequence[Member],
    training: Training,
    *,
    key: PRNGKeyArray,
    at: Sequence[int],
) -> Iterator[Look]:
    """Train all members at once and yield them at every step of `at`, in order; stop at any of them.

    All have models of one structure and points of one shape. The steps are those of `train`, compiled
    once. Held-out points and redrawn points follow from `key`; points of another number, where the
    resampling changes it, from `key` and the member.
    """
    keys = [key if i == 0 else jax.random.fold_in(key, i) for i in range(len(members))]
    rest = trainable(members[0].model)[1]
    dtype = model_dtype(members[0].model)
    counts = lambda step: training.resampling.counts(problem, step)
    batches = [
        resized(problem, member.batch, counts(0), own)
        for member, own in zip(members, keys, strict=True)
    ]
    states = [
        initial_state(problem, member.model, training, batch, member.weights)
        for member, batch in zip(members, batches, strict=True)
    ]
    state: TrainState = _stacked(states)
    chunk = compile_chunk(problem, rest, training, key)
    first = members[0]
    rows = sum(problem.rows(first.model, first.batch).values())
    smaller = min(parameter_count(first.model), rows)
    run = threads.sized(jax.jit(_over_members(chunk, training.optimizer)), smaller)
    other_points = problem.held_out(key, dtype)
    losses_at, error_at = compile_look(problem, rest), compile_error(problem, rest, dtype)

    @jax.jit
    def look(state: TrainState) -> tuple[Any, Any, Array | None]:
        trained = jax.vmap(losses_at)(state.parameters, state.batch)
        elsewhere = jax.vmap(losses_at, in_axes=(0, None))(state.parameters, other_points)
        errors = None if error_at is None else jax.vmap(error_at)(state.parameters)
        return trained, elsewhere, errors

    step = 0
    for target in at:
        while step < target:
            change = training.resampling.next_change(step)
            end = target if change is None else min(target, change)
            state = state._replace(batch=_resized(problem, state.batch, counts(step), keys))
            state, step = run(state, end - step).state, end
        losses, held_out, errors = look(state)
        named = lambda values: {
            name: np.asarray(values[name]) for name in problem.names if name in values
        }
        finite = np.isfinite(np.sum([np.asarray(v, np.float64) for v in losses.values()], axis=0))
        yield Look(
            step,
            state.parameters,
            named(losses),
            named(state.weights),
            named(held_out),
            None if errors is None else np.asarray(errors),
            finite & _finite(state.parameters, len(members)),
        )


def member_model(parameters: Any, like: Model, index: int) -> Model:
    """The model of one member from the stacked parameters."""
    own = _row(parameters, index)
    return eqx.combine(own, trainable(like)[1])


@jax.jit
def _row(parameters: Any, index: int | Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], parameters)


def _resized(
    problem: Problem, batches: Batch, counts: dict[str, int], keys: Sequence[PRNGKeyArray]
) -> Batch:
    """The stacked batches with other numbers of points where they differ."""
    sizes = {name: sample.points.shape[1] for name, sample in batches.items()}
    if all(sizes[name] == count for name, count in counts.items()):
        return batches
    own = [jax.tree.map(lambda leaf, i=i: leaf[i], batches) for i in range(len(keys))]
    return _stacked(
        [resized(problem, batch, counts, key) for batch, key in zip(own, keys, strict=True)]
    )


@jax.jit
def _stacked(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _over_members(chunk: Callable[[Any, Any], Any], optimizer: AbstractOptimizer) -> Callable:
    """The steps of all members: at once, or one after the other for optimizers that branch.

    Vectorized, both sides of a branch are computed: the natural gradient would repair its matrix by an
    eigendecomposition in every trial, and all members would try as often as the one that tries most.
    """
    if isinstance(optimizer.kind, SecondOrder):
        return lambda states, n: jax.lax.map(lambda state: chunk(state, n), states)
    return jax.vmap(chunk, in_axes=(0, None))


def _finite(parameters: Any, count: int) -> np.ndarray:
    leaves = [
        np.isfinite(np.asarray(leaf)).reshape(count, -1).all(axis=1)
        for leaf in jax.tree.leaves(parameters)
    ]
    return np.all(leaves, axis=0)
