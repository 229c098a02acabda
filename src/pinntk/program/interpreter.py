"""One way to run a traced program: every equation once, in order, by a rule that the caller gives.

A jaxpr is a list of equations. What an equation means is up to the rule: the numbers themselves, jets,
multiples of known values. All else is here: where values are kept, what a literal or a constant is, the
bodies of calls that only structure a program, and which equations the result depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax.extend as jex

T = TypeVar("T")
Literal = jex.core.Literal

#: Calls that are only a way to structure a program: their body is evaluated in place.
INLINED = frozenset({"jit", "pjit", "closed_call", "core_call"})
#: Recomputation (`jax.checkpoint`) is about memory, not about values; who wants to see through it
#: looks into these calls as well.
RECOMPUTED = frozenset({"checkpoint", "remat", "remat2"})
#: Functions with a derivative of their own; who wants values alone looks into these calls as well.
CUSTOM = frozenset({"custom_jvp_call", "custom_vjp_call"})


def interpret(
    jaxpr: Any,
    consts: Sequence[Any],
    inputs: Sequence[T],
    rule: Callable[[Any, list[T]], Sequence[T]],
    *,
    constant: Callable[[Any, Any], T] = lambda _, value: value,
    inlined: frozenset[str] = INLINED,
) -> list[T]:
    """The outputs of a jaxpr whose equations mean what `rule` says.

    `rule(equation, values)` gets one value for each of `equation.invars` and returns one for each of
    `equation.outvars`. `constant(atom, value)` makes a value of what is written into the program: of a
    literal, or of one of the `consts` with its variable. The bodies of the calls in `inlined` are run in
    place, by the same rule.

    All equations run, in order. Those that no output depends on cost nothing once compiled, but without
    them derivatives of the result are summed in another order, to other last digits; `pruned` drops them.
    """
    environment: dict[Any, T] = dict(zip(jaxpr.invars, inputs, strict=True))
    for variable, value in zip(jaxpr.constvars, consts, strict=True):
        environment[variable] = constant(variable, value)

    def read(atom: Any) -> T:
        return constant(atom, atom.val) if isinstance(atom, Literal) else environment[atom]

    for equation in jaxpr.eqns:
        values = [read(atom) for atom in equation.invars]
        inner = subjaxpr(equation, inlined)
        if inner is None:
            outputs = rule(equation, values)
        else:
            outputs = interpret(
                inner.jaxpr, inner.consts, values, rule, constant=constant, inlined=inlined
            )
        environment.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def bind(equation: Any, inputs: Sequence[Any]) -> list[Any]:
    """Apply one equation of a jaxpr to values: the rule of the plain meaning."""
    parameters = equation.primitive.get_bind_params(equation.params)
    outputs = equation.primitive.bind(*inputs, **parameters)
    return list(outputs) if equation.primitive.multiple_results else [outputs]


def subjaxpr(equation: Any, inlined: frozenset[str] = INLINED) -> Any | None:
    """The closed jaxpr that an inlined call runs, or None when the equation is not such a call."""
    if equation.primitive.name not in inlined:
        return None
    inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    return inner if isinstance(inner, jex.core.ClosedJaxpr) else jex.core.ClosedJaxpr(inner, ())


def live(jaxpr: Any) -> list[int]:
    """The numbers, in order, of the equations that an output or an effect depends on.

    Derivatives often leave others behind.
    """
    needed = {atom for atom in jaxpr.outvars if is_variable(atom)}
    found = []
    for number in reversed(range(len(jaxpr.eqns))):
        equation = jaxpr.eqns[number]
        if equation.effects or not needed.isdisjoint(equation.outvars):
            found.append(number)
            needed.update(atom for atom in equation.invars if is_variable(atom))
    return found[::-1]


def pruned(jaxpr: Any) -> Any:
    """The same program without the equations that no output and no effect depends on."""
    return jaxpr.replace(eqns=[jaxpr.eqns[number] for number in live(jaxpr)])


def is_variable(atom: Any) -> bool:
    """Whether an operand is computed, not written into the program."""
    return not isinstance(atom, Literal)


def primitives(jaxpr: Any) -> set[str]:
    """The names of all primitives of a program, those of the programs inside it included."""
    found = set()
    for equation in jaxpr.eqns:
        found.add(equation.primitive.name)
        for parameter in equation.params.values():
            for inner in _jaxprs_in(parameter):
                found |= primitives(inner)
    return found


def _jaxprs_in(parameter: Any) -> Iterator[Any]:
    if isinstance(parameter, jex.core.ClosedJaxpr):
        yield parameter.jaxpr
    elif isinstance(parameter, jex.core.Jaxpr):
        yield parameter
    elif isinstance(parameter, tuple | list):
        for item in parameter:
            yield from _jaxprs_in(item)
