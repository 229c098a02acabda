"""The type checker of the tests: beartype on every function of the package, where it is switched on.

`pytest` is told of it by `--jaxtyping-packages`. A test of what wrong types get from pinntk itself, its
errors, switches it off: see `conftest.raises` and the fixture `untyped`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

#: An int is welcome where a float is asked for (PEP 484).
_strict = beartype(conf=BeartypeConf(is_pep484_tower=True))


class Switch:
    """Whether types are checked now."""

    on = True


def typechecker(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its annotations checked at every call, while `Switch.on`."""
    checked = _strict(function)
    if not callable(function) or isinstance(function, type):
        return checked

    @functools.wraps(function)
    def switched(*arguments: Any, **options: Any) -> Any:
        return (checked if Switch.on else function)(*arguments, **options)

    return switched


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
