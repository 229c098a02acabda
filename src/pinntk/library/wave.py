"""The 1-D wave equation, whose three loss terms converge at rates orders of magnitude apart."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, dirichlet, initial_velocity
from pinntk.domain import Random, SpaceTime, Union
from pinntk.library._parameters import positive
from pinntk.library._presets import adam_setup
from pinntk.optim import adam
from pinntk.problem import Problem
from pinntk.training import Network, Setup, Training, natural_setup, standard_scaling
from pinntk.weighting import NTKWeights


def wave1d(c: float = 2.0, a: float = 4.0) -> Problem:
    """u_tt = c² u_xx on (x, t) ∈ [0, 1]²; u given at t = 0 and at both walls, u_t(x, 0) = 0.

    Solution u*(x, t) = sin(πx) cos(cπt) + ½ sin(aπx) cos(acπt), zero at the walls for whole a.
    Figures 6 to 8 of Wang, Yu, Perdikaris, J. Comput. Phys. 449 (2022) 110768, with c = 2, a = 4.

    **Arguments:** `c > 0`: the speed; `a > 0`: half-waves of the second mode over the interval.

    **Conditions**, grouped as in the paper: `values` (u at t = 0 and at the walls, a third of the
    points each), `velocity` (u_t at t = 0), `residual`.
    """
    return _wave1d(c, a, values=192, velocity=64, residual=1024)


def wave1d_adam(c: float = 2.0, a: float = 4.0) -> Setup:
    """`wave1d` with Adam for 20,000 steps."""
    return adam_setup(wave1d(c, a), steps=20_000, decay_steps=2000)


def wave1d_natural_gradient(c: float = 2.0, a: float = 4.0) -> Setup:
    """`wave1d` with 2,500 natural-gradient steps and Algorithm 1."""
    return natural_setup(
        wave1d(c, a),
        points={"values": 240, "velocity": 80, "residual": 900},
        weighting=NTKWeights(every=50),
        steps=2500,
        bias_std=0.0,
        input_scale=1.5,
        nondimensional=False,
    )


def wave1d_paper(c: float = 2.0, a: float = 4.0) -> Setup:
    """`wave1d` in the paper's setting: 300 random points per condition, new ones at every step.

    A 3×500 tanh network with Xavier normal weights and zero biases, normalized inputs, Adam at
    1e-3 × 0.9 per 1,000 steps, 80,000 steps, Algorithm 1 every 100 steps (figures 6 to 8). `values`
    counts three times, for the authors' code adds up the means over t = 0 and over either wall.
    """
    problem = _wave1d(
        c, a, values=300, velocity=300, residual=300, sampler=Random(), redraw_every=1
    )
    training = Training(
        adam(1e-3, decay_rate=0.9, decay_steps=1000),
        steps=80_000,
        weighting=NTKWeights(every=100, factors={"values": 3.0}),
    )
    return Setup(problem, training, Network(width=500, depth=3, scaling=standard_scaling))


def _wave1d(
    c: float, a: float, *, values: int, velocity: int, residual: int, **options: Any
) -> Problem:
    c, a = positive("c", c), positive("a", a)
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))
    known = Union([domain.initial(), *domain.walls().parts])

    def solution(p: Point) -> Array:
        x, t = p
        slow = jnp.sin(math.pi * x) * jnp.cos(c * math.pi * t)
        fast = jnp.sin(a * math.pi * x) * jnp.cos(a * c * math.pi * t)
        return slow + 0.5 * fast

    def wave(u: AbstractField, p: Point) -> Array:
        return (u.d("t", "t") - c**2 * u.d("x", "x"))(p)

    conditions = [
        dirichlet("values", known, solution, values, **options),
        initial_velocity("velocity", domain, 0.0, velocity, **options),
        Condition("residual", wave, domain, residual, **options),
    ]
    return Problem("wave1d", domain, conditions, solution=solution)
