"""From a spec to a setup: a problem of the library, or what a Python file of the user defines."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pinntk.cli.specs import InFile, in_file, library_name, parse_options
from pinntk.errors import PinntkError, brief, check_name, unknown_name
from pinntk.library.registry import PROBLEMS, parameters
from pinntk.problem import Problem
from pinntk.training import Network, Setup, default_setup, natural_setup

DEFAULT, NATURAL_GRADIENT = "default", "natural-gradient"


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What a spec names.

    `setup` is the preset that was asked for, or the user's own Setup (`own`). `presets` are all that
    `--preset` and `--optimizer` can ask for, made when they are called, and once. `file_sha256` is the
    fingerprint of the user's file, None for the library.
    """

    spec: str
    preset: str | None
    setup: Setup
    presets: Mapping[str, Callable[[], Setup]]
    file_sha256: str | None = None
    own: bool = False


def load(spec: str, preset: str | None = None) -> Loaded:
    """What `wave1d:c=2,a=4` or `path/to/file.py:name` names.

    In a file, `name` is a `Problem`, a `Setup`, or a function without arguments that returns one.
    **Raises** `PinntkError`, for errors of the file with the line where it goes wrong.
    """
    place = in_file(spec)
    return _from_library(spec, preset) if place is None else _from_file(spec, place, preset)


def _from_library(spec: str, preset: str | None) -> Loaded:
    name, text = library_name(spec)
    check_name("problem", name, PROBLEMS)
    entry = PROBLEMS[name]
    chosen = DEFAULT if preset is None else preset
    check_name(f"preset of {name}", chosen, entry.presets)
    known = parameters(entry.presets[chosen])
    options = {**known, **parse_options(name, text, known)}
    presets = {other: _once(make, options) for other, make in entry.presets.items()}
    return Loaded(spec, preset, presets[chosen](), presets)


def _once(make: Callable[..., Setup], options: Mapping[str, float]) -> Callable[[], Setup]:
    """The preset with those of the options that it has."""
    return functools.cache(
        lambda: make(**{n: options[n] for n in parameters(make) if n in options})
    )


def _from_file(spec: str, place: InFile, preset: str | None) -> Loaded:
    value = file_object(place, "PROBLEM", Problem | Setup, "a pinntk.Problem or a pinntk.Setup")
    sha256 = fingerprint(place.file)
    if isinstance(value, Setup):
        if preset is not None:
            raise PinntkError("--preset", got=preset, expected="no preset for a Setup of yours")
        presets = {NATURAL_GRADIENT: functools.cache(lambda: _natural(value))}
        return Loaded(spec, None, value, presets, sha256, own=True)
    presets = {
        DEFAULT: functools.cache(lambda: default_setup(value)),
        NATURAL_GRADIENT: functools.cache(lambda: natural_setup(value)),
    }
    chosen = DEFAULT if preset is None else preset
    check_name(f"preset of {spec}", chosen, presets)
    return Loaded(spec, preset, presets[chosen](), presets, sha256)


def _natural(setup: Setup) -> Setup:
    """The natural gradient for a user's setup, which keeps its own network."""
    found = natural_setup(setup.problem)
    own = not isinstance(setup.network, Network)
    return found.replace(network=setup.network) if own else found


def user_object(spec: str, argument: str, kind: Any, expected: str) -> Any:
    """The object of some kind that `path/to/file.py:name` names.

    `name` may also be a class or function that makes it without arguments. The same spec gives the
    same object. **Raises** `PinntkError` about `argument`.
    """
    place = in_file(spec)
    if place is None:
        raise PinntkError(argument, got=spec, expected=f"FILE.py:NAME, {expected}")
    return file_object(place, argument, kind, expected)


def file_object(place: InFile, argument: str, kind: Any, expected: str) -> Any:
    """`user_object` for a parsed spec."""
    return _object(place, fingerprint(place.file, argument), argument, kind, expected)


@functools.lru_cache(maxsize=32)
def _object(place: InFile, sha256: str, argument: str, kind: Any, expected: str) -> Any:
    file, name = place
    module = _module(file, sha256, argument)
    known = [key for key, value in vars(module).items() if isinstance(value, kind)]
    if not name:
        raise PinntkError(
            argument,
            got=str(file),
            expected=f"{file}:NAME, the name of {expected} in the file",
            fix=f"It defines {', '.join(known)}." if known else "It defines none at its top level.",
        )
    with _running(file, argument):
        found = hasattr(module, name)
        value = getattr(module, name, None)
        if found and not isinstance(value, kind) and callable(value):
            value = value()
    if not found:
        raise unknown_name(f"{argument} in {file}", name, known)
    if not isinstance(value, kind):
        raise PinntkError(f"{name} in {file}", got=type(value).__name__, expected=expected)
    return value


def fingerprint(file: Path, argument: str = "PROBLEM") -> str:
    """The SHA-256 of a user's file."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        why = "does not exist" if missing else f"cannot be read ({brief(error)})"
        raise PinntkError(argument, got=f"{file}, which {why}", expected="a Python file") from error


@functools.lru_cache(maxsize=32)  # one module for all that a command wants of it
def _module(file: Path, sha256: str, argument: str) -> ModuleType:
    name = f"_pinntk_user_{file.stem}_{sha256[:8]}"
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    with _running(file, argument):
        specification.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _running(file: Path, argument: str) -> Iterator[None]:
    """Run code of the user's: it finds its neighbors, and whatever it raises is one `PinntkError`."""
    folder = str(file.absolute().parent)
    sys.path.insert(0, folder)
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failure(file, argument, error) from error
    finally:
        with contextlib.suppress(ValueError):  # where the file itself has taken it out
            sys.path.remove(folder)


def _failure(file: Path, argument: str, error: BaseException) -> PinntkError:
    """An error raised by the user's own code, with its place in the file."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename) == file.absolute():
            line = frame.lineno
    place = f"{file}, line {line}" if line else str(file)
    if isinstance(error, PinntkError):
        subject = f"{place}: {error.argument}"
        return type(error)(subject, got=error.got, expected=error.expected, fix=error.fix)
    return PinntkError(argument, got=f"{place}: {brief(error)}", expected="a file that runs")
