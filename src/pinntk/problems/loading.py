"""From a name on the command line to a problem: the library's, or one in a user's Python file."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from pinntk.errors import PinntkError, unknown_name
from pinntk.problem import Problem
from pinntk.problems.registry import library_problem


def load_problem(spec: str, preset: str | None = None) -> Problem:
    """The problem that `spec` names: `poisson1d:a=4`, or `path/to/file.py:name`.

    In a file, `name` is a `Problem` or a function without arguments that returns one. **Raises**
    `PinntkError` with the line of the file where it goes wrong.
    """
    path, separator, name = spec.partition(".py:")
    if not separator and not spec.endswith(".py"):
        return library_problem(spec, preset)
    if preset is not None:
        raise PinntkError("--preset", got=preset, expected="no preset for a problem in a file")
    file = Path(f"{path}.py" if separator else spec)
    found = _load_module(file)
    known = {key: value for key, value in vars(found).items() if isinstance(value, Problem)}
    if not name:
        raise PinntkError(
            "PROBLEM",
            got=spec,
            expected=f"{file}:NAME, the name of a problem in the file",
            fix=f"It defines {', '.join(known)}." if known else "It defines none at its top level.",
        )
    if not hasattr(found, name):
        raise unknown_name(f"problem in {file}", name, known)
    value = getattr(found, name)
    if callable(value) and not isinstance(value, Problem):
        try:
            value = value()
        except (Exception, SystemExit) as error:
            raise _failure(file, error) from error
    if not isinstance(value, Problem):
        raise PinntkError(
            f"{name} in {file}", got=type(value).__name__, expected="a pinntk.Problem"
        )
    return value


def fingerprint(spec: str) -> str | None:
    """The SHA-256 of the file behind a problem, None for one of the library."""
    path, separator, _ = spec.partition(".py:")
    if not separator:
        return None
    return hashlib.sha256(_existing(Path(f"{path}.py")).read_bytes()).hexdigest()


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise PinntkError("PROBLEM", got=f"{file}, which does not exist", expected="a Python file")
    return file


def _load_module(file: Path) -> ModuleType:
    _existing(file)
    specification = importlib.util.spec_from_file_location(f"_pinntk_user_{file.stem}", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failure(file, error) from error
    return module


def _failure(file: Path, error: BaseException) -> PinntkError:
    """An error raised by the user's own code, with its place in the file."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename) == file.absolute():
            line = frame.lineno
    place = f"{file}, line {line}" if line else str(file)
    if isinstance(error, PinntkError):
        argument = f"{place}: {error.argument}"
        return type(error)(argument, got=error.got, expected=error.expected, fix=error.fix)
    return PinntkError(
        "PROBLEM", got=f"{place}: {type(error).__name__}: {error}", expected="a file that runs"
    )
