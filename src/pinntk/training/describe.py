"""Objects as plain data: the record of what a run was, which a resumed run is checked against."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pinntk.problem import Problem
from pinntk.training.setup import Setup


def describe(value: Any) -> Any:
    """JSON-ready: dataclasses by type and fields, functions by name, arrays by shape and checksum."""
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
    return name if isinstance(name, str) else type(value).__name__


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
