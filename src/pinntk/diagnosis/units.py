"""What the hidden units of any network see: the arguments of its squashing functions, from its trace."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinntk.calculus import Point
from pinntk.problem import Model
from pinntk.program import arguments_of

#: Beyond these arguments the slope is under a hundredth of its largest: tanh' (3) = 0.0099.
SATURATED = {"tanh": 3.0, "logistic": 6.0, "erf": 2.15}


class Units(NamedTuple):
    """Hidden units over the domain, the worst layer of them.

    `saturated` is the share of (unit, point) pairs beyond the bend; `swing` the median over the first
    layer's units of the range of their argument over the points; None where no such unit was found.
    """

    saturated: float | None
    swing: float | None


def hidden_units(model: Model, points: Float[Array, "n d"]) -> Units:
    """Trace the model at one point, record what goes into tanh, logistic and erf, at all points."""
    found: list[str] = []

    def arguments(point: Point) -> list[Array]:
        recorded = arguments_of(model, SATURATED)(point)
        found[:] = [argument.primitive for argument in recorded]
        return [jnp.ravel(argument.value) for argument in recorded]

    layers = [np.asarray(values, np.float64) for values in jax.jit(jax.vmap(arguments))(points)]
    if not layers:
        return Units(None, None)
    shares = [
        float(np.mean(np.abs(values) > SATURATED[name]))
        for name, values in zip(found, layers, strict=True)
    ]
    return Units(max(shares), float(np.median(np.ptp(layers[0], axis=0))))
