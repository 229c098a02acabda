"""Changes of a setup as a line of Python: the one place where objects are written as code."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from pinntk.problem import Problem
from pinntk.training import Setup, dimensional, is_scaled

#: Modules that functions are looked for in, by what code calls them.
_MODULES = {"jnp": jnp, "jax.nn": jax.nn}


def replaced(what: str, **parts: str) -> str:
    """`replaced("training", weighting="pk.NTKWeights()")` is `training.replace(weighting=...)`."""
    return f"{what}.replace({', '.join(f'{name}={code}' for name, code in parts.items())})"


def python_of(value: Any) -> str:
    """An object as the expression that makes it; of a dataclass, the fields that are not its defaults."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f for f in dataclasses.fields(value) if f.init and not _is_default(value, f)]
        inside = ", ".join(f"{f.name}={python_of(getattr(value, f.name))}" for f in fields)
        return f"{_name_of(type(value))}({inside})"
    if isinstance(value, Mapping):
        inside = ", ".join(f'"{name}": {python_of(item)}' for name, item in value.items())
        return f"{{{inside}}}"
    if isinstance(value, tuple | list):
        inside = ", ".join(map(python_of, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, str):
        return f'"{value}"'
    if callable(value):
        return _name_of(value)
    return repr(value)


def changed_code(before: Setup, after: Setup) -> str:
    """What makes `after` of the parts of `before`; of the problem, numbers of points may differ.

    A part alone is written by itself: `training.replace(weighting=pk.NTKWeights(every=50))`. Scales of
    fields and residuals are written as `pk.nondimensional(...)`, which finds them again.
    """
    if is_scaled(after) and not is_scaled(before):
        return f"pk.nondimensional({_setup_code(before, dimensional(after))})"
    parts = _parts(before, after)
    if len(parts) == 1 and after.dtype == before.dtype:
        return next(iter(parts.values()))
    return _setup_code(before, after)


def _setup_code(before: Setup, after: Setup) -> str:
    parts = _parts(before, after)
    if after.dtype != before.dtype:
        parts["dtype"] = python_of(after.dtype)
    return replaced("setup", **parts) if parts else "setup"


def _parts(before: Setup, after: Setup) -> dict[str, str]:
    parts: dict[str, str] = {}
    stated = lambda setup: [(c.points, c.redraw_every) for c in setup.problem.conditions]
    if after.problem is not before.problem and stated(after) != stated(before):
        parts["problem"] = _points_code(before.problem, after.problem)
    for name in ("training", "network"):
        old, new = getattr(before, name), getattr(after, name)
        if new is not old and new != old:
            parts[name] = _changed(name, old, new) if type(new) is type(old) else python_of(new)
    return parts


def _points_code(before: Problem, after: Problem) -> str:
    known = {condition.name: condition for condition in before.conditions}
    counts = {
        condition.name: int(condition.points)
        for condition in after.conditions
        if condition.points != known[condition.name].points
    }
    fixed = any(
        known[condition.name].redraw_every is not None and condition.redraw_every is None
        for condition in after.conditions
    )
    return f"problem.with_points({python_of(counts)}{', redraw=False' if fixed else ''})"


def _changed(name: str, old: Any, new: Any) -> str:
    values = {f.name: getattr(new, f.name) for f in dataclasses.fields(new) if f.init}
    changed = {key: v for key, v in values.items() if v is not getattr(old, key)}
    return replaced(name, **{k: python_of(v) for k, v in changed.items() if v != getattr(old, k)})


def _is_default(value: Any, field: dataclasses.Field) -> bool:
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        return False
    return getattr(value, field.name) == default


def _name_of(function: Any) -> str:
    """A function or type by where a user imports it from."""
    name = getattr(function, "__name__", type(function).__name__)
    for short, module in _MODULES.items():
        if getattr(module, name, None) is function:
            return f"{short}.{name}"
    return f"pk.{name}" if str(getattr(function, "__module__", "")).startswith("pinntk.") else name
