"""Rules for the loss weights λ_k, and the information each of them needs."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from pinntk.errors import PinntkError, check_name

Weights = dict[str, Float[Array, ""]]


class NoInformation(NamedTuple):
    """For rules that look at nothing."""


class TraceInformation(NamedTuple):
    """For rules on convergence rates: tr K_kk and N_k, the number of residuals behind it, by name."""

    traces: Mapping[str, Float[Array, ""]]
    rows: Mapping[str, int]


Information = NoInformation | TraceInformation


class AbstractWeighting(abc.ABC):
    """How the weights of L = Σ λ_k mean r_k² are chosen.

    `needs` is the type of information that `update` wants; `every` says how many steps lie between
    two updates, None for never. The first update is at step 0.
    """

    needs: type[Information]
    every: int | None

    @abc.abstractmethod
    def initial(self, names: Sequence[str]) -> dict[str, float]:
        """The weights before the first update. Raises for names that are not conditions."""

    @abc.abstractmethod
    def update(self, weights: Weights, information: Information) -> Weights:
        """New weights from the old ones and the information. Works inside jit."""


@dataclasses.dataclass(frozen=True)
class Fixed(AbstractWeighting):
    """Constant weights by condition name; conditions that are not named have weight 1."""

    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    needs = NoInformation
    every = None

    def __post_init__(self) -> None:
        _check_weights(self.weights)

    def initial(self, names: Sequence[str]) -> dict[str, float]:
        return _initial(self.weights, names)

    def update(self, weights: Weights, information: Information) -> Weights:  # noqa: ARG002
        return weights


@dataclasses.dataclass(frozen=True)
class NTKWeights(AbstractWeighting):
    """Algorithm 1 of Wang, Yu, Perdikaris (2022): every condition gets the same average rate.

    λ_k = (Σ_j c_j) / c_k with the average convergence rate c_k = tr(K_kk)/N_k. For equal N_k this is
    the paper's λ_k = tr K / tr K_kk; where the counts differ the rate, not the trace, is what a mean
    over points converges with. A larger trace gets a smaller weight.

    **Arguments:**

    - `every`: steps between two updates.
    - `moving_average`: β in λ ← βλ_old + (1 − β)λ_new; 0, the default, is the paper's algorithm.
    - `subsample`: use only so many points of every condition for the traces, drawn anew at every
      update (None: all). The rate is right on average, and noisier.
    - `factors`: multiply the weights of some conditions, by name: one that stands for the sum of
      three means rather than for one mean has 3.
    """

    every: int | None = 100
    moving_average: float = 0.0
    subsample: int | None = None
    factors: Mapping[str, float] = dataclasses.field(default_factory=dict)
    needs = TraceInformation

    def __post_init__(self) -> None:
        if not isinstance(self.every, int) or self.every < 1:
            raise PinntkError(
                "every", got=self.every, expected="a whole number of steps, 1 or more"
            )
        if not 0.0 <= self.moving_average < 1.0:
            raise PinntkError(
                "moving_average", got=self.moving_average, expected="a number from 0 to below 1"
            )
        if self.subsample is not None and self.subsample < 1:
            raise PinntkError("subsample", got=self.subsample, expected="1 point or more, or None")
        _check_weights(self.factors)

    def initial(self, names: Sequence[str]) -> dict[str, float]:
        return _initial(self.factors, names)

    def update(self, weights: Weights, information: Information) -> Weights:
        assert isinstance(information, TraceInformation)
        fresh = ntk_weights(information.traces, information.rows)
        keep = self.moving_average
        return {
            name: keep * weights[name] + (1 - keep) * self.factors.get(name, 1.0) * fresh[name]
            for name in weights
        }


def ntk_weights(traces: Mapping[str, Float[Array, ""] | float], rows: Mapping[str, int]) -> Weights:
    """λ_k = (Σ_j c_j)/c_k, c_k = tr(K_kk)/N_k (Algorithm 1). By name; infinite for a zero trace."""
    rates = {name: jnp.asarray(trace) / rows[name] for name, trace in traces.items()}
    total = jnp.sum(jnp.stack(list(rates.values())))
    return {name: total / rate for name, rate in rates.items()}


def _initial(given: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    for name in given:
        check_name("weight", name, names)
    return {name: float(given.get(name, 1.0)) for name in names}


def _check_weights(weights: Mapping[str, float]) -> None:
    for name, value in weights.items():
        if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
            raise PinntkError(
                f"weight of {name!r}",
                got=value,
                expected="a positive finite number",
                fix="To leave a condition out, take it out of the problem.",
            )
