"""What may come from JAX, from NumPy or from Python alike: types, and whole numbers as floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Real

#: Such as `Float[AnyArray, "n d"]`.
AnyArray = Array | np.ndarray

#: A table of numbers, row by row.
Rows = AnyArray | Sequence[Sequence[float]]

#: How many, counted before anything is traced.
Count = int | np.integer

#: A training step, which is traced within a compiled loop.
StepNumber = int | Int[AnyArray, ""]


def floating(x: Real[AnyArray, " *shape"], dtype: Any = None) -> Array:
    """The array as it is; in `dtype`, JAX's default float if None, where it holds whole numbers.

    Points are often written as `jnp.array([7])`. Casts of other numbers to the type of such a point, and
    derivatives there, would be those of whole numbers.
    """
    array = jnp.asarray(x)
    if jnp.issubdtype(array.dtype, jnp.inexact):
        return array
    return array.astype(float if dtype is None else dtype)
