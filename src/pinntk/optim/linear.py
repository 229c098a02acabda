"""The linear problem of a natural-gradient step, in residual or in parameter space.

With J̃ the Jacobian of r̃, a step solves for d(v) = J̃ᵀ(J̃J̃ᵀ + μI)⁻¹ v = (J̃ᵀJ̃ + μI)⁻¹ J̃ᵀ v. Both sides
are the same vector; the matrix on the left has as many rows as there are residuals, the one on the
right as many as there are parameters. What the forms have in common is a `Linearization`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.sparse.linalg
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.jacobian import (
    Choice,
    Use,
    choose,
    dense,
    gram,
    jacobian,
    symmetric_product,
    total_memory,
    vjp,
)
from pinntk.optim.objective import Objective, split

Flat = Float[Array, " parameters"]
Stacked = Float[Array, " rows"]
Solve = Callable[[Stacked], Flat]


class Linearization(NamedTuple):
    """r̃ at some parameters, and what its Jacobian J̃ is asked for.

    `gradient` is J̃ᵀr̃, half of ∇L; `mean` the mean eigenvalue of the smaller of J̃J̃ᵀ and J̃ᵀJ̃;
    `factorize(μ)` gives v ↦ d(v). All in the model's precision, parameters flat in the order of
    `jax.flatten_util.ravel_pytree`.
    """

    residual: Stacked
    gradient: Flat
    mean: Float[Array, ""]
    factorize: Callable[[Float[Array, ""]], Solve]


def parameter_space(objective: Objective, parameters: Any, rows: dict[str, int]) -> Linearization:
    """By Cholesky of J̃ᵀJ̃ + μI, of size P: P²N and P³/3 operations."""
    found = dense(objective.problem, objective.model(parameters), objective.batch)
    scales = objective.scales(rows)
    matrix = jnp.concatenate([scales[name] * found.blocks[name] for name in rows])
    residual = objective.stack(found.residuals)
    normal = symmetric_product(matrix.T)

    def factorize(mu: Float[Array, ""]) -> Solve:
        factor = cholesky(normal, mu)
        return lambda vector: jax.scipy.linalg.cho_solve((factor, True), vector @ matrix)

    mean = jnp.trace(normal) / min(matrix.shape)
    return Linearization(residual, residual @ matrix, mean, factorize)


def residual_form(objective: Objective, parameters: Any) -> Choice:
    """The form of J in residual space, by the machine's memory: not by what is free at the moment."""
    problem, model, batch = objective.problem, objective.model(parameters), objective.batch
    return choose(problem, model, batch, Use.GRAM, memory_limit=total_memory() / 2)


def residual_space(objective: Objective, parameters: Any, rows: dict[str, int]) -> Linearization:
    """By Cholesky of J̃J̃ᵀ + μI, of size N: J in the form that `pinntk.jacobian.choose` finds."""
    problem, model, batch = objective.problem, objective.model(parameters), objective.batch
    operator = jacobian(
        problem, model, batch, Use.GRAM, form=residual_form(objective, parameters).form
    )
    scales = objective.scales(rows)
    scale = jnp.concatenate([jnp.full(count, scales[name]) for name, count in rows.items()])
    residual = objective.stack(operator.residuals)
    kernel = gram(operator).matrix * scale[:, None] * scale[None, :]

    def transposed(vector: Stacked) -> Flat:
        return ravel_pytree(vjp(operator, split(scale * vector, rows)))[0]

    def factorize(mu: Float[Array, ""]) -> Solve:
        factor = cholesky(kernel, mu)
        return lambda vector: transposed(jax.scipy.linalg.cho_solve((factor, True), vector))

    mean = jnp.trace(kernel) / len(kernel)
    return Linearization(residual, transposed(residual), mean, factorize)


def implicit_space(
    objective: Objective,
    parameters: Any,
    rows: dict[str, int],
    *,
    rank: int,
    iterations: int,
    tolerance: float,
    key: PRNGKeyArray,
) -> Linearization:
    """By conjugate gradients on J̃J̃ᵀ + μI (or J̃ᵀJ̃ + μI, whichever is smaller); J is never formed.

    Preconditioned by a randomised Nyström approximation of that rank, which costs `rank` products with
    J̃ and J̃ᵀ a step: Frangella, Tropp, Udell, SIAM J. Matrix Anal. Appl. 44 (2023) 718, algorithms
    2.1 and 5.1. Memory: `rank` vectors of the smaller size.
    """
    flat, unravel = ravel_pytree(parameters)
    residual, push = jax.linearize(lambda theta: objective.residuals(unravel(theta)), flat)
    transpose = jax.linear_transpose(push, flat)
    pull = lambda vector: transpose(vector)[0]
    gradient = pull(residual)
    count = sum(rows.values())
    if count <= flat.size:
        size, operator, before, after = count, (lambda y: push(pull(y))), (lambda v: v), pull
    else:
        size, operator, before, after = flat.size, (lambda d: pull(push(d))), pull, (lambda d: d)
    vectors, values = nystrom(operator, size, min(rank, size), flat.dtype, key)

    def factorize(mu: Float[Array, ""]) -> Solve:
        smallest = values[-1]

        def precondition(vector: Array) -> Array:
            inner = vectors.T @ vector
            return vectors @ ((smallest + mu) / (values + mu) * inner - inner) + vector

        def solve(vector: Stacked) -> Flat:
            solution, _ = jax.scipy.sparse.linalg.cg(
                lambda y: operator(y) + mu * y,
                before(vector),
                tol=tolerance,
                maxiter=iterations,
                M=precondition,
            )
            return after(solution)

        return solve

    # The trace of what Nyström found; what it misses is small where it is a good preconditioner.
    mean = jnp.sum(values) / size
    return Linearization(residual, gradient, mean, factorize)


def nystrom(
    operator: Callable[[Array], Array], size: int, rank: int, dtype: Any, key: PRNGKeyArray
) -> tuple[Float[Array, "size rank"], Float[Array, " rank"]]:
    """U and Λ, largest first, with U Λ Uᵀ ≈ A for a positive semi-definite operator A.

    The randomised Nyström approximation (algorithm 2.1 of Frangella, Tropp, Udell 2023), with its
    shift for stability.
    """
    draws = jax.random.normal(key, (size, rank), dtype)
    basis, _ = jnp.linalg.qr(draws)
    image = jax.lax.map(operator, basis.T).T
    shift = jnp.finfo(dtype).eps * jnp.linalg.norm(image)
    image = image + shift * basis
    factor = cholesky(basis.T @ image, jnp.zeros((), dtype))
    root = jax.scipy.linalg.solve_triangular(factor, image.T, lower=True).T
    vectors, singular, _ = jnp.linalg.svd(root, full_matrices=False)
    return vectors, jnp.maximum(singular**2 - shift, 0)


def cholesky(matrix: Float[Array, "n n"], mu: Float[Array, ""]) -> Float[Array, "n n"]:
    """A lower triangular L with L Lᵀ = matrix + μI for a positive semi-definite matrix.

    Where rounding makes the sum indefinite and Cholesky's method fails, its negative eigenvalues are
    set to the noise floor n·eps·λ_max first, and L comes from the eigenvectors by QR.
    """
    n = len(matrix)
    factor = jax.lax.linalg.cholesky(matrix + mu * jnp.eye(n, dtype=matrix.dtype))

    def repaired() -> Array:
        values, vectors = jnp.linalg.eigh(matrix)
        floor = n * jnp.finfo(matrix.dtype).eps * values[-1]
        root = jnp.sqrt(jnp.maximum(values, 0) + jnp.maximum(mu, floor))
        return jnp.linalg.qr(root[:, None] * vectors.T, mode="r").T

    finite = jnp.all(jnp.isfinite(matrix))
    failed = finite & ~jnp.all(jnp.isfinite(jnp.diagonal(factor)))
    return jax.lax.cond(failed, repaired, lambda: factor)
