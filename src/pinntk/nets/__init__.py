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
from pinntk.nets.mlp import MLP, ModifiedMLP, check_function
from pinntk.nets.transform import OutputTransform

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
    "OutputTransform",
    "PeriodicFeatures",
    "Positive",
    "Scaled",
    "StandardParametrization",
    "Unknown",
    "WithCoefficients",
    "check_function",
    "coefficients_of",
    "declared",
    "glorot",
    "lecun",
]
