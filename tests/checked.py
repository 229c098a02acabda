"""The type checker of the tests: beartype on every function of the package, where it is switched on.

Importing this module, before the package, puts it in force. A test of what wrong types get from pinntk
itself, its errors, switches the checks off: see `conftest.raises` and the fixture `untyped`.

jaxtyping's own decorator binds the arguments of every call anew and has every function checked twice,
which took a third of the time of these tests. Here a function is checked once, the sizes of axes are kept
only where its annotations name some, and functions within functions, which are made anew at every call
of the outer one, are left alone.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

#: An int is welcome where a float is asked for (PEP 484).
_strict = beartype(conf=BeartypeConf(is_pep484_tower=True))
_jaxtyped = jaxtyping.jaxtyped


class Switch:
    """Whether types are checked now."""

    on = True


def typechecker(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its annotations checked at every call, while `Switch.on`."""
    checked = _strict(function)
    if not callable(function) or isinstance(function, type):
        return checked
    return _switched(checked, function)


def _switched(checked: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def switched(*arguments: Any, **options: Any) -> Any:
        return (checked if Switch.on else function)(*arguments, **options)

    return switched


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    """An annotation as a type; any type, where it uses a name that only a type checker imports."""

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["it"]
    except NameError:
        return Any


def _names_axes(hint: Any) -> bool:
    """Whether a type says sizes that others may have to agree with."""
    if isinstance(hint, list):
        return any(map(_names_axes, hint))
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return any(part.isidentifier() and part != "_" for part in hint.dim_str.split())
    return any(map(_names_axes, typing.get_args(hint)))


def _decorated(function: Any = None, *, typechecker: Any) -> Any:
    """What the import hook puts in front of every function and class, in place of jaxtyping's own."""
    if function is None:
        return functools.partial(_decorated, typechecker=typechecker)
    if not isinstance(function, types.FunctionType):
        return _jaxtyped(function, typechecker=typechecker)
    if "<locals>" in function.__qualname__:
        return function
    code, names = function.__code__, function.__globals__
    twin = types.FunctionType(
        code, names, function.__name__, function.__defaults__, function.__closure__
    )
    hints = {n: _resolved(a, names) for n, a in function.__annotations__.items()}
    twin.__annotations__, twin.__kwdefaults__ = hints, function.__kwdefaults__
    twin.__qualname__, twin.__module__ = function.__qualname__, function.__module__
    checked = _strict(twin)
    if any(map(_names_axes, hints.values())):
        checked = _jaxtyped(checked, typechecker=None)
    return _switched(checked, function)


class unchecked:
    """Within the block pinntk meets any type: a test of its own errors."""

    def __init__(self, expected: Any):
        self._expected = expected

    def __enter__(self) -> Any:
        self._before, Switch.on = Switch.on, False
        return self._expected.__enter__()

    def __exit__(self, *raised: Any) -> Any:
        Switch.on = self._before
        return self._expected.__exit__(*raised)


# The hook's decorators look these up by their names.
jaxtyping.jaxtyped = _decorated
jaxtyping.install_import_hook("pinntk", "checked.typechecker")
