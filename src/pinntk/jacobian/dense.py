"""The residual Jacobian J = ∂r/∂θ in dense form: one gradient per residual, a chunk of points at a time.

The slow, obvious form, and the oracle for every other. Memory: J itself takes rows × parameters
numbers; on top of it no more than `CHUNK_BYTES` of it are in the making at a time.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from pinntk.errors import MemoryLimitError, PinntkError
from pinntk.problem import Batch, Model, Problem, Sample

#: Bytes of per-point gradients that are held at once while J or its traces are computed.
CHUNK_BYTES = 2**26


@dataclasses.dataclass(frozen=True)
class DenseJacobian:
    """J by condition: name → (N_k, P), rows in the order of points, then components.

    P counts the trainable numbers of the model in the order of `jax.flatten_util.ravel_pytree`.
    """

    blocks: dict[str, Float[Array, "rows parameters"]]


def trainable(model: Model) -> tuple[Any, Any]:
    """The model's floating-point arrays, which are trained, and all the rest."""
    return eqx.partition(model, eqx.is_inexact_array)


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


def row_gradients(problem: Problem, model: Model, name: str) -> Callable[[Sample], Array]:
    """∂r/∂θ of one condition at one point, as a function of the point: (m, P), m = 1 for a scalar."""
    parameters, rest = trainable(model)
    flat, unravel = ravel_pytree(parameters)

    def residual(theta: Array, row: Sample) -> Array:
        return jnp.atleast_1d(problem.residual_at(name, eqx.combine(unravel(theta), rest), row))

    return lambda row: jax.jacrev(residual)(flat, row)


def chunk_size(rows_per_point: int, parameters: int, itemsize: int) -> int:
    """How many points' gradients fit `CHUNK_BYTES`, one at least."""
    return max(1, CHUNK_BYTES // max(1, rows_per_point * parameters * itemsize))


def dense_jacobian(
    problem: Problem, model: Model, batch: Batch, memory_limit: float | None = None
) -> DenseJacobian:
    """J for every condition of the batch, in the dtype of the model.

    **Raises:** `MemoryLimitError` when J would take more than `memory_limit` bytes (by default 60%
    of what the machine has available); the message says how much and which subsample would fit.
    """
    rows = problem.rows(model, batch)
    parameters = parameter_count(model)
    itemsize = model_dtype(model).itemsize
    check_memory(rows, parameters, itemsize, memory_limit)
    return DenseJacobian(
        {name: _block(problem, model, name, batch[name], count) for name, count in rows.items()}
    )


def _block(problem: Problem, model: Model, name: str, sample: Sample, rows: int) -> Array:
    points = len(sample.points)
    flat = ravel_pytree(trainable(model)[0])[0]
    size = chunk_size(rows // points, flat.size, flat.dtype.itemsize)
    return _filled(problem, model, name, sample, rows, min(size, points))


@eqx.filter_jit
def _filled(
    problem: Problem, model: Model, name: str, sample: Sample, rows: int, size: int
) -> Array:
    """J of one condition, `size` points at a time; compiled once for a problem and its shapes."""
    points = len(sample.points)
    flat = ravel_pytree(trainable(model)[0])[0]
    gradients = jax.vmap(row_gradients(problem, model, name))

    def fill(i: Array, rows_so_far: Array) -> Array:
        # The last chunk reaches back over rows that are there already, so that all are one size.
        first = jnp.minimum(i * size, points - size)
        chunk = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, first, size), sample)
        return jax.lax.dynamic_update_slice_in_dim(rows_so_far, gradients(chunk), first, 0)

    empty = jnp.zeros((points, rows // points, flat.size), flat.dtype)
    filled = jax.lax.fori_loop(0, -(-points // size), fill, empty)
    return filled.reshape(rows, flat.size)


def gram(left: Float[Array, "a p"], right: Float[Array, "b p"]) -> Float[Array, "a b"]:
    """Left · rightᵀ at the highest precision of the device."""
    contract = (((1,), (1,)), ((), ()))
    return jax.lax.dot_general(left, right, contract, precision=jax.lax.Precision.HIGHEST)


def block_traces(problem: Problem, model: Model, batch: Batch) -> dict[str, Float[Array, ""]]:
    """Tr K_kk of every condition: the sum of all squared entries of its J. Works inside jit.

    J is never stored; `CHUNK_BYTES` bounds what is held.
    """
    traces = {}
    flat = ravel_pytree(trainable(model)[0])[0]
    for name, rows in problem.rows(model, batch).items():
        sample = batch[name]
        gradients = row_gradients(problem, model, name)
        size = chunk_size(rows // len(sample.points), flat.size, flat.dtype.itemsize)
        squared = jax.lax.map(
            lambda row, g=gradients: jnp.sum(g(row) ** 2), sample, batch_size=size
        )
        traces[name] = jnp.sum(squared)
    return traces


def available_memory() -> float:
    """Bytes of memory that the machine has to give now."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return float(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def check_memory(
    rows: dict[str, int], parameters: int, itemsize: int, limit: float | None = None
) -> None:
    """Raise `MemoryLimitError` when J, K and its eigenvectors would not fit the limit in bytes."""
    limit = 0.6 * available_memory() if limit is None else limit
    n = sum(rows.values())
    needed = n * parameters * itemsize + 4 * n**2 * 8
    if needed > limit:
        share = 0.9 * limit / needed
        sizes = ", ".join(f"{name}: {max(1, int(share * count))}" for name, count in rows.items())
        raise MemoryLimitError(
            "kernel",
            got=f"{n} residuals of {parameters} parameters, which take {needed / 1e9:.3g} GB",
            expected=f"at most {limit / 1e9:.3g} GB",
            fix=f"Use a subsample of the points ({sizes}) or a narrower network.",
        )
