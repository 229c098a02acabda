"""Loss weights: the rules, and the kinds of information they can ask for."""

from pinntk.weighting.fixed import Fixed
from pinntk.weighting.information import GradientNorms, Information, Losses, Traces
from pinntk.weighting.ntk import NTKWeights, ntk_weights
from pinntk.weighting.rule import AbstractWeighting, WeightingState, Weights

__all__ = [
    "AbstractWeighting",
    "Fixed",
    "GradientNorms",
    "Information",
    "Losses",
    "NTKWeights",
    "Traces",
    "WeightingState",
    "Weights",
    "ntk_weights",
]
