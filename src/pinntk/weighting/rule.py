"""The interface of weighting rules: `init`, `update`, the information they need, and how often."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from pinntk.errors import PinntkError, check_name
from pinntk.weighting.information import Information

Weights = dict[str, Float[Array, ""]]


class WeightingState(NamedTuple):
    """The current weights λ_k by condition, and whatever else a rule remembers: any pytree of arrays."""

    weights: Mapping[str, Any]
    memory: Any = ()


class AbstractWeighting(abc.ABC):
    """How the weights of L = Σ λ_k mean r_k² are chosen.

    `needs` are the kinds of information that `update` reads (`pinntk.weighting.Losses`,
    `GradientNorms`, `Traces`). `every` is the number of steps between two updates, None for never; the
    first is at step 0. `subsample` is the number of points of each condition to compute the information
    from, None for all.
    """

    needs: tuple[type, ...]
    every: int | None
    subsample: int | None

    @abc.abstractmethod
    def init(self, names: Sequence[str]) -> WeightingState:
        """The state before the first update; plain numbers will do. Raises for unknown names."""

    @abc.abstractmethod
    def update(self, state: WeightingState, information: Information) -> WeightingState:
        """New weights from the old ones and the information. Works inside jit."""


def initial_weights(given: Mapping[str, float], names: Sequence[str]) -> dict[str, Any]:
    """The given weights by condition, 1 where none is given; raises for names that are not conditions."""
    for name in given:
        check_name("weight", name, names)
    return {name: float(given.get(name, 1.0)) for name in names}


def check_weights(weights: object) -> None:
    """Raise unless these are positive finite numbers by name."""
    if not isinstance(weights, Mapping):
        raise PinntkError(
            "weights", got=weights, expected='numbers by name, like {"boundary": 100.0}'
        )
    for name, value in weights.items():
        if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
            raise PinntkError(
                f"weight of {name!r}",
                got=value,
                expected="a positive finite number",
                fix="To leave a condition out, take it out of the problem.",
            )
