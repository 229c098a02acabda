"""One test over many values that take the same path: cheaper than a case per value, and as telling."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import jax
import pytest


def each(names: str | tuple[str, ...], values: Iterable[Any]) -> Callable[..., Any]:
    """Run the test with every value, as `pytest.mark.parametrize` does, in one case.

    All values are tried; what fails names its value. Each has a folder `tmp_path`, a `monkeypatch` and
    a precision of its own; other fixtures are shared.
    """
    fields = (names,) if isinstance(names, str) else tuple(names)
    rows = list(values)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(test)

        @functools.wraps(test)
        def all_of_them(**fixtures: Any) -> None:
            failures = []
            for number, row in enumerate(rows):
                given = dict(zip(fields, (row,) if isinstance(names, str) else row, strict=True))
                try:
                    with _own(fixtures, number) as own:
                        test(**own, **given)
                except (Exception, pytest.fail.Exception) as error:
                    told = ", ".join(f"{field}={value!r}" for field, value in given.items())
                    error.add_note(f"with {told}")
                    failures.append(error)
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(rows)} fail", failures)

        rest = [p for name, p in signature.parameters.items() if name not in fields]
        all_of_them.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        return all_of_them

    return decorate


@contextlib.contextmanager
def _own(fixtures: dict[str, Any], number: int):
    """The fixtures, with those made anew that a run of the test changes."""
    precision = jax.config.read("jax_enable_x64")
    own = dict(fixtures)
    with contextlib.ExitStack() as stack:
        if "monkeypatch" in own:
            own["monkeypatch"] = stack.enter_context(own["monkeypatch"].context())
        if "tmp_path" in own:
            own["tmp_path"] = own["tmp_path"] / str(number)
            own["tmp_path"].mkdir()
        try:
            yield own
        finally:
            jax.config.update("jax_enable_x64", precision)
