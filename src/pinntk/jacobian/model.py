"""The parameters of a model: which of its arrays are trained, their names, their precision."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array

from pinntk.errors import PinntkError
from pinntk.problem import Model, trainable


def parameters_by_name(model: Model) -> dict[str, Array]:
    """The trainable arrays by their path in the model, such as `.layers[0].weight`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(trainable(model)[0])
    return {jax.tree_util.keystr(path) or "model": leaf for path, leaf in leaves}


def model_dtype(model: Model) -> Any:
    """The floating-point type of a model's first trainable array."""
    leaves = jax.tree.leaves(trainable(model)[0])
    if not leaves:
        raise PinntkError(
            "model", got="no trainable array", expected="a pytree with floating-point arrays"
        )
    return leaves[0].dtype


def parameter_count(model: Model) -> int:
    """P, how many trainable numbers the model has."""
    return sum(leaf.size for leaf in jax.tree.leaves(trainable(model)[0]))


def cast(tree: Any, dtype: Any) -> Any:
    """Every floating-point array of a pytree in another precision."""
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, tree)
