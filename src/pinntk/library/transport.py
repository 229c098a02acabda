"""Two linear equations of first order in time: diffusion and transport."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, dirichlet, initial_value, periodic
from pinntk.domain import SpaceTime
from pinntk.library._parameters import finite, positive
from pinntk.library._presets import adam_setup
from pinntk.problem import HardConstraints, Problem
from pinntk.training import Setup, natural_setup


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
    return Problem("heat1d", domain, conditions, solution=solution)


def heat1d_adam(kappa: float = 0.1) -> Setup:
    """`heat1d` with Adam for 20,000 steps."""
    return adam_setup(heat1d(kappa), steps=20_000, decay_steps=1000)


def heat1d_natural_gradient(kappa: float = 0.1) -> Setup:
    """`heat1d` with the natural gradient at its default settings."""
    return natural_setup(heat1d(kappa), nondimensional=False)


def advection1d(c: float = 1.0) -> Problem:
    """u_t + c u_x = 0 on (x, t) ∈ [0, 1]², periodic in x, u(x, 0) = sin(2πx).

    Solution u*(x, t) = sin(2π(x − ct)). In these units the failure at β = 30 of Krishnapriyan et
    al., NeurIPS 2021, is c = 30/2π ≈ 4.8.

    **Arguments:** `c`: the speed; its sign is the direction.

    **Conditions:** `initial`, `periodic` (u alone: the equation is of first order), `residual`.
    """
    return _transport("advection1d", finite("c", c), period=1.0, residual=512)


def advection1d_adam(c: float = 1.0) -> Setup:
    """`advection1d` with Adam for 20,000 steps."""
    return adam_setup(advection1d(c), steps=20_000, decay_steps=1000)


def advection1d_natural_gradient(c: float = 1.0) -> Setup:
    """`advection1d` with 800 natural-gradient steps of a sine network that holds the other conditions."""
    return _transport_natural_gradient(advection1d(c))


def convection1d(beta: float = 50.0) -> Problem:
    """u_t + β u_x = 0 on x ∈ [0, 2π], t ∈ [0, 1], periodic in x, u(x, 0) = sin(x).

    Solution u*(x, t) = sin(x − βt). `advection1d` in the units of Krishnapriyan et al., NeurIPS
    2021, who find that a plain PINN fails from about β = 10 on.

    **Arguments:** `beta`: the speed; its sign is the direction.

    **Conditions:** `initial`, `periodic` (u alone: the equation is of first order), `residual` (1,024
    points).
    """
    beta = finite("beta", beta)
    return _transport("convection1d", beta, period=2 * math.pi, residual=1024)


def convection1d_adam(beta: float = 50.0) -> Setup:
    """`convection1d` with Adam for 40,000 steps."""
    return adam_setup(convection1d(beta), steps=40_000, decay_steps=2000)


def convection1d_natural_gradient(beta: float = 50.0) -> Setup:
    """`convection1d` with 800 natural-gradient steps of a sine network that holds the other conditions."""
    return _transport_natural_gradient(convection1d(beta))


def _transport_natural_gradient(problem: Problem) -> Setup:
    points = {"residual": 1500}
    return natural_setup(
        problem, points=points, steps=800, activation=jnp.sin, hard=True, nondimensional=False
    )


def _transport(name: str, speed: float, *, period: float, residual: int) -> Problem:
    wave = 2 * math.pi / period
    domain = SpaceTime(x=(0.0, period), t=(0.0, 1.0))

    def solution(p: Point) -> Array:
        x, t = p
        return jnp.sin(wave * (x - speed * t))

    def transport(u: AbstractField, p: Point) -> Array:
        return (u.d("t") + speed * u.d("x"))(p)

    conditions = [
        initial_value("initial", domain, solution, 128),
        periodic("periodic", domain, "x", 64, order=0),
        Condition("residual", transport, domain, residual),
    ]
    start = lambda p, value: jnp.sin(wave * p[0]) + p[1] * value
    return Problem(
        name,
        domain,
        conditions,
        solution=solution,
        hard=HardConstraints(("initial", "periodic"), start, ("x",)),
    )
