"""What follows from the shapes of a residual alone, found out once for all models of the same shapes."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.core import Tracer

from pinntk.problem.samples import Model, Sample, trainable
from pinntk.program import SMALL

Problem = TypeVar("Problem")
T = TypeVar("T")


def once_per_structure(
    function: Callable[[Problem, str, Model, Sample], T],
) -> Callable[[Problem, str, Model, Sample], T]:
    """`function(problem, name, model, row)`, whose answer must not depend on values of the parameters.

    Tracing a residual takes longer than many of the questions that are asked of it, and they are asked
    again for every network of a diagnosis. Answers are dropped together with their problem.
    """
    known: weakref.WeakKeyDictionary[Problem, dict[Hashable, T]] = weakref.WeakKeyDictionary()

    @functools.wraps(function)
    def once(problem: Problem, name: str, model: Model, row: Sample) -> T:
        try:
            key = (name, _structure(model, row))
            hash(key)
        except TypeError:  # a large array that is not trained, or something else without a hash
            return function(problem, name, model, row)
        answers = known.setdefault(problem, {})
        if key not in answers:
            answers[key] = function(problem, name, model, row)
        return answers[key]

    return once


def _structure(model: Model, row: Sample) -> tuple:
    """Shapes of the parameters and of the point; all else by value."""
    parameters, rest = trainable(model)
    return _leaves(_shape, (parameters, row)), _leaves(_content, rest)


def _leaves(describe: Callable[[Any], Hashable], tree: Any) -> tuple:
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple(map(describe, leaves))


def _shape(leaf: Any) -> Hashable:
    return np.shape(leaf), jax.dtypes.result_type(leaf)


def _content(leaf: Any) -> Hashable:
    if not hasattr(leaf, "dtype"):
        return type(leaf), leaf
    if isinstance(leaf, Tracer) or leaf.size > SMALL:
        raise TypeError("too large to compare")
    return leaf.shape, leaf.dtype, np.asarray(leaf).tobytes()
