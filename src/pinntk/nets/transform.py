"""A function of a network's output, such as one that keeps it positive."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Real

from pinntk.arrays import AnyArray


class OutputTransform(eqx.Module):
    """x ↦ function(network(x)), elementwise: with `jax.nn.softplus` or `jnp.exp` the field is positive.

    Equations with a power, a root or a logarithm of the unknown ask for that; a network by itself
    starts around zero, with values of either sign.
    """

    network: Callable[[Array], Array]
    function: Callable[[Array], Array] = eqx.field(static=True)

    def __call__(self, x: Real[AnyArray, " d"]) -> Array:
        """The value at one point."""
        return self.function(self.network(jnp.asarray(x)))
