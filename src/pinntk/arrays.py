"""Types of what may come from JAX, from NumPy or from Python alike: `Float[AnyArray, "n d"]`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Int

AnyArray = Array | np.ndarray

#: A table of numbers, row by row.
Rows = AnyArray | Sequence[Sequence[float]]

#: How many, counted before anything is traced.
Count = int | np.integer

#: A training step, which is traced within a compiled loop.
StepNumber = int | Int[AnyArray, ""]
