"""What goes into certain functions of a program, wherever they are called in it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax

from pinntk.program.interpreter import CUSTOM, INLINED, bind, interpret


class Argument(NamedTuple):
    """The first operand of one equation, with the name of its primitive."""

    primitive: str
    value: Any


def arguments_of(
    function: Callable[..., Any], names: Collection[str]
) -> Callable[..., list[Argument]]:
    """A function that gives what `function` passes to the primitives of these names, in their order.

    It sees into calls of any kind, not into loops and branches, and it can be batched and compiled.
    """

    def recorded(*arguments: Any) -> list[Argument]:
        closed = jax.make_jaxpr(function)(*arguments)
        found: list[Argument] = []

        def rule(equation: Any, values: list[Any]) -> list[Any]:
            if equation.primitive.name in names:
                found.append(Argument(equation.primitive.name, values[0]))
            return bind(equation, values)

        leaves = jax.tree.leaves(arguments)
        interpret(closed.jaxpr, closed.consts, leaves, rule, inlined=INLINED | CUSTOM)
        return found

    return recorded
