"""How each kind of information that a weighting rule may ask for comes out of the residual Jacobian."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from pinntk.errors import PinntkError
from pinntk.jacobian import AbstractJacobian, Use, block_traces, factored, implicit, vjp
from pinntk.optim import Objective, weighted_sum
from pinntk.problem import Batch, Problem, subsample
from pinntk.weighting import (
    AbstractWeighting,
    GradientNorms,
    Information,
    Losses,
    Traces,
    WeightingState,
)

#: Folded into a run's key, so that subsamples do not share random numbers with the points themselves.
SUBSAMPLES = 0x5AB5


def _losses(jacobian: AbstractJacobian) -> Losses:
    return Losses({name: jnp.mean(jacobian.residuals[name] ** 2) for name in jacobian.names})


def _traces(jacobian: AbstractJacobian) -> Traces:
    return Traces(block_traces(jacobian), jacobian.rows)


def _gradient_norms(jacobian: AbstractJacobian) -> GradientNorms:
    """∇L_k = 2/N_k J_kᵀ r_k: one product with Jᵀ for each condition."""
    zeros = {name: jnp.zeros(jacobian.rows[name], r.dtype) for name, r in _flat(jacobian).items()}
    euclidean, largest, mean = {}, {}, {}
    for name, r in _flat(jacobian).items():
        gradient = vjp(jacobian, {**zeros, name: 2 / r.size * r})
        leaves = jax.tree.leaves(gradient)
        count = sum(leaf.size for leaf in leaves)
        euclidean[name] = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in leaves))
        largest[name] = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
        mean[name] = sum(jnp.sum(jnp.abs(leaf)) for leaf in leaves) / count
    return GradientNorms(euclidean, largest, mean)


#: The kinds that rules may ask for, and how each is computed.
KINDS: Mapping[type, Callable[[AbstractJacobian], Any]] = {
    Losses: _losses,
    GradientNorms: _gradient_norms,
    Traces: _traces,
}


def _flat(jacobian: AbstractJacobian) -> dict[str, Array]:
    return {name: jacobian.residuals[name].ravel() for name in jacobian.names}


def check_needs(weighting: AbstractWeighting) -> None:
    """Raise where a rule asks for a kind of information that training cannot give."""
    for kind in weighting.needs:
        if kind not in KINDS:
            raise PinntkError(
                "needs",
                got=getattr(kind, "__name__", kind),
                expected=f"some of {', '.join(known.__name__ for known in KINDS)}",
            )


def read(weighting: AbstractWeighting, jacobian: AbstractJacobian) -> Information:
    """What a rule asked for."""
    return Information(*(KINDS[kind](jacobian) for kind in weighting.needs))


def in_one_pass(weighting: AbstractWeighting) -> bool:
    """Whether every step needs information from all the points that it trains on."""
    return bool(weighting.needs) and weighting.every == 1 and not weighting.subsample


def updated(
    weighting: AbstractWeighting, state: WeightingState, jacobian: AbstractJacobian
) -> WeightingState:
    """The state after an update, with the dtypes that it had."""
    fresh = weighting.update(state, read(weighting, jacobian))
    return jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), fresh, state)


def weights_and_objective(
    problem: Problem,
    rest: Any,
    weighting: AbstractWeighting,
    state: WeightingState,
    parameters: Any,
    batch: Batch,
) -> tuple[WeightingState, Objective]:
    """New weights and the objective under them, from one Jacobian.

    ∇L = Jᵀ v with v_k = 2 λ_k r_k / N_k, so that one backward pass gives the information and the gradient.
    """
    jacobian = factored(problem, eqx.combine(parameters, rest), batch, Use.DIAGONAL)
    after = updated(weighting, state, jacobian)
    weights = after.weights
    plain = Objective(problem, rest, weights, batch)

    def gradient(at: Any) -> tuple[tuple[Array, dict[str, Array]], Any]:
        if at is not parameters:
            return plain(at)
        residuals = _flat(jacobian)
        losses = {name: jnp.mean(r**2) for name, r in residuals.items()}
        vectors = {name: 2 * weights[name] / r.size * r for name, r in residuals.items()}
        return (weighted_sum(weights, losses), losses), vjp(jacobian, vectors)

    return after, Objective(problem, rest, weights, batch, gradient)


def updated_when_due(
    problem: Problem,
    rest: Any,
    weighting: AbstractWeighting,
    state: WeightingState,
    parameters: Any,
    batch: Batch,
    step: Array,
    key: PRNGKeyArray,
) -> WeightingState:
    """The state after an update at the steps that are multiples of `every`, as it was at the others."""
    if weighting.every is None:
        return state

    def update(state: WeightingState) -> WeightingState:
        seen = batch
        if weighting.subsample is not None:
            own = jax.random.fold_in(jax.random.fold_in(key, SUBSAMPLES), step)
            seen = subsample(batch, weighting.subsample, own)
        jacobian = implicit(problem, eqx.combine(parameters, rest), seen)
        return updated(weighting, state, jacobian)

    return jax.lax.cond(step % weighting.every == 0, update, lambda state: state, state)
