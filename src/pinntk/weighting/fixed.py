"""Constant loss weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pinntk.weighting.information import Information
from pinntk.weighting.rule import AbstractWeighting, WeightingState, check_weights, initial_weights


@dataclasses.dataclass(frozen=True)
class Fixed(AbstractWeighting):
    """Constant weights by condition name; conditions that are not named have weight 1."""

    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    needs = ()
    every = None
    subsample = None

    def __post_init__(self) -> None:
        check_weights(self.weights)

    def init(self, names: Sequence[str]) -> WeightingState:
        return WeightingState(initial_weights(self.weights, names))

    def update(self, state: WeightingState, information: Information) -> WeightingState:
        del information
        return state
