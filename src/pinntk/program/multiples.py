"""Evaluate a traced program so that what is a multiple of something known is not computed again.

In r = u_tt − 4 u_xx written with nested derivatives, the cotangent of every second tangent along x is
−4 times the one along t, layer by layer. No compiler sees that: each is a program of its own. Here
every value is a number times a base, the number goes through all linear operations, and equal
operations on equal bases are one. So both cotangents have the same base, and Σ_k a_k ⊗ δ_k needs one
outer product for the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.program.interpreter import INLINED, RECOMPUTED, bind, interpret, is_variable

#: One operand, whose entries stay in their order.
RESHAPED = frozenset({"reshape", "squeeze", "expand_dims"})
#: One operand, whose entries are only put elsewhere.
LAYOUT = RESHAPED | {"transpose", "broadcast_in_dim", "copy", "slice", "rev"}
#: One linear operand.
LINEAR = LAYOUT | {"convert_element_type", "reduce_sum", "cumsum"}


class Multiple(NamedTuple):
    """A value as coefficient · base. Two values with the same base object are proportional."""

    coefficient: float
    base: Any


def evaluate(closed: Any, inputs: Sequence[Array]) -> list[Multiple]:
    """The outputs of a closed jaxpr, of which those that are proportional share their base."""
    program = _Program()
    return interpret(
        closed.jaxpr,
        closed.consts,
        [Multiple(1.0, x) for x in inputs],
        program.rule,
        constant=program.constant,
        inlined=INLINED | RECOMPUTED,
    )


class _Program:
    """The values met so far. Bases are compared by identity, and kept alive so that ids stay unique."""

    def __init__(self) -> None:
        self.known: dict[Any, Any] = {}
        self.constants: dict[int, float] = {}
        self.sources: dict[int, Any] = {}
        self.order: dict[int, tuple[int, Any]] = {}

    def rule(self, equation: Any, operands: list[Multiple]) -> list[Multiple]:
        """One equation on multiples: a linear operation moves the numbers to its result."""
        found = self._proportional(equation, operands)
        return self._others(equation, operands) if found is None else [found]

    def constant(self, atom: Any, value: Any) -> Multiple:
        """What is written into the program: real numbers are multiples of 1."""
        return Multiple(1.0, value) if is_variable(atom) else self._literal(atom)

    def _literal(self, atom: Any) -> Multiple:
        value = atom.val
        if _is_real(atom.aval) and not atom.aval.shape and math.isfinite(value):
            if value == 0:
                return Multiple(1.0, self._constant(0.0, (), atom.aval.dtype))
            return Multiple(float(value), self._constant(1.0, (), atom.aval.dtype))
        return Multiple(1.0, self.known.setdefault(("literal", str(atom.aval), repr(value)), value))

    def _constant(self, value: float, shape: tuple[int, ...], dtype: Any) -> Any:
        """The one array of zeros or ones of this kind."""
        key = (value, shape, str(dtype))
        if key not in self.known:
            self.known[key] = np.full(shape, value, dtype)
            self.constants[id(self.known[key])] = value
        return self.known[key]

    def _is(self, base: Any, value: float) -> bool:
        return self.constants.get(id(base)) == value

    def _proportional(self, equation: Any, operands: list[Multiple]) -> Multiple | None:
        """The result of a linear operation; None for any other."""
        name = equation.primitive.name
        atoms = (*equation.invars, *equation.outvars)
        if len(equation.outvars) != 1 or not all(_is_real(atom.aval) for atom in atoms):
            return None
        if name == "neg":
            return Multiple(-operands[0].coefficient, operands[0].base)
        if name in LINEAR and len(operands) == 1:
            return self._linear(equation, *operands)
        if name in ("mul", "div"):
            return self._product(equation, *operands)
        if name == "dot_general":
            (contracted, _), (batch, _) = equation.params["dimension_numbers"]
            x, y = operands
            if not contracted and not batch and () in (np.shape(x.base), np.shape(y.base)):
                return self._product(equation, x, y)
            return Multiple(x.coefficient * y.coefficient, self._bound(equation, [x.base, y.base]))
        if name in ("add", "add_any", "sub"):
            return self._sum(equation, *operands)
        return None

    def _linear(self, equation: Any, x: Multiple) -> Multiple:
        name, result = equation.primitive.name, equation.outvars[0].aval
        constant = self.constants.get(id(x.base))
        if constant is not None and name != "cumsum":
            terms = np.size(x.base) // max(1, result.size) if name == "reduce_sum" else 1
            base = self._constant(constant, result.shape, result.dtype)
            return Multiple(x.coefficient * terms, base)
        if _keeps_order(equation):
            return Multiple(x.coefficient, self._reshaped(x.base, result.shape))
        return Multiple(x.coefficient, self._bound(equation, [x.base]))

    def _reshaped(self, base: Any, shape: tuple[int, ...]) -> Any:
        """A value in another shape; back in its first shape it is itself again."""
        source = self.sources.get(id(base), base)
        if np.shape(source) == shape:
            return source
        key = ("reshape", id(source), shape)
        if key not in self.known:
            self.known[key] = jnp.reshape(source, shape)
            self.sources[id(self.known[key])] = source
            self._order(source)
        return self.known[key]

    def _product(self, equation: Any, x: Multiple, y: Multiple) -> Multiple:
        divided = equation.primitive.name == "div"
        coefficient = x.coefficient / y.coefficient if divided else x.coefficient * y.coefficient
        shape = equation.outvars[0].aval.shape
        if self._is(y.base, 1.0) and np.shape(x.base) == shape:
            return Multiple(coefficient, x.base)
        if not divided and self._is(x.base, 1.0) and np.shape(y.base) == shape:
            return Multiple(coefficient, y.base)
        bases = [x.base, y.base]
        if equation.primitive.name == "mul":
            bases.sort(key=self._order)
        return Multiple(coefficient, self._bound(equation, bases))

    def _sum(self, equation: Any, x: Multiple, y: Multiple) -> Multiple | None:
        """Write c x ± d y = c (x ± (d / c) y), so that sums of proportional values are proportional."""
        if equation.primitive.name == "sub":
            y = Multiple(-y.coefficient, y.base)
        if np.shape(x.base) != np.shape(y.base):
            return None
        if self._is(y.base, 0.0):
            return x
        if self._is(x.base, 0.0):
            return y
        x, y = sorted((x, y), key=lambda term: self._order(term.base))
        ratio = y.coefficient / x.coefficient
        if x.base is y.base:
            total = x.coefficient * (1.0 + ratio)
            return Multiple(total, x.base) if total != 0 else None
        # Of x + r y and y + x / r only one is ever made.
        key = ("sum", id(x.base), ratio, id(y.base))
        if key not in self.known:
            self.known[key] = (x.base + self.value(Multiple(ratio, y.base)), x.base, y.base)
        return Multiple(x.coefficient, self.known[key][0])

    def _order(self, base: Any) -> int:
        """The number under which a base was first met; it is kept, so that its id stays its own."""
        return self.order.setdefault(id(base), (len(self.order), base))[0]

    def value(self, x: Multiple) -> Any:
        """The value itself, computed once."""
        if x.coefficient == 1.0:
            return x.base
        key = ("multiple", x.coefficient, id(x.base))
        if key not in self.known:
            self.known[key] = (scaled(x), x.base)
        return self.known[key][0]

    def _others(self, equation: Any, operands: list[Multiple]) -> list[Multiple]:
        outputs = self._all_bound(equation, [self.value(x) for x in operands])
        return [Multiple(1.0, output) for output in outputs]

    def _bound(self, equation: Any, values: list[Any]) -> Any:
        return self._all_bound(equation, values)[0]

    def _all_bound(self, equation: Any, values: list[Any]) -> list[Any]:
        parameters = tuple((n, _hashable(p)) for n, p in sorted(equation.params.items()))
        key = (equation.primitive.name, tuple(id(value) for value in values), parameters)
        if equation.effects:
            return bind(equation, values)
        if key not in self.known:
            # The operands are kept beside the outputs so that their ids stay theirs.
            self.known[key] = (bind(equation, values), values, equation)
        return self.known[key][0]


def scaled(x: Multiple) -> Any:
    """The value coefficient · base, in the dtype of the base."""
    if x.coefficient == 1.0:
        return x.base
    return x.base * jnp.asarray(x.coefficient, jnp.result_type(x.base))


def _keeps_order(equation: Any) -> bool:
    """Whether the entries of the one operand stay as they follow each other, none is repeated."""
    name, shape = equation.primitive.name, equation.invars[0].aval.shape
    if name == "transpose":
        moved = [axis for axis in equation.params["permutation"] if shape[axis] > 1]
        return moved == sorted(moved)
    if name == "broadcast_in_dim":
        return equation.outvars[0].aval.size == math.prod(shape)
    return name in RESHAPED


def _is_real(aval: Any) -> bool:
    return jnp.issubdtype(getattr(aval, "dtype", np.dtype(int)), jnp.floating)


def _hashable(parameter: Any) -> Any:
    try:
        hash(parameter)
    except TypeError:
        return id(parameter)
    return parameter
