"""Algorithm 1 of Wang, Yu and Perdikaris (2022): every condition gets the same average rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from pinntk.errors import PinntkError
from pinntk.weighting.information import Information, Traces
from pinntk.weighting.rule import (
    AbstractWeighting,
    WeightingState,
    Weights,
    check_weights,
    initial_weights,
)


@dataclasses.dataclass(frozen=True)
class NTKWeights(AbstractWeighting):
    """Algorithm 1 of Wang, Yu, Perdikaris (2022): every condition gets the same average rate.

    λ_k = (Σ_j c_j) / c_k with the average convergence rate c_k = tr(K_kk)/N_k. For equal N_k this is
    the paper's λ_k = tr K / tr K_kk; where the counts differ, the loss, a mean over points, converges
    with the rate and not with the trace. A larger trace gets a smaller weight.

    **Arguments:**

    - `every`: steps between two updates.
    - `moving_average`: β in λ ← βλ_old + (1 − β)λ_new; 0, the default, is the paper's algorithm.
    - `subsample`: compute the traces from this many points of each condition, drawn at random at every
      update (None: from all). The rates stay unbiased and become noisier.
    - `factors`: multiply the weights of some conditions, by name; use 3 for a condition that stands for
      the sum of three means.
    """

    every: int | None = 100
    moving_average: float = 0.0
    subsample: int | None = None
    factors: Mapping[str, float] = dataclasses.field(default_factory=dict)
    needs = (Traces,)

    def __post_init__(self) -> None:
        if not isinstance(self.every, int) or self.every < 1:
            raise PinntkError(
                "every", got=self.every, expected="a whole number of steps, 1 or more"
            )
        if not isinstance(self.moving_average, int | float) or not 0.0 <= self.moving_average < 1.0:
            raise PinntkError(
                "moving_average", got=self.moving_average, expected="a number from 0 to below 1"
            )
        if self.subsample is not None and not (
            isinstance(self.subsample, int) and self.subsample >= 1
        ):
            raise PinntkError(
                "subsample", got=self.subsample, expected="a whole number of points, or None"
            )
        check_weights(self.factors)

    def init(self, names: Sequence[str]) -> WeightingState:
        return WeightingState(initial_weights(self.factors, names))

    def update(self, state: WeightingState, information: Information) -> WeightingState:
        traces = information[Traces]
        fresh = ntk_weights(traces.values, traces.rows)
        keep = self.moving_average
        return state._replace(
            weights={
                name: keep * old + (1 - keep) * self.factors.get(name, 1.0) * fresh[name]
                for name, old in state.weights.items()
            }
        )


def ntk_weights(traces: Mapping[str, Float[Array, ""] | float], rows: Mapping[str, int]) -> Weights:
    """λ_k = (Σ_j c_j)/c_k, c_k = tr(K_kk)/N_k (Algorithm 1). By name; infinite for a zero trace."""
    rates = {name: jnp.asarray(trace) / rows[name] for name, trace in traces.items()}
    total = jnp.sum(jnp.stack(list(rates.values())))
    return {name: total / rate for name, rate in rates.items()}
