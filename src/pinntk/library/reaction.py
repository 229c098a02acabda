"""Two reaction–diffusion equations: Allen–Cahn, whose fronts get steep, and Fisher's equation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, initial_value, periodic
from pinntk.domain import Box, SpaceTime
from pinntk.library._parameters import between
from pinntk.library._presets import adam_setup
from pinntk.library.spectral import Evolution, Kink, Series, solve
from pinntk.problem import HardConstraints, Problem
from pinntk.training import Setup, natural_setup
from pinntk.weighting import Fixed

#: The width of the Gaussian from which `reaction_diffusion1d` starts.
WIDTH = math.pi / 4


def allen_cahn1d(d: float = 1e-4) -> Problem:
    """u_t = d u_xx − 5u³ + 5u on x ∈ [−1, 1], t ∈ [0, 1], periodic in x, u(x, 0) = x² cos(πx).

    Fronts between u = −1 and u = 1 form, about √(8d/5) wide. Setting of Raissi, Perdikaris,
    Karniadakis, J. Comput. Phys. 378 (2019) 686.

    The slope of u(x, 0) jumps by 4 at the wall x = ±1: `periodic` holds for every t > 0, not at
    t = 0, and u_t and u_xx are unbounded as (x, t) goes to (±1, 0).

    The solution comes from `spectral.solve`, the kink in closed form, when it is first asked for (about a
    second). Measured against one 1.5 times finer in x and t: 1e-11 in relative L2 over the test
    points, 3e-10 at most there and 4e-9 beside the kink, for d from 1e-4 to 0.01.

    **Arguments:** `d`: the diffusivity, from 1e-4 to 0.01, for which the reference has been verified.

    **Conditions:** `initial`, `periodic` (u and u_x), `residual` (1,024 points).
    """
    d = between("d", d, 1e-4, 1e-2)
    domain = SpaceTime(x=(-1.0, 1.0), t=(0.0, 1.0))

    def initial(p: Point) -> Array:
        x, _ = p
        return x**2 * jnp.cos(math.pi * x)

    def solution(p: Point) -> Array:
        return allen_cahn_series(d)(p)

    def allen_cahn(u: AbstractField, p: Point) -> Array:
        value = u(p)
        return (u.d("t") - d * u.d("x", "x"))(p) + 5 * value**3 - 5 * value

    return _periodic_problem("allen_cahn1d", domain, initial, allen_cahn, solution)


def allen_cahn1d_adam(d: float = 1e-4) -> Setup:
    """`allen_cahn1d` with Adam for 60,000 steps."""
    return adam_setup(allen_cahn1d(d), steps=60_000, decay_steps=2000)


def allen_cahn1d_natural_gradient(d: float = 1e-4) -> Setup:
    """`allen_cahn1d` with 1,500 natural-gradient steps of a periodic network.

    What is left of the error lies at the kink at the start, where no smooth network can have both the
    initial value and a small residual; the weight 100 on `initial` decides for the value.
    """
    return natural_setup(
        allen_cahn1d(d),
        points={"initial": 800, "residual": 3000},
        weighting=Fixed({"initial": 100.0}),
        steps=1500,
        width=16,
        depth=3,
        input_scale=2.0,
        hard=True,
        nondimensional=False,
    )


def _periodic_problem(
    name: str,
    domain: Box,
    initial: Callable[[Point], Array],
    residual: Callable[[AbstractField, Point], Array],
    solution: Callable[[Point], Array],
) -> Problem:
    """An evolution from an initial value, periodic in x, which a periodic network can have built in."""
    conditions = [
        initial_value("initial", domain, initial, 128),
        periodic("periodic", domain, "x", 64),
        Condition("residual", residual, domain, 1024),
    ]
    hard = HardConstraints(("periodic",), periodic=("x",))
    return Problem(name, domain, conditions, solution=solution, hard=hard)


@functools.lru_cache(maxsize=8)
def allen_cahn_series(d: float, finer: float = 1.0) -> Series:
    """The solution for t ≤ 1, computed at the first call; `finer` than the library's in x and t."""
    evolution = Evolution(
        low=-1.0,
        length=2.0,
        initial=lambda x: x**2 * np.cos(math.pi * x),
        linear=lambda k: 5 - d * k**2,
        reaction=lambda u: -5 * u**3,
        degree=3,
        kink=Kink(strength=2.0, rate=-10.0, diffusivity=d, length=2.0),
    )
    count = round(20 * finer)
    return solve(evolution, round(1024 * finer), count, step=1e-3 / finer, halvings=6)


def reaction_diffusion1d(nu: float = 5.0, rho: float = 5.0) -> Problem:
    """u_t = ν u_xx + ρ u(1 − u) on x ∈ [0, 2π], t ∈ [0, 1], periodic in x, from a Gaussian.

    u(x, 0) = exp(−(x − π)²/2σ²) with σ = π/4. Setting of Krishnapriyan et al., NeurIPS 2021. Since
    the slope of the Gaussian is 0.0017 at the wall, and not zero, `periodic` holds for every t > 0
    and is off by 0.0034 at t = 0.

    The solution comes from `spectral.solve`, the kink in closed form, when it is first asked for (half a
    second). Measured against one 1.5 times finer in x and t: at most 4e-11 in relative L2 over the
    test points, 4e-10 at most.

    **Arguments:** `nu`, the diffusivity, from 0.5 to 10, and `rho`, the rate of the reaction, from 0
    to 10, for which the reference has been verified.

    **Conditions:** `initial`, `periodic` (u and u_x), `residual` (1,024 points).
    """
    nu, rho = between("nu", nu, 0.5, 10), between("rho", rho, 0, 10)
    domain = SpaceTime(x=(0.0, 2 * math.pi), t=(0.0, 1.0))

    def initial(p: Point) -> Array:
        x, _ = p
        return jnp.exp(-((x - math.pi) ** 2) / (2 * WIDTH**2))

    def solution(p: Point) -> Array:
        return reaction_diffusion_series(nu, rho)(p)

    def fisher(u: AbstractField, p: Point) -> Array:
        value = u(p)
        return (u.d("t") - nu * u.d("x", "x"))(p) - rho * value * (1 - value)

    return _periodic_problem("reaction_diffusion1d", domain, initial, fisher, solution)


def reaction_diffusion1d_adam(nu: float = 5.0, rho: float = 5.0) -> Setup:
    """`reaction_diffusion1d` with Adam for 20,000 steps."""
    return adam_setup(reaction_diffusion1d(nu, rho), steps=20_000, decay_steps=1000)


def reaction_diffusion1d_natural_gradient(nu: float = 5.0, rho: float = 5.0) -> Setup:
    """`reaction_diffusion1d` with 600 natural-gradient steps of a periodic network."""
    return natural_setup(
        reaction_diffusion1d(nu, rho), steps=600, input_scale=2.0, hard=True, nondimensional=False
    )


@functools.lru_cache(maxsize=8)
def reaction_diffusion_series(nu: float, rho: float, finer: float = 1.0) -> Series:
    """The solution for t ≤ 1, computed at the first call; `finer` than the library's in x and t."""
    wall = math.exp(-(math.pi**2) / (2 * WIDTH**2))
    evolution = Evolution(
        low=0.0,
        length=2 * math.pi,
        initial=lambda x: np.exp(-((x - math.pi) ** 2) / (2 * WIDTH**2)),
        linear=lambda k: rho - nu * k**2,
        reaction=lambda u: -rho * u**2,
        degree=2,
        kink=Kink(math.pi / WIDTH**2 * wall, rho * (1 - 2 * wall), nu, 2 * math.pi),
    )
    count = round(8 * finer)
    return solve(evolution, round(256 * finer), count, step=1e-3 / finer, halvings=10)
