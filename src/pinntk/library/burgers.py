"""Burgers' equation, which builds a shock layer, and its solution by the Cole–Hopf integral."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, dirichlet, initial_value
from pinntk.domain import SpaceTime
from pinntk.errors import PinntkError
from pinntk.library._parameters import positive
from pinntk.library._presets import adam_setup
from pinntk.problem import HardConstraints, Problem
from pinntk.training import ResidualAdaptive, Setup, natural_setup

#: Spacing of the quadrature nodes (for ν ≤ 1), and how far they go beyond the last peak. With these
#: the rule differs from one of a third of the spacing by less than 3e-14 for ν from 1e-4 to 10.
SPACING, TAIL = 0.1, 6.0
#: Before this time the solution is its second-order Taylor polynomial in t, whose error is below
#: 1e-16 there: the integral has a √t that cannot be differentiated at t = 0.
SHORT = 1e-6


def burgers1d(nu: float = 0.01 / math.pi) -> Problem:
    """u_t + u u_x = ν u_xx on x ∈ [−1, 1], t ∈ [0, 1]; u = 0 at both walls, u(x, 0) = −sin(πx).

    The solution comes from the Cole–Hopf integral, see `cole_hopf`. The shock layer at x = 0 is
    about 4ν wide from t = 1/π on. Setting of Raissi, Perdikaris, Karniadakis, J. Comput. Phys. 378
    (2019) 686.

    **Arguments:** `nu`: the viscosity, from 1e-4 to 10, for which the reference has been verified.

    **Conditions:** `boundary`, `initial`, `residual` (2,048 points, new ones every 10 steps: so few
    of them lie in the layer that a network which fits fixed ones to 1e-5 can be off by 10% between).
    """
    nu = positive("nu", nu)
    if not 1e-4 <= nu <= 10:
        raise PinntkError("nu", got=nu, expected="a viscosity from 1e-4 to 10")
    domain = SpaceTime(x=(-1.0, 1.0), t=(0.0, 1.0))

    def initial(p: Point) -> Array:
        x, _ = p
        return -jnp.sin(math.pi * x)

    def burgers(u: AbstractField, p: Point) -> Array:
        return (u.d("t") + u(p) * u.d("x") - nu * u.d("x", "x"))(p)

    conditions = [
        dirichlet("boundary", domain.walls(), 0.0, 128),
        initial_value("initial", domain, initial, 128),
        Condition("residual", burgers, domain, 2048, redraw_every=10),
    ]
    return Problem(
        "burgers1d",
        domain,
        conditions,
        solution=cole_hopf(nu),
        hard=HardConstraints(
            ("boundary", "initial"), lambda p, u: initial(p) + p[1] * (1 - p[0] ** 2) * u
        ),
    )


def burgers1d_adam(nu: float = 0.01 / math.pi) -> Setup:
    """`burgers1d` with Adam for 12,000 steps."""
    return adam_setup(burgers1d(nu), steps=12_000, decay_steps=1000)


def burgers1d_natural_gradient(nu: float = 0.01 / math.pi) -> Setup:
    """`burgers1d` with 900 natural-gradient steps; adaptive points, u exact on the boundary."""
    return natural_setup(
        burgers1d(nu),
        points={"residual": 4000},
        resampling=ResidualAdaptive(every=150),
        steps=900,
        width=16,
        depth=3,
        input_scale=2.0,
        hard=True,
        nondimensional=False,
    )


def cole_hopf(nu: float) -> Callable[[Point], Array]:
    """The solution at one point (x, t) of u_t + u u_x = ν u_xx on the line, u(x, 0) = −sin(πx).

    With y = x − z√(4νt), the Cole–Hopf transformation gives

        u(x, t) = −∫ sin(πy) w(z) dz / ∫ w(z) dz,   w(z) = exp(−z² − cos(πy)/(2πν)).

    Both integrals by the trapezoidal rule, which converges faster than any power of its spacing for
    entire integrands that decay (Trefethen and Weideman, SIAM Review 56 (2014) 385). In z the peaks
    of w are about as wide for every ν ≤ 1, and lie within |z| ≤ √(1/4ν); so the spacing is fixed and
    the number of nodes follows from ν: 299 for ν = 0.01/π. (A Gauss–Hermite rule is as exact there
    with 100 nodes. But the nodes it needs grow like 0.1/ν, and with fewer it is wrong by order one:
    0.3 with 100 nodes at ν = 0.001/π.)

    Exponents are shifted by their maximum. Differentiable everywhere, t = 0 included. Float64: exact
    to about 1e-14. Float32: to 3e-6 at ν = 0.01/π, where cos(πy)/(2πν), up to 50, is rounded.
    """
    spacing = SPACING / max(1.0, math.sqrt(nu))
    count = math.ceil((math.sqrt(1 / (4 * nu)) + TAIL) / spacing)
    nodes = spacing * np.arange(-count, count + 1)

    def solution(p: Point) -> Array:
        x, t = p
        integral = _quotient(nu, nodes, x, jnp.where(t < SHORT, SHORT, t))
        return jnp.where(t < SHORT, _short_time(nu, x, t), integral)

    return solution


def _quotient(nu: float, nodes: np.ndarray, x: Array, t: Array) -> Array:
    """The Cole–Hopf quotient for t > 0."""
    z = jnp.asarray(nodes, x.dtype)
    y = x - jnp.sqrt(4 * nu * t) * z
    exponents = -jnp.cos(math.pi * y) / (2 * math.pi * nu) - z**2
    weights = jnp.exp(exponents - jax.lax.stop_gradient(jnp.max(exponents)))
    return -jnp.sum(weights * jnp.sin(math.pi * y)) / jnp.sum(weights)


def _short_time(nu: float, x: Array, t: Array) -> Array:
    """The Taylor polynomial u + t u_t + ½ t² u_tt from t = 0, derivatives by the equation."""
    pi = math.pi
    sine, cosine = jnp.sin(pi * x), jnp.cos(pi * x)
    double_sine, double_cosine = jnp.sin(2 * pi * x), jnp.cos(2 * pi * x)
    rate = nu * pi**2 * sine - pi / 2 * double_sine
    rate_x = nu * pi**3 * cosine - pi**2 * double_cosine
    rate_xx = -nu * pi**4 * sine + 2 * pi**3 * double_sine
    acceleration = nu * rate_xx + pi * cosine * rate + sine * rate_x
    return -sine + t * rate + 0.5 * t**2 * acceleration
