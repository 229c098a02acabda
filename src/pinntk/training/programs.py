"""Compiled programs that are kept, found again by what went into them and not by which object it was."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax


class Programs:
    """The newest `size` programs, by the content of the objects that they were made from.

    Frozen dataclasses (optimizers, rules, regions of points) are compared field by field, problems,
    functions and arrays by identity. What a program was made from is kept alive with it.
    """

    def __init__(self, size: int):
        self._size = size
        self._kept: OrderedDict[Hashable, tuple[Any, Any]] = OrderedDict()

    def get(self, objects: tuple, static: Any, make: Callable[[], Any]) -> Any:
        """The program made from these objects and the static part of a model, made now if there is none."""
        leaves, structure = jax.tree.flatten(static)
        key = (content((*objects, *leaves)), structure, jax.dtypes.canonicalize_dtype(float))
        if key not in self._kept:
            self._kept[key] = ((objects, static), make())
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return self._kept[key][1]


def content(value: Any) -> Hashable:
    """A hashable stand-in that is equal for values of equal type and content."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and _by_value(value):
        fields = tuple(content(getattr(value, f.name)) for f in dataclasses.fields(value))
        return (type(value), fields)
    if isinstance(value, Mapping):
        items = sorted(((str(name), content(item)) for name, item in value.items()), key=repr)
        return (type(value), tuple(items))
    if isinstance(value, tuple | list):
        return (type(value), tuple(content(item) for item in value))
    if isinstance(value, str | bytes | int | float | complex | bool | type(None) | type):
        return (type(value), value)
    return (type(value), id(value))


def _by_value(value: Any) -> bool:
    """Whether a dataclass is frozen and compared by its fields."""
    parameters = value.__dataclass_params__
    return parameters.frozen and parameters.eq


#: Trials take turns, some five trainings at a time, after an examination.
STEPS, LOOKS, ERRORS, SENSITIVITIES = Programs(8), Programs(8), Programs(8), Programs(8)
