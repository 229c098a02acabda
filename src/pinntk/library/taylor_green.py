"""Incompressible Navier–Stokes flow in two dimensions: the decaying Taylor–Green vortex."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, periodic
from pinntk.domain import SpaceTime
from pinntk.library._parameters import positive
from pinntk.library._presets import adam_setup
from pinntk.problem import Problem
from pinntk.training import Setup, natural_setup


def taylor_green2d(nu: float = 0.1) -> Problem:
    """w_t + (w·∇)w + ∇p = νΔw and ∇·w = 0 for w = (u, v), periodic on [0, 2π]², t ∈ [0, 1].

    Solution: u* = −cos x sin y e^(−2νt), v* = sin x cos y e^(−2νt),
    p* = −¼ (cos 2x + cos 2y) e^(−4νt) (Taylor and Green, Proc. R. Soc. A 158 (1937) 499).

    **Arguments:** `nu > 0`: the viscosity. Fields `u`, `v`, `p`.

    **Conditions:** `momentum` (two rows), `continuity`, `initial` (u and v at t = 0), `periodic_x`
    and `periodic_y` (fields and normal derivatives), and `pressure`: the equations leave p free up
    to a function of time, so it is given at the corner x = y = 0.
    """
    nu = positive("nu", nu)
    side = 2 * math.pi
    domain = SpaceTime(x=(0.0, side), y=(0.0, side), t=(0.0, 1.0))

    def solution(p: Point) -> Array:
        x, y, t = p
        decay = jnp.exp(-2 * nu * t)
        u = -jnp.cos(x) * jnp.sin(y) * decay
        v = jnp.sin(x) * jnp.cos(y) * decay
        pressure = -0.25 * (jnp.cos(2 * x) + jnp.cos(2 * y)) * decay**2
        return jnp.stack([u, v, pressure])

    def momentum(w: AbstractField, p: Point) -> Array:
        u, v, _ = w(p)
        transport = w.d("t") + u * w.d("x") + v * w.d("y") - nu * w.laplacian("x", "y")
        return transport(p)[:2] + w["p"].gradient("x", "y")(p)

    def continuity(w: AbstractField, p: Point) -> Array:
        return w.divergence("x", "y")(p)

    def initial(w: AbstractField, p: Point) -> Array:
        return (w(p) - solution(p))[:2]

    def corner(w: AbstractField, p: Point) -> Array:
        return w["p"](p) - solution(p)[2]

    conditions = [
        Condition("momentum", momentum, domain, 512),
        Condition("continuity", continuity, domain, 512),
        Condition("initial", initial, domain.initial(), 256),
        periodic("periodic_x", domain, "x", 128),
        periodic("periodic_y", domain, "y", 128),
        Condition("pressure", corner, domain.face(x=0.0, y=0.0), 32),
    ]
    return Problem("taylor_green2d", domain, conditions, ("u", "v", "p"), solution=solution)


def taylor_green2d_adam(nu: float = 0.1) -> Setup:
    """`taylor_green2d` with Adam for 12,000 steps."""
    return adam_setup(taylor_green2d(nu), steps=12_000, decay_steps=2000)


def taylor_green2d_natural_gradient(nu: float = 0.1) -> Setup:
    """`taylor_green2d` with the natural gradient at its default settings."""
    return natural_setup(taylor_green2d(nu), nondimensional=False)
