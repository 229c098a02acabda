"""A short training of several draws at once: what the loss does, before anyone explains it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from pinntk.jacobian import model_dtype, trainable
from pinntk.optim import AbstractOptimizer, FirstOrder
from pinntk.problem import Batch, Model, Problem
from pinntk.training import start
from pinntk.training.compiled import compile_chunk, compile_error, compile_look
from pinntk.weighting import AbstractWeighting

#: Rows of history; their steps are spread evenly in the logarithm.
ROWS = 24
#: The row at which rates are looked at on the way.
HALF = ROWS // 2
#: Later rows are left out where a baseline takes longer than its seconds.
FIRST_ROWS = 4


class Draw(NamedTuple):
    """One network and the points it is trained on."""

    model: Model
    batch: Batch


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Some steps of the planned training, from every draw; arrays are (rows, draws).

    `losses` and `held_out` are unweighted means of r² by condition, on the points trained on and on
    others. `models` are those at the end, or the last finite ones; `midway` the first draw's at row
    `middle`.
    `diverged` says which draws lost their finite losses.
    """

    steps: tuple[int, ...]
    planned: int
    losses: Mapping[str, Float[np.ndarray, "rows draws"]]
    weights: Mapping[str, Float[np.ndarray, "rows draws"]]
    held_out: Mapping[str, Float[np.ndarray, "rows draws"]]
    errors: Float[np.ndarray, "rows draws"] | None
    models: tuple[Model, ...]
    midway: Model
    middle: int
    diverged: tuple[bool, ...]
    seconds: float

    @property
    def done(self) -> int:
        """The last step that was taken."""
        return self.steps[-1]


def rows_of(steps: int) -> list[int]:
    """The steps of the rows: 0, and then evenly spread in the logarithm up to `steps`."""
    return sorted({0, *np.unique(np.geomspace(1, steps, ROWS).round().astype(int)).tolist()})


def run_baseline(
    problem: Problem,
    draws: Sequence[Draw],
    optimizer: AbstractOptimizer,
    weighting: AbstractWeighting,
    steps: int,
    planned: int,
    key: PRNGKeyArray,
    seconds: float,
) -> Baseline:
    """Train all draws at once for `steps` of the `planned` steps, or as many as `seconds` allow.

    The steps are those of `train`, vectorised over the draws, so that they are compiled once.
    """
    began = time.perf_counter()
    rest = trainable(draws[0].model)[1]
    states = [start(problem, draw.model, optimizer, weighting, draw.batch) for draw in draws]
    state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    chunk = compile_chunk(problem, rest, optimizer, weighting, key)
    run = jax.jit(_over_draws(chunk, optimizer))
    dtype = model_dtype(draws[0].model)
    losses_at = compile_look(problem, rest)
    look = jax.jit(jax.vmap(losses_at))
    other_points = problem.held_out(key, dtype)
    look_elsewhere = jax.jit(jax.vmap(losses_at, in_axes=(0, None)))
    error_at = compile_error(problem, rest, dtype)
    errors_of = None if error_at is None else jax.jit(jax.vmap(error_at))

    kept: list[dict[str, Any]] = []
    taken: list[int] = []
    good = middle = state.parameters
    step = 0
    for target in rows_of(steps):
        if target > step:
            state = run(state, target - step).state
            step = target
        finite = _finite(state.parameters, len(draws))
        good = jax.tree.map(
            lambda new, old, ok=finite: jnp.where(ok.reshape(-1, *[1] * (new.ndim - 1)), new, old),
            state.parameters,
            good,
        )
        taken.append(step)
        kept.append(
            {
                "losses": look(state.parameters, state.batch),
                "weights": state.weights,
                "held_out": look_elsewhere(state.parameters, other_points),
                "errors": None if errors_of is None else errors_of(state.parameters),
            }
        )
        if len(taken) <= HALF + 1:
            middle = good
        over = time.perf_counter() - began > seconds
        if not finite.any() or (over and len(taken) >= FIRST_ROWS):
            break

    def column(what: str) -> dict[str, np.ndarray]:
        names = [name for name in problem.names if name in kept[0][what]]
        return {
            name: np.array([np.asarray(row[what][name], np.float64) for row in kept])
            for name in names
        }

    losses = column("losses")
    finite = np.isfinite(np.sum([values[-1] for values in losses.values()], axis=0))
    finite &= np.asarray(_finite(state.parameters, len(draws)))
    unstack = lambda tree, i: eqx.combine(jax.tree.map(lambda leaf: leaf[i], tree), rest)
    return Baseline(
        steps=tuple(taken),
        planned=planned,
        losses=losses,
        weights=column("weights"),
        held_out=column("held_out"),
        errors=None if errors_of is None else np.array([np.asarray(r["errors"]) for r in kept]),
        models=tuple(unstack(good, i) for i in range(len(draws))),
        midway=unstack(middle, 0),
        middle=min(HALF, len(taken) - 1),
        diverged=tuple(bool(not ok) for ok in finite),
        seconds=time.perf_counter() - began,
    )


def _over_draws(chunk: Callable[[Any, Any], Any], optimizer: AbstractOptimizer) -> Callable:
    """The steps of all draws: at once, or one draw after the other for optimisers that branch.

    Vectorised, both sides of a branch are computed: the natural gradient would repair its matrix by an
    eigendecomposition in every trial, and all draws would try as often as the one that tries most.
    """
    if isinstance(optimizer, FirstOrder):
        return jax.vmap(chunk, in_axes=(0, None))
    return lambda states, n: jax.lax.map(lambda state: chunk(state, n), states)


def _finite(parameters: Any, count: int) -> jax.Array:
    leaves = [
        jnp.isfinite(leaf).reshape(count, -1).all(axis=1) for leaf in jax.tree.leaves(parameters)
    ]
    return jnp.all(jnp.stack(leaves), axis=0)


def extrapolated(steps: Sequence[int], losses: Float[np.ndarray, " rows"], planned: int) -> float:
    """The loss at the planned step, on the power law of the later half of the rows.

    A loss that rises is taken to stay: a power law is for what falls. The fit is Theil's median of
    slopes, which one wild row does not bend.
    """
    half = len(steps) // 2
    x = np.log(np.maximum(np.asarray(steps[half:], float), 1.0))
    y = np.log(np.maximum(losses[half:], np.finfo(float).tiny))
    if len(x) < 2 or not np.isfinite(y).all():
        return float(losses[-1])
    i, j = np.triu_indices(len(x), 1)
    slope = float(np.median((y[j] - y[i]) / (x[j] - x[i])))
    level = float(np.median(y - slope * x))
    now = np.exp(level + slope * x[-1])
    return float(now * (planned / max(steps[-1], 1)) ** min(slope, 0.0))
