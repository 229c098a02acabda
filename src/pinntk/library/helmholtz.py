"""The 2-D Helmholtz equation with a solution of two different frequencies."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, dirichlet
from pinntk.domain import Box
from pinntk.library._parameters import positive
from pinntk.library._presets import adam_setup
from pinntk.problem import Problem
from pinntk.training import Setup, natural_setup
from pinntk.weighting import NTKWeights


def helmholtz2d(a1: float = 1.0, a2: float = 4.0, k: float = 1.0) -> Problem:
    """Δu + k²u = q on (x, y) ∈ [−1, 1]², u given on the boundary.

    Solution u*(x, y) = sin(a₁πx) sin(a₂πy), zero on the boundary for whole a₁ and a₂, hence
    q = (k² − (a₁π)² − (a₂π)²) u*. A test case of Wang, Teng, Perdikaris, SIAM J. Sci. Comput. 43
    (2021) A3055, with a₁ = 1, a₂ = 4, k = 1.

    **Arguments:** `a1, a2, k > 0`. Unchecked: where k² = (π/2)² (m² + n²) for whole m, n ≥ 1 the
    square is resonant and the solution is not unique.

    **Conditions:** `boundary`, `residual`.
    """
    a1, a2, k = positive("a1", a1), positive("a2", a2), positive("k", k)
    domain = Box(x=(-1.0, 1.0), y=(-1.0, 1.0))

    def solution(p: Point) -> Array:
        x, y = p
        return jnp.sin(a1 * math.pi * x) * jnp.sin(a2 * math.pi * y)

    def helmholtz(u: AbstractField, p: Point) -> Array:
        q = (k**2 - (a1 * math.pi) ** 2 - (a2 * math.pi) ** 2) * solution(p)
        return (u.laplacian() + k**2 * u)(p) - q

    conditions = [
        dirichlet("boundary", domain.faces(), solution, 256),
        Condition("residual", helmholtz, domain, 512),
    ]
    return Problem("helmholtz2d", domain, conditions, solution=solution)


def helmholtz2d_adam(a1: float = 1.0, a2: float = 4.0, k: float = 1.0) -> Setup:
    """`helmholtz2d` with Adam for 30,000 steps."""
    return adam_setup(helmholtz2d(a1, a2, k), steps=30_000, decay_steps=2000)


def helmholtz2d_natural_gradient(a1: float = 1.0, a2: float = 4.0, k: float = 1.0) -> Setup:
    """`helmholtz2d` with 2,500 natural-gradient steps of a network with one hidden layer."""
    return natural_setup(
        helmholtz2d(a1, a2, k),
        points={"boundary": 300, "residual": 1200},
        weighting=NTKWeights(every=50),
        steps=2500,
        width=60,
        depth=1,
        nondimensional=False,
    )
