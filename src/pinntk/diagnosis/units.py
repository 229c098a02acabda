"""What reaches the layers of any network: its first layer's inputs, its hidden units' arguments."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinntk.calculus import Point
from pinntk.problem import Model
from pinntk.program import arguments_of

#: Beyond these arguments the slope is under a hundredth of its largest: tanh' (3) = 0.0099.
SATURATED = {"tanh": 3.0, "logistic": 6.0, "erf": 2.15}
#: Units without a flat part. Their arguments count where a network has no others: a network of sines.
WAVES = ("sin", "cos")
#: The product of a layer's weights with its inputs.
PRODUCT = "dot_general"


class Units(NamedTuple):
    """A network over the domain.

    `saturated` is the share of (unit, point) pairs beyond the bend, in the worst layer; `swing` the
    median over the first layer's units of the range of their argument over the points; None where no
    such unit was found. `half_range` is half the smallest range, and `largest` the largest magnitude,
    of what the first layer is given, behind whatever scales the inputs.
    """

    saturated: float | None
    swing: float | None
    half_range: float
    largest: float


def hidden_units(model: Model, points: Float[Array, "n d"]) -> Units:
    """Record at all points what goes into products and units."""
    names, found = _arguments(model, points)
    values = [np.asarray(each, np.float64) for each in found]
    layers = list(zip(names, values, strict=True))
    squashed = [(name, given) for name, given in layers if name in SATURATED]
    bends = squashed or [(name, given) for name, given in layers if name in WAVES]
    first = next((given for name, given in layers if name == PRODUCT), np.asarray(points))
    shares = [float(np.mean(np.abs(given) > SATURATED[name])) for name, given in squashed]
    return Units(
        max(shares) if shares else None,
        float(np.median(np.ptp(bends[0][1], axis=0))) if bends else None,
        float(np.ptp(first, axis=0).min() / 2),
        float(np.abs(first).max()),
    )


@eqx.filter_jit
def _arguments(model: Model, points: Float[Array, "n d"]) -> tuple[list[str], list[Array]]:
    """The first product and the units of a model: names of their primitives, arguments (n, ·)."""
    names: list[str] = []

    def at(point: Point) -> list[Array]:
        recorded = arguments_of(model, {*SATURATED, *WAVES, PRODUCT})(point)
        products = [argument for argument in recorded if argument.primitive == PRODUCT]
        kept = [a for a in recorded if a.primitive != PRODUCT or a is products[0]]
        names[:] = [argument.primitive for argument in kept]
        return [jnp.ravel(argument.value) for argument in kept]

    values = jax.vmap(at)(points)
    return names, values
