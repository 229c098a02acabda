"""The wave problem for one point, in JAX as a user would write it; shared by the two JAX workers."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from worker import WAVE_SPEED_SQUARED, Inputs

E_X, E_T = np.eye(2)
Condition = Callable[[Any, Any], Any]  # (layers, point) ↦ residual, a scalar


def as_jax(inputs: Inputs) -> tuple[list, dict]:
    """Layers and points as JAX arrays."""
    return jax.tree.map(jnp.asarray, (inputs.layers, inputs.points))


def compiled(function: Callable, *values: Any) -> Callable[[], Any]:
    """A call that blocks, compiled already, so that the compiler's memory is not the peer's."""
    program = jax.jit(function).lower(*values).compile()
    return lambda: jax.block_until_ready(program(*values))


def conditions(inputs: Inputs, arguments: argparse.Namespace) -> dict[str, Condition]:
    """Each condition's residual at one point, its derivatives nested in the mode asked for.

    `--derivatives separate` writes u_xx and u_tt one after the other, `together` maps one second
    derivative over both directions, which share the network's values.
    """
    shift, scale = jnp.asarray(inputs.shift), jnp.asarray(inputs.scale)
    along = {"forward": forward, "reverse": reverse}[arguments.mode]

    def u(layers, point):
        return network(layers, (point - shift) * scale)

    def values(layers, point):
        x = point[0]
        return u(layers, point) - jnp.sin(jnp.pi * x) - 0.5 * jnp.sin(4 * jnp.pi * x)

    def velocity(layers, point):
        return along(lambda p: u(layers, p), E_T)(point)

    def residual(layers, point):
        second = lambda v: along(along(lambda p: u(layers, p), v), v)(point)
        if arguments.derivatives == "together":
            u_xx, u_tt = jax.vmap(second)(jnp.eye(2, dtype=point.dtype))
        else:
            u_xx, u_tt = second(E_X), second(E_T)
        return u_tt - WAVE_SPEED_SQUARED * u_xx

    return {"values": values, "velocity": velocity, "residual": residual}


def network(layers, hidden):
    for weight, bias in layers[:-1]:
        hidden = jnp.tanh(hidden @ weight + bias)
    weight, bias = layers[-1]
    return (hidden @ weight + bias)[0]


def forward(f, direction):
    """∂f along a direction, by forward mode."""

    def derivative(point):
        return jax.jvp(f, (point,), (jnp.asarray(direction, point.dtype),))[1]

    return derivative


def reverse(f, direction):
    """∂f along a direction, by reverse mode."""
    return lambda point: jnp.dot(jax.grad(f)(point), jnp.asarray(direction, point.dtype))
