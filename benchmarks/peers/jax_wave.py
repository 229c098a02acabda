"""The wave problem for one point, in JAX as a user would write it; shared by the two JAX workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from worker import WAVE_SPEED_SQUARED, Inputs

Condition = Callable[[Any, Any], Any]  # (layers, point) ↦ residual, a scalar


def as_jax(inputs: Inputs) -> tuple[list, dict]:
    """Layers and points as JAX arrays."""
    return jax.tree.map(jnp.asarray, (inputs.layers, inputs.points))


def compiled(function: Callable, *values: Any) -> Callable[[], Any]:
    """A call that blocks, compiled already, so that the compiler's memory is not the peer's."""
    program = jax.jit(function).lower(*values).compile()
    return lambda: jax.block_until_ready(program(*values))


def conditions(inputs: Inputs, mode: str) -> dict[str, Condition]:
    """Each condition's residual at one point, its derivatives nested in the mode asked for."""
    shift, scale = jnp.asarray(inputs.shift), jnp.asarray(inputs.scale)
    along = {"forward": forward, "reverse": reverse}[mode]

    def u(layers, point):
        return network(layers, (point - shift) * scale)

    def values(layers, point):
        x = point[0]
        return u(layers, point) - jnp.sin(jnp.pi * x) - 0.5 * jnp.sin(4 * jnp.pi * x)

    def velocity(layers, point):
        return along(lambda p: u(layers, p), 1)(point)

    def residual(layers, point):
        u_here = lambda p: u(layers, p)
        u_xx = along(along(u_here, 0), 0)(point)
        u_tt = along(along(u_here, 1), 1)(point)
        return u_tt - WAVE_SPEED_SQUARED * u_xx

    return {"values": values, "velocity": velocity, "residual": residual}


def network(layers, hidden):
    for weight, bias in layers[:-1]:
        hidden = jnp.tanh(hidden @ weight + bias)
    weight, bias = layers[-1]
    return (hidden @ weight + bias)[0]


def forward(f, axis: int):
    """∂f along a coordinate, by forward mode."""

    def derivative(point):
        direction = jnp.zeros_like(point).at[axis].set(1)
        return jax.jvp(f, (point,), (direction,))[1]

    return derivative


def reverse(f, axis: int):
    """∂f along a coordinate, by reverse mode."""
    return lambda point: jax.grad(f)(point)[axis]
