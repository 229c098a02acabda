r"""Second-order Taylor mode, collapsed: value, tangents and one combination of second derivatives.

For a function f of one point this pushes through the network, layer by layer,

* the value f(x),
* the first derivatives ∂_i f(x) that are asked for, and
* the single combination S f(x) = Σ_ij A_ij ∂_i ∂_j f(x).

Because second derivatives enter every rule linearly, their *sum* can be carried instead of each of
them: with z the input of a step p and z_i its tangents,

    S p(z) = p'(z) [S z] + Σ_ij A_ij p''(z) [z_i, z_j].

The wave operator u_tt − 4 u_xx then needs four quantities per layer instead of the five of nested
forward mode (and of the six to eight that nested calls compute). The idea for the Laplacian is the
*forward Laplacian* of Li et al., Nature Machine Intelligence 6 (2024) 209; A is any symmetric
matrix here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.program import bind, interpret

#: Steps that are linear in all their inputs together: their second derivative is zero.
LINEAR = frozenset(
    [
        "add",
        "add_any",
        "sub",
        "neg",
        "reshape",
        "broadcast_in_dim",
        "transpose",
        "squeeze",
        "expand_dims",
        "slice",
        "concatenate",
        "pad",
        "rev",
        "reduce_sum",
        "cumsum",
        "convert_element_type",
        "copy",
        "copy_p",
        "select_n",
        "gather",
        "dynamic_slice",
        "real",
        "imag",
    ]
)
#: Steps that are linear in each input alone: no second derivative while only one input moves.
MULTILINEAR = frozenset({"mul", "dot_general"})
#: Elementwise functions of one input: p', p'' are computed once and used for every tangent.
ELEMENTWISE = frozenset(
    [
        "tanh",
        "sin",
        "cos",
        "tan",
        "exp",
        "exp2",
        "log",
        "log1p",
        "expm1",
        "logistic",
        "integer_pow",
        "sqrt",
        "rsqrt",
        "cbrt",
        "square",
        "erf",
        "erfc",
        "sinh",
        "cosh",
        "asin",
        "acos",
        "atan",
        "asinh",
        "acosh",
        "atanh",
    ]
)

Second = Mapping[tuple[int, int], Any]


class _Jet(NamedTuple):
    """What is known of one intermediate value. `None` stands for an exact zero."""

    value: Any
    tangents: dict[int, Any]
    second: Any | None

    @property
    def moves(self) -> bool:
        return bool(self.tangents) or self.second is not None


def second_order(
    function: Callable[[Array], Array], point: Array, axes: Sequence[int], second: Second
) -> tuple[Array, dict[int, Array], Array]:
    """Value, ∂_i of every axis in `axes` and in `second`, and Σ A_ij ∂_i ∂_j, at one point.

    `second` maps a pair of axes (i, j) to its coefficient; (i, j) and (j, i) add up.
    """
    pairs = _symmetric(second)
    wanted = sorted({*axes, *(i for i, _ in pairs)})
    closed = jax.make_jaxpr(function)(point)
    identity = np.eye(point.shape[0], dtype=point.dtype)
    units = {axis: jnp.asarray(identity[axis]) for axis in wanted}
    (result,) = interpret(
        closed.jaxpr,
        closed.consts,
        [_Jet(point, units, None)],
        lambda equation, jets: _step(equation, jets, pairs),
        constant=lambda _, value: _fixed(value),
    )
    zero = jnp.zeros_like(result.value)
    tangents = {axis: result.tangents.get(axis, zero) for axis in wanted}
    value = jnp.asarray(result.value)  # a constant may be a literal of the program
    return value, tangents, zero if result.second is None else result.second


def _symmetric(second: Second) -> dict[tuple[int, int], Any]:
    """The same quadratic form with a symmetric coefficient matrix."""
    pairs: dict[tuple[int, int], Any] = {}
    for (i, j), coefficient in second.items():
        for pair in ((i, j),) if i == j else ((i, j), (j, i)):
            share = coefficient if i == j else 0.5 * coefficient
            pairs[pair] = pairs[pair] + share if pair in pairs else share
    return pairs


def _step(equation: Any, jets: list[_Jet], pairs: dict) -> list[_Jet]:
    """One equation on jets."""
    if not any(jet.moves for jet in jets):
        return [_fixed(value) for value in bind(equation, [jet.value for jet in jets])]
    if equation.primitive.name in ELEMENTWISE and len(jets) == 1:
        return [_elementwise(equation, jets[0], pairs)]
    return _general(equation, jets, pairs)


def _fixed(value: Any) -> _Jet:
    """A value that does not move with the point."""
    return _Jet(value, {}, None)


def _elementwise(equation: Any, jet: _Jet, pairs: dict) -> _Jet:
    def value(z: Any) -> Any:
        return bind(equation, [z])[0]

    def slope(z: Any) -> Any:
        return jax.jvp(value, (z,), (jnp.ones_like(z),))[1]

    quadratic = _contract(jet.tangents, pairs)
    first = slope(jet.value)
    tangents = {axis: first * tangent for axis, tangent in jet.tangents.items()}
    second = None if jet.second is None else first * jet.second
    if quadratic is not None:
        curvature = jax.jvp(slope, (jet.value,), (jnp.ones_like(jet.value),))[1]
        second = _add(second, curvature * quadratic)
    return _Jet(value(jet.value), tangents, second)


def _contract(tangents: dict[int, Any], pairs: dict) -> Any | None:
    """Σ_ij A_ij z_i z_j, elementwise."""
    total = None
    for (i, j), coefficient in pairs.items():
        if i <= j and i in tangents and j in tangents:
            weight = coefficient if i == j else 2 * coefficient
            total = _add(total, weight * (tangents[i] * tangents[j]))
    return total


def _general(equation: Any, jets: list[_Jet], pairs: dict) -> list[_Jet]:
    """Any step that JAX can differentiate: by jvp, and jvp of jvp for the second-order term."""
    name = equation.primitive.name
    if not any(_is_float(variable.aval) for variable in equation.outvars):
        return [_fixed(value) for value in bind(equation, [jet.value for jet in jets])]
    moving = [i for i, jet in enumerate(jets) if jet.moves and _is_float(jet.value)]

    def apply(*active: Any) -> list[Any]:
        values = [jet.value for jet in jets]
        for i, value in zip(moving, active, strict=True):
            values[i] = value
        return bind(equation, values)

    point = tuple(jets[i].value for i in moving)

    def push(f: Callable, directions: Sequence[Any | None]) -> list[Any]:
        """Jf · directions, with zeros for None; outputs that are no floats keep no tangent."""
        moved = [k for k, direction in enumerate(directions) if direction is not None]

        def partial_f(*active: Any) -> list[Any]:
            full = list(point)
            for k, value in zip(moved, active, strict=True):
                full[k] = value
            return f(*full)

        primals = tuple(point[k] for k in moved)
        return jax.jvp(partial_f, primals, tuple(directions[k] for k in moved))[1]

    axes = sorted({axis for i in moving for axis in jets[i].tangents})
    along = {axis: [jets[i].tangents.get(axis) for i in moving] for axis in axes}
    values = apply(*point)
    tangents = {axis: push(apply, along[axis]) for axis in axes}
    seconds: list[Any] | None = None
    if any(jets[i].second is not None for i in moving):
        seconds = push(apply, [jets[i].second for i in moving])
    flat = name in LINEAR or (name in MULTILINEAR and len(moving) == 1)
    flat = flat or (name == "div" and moving == [0])
    for (i, j), coefficient in () if flat else pairs.items():
        if i in along and j in along:

            def inner(*active: Any, axis: int = i) -> list[Any]:
                directions = [
                    jnp.zeros_like(value) if direction is None else direction
                    for direction, value in zip(along[axis], active, strict=True)
                ]
                return jax.jvp(apply, active, tuple(directions))[1]

            bend = [coefficient * out if _is_float(out) else out for out in push(inner, along[j])]
            seconds = bend if seconds is None else list(map(_sum, seconds, bend))
    return [
        _Jet(value, {axis: tangents[axis][k] for axis in axes}, seconds[k] if seconds else None)
        if _is_float(value)
        else _fixed(value)
        for k, value in enumerate(values)
    ]


def _sum(a: Any, b: Any) -> Any:
    return a + b if _is_float(a) else a


def _add(total: Any | None, term: Any) -> Any:
    return term if total is None else total + term


def _is_float(value: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.inexact)
