"""Steady Navier–Stokes flow in two dimensions: Kovasznay's flow behind a grid."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition
from pinntk.domain import Box
from pinntk.library._parameters import positive
from pinntk.library._presets import adam_setup
from pinntk.problem import Problem
from pinntk.training import Setup, natural_setup
from pinntk.weighting import NTKWeights


def kovasznay2d(re: float = 20.0) -> Problem:
    """(w·∇)w + ∇p = Δw/Re and ∇·w = 0 for w = (u, v) on [−0.5, 1] × [−0.5, 1.5], w on the boundary.

    Solution: u* = 1 − e^(λx) cos 2πy, v* = λ/2π e^(λx) sin 2πy, p* = ½ (1 − e^(2λx)) with
    λ = Re/2 − √(Re²/4 + 4π²) (Kovasznay, Proc. Camb. Phil. Soc. 44 (1948) 58). A test case of Jin,
    Cai, Li, Karniadakis, J. Comput. Phys. 426 (2021) 109951.

    **Arguments:** `re > 0`: the Reynolds number. Fields `u`, `v`, `p`.

    **Conditions:** `momentum` (two rows), `continuity`, `boundary` (u and v on all faces), and
    `pressure`: the equations leave p free up to a constant, so it is given at the outlet x = 1. (One
    point would do for the equations; but its own small error would then be that of p everywhere.)
    """
    re = positive("re", re)
    rate = -4 * math.pi**2 / (re / 2 + math.sqrt(re**2 / 4 + 4 * math.pi**2))  # λ, not cancelled
    turn = 2 * math.pi
    domain = Box(x=(-0.5, 1.0), y=(-0.5, 1.5))

    def solution(p: Point) -> Array:
        x, y = p
        decay = jnp.exp(rate * x)
        u = 1 - decay * jnp.cos(turn * y)
        v = rate / turn * decay * jnp.sin(turn * y)
        return jnp.stack([u, v, 0.5 * (1 - decay**2)])

    def momentum(w: AbstractField, p: Point) -> Array:
        u, v, _ = w(p)
        transport = u * w.d("x") + v * w.d("y") - w.laplacian() / re
        return transport(p)[:2] + w["p"].gradient()(p)

    def continuity(w: AbstractField, p: Point) -> Array:
        return w.divergence("x", "y")(p)

    def boundary(w: AbstractField, p: Point) -> Array:
        return (w(p) - solution(p))[:2]

    def outlet(w: AbstractField, p: Point) -> Array:
        return w["p"](p) - solution(p)[2]

    conditions = [
        Condition("momentum", momentum, domain, 512),
        Condition("continuity", continuity, domain, 512),
        Condition("boundary", boundary, domain.faces(), 256),
        Condition("pressure", outlet, domain.face(x=1.0), 32),
    ]
    return Problem("kovasznay2d", domain, conditions, ("u", "v", "p"), solution=solution)


def kovasznay2d_adam(re: float = 20.0) -> Setup:
    """`kovasznay2d` with Adam for 20,000 steps."""
    return adam_setup(kovasznay2d(re), steps=20_000, decay_steps=1000)


def kovasznay2d_natural_gradient(re: float = 20.0) -> Setup:
    """`kovasznay2d` with 1,000 natural-gradient steps and Algorithm 1."""
    return natural_setup(
        kovasznay2d(re),
        points={"momentum": 800, "continuity": 800, "boundary": 320},
        weighting=NTKWeights(every=50),
        steps=1000,
        input_scale=1.0,
        nondimensional=False,
    )
