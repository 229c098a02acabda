"""How many floating-point operations a traced program takes: the same count on every machine."""

from __future__ import annotations

import math
from typing import Any

import jax.extend as jex

#: Operations that one evaluation of these takes, about: a range reduction and a polynomial or rational
#: approximation of ten terms, multiplied and added.
TRANSCENDENTAL = 20.0
# fmt: off
_TRANSCENDENTALS = frozenset((
    "cos", "cosh", "acos", "asin", "atan", "atan2", "erf", "erf_inv", "erfc", "exp", "exp2",
    "expm1", "lgamma", "log", "log1p", "logistic", "pow", "sin", "sinh", "tan", "tanh"
))
#: These move or name values and compute none.
_FREE = frozenset((
    "broadcast_in_dim", "concatenate", "convert_element_type", "copy", "dynamic_slice",
    "dynamic_update_slice", "gather", "iota", "pad", "reshape", "rev", "scatter", "slice",
    "split", "squeeze", "stop_gradient", "transpose"
))
# fmt: on


def operations(jaxpr: Any) -> float:
    """The operations of a jaxpr: 2mnk for a product of matrices, one for each element of all else.

    The body of a loop of unknown length is counted once; of the branches of a condition, the longest.
    """
    return sum(_equation(equation) for equation in jaxpr.eqns)


def _equation(equation: Any) -> float:
    name, size = equation.primitive.name, sum(_size(out) for out in equation.outvars)
    inner = [operations(body) for body in _bodies(equation)]
    if name == "cond":
        return max(inner)
    if name == "scan":
        return equation.params["length"] * sum(inner)
    if inner:
        return sum(inner)
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2.0 * size * math.prod(shape[axis] for axis in contracted)
    if name in _FREE:
        return 0.0
    if name.startswith(("reduce", "cum", "arg")):
        size = _size(equation.invars[0])
    return size * (TRANSCENDENTAL if name in _TRANSCENDENTALS else 1.0)


def _bodies(equation: Any) -> list[Any]:
    """The jaxprs among an equation's parameters."""
    found = []
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, jex.core.ClosedJaxpr):
                found.append(item.jaxpr)
            elif isinstance(item, jex.core.Jaxpr):
                found.append(item)
    return found


def _size(atom: Any) -> int:
    return math.prod(getattr(atom.aval, "shape", ()))
