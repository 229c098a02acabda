"""The Poisson equation: in 1-D, where a PINN shows its spectral bias, and in many dimensions."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, dirichlet
from pinntk.domain import AbstractSampler, Box, Interval, Sobol, UniformGrid
from pinntk.library._parameters import positive, whole
from pinntk.library._presets import adam_setup
from pinntk.nets import StandardParametrization, lecun
from pinntk.optim import gradient_descent
from pinntk.problem import Problem
from pinntk.training import Network, Setup, Training, natural_setup, points_scaling


def poisson1d(a: float = 1.0) -> Problem:
    """The equation u'' = f on x ∈ [0, 1], u given at both ends.

    Solution u*(x) = sin(aπx), hence f(x) = −(aπ)² sin(aπx). Figures 1 to 5 of Wang, Yu, Perdikaris,
    J. Comput. Phys. 449 (2022) 110768, with a = 1, 2, 4.

    **Arguments:** `a > 0`: half-waves over the interval; a plain PINN fails from about a = 4 on.

    **Conditions:** `boundary` (2 points), `residual` (256 points).
    """
    return _poisson1d(a, boundary=2, residual=256, sampler=Sobol())


def poisson1d_adam(a: float = 1.0) -> Setup:
    """`poisson1d` with Adam for 20,000 steps."""
    return adam_setup(poisson1d(a), steps=20_000, decay_steps=1000)


def poisson1d_natural_gradient(a: float = 1.0) -> Setup:
    """`poisson1d` with 2,000 natural-gradient steps of a network with one hidden layer."""
    return natural_setup(poisson1d(a), steps=2000, width=60, depth=1, nondimensional=False)


def poisson1d_paper(a: float = 4.0) -> Setup:
    """`poisson1d` in the setting of the paper's authors (figure 4 and their published notebook).

    50 copies of each end, 100 equally spaced interior points, one hidden layer of 100 tanh units in
    the standard parametrization (weights N(0, 1/fan_in), biases N(0, 1)), inputs normalized by the
    mean and deviation of the interior points, 40,000 steps of full-batch gradient descent at 1e-5,
    no weights.
    """
    return Setup(
        _poisson1d(a, boundary=100, residual=100, sampler=UniformGrid()),
        Training(gradient_descent(1e-5), steps=40_000),
        Network(
            width=100,
            depth=1,
            parametrization=StandardParametrization(lecun, bias_std=1.0),
            scaling=points_scaling,
        ),
    )


def _poisson1d(a: float, *, boundary: int, residual: int, sampler: AbstractSampler) -> Problem:
    frequency = positive("a", a) * math.pi
    domain = Interval(x=(0.0, 1.0))

    def solution(p: Point) -> Array:
        (x,) = p
        return jnp.sin(frequency * x)

    def poisson(u: AbstractField, p: Point) -> Array:
        f = -(frequency**2) * solution(p)
        return u.d("x", "x")(p) - f

    conditions = [
        dirichlet("boundary", domain.faces(), solution, boundary),
        Condition("residual", poisson, domain, residual, sampler=sampler),
    ]
    return Problem("poisson1d", domain, conditions, solution=solution)


def poisson_nd(d: float = 5) -> Problem:
    """−Δu = π² Σ sin(πx_i) on [0, 1]^d, u given on the boundary.

    Solution u*(x) = Σ sin(πx_i), which is not zero on the boundary for d ≥ 2.

    **Arguments:** `d`: the dimension, a whole number from 1 to 10; the coordinates are `x1`, `x2`, ...

    **Conditions:** `boundary` (512 points), `residual` (1,024 points).
    """
    domain = Box(**{f"x{i + 1}": (0.0, 1.0) for i in range(whole("d", d, 1, 10))})

    def solution(p: Point) -> Array:
        return jnp.sum(jnp.sin(math.pi * p))

    def poisson(u: AbstractField, p: Point) -> Array:
        return u.laplacian()(p) + math.pi**2 * solution(p)

    conditions = [
        dirichlet("boundary", domain.faces(), solution, 512),
        Condition("residual", poisson, domain, 1024),
    ]
    return Problem("poisson_nd", domain, conditions, solution=solution)


def poisson_nd_adam(d: float = 5) -> Setup:
    """`poisson_nd` with Adam for 20,000 steps."""
    return adam_setup(poisson_nd(d), steps=20_000, decay_steps=1000)


def poisson_nd_natural_gradient(d: float = 5) -> Setup:
    """`poisson_nd` with 1,500 natural-gradient steps of a network with one hidden layer."""
    return natural_setup(
        poisson_nd(d), steps=1500, width=40, depth=1, input_scale=1.5, nondimensional=False
    )
