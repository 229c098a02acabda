"""Work on traced programs: evaluate one so that equal sub-expressions are computed once.

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

#: Calls that are only a way to structure a program: their body is evaluated in place.
INLINED = frozenset({"jit", "pjit", "closed_call", "core_call"})
#: Recomputation (`jax.checkpoint`) is about memory, not about values; who wants to see through it
#: looks into these calls as well.
RECOMPUTED = frozenset({"checkpoint", "remat", "remat2"})
#: Constants of up to this many numbers are compared by content.
SMALL = 4096


def bind(equation: Any, inputs: Sequence[Any]) -> list[Any]:
    """Apply one equation of a jaxpr to values. Returns the list of its outputs."""
    parameters = equation.primitive.get_bind_params(equation.params)
    outputs = equation.primitive.bind(*inputs, **parameters)
    return list(outputs) if equation.primitive.multiple_results else [outputs]


def inner_jaxpr(equation: Any, inlined: frozenset[str] = INLINED) -> Any | None:
    """The closed jaxpr that an inlined call runs, or None when the equation is not such a call."""
    if equation.primitive.name not in inlined:
        return None
    inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    return inner if isinstance(inner, jex.core.ClosedJaxpr) else jex.core.ClosedJaxpr(inner, ())


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
        inputs = jax.tree.leaves(arguments)
        outputs = _evaluate(closed.jaxpr, closed.consts, inputs, {}, inlined)
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return merged


def _evaluate(
    jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Any], memo: dict, inlined: frozenset[str]
) -> list[Any]:
    environment: dict[Any, Any] = {}
    shared = [_shared(const, memo) for const in consts]
    environment.update(zip(jaxpr.constvars, shared, strict=True))
    environment.update(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, jex.core.Literal) else environment[atom]

    for equation in jaxpr.eqns:
        values = [read(atom) for atom in equation.invars]
        inner = inner_jaxpr(equation, inlined)
        if inner is not None:
            outputs = _evaluate(inner.jaxpr, inner.consts, values, memo, inlined)
        else:
            key = _key(equation, values)
            if key is not None and key in memo:
                outputs = memo[key][0]
            else:
                outputs = bind(equation, values)
                if key is not None:
                    # The inputs are kept beside the outputs so that their ids stay theirs.
                    memo[key] = (outputs, values)
        environment.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


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
        (str(atom.aval), np.asarray(atom.val).tobytes())
        if isinstance(atom, jex.core.Literal)
        else id(value)
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
