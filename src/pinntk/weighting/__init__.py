"""Loss weights: fixed, or from the tangent kernel."""

from pinntk.weighting.rules import (
    AbstractWeighting,
    Fixed,
    Information,
    NoInformation,
    NTKWeights,
    TraceInformation,
    Weights,
    ntk_weights,
)

__all__ = [
    "AbstractWeighting",
    "Fixed",
    "Information",
    "NTKWeights",
    "NoInformation",
    "TraceInformation",
    "Weights",
    "ntk_weights",
]
