"""What reaches the layers of any network: its first layer's inputs, its hidden units' arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
#: Units without a flat part. Their arguments count where a network has no others: a network of sines.
WAVES = ("sin", "cos")
#: The product of a layer's weights with its inputs.
PRODUCT = "dot_general"
_INLINED = INLINED | {"custom_jvp_call", "custom_vjp_call"}

#: A value of a program, and whether it depends on the point.
Seen = tuple[Any, bool]


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
    """Trace the model at one point, and record at all points what goes into products and units."""
    names: list[str] = []

    def arguments(point: Point) -> list[Array]:
        closed = jax.make_jaxpr(model)(point)
        recorded: list[tuple[str, Array]] = []

        def rule(equation: Any, inputs: Sequence[Seen]) -> list[Seen]:
            name, moves = equation.primitive.name, any(moving for _, moving in inputs)
            later = name == PRODUCT and any(other == PRODUCT for other, _ in recorded)
            if moves and not later and (name in SATURATED or name in WAVES or name == PRODUCT):
                recorded.append((name, next(value for value, moving in inputs if moving)))
            return [(value, moves) for value in bind(equation, [value for value, _ in inputs])]

        _run(closed.jaxpr, closed.consts, [(point, True)], rule)
        names[:] = [name for name, _ in recorded]
        return [jnp.ravel(value) for _, value in recorded]

    values = [np.asarray(each, np.float64) for each in jax.jit(jax.vmap(arguments))(points)]
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


def _run(
    jaxpr: Any,
    consts: Sequence[Any],
    inputs: Sequence[Seen],
    rule: Callable[[Any, Sequence[Seen]], list[Seen]],
) -> list[Seen]:
    environment: dict[Any, Seen] = dict(zip(jaxpr.invars, inputs, strict=True))
    environment.update(
        (v, (value, False)) for v, value in zip(jaxpr.constvars, consts, strict=True)
    )

    def read(atom: Any) -> Seen:
        return (atom.val, False) if isinstance(atom, jex.core.Literal) else environment[atom]

    for equation in jaxpr.eqns:
        given = [read(atom) for atom in equation.invars]
        inner = inner_jaxpr(equation, _INLINED)
        if inner is None:
            outputs = rule(equation, given)
        else:
            outputs = _run(inner.jaxpr, inner.consts, given, rule)
        environment.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]
