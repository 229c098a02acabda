"""Evaluate a traced program so that equal sub-expressions are computed once.

A residual such as `u.d("t", "t")(x) - 4 * u.d("x", "x")(x)` evaluates the network several times. XLA
merges the equal parts of the forward pass, but not those of the backward pass, which it sees as
different sums. So the merging has to happen before differentiation, on the jaxpr.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend as jex
import numpy as np
from jax.core import Tracer

from pinntk.program.interpreter import INLINED, bind, interpret, is_variable

#: Constants of up to this many numbers are compared by content.
SMALL = 4096


def merge_equal(
    function: Callable[..., Any], inlined: frozenset[str] = INLINED
) -> Callable[..., Any]:
    """`function` with equal sub-expressions computed once; differentiates and batches as before.

    Two equations are equal when primitive, parameters and inputs are. Equations that carry an inner
    program (`scan`, `custom_jvp`, ...) are merged only when they carry the very same one. The bodies
    of the calls named in `inlined` are part of the program.
    """

    def merged(*arguments: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        outputs = _once_each(closed, jax.tree.leaves(arguments), inlined)
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return merged


def _once_each(closed: Any, inputs: Sequence[Any], inlined: frozenset[str]) -> list[Any]:
    memo: dict[Any, Any] = {}

    def rule(equation: Any, values: list[Any]) -> list[Any]:
        key = _key(equation, values)
        if key is None:
            return bind(equation, values)
        if key not in memo:
            # The inputs are kept beside the outputs so that their ids stay theirs.
            memo[key] = (bind(equation, values), values)
        return memo[key][0]

    def constant(atom: Any, value: Any) -> Any:
        return _shared(value, memo) if is_variable(atom) else value

    return interpret(closed.jaxpr, closed.consts, inputs, rule, constant=constant, inlined=inlined)


def _shared(const: Any, memo: dict) -> Any:
    """One object for all small constants of the same content: every trace makes its own copies."""
    if isinstance(const, Tracer) or not hasattr(const, "dtype") or const.size > SMALL:
        return const
    try:
        content = np.asarray(const).tobytes()
    except TypeError:  # random keys and other extended types
        return const
    weak = getattr(const, "weak_type", False)
    return memo.setdefault(("const", str(const.dtype), weak, const.shape, content), const)


def _key(equation: Any, values: Sequence[Any]) -> tuple | None:
    """What makes two equations the same computation, or None when that cannot be told."""
    if equation.effects:
        return None
    inputs = tuple(
        (str(atom.aval), np.asarray(atom.val).tobytes()) if not is_variable(atom) else id(value)
        for atom, value in zip(equation.invars, values, strict=True)
    )
    parameters = tuple(
        (name, id(value) if _is_program(value) else value)
        for name, value in sorted(equation.params.items())
    )
    key = (equation.primitive.name, inputs, parameters)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _is_program(value: Any) -> bool:
    return isinstance(value, jex.core.ClosedJaxpr | jex.core.Jaxpr)
