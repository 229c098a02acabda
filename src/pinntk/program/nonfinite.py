"""Where a program makes NaN or infinity of finite numbers, in words."""

from __future__ import annotations

import enum
import linecache
import os
import sysconfig
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pinntk.program.interpreter import (
    CUSTOM,
    INLINED,
    RECOMPUTED,
    bind,
    interpret,
    is_variable,
)
from pinntk.words import number

#: Folders whose lines of code are not the user's: pinntk, Python, installed packages.
LIBRARIES = tuple(
    os.path.join(path, "")
    for path in (
        str(Path(__file__).parents[1]),
        *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    )
)
#: Significant digits of an operand: enough to find it among the values of the field.
DIGITS = 3
#: Characters of a line of code that are shown: a line of a terminal.
LINE = 80


class Trouble(enum.Enum):
    """Why an operation has no finite result."""

    NEGATIVE = "of a negative number"
    ZERO = "at zero"
    OUTSIDE = "outside of where it is defined"
    OVERFLOW = "too large a number"
    GIVEN = "not finite as given"
    OTHER = "unknown"


class Cause(NamedTuple):
    """The first operation whose finite operands make a result NaN or infinite, in `words`.

    `operands` are the numbers that it was given, none where it has no single ones. `arguments` are those
    arguments of the program, by number, on which they depend. `line` is the line of the user's code,
    as `porous.py, line 18: flux = u(p) ** 1.2`; empty where it is not known.
    """

    trouble: Trouble
    words: str
    operands: tuple[float, ...]
    arguments: frozenset[int]
    line: str

    @property
    def overflow(self) -> bool:
        """Whether numbers are too large."""
        return self.trouble is Trouble.OVERFLOW


class _Known(NamedTuple):
    """A value, the number of the cause why it is not finite, and the arguments that it depends on."""

    value: Any
    cause: int | None
    arguments: frozenset[int]


def cause_of(function: Callable[..., Any], *arguments: Any) -> Cause | None:
    """Why `function` is not finite at `arguments`, pytrees of arrays; None where it is finite.

    The program is run operation by operation. A NaN that a `jnp.where` drops is no cause. Loops are one
    operation each. Of operations on the same number, such as a power and its derivative, the first is told.
    """
    closed = jax.make_jaxpr(_traced(function))(*arguments)
    run = _Run()
    inputs = [
        run.given(leaf, frozenset([position]))
        for position, argument in enumerate(arguments)
        for leaf in jax.tree.leaves(argument)
    ]
    outputs = run.outputs(closed, inputs)
    found = next((known.cause for known in outputs if known.cause is not None), None)
    return None if found is None else run.first_like(found)


class _Run:
    """One evaluation: the causes that were met, in order, each with its primitive and its operands."""

    def __init__(self) -> None:
        self.causes: list[Cause] = []
        self.seen: list[tuple[str, list[Any]]] = []

    def outputs(self, closed: Any, inputs: Sequence[_Known]) -> list[_Known]:
        return interpret(
            closed.jaxpr,
            closed.consts,
            inputs,
            self.rule,
            constant=lambda _, value: _Known(value, None, frozenset()),
            inlined=INLINED | CUSTOM | RECOMPUTED,
        )

    def given(self, value: Any, arguments: frozenset[int], line: str = "") -> _Known:
        """A value as it comes in: by itself a cause where it is not finite."""
        if _finite(value):
            return _Known(value, None, arguments)
        array = np.asarray(value)
        bad = float(array[~np.isfinite(array)].flat[0])
        words = f"a {'number' if arguments else 'constant'} that is given as {bad:g}"
        return _Known(
            value, self._new("", [], Trouble.GIVEN, words, (bad,), arguments, line), arguments
        )

    def rule(self, equation: Any, operands: list[_Known]) -> list[_Known]:
        if equation.primitive.name == "cond":
            branch = equation.params["branches"][int(operands[0].value)]
            return self.outputs(branch, operands[1:])
        values = [known.value for known in operands]
        arguments = frozenset().union(*(known.arguments for known in operands))
        return [
            _Known(output, self._cause(equation, operands, output, arguments), arguments)
            for output in bind(equation, values)
        ]

    def _cause(
        self, equation: Any, operands: list[_Known], output: Any, arguments: frozenset[int]
    ) -> int | None:
        if _finite(output):
            return None
        entry = int(np.argmax(~np.isfinite(np.asarray(output))))
        shape, name = np.shape(output), equation.primitive.name
        if name == "select_n":
            which = _at(operands[0].value, entry, shape)
            operands = operands[1:] if which is None else [operands[1 + int(which)]]
        bad = [known for known in operands if not _finite(known.value)]
        carried = next((known.cause for known in bad if known.cause is not None), None)
        if carried is not None:
            return carried
        line = _line(equation)
        if bad:  # written into the program
            return self.given(bad[0].value, frozenset(), line).cause
        entries = [_at(known.value, entry, shape) for known in operands]
        numbers = tuple(value for value in entries if value is not None)
        numbers = numbers if len(numbers) == len(entries) else ()
        trouble, words = _told(name, equation.params, numbers, output)
        moving = [
            known.value
            for known, atom in zip(operands, equation.invars[-len(operands) :], strict=True)
            if is_variable(atom)
        ]
        return self._new(name, moving, trouble, words, numbers, arguments, line)

    def _new(self, name: str, moving: list[Any], *parts: Any) -> int:
        self.causes.append(Cause(*parts))
        self.seen.append((name, moving))
        return len(self.causes) - 1

    def first_like(self, found: int) -> Cause:
        """The first cause with the same primitive on one of the same values: the user's own operation."""
        name, moving = self.seen[found]
        for cause, (other, values) in zip(self.causes, self.seen, strict=True):
            if other == name and any(one is two for one in moving for two in values):
                return cause
        return self.causes[found]


def _finite(value: Any) -> bool:
    if not jnp.issubdtype(jnp.result_type(value), jnp.inexact):
        return True
    return bool(np.isfinite(np.asarray(value)).all())


def _at(value: Any, entry: int, shape: tuple[int, ...]) -> float | None:
    """The number of an operand that goes into entry number `entry` of a result of this shape."""
    array = np.asarray(value)
    if array.size == 1:
        return float(array.flat[0])
    return float(array.flat[entry]) if array.shape == shape else None


def _told(name: str, params: Any, numbers: tuple[float, ...], output: Any) -> tuple[Trouble, str]:
    """What an operation on these numbers met, in words."""
    shown = [number(value, DIGITS) for value in numbers]
    if not numbers:
        return Trouble.OVERFLOW, f"an overflow in '{name}', whose numbers are finite"
    x, text = numbers[0], shown[0]
    inside = f"({text})" if x < 0 else text
    if name in ("pow", "integer_pow"):
        power = shown[1] if name == "pow" else str(params["y"])
        if x == 0:
            return Trouble.ZERO, f"a division by zero, {inside}^{power}"
        if x < 0 and name == "pow" and numbers[1] != round(numbers[1]):
            return Trouble.NEGATIVE, f"a power of a negative number, {inside}^{power}"
        return Trouble.OVERFLOW, f"an overflow, {inside}^{power}"
    if name in ("div", "rem") and numbers[1] == 0:
        return Trouble.ZERO, f"a division by zero, {text}/0"
    if name in ("sqrt", "rsqrt"):
        if x < 0:
            return Trouble.NEGATIVE, f"the square root of a negative number, sqrt({text})"
        return Trouble.ZERO, "a division by zero, 1/sqrt(0)"
    if name == "log":
        if x == 0:
            return Trouble.ZERO, "the logarithm of zero"
        return Trouble.NEGATIVE, f"the logarithm of a negative number, log({text})"
    if name in RANGES:
        called, defined = RANGES[name]
        return Trouble.OUTSIDE, f"{called}({text}), which is defined {defined} only"
    if name == "convert_element_type":
        return Trouble.OVERFLOW, f"a number too large for {np.asarray(output).dtype}, {text}"
    if name in SIGNS and len(shown) == 2:
        return Trouble.OVERFLOW, f"an overflow, {shown[0]} {SIGNS[name]} {shown[1]}"
    return Trouble.OVERFLOW, f"an overflow, {name}({', '.join(shown)})"


#: Functions that are defined on a part of the line: what they are called, and where they are defined.
RANGES = {
    "log1p": ("log1p", "above -1"),
    "asin": ("arcsin", "from -1 to 1"),
    "acos": ("arccos", "from -1 to 1"),
    "acosh": ("arccosh", "from 1 on"),
    "atanh": ("arctanh", "between -1 and 1"),
    "erf_inv": ("erfinv", "between -1 and 1"),
}
#: Operations that are written between their operands.
SIGNS = {"mul": "*", "div": "/", "add": "+", "add_any": "+", "sub": "-"}


def _traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called by one of this name: where the lines of the user's code begin."""

    def users_code_below(*arguments: Any) -> Any:
        return function(*arguments)

    return users_code_below


def _line(equation: Any) -> str:
    """The innermost line of the first stretch of one file of the user's that led to an equation."""
    traceback = getattr(getattr(equation, "source_info", None), "traceback", None)
    innermost = None
    for frame in _below(traceback):
        if innermost is not None and frame.file_name != innermost.file_name:
            break
        innermost = innermost if in_library(frame.file_name) else frame
    if innermost is None:
        return ""
    line = linecache.getline(innermost.file_name, innermost.line_num)
    text = textwrap.shorten(line, LINE, placeholder=" ...")
    place = f"{os.path.basename(innermost.file_name)}, line {innermost.line_num}"
    return f"{place}: {text}" if text else place


def in_library(file: str) -> bool:
    """Whether a file of code is not the user's: of Python, of pinntk or of an installed package."""
    return file.startswith("<") or os.path.abspath(file).startswith(LIBRARIES)


def _below(traceback: Any) -> Iterator[Any]:
    """The frames within `users_code_below`, the outermost first."""
    frames = list(getattr(traceback, "frames", ()))
    starts = [i for i, frame in enumerate(frames) if "users_code_below" in frame.function_name]
    return reversed(frames[: starts[0]] if starts else [])
