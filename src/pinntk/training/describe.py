"""Objects as plain data: the record of what a run was, which a resumed run is checked against."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from pinntk.problem import Problem
from pinntk.training.setup import Setup


def describe(value: Any) -> Any:
    """JSON-ready: dataclasses by type and fields, arrays by shape and checksum, functions by name.

    A function that another one made comes with the numbers it keeps: the schedules of Adam at 1e-3 and
    at 1e-2 are `constant_schedule.<locals>.<lambda>(value=0.001)` and `...(value=0.01)`.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): describe(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | jax.Array):
        content = np.ascontiguousarray(np.asarray(value))
        return {
            "array": [str(content.dtype), list(content.shape)],
            "sha256": hashlib.sha256(content.tobytes()).hexdigest(),
        }
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    name = getattr(value, "__qualname__", None)
    if not isinstance(name, str):
        return type(value).__name__
    kept = [f"{key}={number}" for key, number in _kept(value, frozenset())]
    return f"{name}({', '.join(kept)})" if kept else name


def _kept(value: Any, above: frozenset[int]) -> Iterator[tuple[str, Any]]:
    """The numbers and names that a function keeps from where it was made, also those of functions in it."""
    names = getattr(getattr(value, "__code__", None), "co_freevars", ())
    for name, cell in zip(names, getattr(value, "__closure__", None) or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
        for item in content if isinstance(content, tuple | list) else (content,):
            if isinstance(item, bool | str):
                yield name, item
            elif isinstance(item, int | float):
                yield name, float(item)  # a schedule may write a count as either
            elif callable(item) and id(item) not in above:
                yield from _kept(item, above | {id(value)})


def describe_setup(setup: Setup) -> dict[str, Any]:
    """A setup as plain data; of the problem, its names and numbers of points."""
    return {
        "problem": describe_problem(setup.problem),
        "network": describe(setup.network),
        "training": describe(setup.training),
        "dtype": setup.dtype,
    }


def describe_problem(problem: Problem) -> dict[str, Any]:
    """The name of a problem, its coordinates and fields, and how each condition is sampled."""
    return {
        "name": problem.name,
        "coordinates": list(problem.domain.coordinates),
        "fields": list(problem.fields),
        "conditions": {
            c.name: {
                "points": int(c.points),
                "sampler": describe(c.sampler),
                "redraw_every": c.redraw_every,
                **({} if c.scale == 1.0 else {"scale": describe(c.scale)}),
            }
            for c in problem.conditions
        },
        "coefficients": sorted(problem.coefficients),
    }


def differences(stored: Any, found: Any, path: str = "") -> list[str]:
    """Where two descriptions differ, as `training.steps: 200, now 100`."""
    if isinstance(stored, Mapping) and isinstance(found, Mapping):
        names = [*stored, *(name for name in found if name not in stored)]
        return [
            line
            for name in names
            for line in differences(
                stored.get(name), found.get(name), f"{path}.{name}" if path else str(name)
            )
        ]
    if stored == found:
        return []
    return [f"{path}: {stored}, now {found}"]
