"""Specs as text: `wave1d:c=2,a=4` names a problem of the library, `path/to/file.py:name` an object."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pinntk.errors import PinntkError, check_name

_ALLOWED = re.compile(r"[0-9.eEpi+\-*/() ]{1,100}")
_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg}


class InFile(NamedTuple):
    """An object in a Python file; `name` is empty where none is given."""

    file: Path
    name: str


def in_file(spec: str) -> InFile | None:
    """The file and the name of `path/to/file.py:name`, None for a spec of another form."""
    path, separator, name = spec.partition(".py:")
    if separator:
        return InFile(Path(f"{path}.py"), name)
    return InFile(Path(spec), "") if spec.endswith(".py") else None


def library_name(spec: str) -> tuple[str, str]:
    """The name in `wave1d:c=2,a=4`, and the text of its options."""
    name, colon, text = (part.strip() for part in spec.partition(":"))
    if colon and not text:
        raise PinntkError(
            "problem", got=repr(spec), expected=f"options after the colon, or just {name!r}"
        )
    return name, text


def parse_options(problem: str, text: str, known: Mapping[str, float]) -> dict[str, float]:
    """`"c=2,a=4"` as numbers by name; `known` are the options that there are, with their defaults."""
    options: dict[str, float] = {}
    for part in text.split(",") if text else ():
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name:
            example = ",".join(f"{option}={default:g}" for option, default in known.items())
            raise PinntkError(
                f"options of {problem}",
                got=repr(part.strip()),
                expected=f"name=number, several of them with commas, like {problem}:{example}",
            )
        check_name(f"option of {problem}", name, known)
        if name in options:
            raise PinntkError(f"options of {problem}", got=f"{name!r} twice", expected="it once")
        options[name] = parse_number(f"{problem}:{name}", value)
    return options


def parse_number(argument: str, text: str) -> float:
    """The number that `text` spells: `pi`, + − * / and parentheses are allowed, nothing else.

    The result may be infinite where a literal is too large for a float; the problems refuse it.
    **Raises** `PinntkError` with `argument` as its subject.
    """
    expected = "a number like 4, 1e-3 or 0.01/pi"
    if not _ALLOWED.fullmatch(text):
        raise PinntkError(argument, got=repr(text[:100]), expected=expected)
    try:
        return _evaluate(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, KeyError, ArithmeticError) as error:
        raise PinntkError(argument, got=repr(text), expected=expected) from error


def _evaluate(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id="pi"):
            return math.pi
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_evaluate(left), _evaluate(right))
        case ast.UnaryOp(op=op, operand=operand):
            return _UNARY[type(op)](_evaluate(operand))
        case _:
            raise KeyError(ast.dump(node))
