"""Fully connected networks: the MLP and the modified MLP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, Real

from pinntk.arrays import AnyArray, floating
from pinntk.errors import PinntkError
from pinntk.nets.layers import AbstractParametrization, Linear, StandardParametrization

Activation = Callable[[Array], Array]
Embedding = Callable[[Array], Array]


class MLP(eqx.Module):
    """A multilayer perceptron at one point: (in_size,) → scalar, or (out_size,) for several outputs.

    **Arguments:** `width` neurons in each of `depth` hidden layers; `activation` elementwise;
    `parametrization` is `StandardParametrization(...)` or `NTKParametrization()`; `scaling` and then
    `embedding` (whose output has `embedding_size` entries) act on the point first. `out_size=None`
    gives a scalar.
    """

    scaling: Embedding
    embedding: Embedding
    layers: tuple[Linear, ...]
    activation: Activation = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int | None = None,
        *,
        width: int,
        depth: int,
        activation: Activation = jnp.tanh,
        parametrization: AbstractParametrization | None = None,
        scaling: Embedding | None = None,
        embedding: Embedding | None = None,
        embedding_size: int | None = None,
        key: PRNGKeyArray,
    ):
        _check_sizes(
            in_size=in_size, out_size=1 if out_size is None else out_size, width=width, depth=depth
        )
        check_function("activation", activation)
        parametrization = parametrization or StandardParametrization()
        sizes = [embedding_size or in_size, *[width] * depth, out_size or 1]
        keys = jax.random.split(key, depth + 1)
        self.layers = tuple(
            Linear(fan_in, fan_out, parametrization=parametrization, key=layer_key)
            for fan_in, fan_out, layer_key in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.scaling = scaling or eqx.nn.Identity()
        self.embedding = embedding or eqx.nn.Identity()
        self.activation = activation
        self.scalar = out_size is None

    def __call__(self, x: Real[AnyArray, " d"]) -> Array:
        """The output at one point."""
        hidden = self.embedding(self.scaling(floating(x, self.layers[0].weight.dtype)))
        for layer in self.layers[:-1]:
            hidden = self.activation(layer(hidden))
        output = self.layers[-1](hidden)
        return output[0] if self.scalar else output


class ModifiedMLP(eqx.Module):
    """An MLP whose hidden layers mix two encoders of the input: h ← (1 − z)∘a + z∘b, z = σ(layer(h)).

    Wang, Teng, Perdikaris, SIAM J. Sci. Comput. 43 (2021), section 2.6. Arguments as for `MLP`;
    `depth` counts the layers that produce z.
    """

    scaling: Embedding
    embedding: Embedding
    encoders: tuple[Linear, Linear]
    layers: tuple[Linear, ...]
    activation: Activation = eqx.field(static=True)
    scalar: bool = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int | None = None,
        *,
        width: int,
        depth: int,
        activation: Activation = jnp.tanh,
        parametrization: AbstractParametrization | None = None,
        scaling: Embedding | None = None,
        embedding: Embedding | None = None,
        embedding_size: int | None = None,
        key: PRNGKeyArray,
    ):
        _check_sizes(
            in_size=in_size, out_size=1 if out_size is None else out_size, width=width, depth=depth
        )
        check_function("activation", activation)
        parametrization = parametrization or StandardParametrization()
        first = embedding_size or in_size
        sizes = [first, *[width] * depth, out_size or 1]
        keys = jax.random.split(key, depth + 3)

        def linear(fan_in: int, fan_out: int, layer_key: PRNGKeyArray) -> Linear:
            return Linear(fan_in, fan_out, parametrization=parametrization, key=layer_key)

        self.encoders = (linear(first, width, keys[0]), linear(first, width, keys[1]))
        self.layers = tuple(
            linear(fan_in, fan_out, layer_key)
            for fan_in, fan_out, layer_key in zip(sizes[:-1], sizes[1:], keys[2:], strict=True)
        )
        self.scaling = scaling or eqx.nn.Identity()
        self.embedding = embedding or eqx.nn.Identity()
        self.activation = activation
        self.scalar = out_size is None

    def __call__(self, x: Real[AnyArray, " d"]) -> Array:
        """The output at one point."""
        hidden = self.embedding(self.scaling(floating(x, self.layers[0].weight.dtype)))
        first, second = (self.activation(encoder(hidden)) for encoder in self.encoders)
        for layer in self.layers[:-1]:
            gate = self.activation(layer(hidden))
            hidden = first + gate * (second - first)
        output = self.layers[-1](hidden)
        return output[0] if self.scalar else output


def check_function(argument: str, value: Any) -> None:
    """Raise unless `value` is a function; for the name of one, the error says where it is."""
    if callable(value):
        return
    known = {"jnp": jnp, "jax.nn": jax.nn}
    homes = [
        home for home, module in known.items() if isinstance(value, str) and hasattr(module, value)
    ]
    raise PinntkError(
        argument,
        got=repr(value),
        expected="a function like jnp.tanh",
        fix=f"Write {argument}={homes[0]}.{value}." if homes else "",
    )


def _check_sizes(**sizes: int) -> None:
    for argument, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise PinntkError(argument, got=value, expected="a whole number, 1 or more")
