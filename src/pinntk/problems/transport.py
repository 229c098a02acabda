"""Two linear equations of first order in time: diffusion and transport."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, dirichlet, initial_value, periodic
from pinntk.domain import SpaceTime
from pinntk.problem import Problem
from pinntk.problems._parameters import finite, positive
from pinntk.recipe import Recipe


def heat1d(kappa: float = 0.1) -> Problem:
    """u_t = κ u_xx on (x, t) ∈ [0, 1]²; u = 0 at both walls, u(x, 0) = sin(πx).

    Solution u*(x, t) = exp(−κπ²t) sin(πx).

    **Arguments:** `kappa > 0`: the diffusivity.

    **Conditions:** `boundary`, `initial`, `residual`.
    """
    kappa = positive("kappa", kappa)
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))

    def solution(p: Point) -> Array:
        x, t = p
        return jnp.exp(-kappa * math.pi**2 * t) * jnp.sin(math.pi * x)

    def heat(u: AbstractField, p: Point) -> Array:
        return (u.d("t") - kappa * u.d("x", "x"))(p)

    conditions = [
        dirichlet("boundary", domain.walls(), 0.0, 128),
        initial_value("initial", domain, solution, 128),
        Condition("residual", heat, domain, 512),
    ]
    recipe = Recipe(steps=20_000, decay_rate=0.9, decay_steps=1000)
    return Problem("heat1d", domain, conditions, solution=solution, recipe=recipe)


def advection1d(c: float = 1.0) -> Problem:
    """u_t + c u_x = 0 on (x, t) ∈ [0, 1]², periodic in x, u(x, 0) = sin(2πx).

    Solution u*(x, t) = sin(2π(x − ct)). In these units the failure at β = 30 of Krishnapriyan et
    al., NeurIPS 2021, is c = 30/2π ≈ 4.8.

    **Arguments:** `c`: the speed; its sign is the direction.

    **Conditions:** `initial`, `periodic` (u alone: the equation is of first order), `residual`.
    """
    c = finite("c", c)
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))

    def solution(p: Point) -> Array:
        x, t = p
        return jnp.sin(2 * math.pi * (x - c * t))

    def advection(u: AbstractField, p: Point) -> Array:
        return (u.d("t") + c * u.d("x"))(p)

    conditions = [
        initial_value("initial", domain, solution, 128),
        periodic("periodic", domain, "x", 64, order=0),
        Condition("residual", advection, domain, 512),
    ]
    recipe = Recipe(steps=20_000, decay_rate=0.9, decay_steps=1000)
    return Problem("advection1d", domain, conditions, solution=solution, recipe=recipe)
