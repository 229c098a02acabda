"""What the hidden units of any network see: the arguments of its squashing functions, from its trace."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.extend as jex
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinntk.calculus import Point
from pinntk.problem import Model
from pinntk.tracing import INLINED, bind, inner_jaxpr

#: Beyond these arguments the slope is under a hundredth of its largest: tanh' (3) = 0.0099.
SATURATED = {"tanh": 3.0, "logistic": 6.0, "erf": 2.15}
_INLINED = INLINED | {"custom_jvp_call", "custom_vjp_call"}


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
        closed = jax.make_jaxpr(model)(point)
        recorded: list[tuple[str, Array]] = []
        _run(closed.jaxpr, closed.consts, [point], recorded)
        found[:] = [name for name, _ in recorded]
        return [jnp.ravel(value) for _, value in recorded]

    layers = [np.asarray(values, np.float64) for values in jax.jit(jax.vmap(arguments))(points)]
    if not layers:
        return Units(None, None)
    shares = [
        float(np.mean(np.abs(values) > SATURATED[name]))
        for name, values in zip(found, layers, strict=True)
    ]
    return Units(max(shares), float(np.median(np.ptp(layers[0], axis=0))))


def _run(jaxpr: Any, consts: Any, inputs: Any, recorded: list[tuple[str, Array]]) -> list[Any]:
    environment: dict[Any, Any] = {}
    environment.update(zip(jaxpr.constvars, consts, strict=True))
    environment.update(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, jex.core.Literal) else environment[atom]

    for equation in jaxpr.eqns:
        values = [read(atom) for atom in equation.invars]
        if equation.primitive.name in SATURATED:
            recorded.append((equation.primitive.name, values[0]))
        inner = inner_jaxpr(equation, _INLINED)
        if inner is None:
            outputs = bind(equation, values)
        else:
            outputs = _run(inner.jaxpr, inner.consts, values, recorded)
        environment.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]
