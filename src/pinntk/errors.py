"""The errors that pinntk raises: each names the argument, what it got, what was expected, and the fix."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class PinntkError(ValueError):
    """Bad input. `str(error)` is one to four short sentences for a person to read.

    **Arguments:** the name of the offending argument, the value it got, what was expected, and what
    to write instead.
    """

    def __init__(self, argument: str, *, got: object, expected: str, fix: str = ""):
        self.argument = argument
        self.got = got
        self.expected = expected
        self.fix = fix
        shown = got if isinstance(got, str) else repr(got)
        text = f"{argument}: got {shown}; expected {expected}."
        if fix:
            text += f" {fix}"
        super().__init__(text)


class PinntkWarning(UserWarning):
    """Something that a user should know, but that does not stop the work."""


class ResidualError(PinntkError):
    """A condition's residual cannot be used: wrong shape or type, or it raised."""


class MemoryLimitError(PinntkError):
    """A result would not fit the memory that was granted."""


class RunError(PinntkError):
    """A run directory cannot be used: it exists, is corrupt, or belongs to another problem."""


@contextlib.contextmanager
def from_users_function(argument: str, expected: str) -> Iterator[None]:
    """Around a call of a user's function: what it raises becomes an error of pinntk that names it."""
    try:
        yield
    except PinntkError:
        raise
    except Exception as error:
        raise PinntkError(argument, got=brief(error), expected=expected) from error


def brief(error: BaseException) -> str:
    """An error in one line: its type, and the first line of what it says."""
    try:
        lines = str(error).splitlines()
    except Exception:  # a user's exception that cannot be printed
        lines = []
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def unknown_name(argument: str, got: str, known: Iterable[str]) -> PinntkError:
    """The error for a misspelled name, which suggests the nearest known ones."""
    names = list(known)
    close = difflib.get_close_matches(got, names, n=3, cutoff=0.5)
    fix = f"Did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
    return PinntkError(argument, got=repr(got), expected=f"one of {', '.join(names)}", fix=fix)


def check_name(argument: str, got: str, known: Iterable[str]) -> None:
    """Raise the error of `unknown_name` unless `got` is one of the known names."""
    names = list(known)
    if got not in names:
        raise unknown_name(argument, got, names)
