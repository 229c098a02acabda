"""The Korteweg–de Vries equation: a wave that breaks up into solitons."""

from __future__ import annotations

import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, initial_value, periodic
from pinntk.domain import SpaceTime
from pinntk.library._parameters import between
from pinntk.library._presets import adam_setup
from pinntk.library.spectral import Evolution, Series, solve
from pinntk.problem import HardConstraints, Problem
from pinntk.training import ProgressivePoints, Setup, natural_setup


def kdv1d(mu: float = 0.022) -> Problem:
    """u_t + u u_x + μ² u_xxx = 0 on x ∈ [−1, 1], t ∈ [0, 1], periodic in x, u(x, 0) = cos(πx).

    The wave steepens until t = 1/π and then breaks up into solitons, the more the smaller μ. Setting
    of Zabusky and Kruskal, Phys. Rev. Lett. 15 (1965) 240.

    The solution comes from `spectral.solve`, when it is first asked for (about a second). Measured
    against one 1.5 times finer in x and t: 1.3e-10 in relative L2 over the test points, 9e-10 at
    most; 3e-10 and 2e-9 for μ = 0.02, less for a larger μ.

    **Arguments:** `mu`: the dispersion, from 0.02 to 0.1, for which the reference has been verified.

    **Conditions:** `initial`, `periodic` (u, u_x and u_xx), `residual` (1,024 points).
    """
    mu = between("mu", mu, 0.02, 0.1)
    domain = SpaceTime(x=(-1.0, 1.0), t=(0.0, 1.0))

    def initial(p: Point) -> Array:
        x, _ = p
        return jnp.cos(math.pi * x)

    def solution(p: Point) -> Array:
        return kdv_series(mu)(p)

    def kdv(u: AbstractField, p: Point) -> Array:
        return (u.d("t") + u(p) * u.d("x") + mu**2 * u.d("x", "x", "x"))(p)

    conditions = [
        initial_value("initial", domain, initial, 128),
        periodic("periodic", domain, "x", 64, order=2),
        Condition("residual", kdv, domain, 1024),
    ]
    return Problem(
        "kdv1d",
        domain,
        conditions,
        solution=solution,
        hard=HardConstraints(
            ("initial", "periodic"), lambda p, value: initial(p) + p[1] * value, ("x",)
        ),
    )


def kdv1d_adam(mu: float = 0.022) -> Setup:
    """`kdv1d` with Adam for 60,000 steps."""
    return adam_setup(kdv1d(mu), steps=60_000, decay_steps=2000)


def kdv1d_natural_gradient(mu: float = 0.022) -> Setup:
    """`kdv1d` with 600 natural-gradient steps; the points grow in number up to 8,192.

    The initial value and periodicity are built into the network.
    """
    return natural_setup(
        kdv1d(mu),
        points={"residual": 8192},
        resampling=ProgressivePoints(every=80),
        steps=600,
        width=30,
        depth=3,
        input_scale=2.0,
        hard=True,
        harmonics=2,
        nondimensional=False,
    )


@functools.lru_cache(maxsize=8)
def kdv_series(mu: float, finer: float = 1.0) -> Series:
    """The solution for t ≤ 1, computed at the first call; `finer` than the library's in x and t."""
    evolution = Evolution(
        low=-1.0,
        length=2.0,
        initial=lambda x: np.cos(math.pi * x),
        linear=lambda k: 1j * mu**2 * k**3,
        reaction=lambda u: u**2,
        degree=2,
        multiplier=lambda k: -0.5j * k,
    )
    return solve(evolution, round(192 * finer), round(40 * finer), step=1e-4 / finer, nodes=14)
