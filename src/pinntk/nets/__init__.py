"""Models of a field: Equinox modules from one point (d,) to a scalar or to (m,) components."""

from pinntk.nets.coefficients import (
    Positive,
    Unknown,
    WithCoefficients,
    coefficients_of,
    declared,
)
from pinntk.nets.layers import (
    AbstractParametrization,
    Constrained,
    FourierFeatures,
    InputScaling,
    Linear,
    NTKParametrization,
    OutputScaling,
    PeriodicFeatures,
    Scaled,
    StandardParametrization,
    glorot,
    lecun,
)
from pinntk.nets.mlp import MLP, ModifiedMLP

__all__ = [
    "MLP",
    "AbstractParametrization",
    "Constrained",
    "FourierFeatures",
    "InputScaling",
    "Linear",
    "ModifiedMLP",
    "NTKParametrization",
    "OutputScaling",
    "PeriodicFeatures",
    "Positive",
    "Scaled",
    "StandardParametrization",
    "Unknown",
    "WithCoefficients",
    "coefficients_of",
    "declared",
    "glorot",
    "lecun",
]
