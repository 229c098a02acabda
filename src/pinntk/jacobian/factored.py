"""The factored form: J as outer products (`products`), never as a matrix.

With the gradient of a residual with respect to W being Σ_k a_k ⊗ δ_k at every point,

    K_ij       = Σ_kl (a_ik · a_jl) (δ_ik · δ_jl)      tile by tile, half of it by symmetry,
    diagonal_i = Σ_kl (a_ik · a_il) (δ_ik · δ_il)      about as much work as a gradient of the loss,
    Jᵀ v       = Σ_i v_i Σ_k a_ik ⊗ δ_ik               the loss gradient itself is one of these.

Beside K its computation holds the factors twice and four matrices of `tiles.TILE_ROWS`².
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from pinntk.jacobian.memory import chunk_points, over_points
from pinntk.jacobian.model import parameters_by_name
from pinntk.jacobian.operator import (
    AbstractJacobian,
    Gram,
    Vectors,
    check_accumulation,
    diagonal,
    gram,
    jvp,
    vjp,
)
from pinntk.jacobian.plans import Use, make_plans
from pinntk.jacobian.products import (
    POINT_AXES,
    FactorPlan,
    Factors,
    Gradients,
    axis_of_points,
    gradients_at,
)
from pinntk.jacobian.tiles import join, kernel, matrix_of
from pinntk.problem import Batch, Model, Problem, Sample, trainable

#: Up to so many products of a matrix, the pairs of a diagonal entry are written out one by one.
UNROLLED = 8


class FactoredJacobian(AbstractJacobian):
    """J by condition and parameter: factors (k, n, m, rows), (k, n, m, columns) or plain (n, m, size).

    m is 1 in the factor that is the same for all components. `parameters` are those it was taken at.
    """

    residuals: dict[str, Array]
    gradients: dict[str, Gradients]
    parameters: Any
    names: tuple[str, ...] = eqx.field(static=True)


@eqx.filter_jit
def factored(problem: Problem, model: Model, batch: Batch, use: Use = Use.GRAM) -> FactoredJacobian:
    """J in factored form, in the dtype of the model; compiled once for a problem and its shapes."""
    plans, _ = make_plans(problem, model, batch, use)
    parameters, _ = trainable(model)
    gradients = {
        name: gradients_of(problem, name, model, plan, batch[name]) for name, plan in plans.items()
    }
    residuals = {name: found.residual for name, found in gradients.items()}
    return FactoredJacobian(
        residuals=residuals, gradients=gradients, parameters=parameters, names=tuple(plans)
    )


def gradients_of(
    problem: Problem, name: str, model: Model, plan: FactorPlan, sample: Sample
) -> Gradients:
    """The gradients at all points of one condition, as many at a time as `memory` allows."""
    at = jax.vmap(gradients_at(problem, name, model, plan), out_axes=POINT_AXES)
    size = chunk_points(point_bytes(model, plan))
    return over_points(at, sample, size, axis_of_points)


def point_bytes(model: Model, plan: FactorPlan) -> int:
    """The bytes that the gradients of one point take."""
    leaves = parameters_by_name(model)
    m = plan.components
    numbers = m * sum(leaves[name].size for name in plan.plain)
    for matrix in plan.factored.values():
        numbers += m * matrix.count * sum(matrix.shape)
    return numbers * next(iter(leaves.values())).dtype.itemsize


@gram.register
def _(jacobian: FactoredJacobian, other: FactoredJacobian | None = None, dtype: Any = None) -> Gram:
    check_accumulation(dtype)
    columns = jacobian if other is None else other
    matrix = kernel(_in_order(jacobian), None if other is None else _in_order(other), dtype)
    return Gram(matrix, tuple(jacobian.rows.items()), tuple(columns.rows.items()))


def _in_order(jacobian: FactoredJacobian) -> dict[str, Gradients]:
    return {name: jacobian.gradients[name] for name in jacobian.names}


@diagonal.register
def _(jacobian: FactoredJacobian) -> dict[str, Array]:
    return {name: point_norms(jacobian.gradients[name]).ravel() for name in jacobian.names}


def point_norms(gradients: Gradients) -> Array:
    """‖∂r/∂θ‖² of every residual, (n, m), from the gradients at n points."""
    total = jnp.zeros_like(gradients.residual)
    for plain in gradients.plain.values():
        total += jnp.sum(plain**2, axis=-1)
    for uses in gradients.factored.values():
        total += _norms(uses)
    return total


def _norms(uses: tuple[Factors, ...]) -> Array:
    """Σ_kl (left_k · left_l)(right_k · right_l), (n, m): by pairs, or in one product where K is large."""
    if sum(len(f.left) for f in uses) > UNROLLED:
        both = [jnp.einsum("knmd,lnmd->nmkl", a, a) for a in join(uses)]
        return jnp.sum(both[0] * both[1], (-1, -2))
    pairs = [(left, right) for f in uses for left, right in zip(f.left, f.right, strict=True)]
    total: Any = 0.0
    for k, (left, right) in enumerate(pairs):
        for j, (left_j, right_j) in enumerate(pairs[: k + 1]):
            term = jnp.sum(left * left_j, -1) * jnp.sum(right * right_j, -1)
            total += term if j == k else 2 * term
    return total


@jvp.register
def _(jacobian: FactoredJacobian, direction: Any) -> dict[str, Array]:
    leaves = parameters_by_name(direction)
    images = {}
    for condition in jacobian.names:
        gradients = jacobian.gradients[condition]
        total = jnp.zeros_like(gradients.residual)
        for name, plain in gradients.plain.items():
            total += plain @ leaves[name].ravel()
        for name, uses in gradients.factored.items():
            for left, right in uses:
                matrix = leaves[name].reshape(left.shape[-1], right.shape[-1])
                total += jnp.sum((left @ matrix) * right, axis=(0, -1))
        images[condition] = total.ravel()
    return images


@vjp.register
def _(jacobian: FactoredJacobian, vectors: Vectors) -> Any:
    leaves, structure = jax.tree.flatten(jacobian.parameters)
    totals = dict.fromkeys(parameters_by_name(jacobian.parameters))
    for condition in jacobian.names:
        gradients = jacobian.gradients[condition]
        v = vectors[condition].reshape(gradients.residual.shape)
        for name, plain in gradients.plain.items():
            totals[name] = _sum(totals[name], jnp.tensordot(v, plain, axes=2))
        for name, uses in gradients.factored.items():
            for factors in uses:
                totals[name] = _sum(totals[name], _weighted_sum(factors, v))
    return jax.tree.unflatten(
        structure,
        [
            jnp.zeros_like(leaf) if total is None else total.reshape(leaf.shape)
            for leaf, total in zip(leaves, totals.values(), strict=True)
        ],
    )


def _sum(total: Array | None, term: Array) -> Array:
    return term if total is None else total + term


def _weighted_sum(factors: Factors, v: Array) -> Array:
    """Σ_i v_i Σ_k left_ik ⊗ right_ik, with v of shape (n, m)."""
    left, right = factors
    if left.shape[2] == 1:
        right = jnp.sum(right * v[None, :, :, None], axis=2, keepdims=True)
    elif right.shape[2] == 1:
        left = jnp.sum(left * v[None, :, :, None], axis=2, keepdims=True)
    else:
        left = left * v[None, :, :, None]
    return matrix_of(left).T @ matrix_of(right)
