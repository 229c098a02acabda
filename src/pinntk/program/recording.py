"""What goes into certain functions of a program, wherever they are called in it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax

from pinntk.program.interpreter import CUSTOM, INLINED, bind, interpret


class Argument(NamedTuple):
    """The first operand of one equation that depends on the input, with the name of its primitive."""

    primitive: str
    value: Any


def arguments_of(
    function: Callable[..., Any], names: Collection[str]
) -> Callable[..., list[Argument]]:
    """A function that gives what `function` passes to the primitives of these names, in their order.

    Equations none of whose operands depend on the arguments are left out. It sees into calls of any
    kind, not into loops and branches, and it can be batched and compiled.
    """

    def recorded(*arguments: Any) -> list[Argument]:
        closed = jax.make_jaxpr(function)(*arguments)
        found: list[Argument] = []

        def rule(equation: Any, seen: list[tuple[Any, bool]]) -> list[tuple[Any, bool]]:
            moving = [value for value, moves in seen if moves]
            if moving and equation.primitive.name in names:
                found.append(Argument(equation.primitive.name, moving[0]))
            return [(value, bool(moving)) for value in bind(equation, [v for v, _ in seen])]

        interpret(
            closed.jaxpr,
            closed.consts,
            [(leaf, True) for leaf in jax.tree.leaves(arguments)],
            rule,
            constant=lambda _, value: (value, False),
            inlined=INLINED | CUSTOM,
        )
        return found

    return recorded
