"""The names by which the command line knows objects: one table for each option that takes a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from pinntk.nets import (
    MLP,
    ModifiedMLP,
    NTKParametrization,
    StandardParametrization,
    glorot,
    lecun,
)
from pinntk.optim import (
    SPRING,
    AbstractOptimizer,
    Cholesky,
    ConjugateGradients,
    NaturalGradient,
    adam,
    gradient_descent,
)
from pinntk.training import (
    AsConditioned,
    ProgressivePoints,
    ResidualAdaptive,
    no_scaling,
    points_scaling,
    standard_scaling,
    unit_scaling,
)
from pinntk.weighting import Fixed, NTKWeights

ARCHITECTURES = {"mlp": MLP, "modified-mlp": ModifiedMLP}
ACTIVATIONS: Mapping[str, Callable] = {
    "tanh": jnp.tanh,
    "sin": jnp.sin,
    "swish": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid,
}
#: Elementwise functions of the last layer; none by default.
OUTPUTS: Mapping[str, Callable | None] = {
    "none": None,
    "softplus": jax.nn.softplus,
    "exp": jnp.exp,
}
INITIALIZERS = {"glorot": glorot, "lecun": lecun}
PARAMETRIZATIONS = {"standard": StandardParametrization, "ntk": NTKParametrization}
SCALINGS = {
    "unit": unit_scaling,
    "standard": standard_scaling,
    "points": points_scaling,
    "none": no_scaling,
}
NATURAL_GRADIENT = "natural-gradient"
#: Optimizers with a learning rate, by the function that makes them from it.
FIRST_ORDER: Mapping[str, Callable[..., AbstractOptimizer]] = {
    "sgd": gradient_descent,
    "adam": adam,
}
SECOND_ORDER = {NATURAL_GRADIENT: NaturalGradient, "spring": SPRING}
SOLVERS = {"auto": None, "cholesky": Cholesky(), "cg": ConjugateGradients()}
RESAMPLINGS = {
    "conditions": AsConditioned(),
    "residual": ResidualAdaptive(),
    "growing": ProgressivePoints(),
}
WEIGHTINGS = {"fixed": Fixed, "ntk": NTKWeights}


def name_of(table: Mapping[str, Any], value: Any) -> str | None:
    """The name of a value in a table, None where it is not in it."""
    return next((name for name, known in table.items() if known is value or known == value), None)


def listed(table: Mapping[str, Any]) -> str:
    """The names of a table as a help text lists them: tanh, sin or swish."""
    *names, last = table
    return f"{', '.join(names)} or {last}"
