"""Illnesses of equations that zero solves, or that are not numbers for a network as it is drawn."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from clinic.bodies import Formula
from clinic.illnesses import Illness, Rng, Strength, between
from clinic.own_illnesses import starting
from pinntk.calculus import Field
from pinntk.conditions import Condition, dirichlet, initial_value
from pinntk.domain import AbstractRegion, Box, Interval, Points, SpaceTime
from pinntk.nets import MLP, InputScaling
from pinntk.problem import Problem
from pinntk.training import Drawn


def zero_solves_it(rng: Rng, strength: Strength) -> Illness:
    """Conditions that are all homogeneous, with a solution that is not zero."""
    kind = ("string", "membrane", "cooling")[rng.integers(3)]
    waves = 1 if strength == "mild" else 2
    size = between(rng, 0.5, 4)
    make = {"string": string, "membrane": membrane, "cooling": cooling}[kind]
    return Illness(
        kind,
        lambda: make(waves, size, False),
        "All conditions are homogeneous; nothing says how large the solution is.",
        twin_problem=lambda: make(waves, size, True),
        treatable=False,
    )


def string(waves: int, size: float, told: bool) -> Problem:
    """u'' + (nπ/L)²u = 0, zero at the ends; one value inside if `told`."""
    domain, k = Interval(x=(0.0, size)), waves * math.pi / size
    residual = lambda u, p: u.d("x", "x")(p) / k**2 + u(p)
    solution = lambda p: jnp.sin(k * p[0])
    conditions = [
        dirichlet("boundary", domain.faces(), 0.0, 2),
        Condition("residual", residual, domain, 64),
        *_told(domain, solution, [[size / (2 * waves)]], told),
    ]
    return Problem("string", domain, conditions, solution=solution)


def membrane(waves: int, size: float, told: bool) -> Problem:
    """Δu + k²u = 0 on a square, zero at the edge; one value inside if `told`."""
    domain, k = Box(x=(0.0, size), y=(0.0, size)), math.pi / size
    residual = lambda u, p: u.laplacian()(p) / k**2 + (waves**2 + 1) * u(p)
    solution = lambda p: jnp.sin(waves * k * p[0]) * jnp.sin(k * p[1])
    conditions = [
        dirichlet("boundary", domain.faces(), 0.0, 80),
        Condition("residual", residual, domain, 250),
        *_told(domain, solution, [[size / (2 * waves), size / 2]], told),
    ]
    return Problem("membrane", domain, conditions, solution=solution)


def cooling(waves: int, size: float, told: bool) -> Problem:
    """u_t = κu_xx with cold walls, from values that are forgotten unless `told`."""
    domain, k = SpaceTime(x=(0.0, size), t=(0.0, 1.0)), waves * math.pi / size
    residual = lambda u, p: (u.d("t") - 0.8 / k**2 * u.d("x", "x"))(p)
    solution = lambda p: jnp.exp(-0.8 * p[1]) * jnp.sin(k * p[0])
    conditions: list[Condition] = [
        dirichlet("boundary", domain.walls(), 0.0, 40),
        Condition("residual", residual, domain, 200),
    ]
    if told:
        conditions.append(initial_value("initial", domain, solution, 40))
    return Problem("cooling", domain, conditions, solution=solution)


def _told(
    domain: AbstractRegion, solution: Formula, places: list[list[float]], told: bool
) -> list[Condition]:
    where = Points(np.array(places), domain.coordinates)
    return [dirichlet("value", where, solution, 1)] if told else []


# Numbers that are none.


class Exponential(eqx.Module):
    """A network that is positive: exp of another one."""

    network: Any

    def __call__(self, p: Array) -> Array:
        return jnp.exp(self.network(p))


def positive(problem: Problem) -> Drawn:
    """A positive network."""
    lower, upper = zip(*problem.domain.bounds.values(), strict=True)
    scaling = InputScaling.to_unit(lower, upper)
    d = len(lower)
    return Drawn(lambda key: Exponential(MLP(d, width=20, depth=2, scaling=scaling, key=key)))


def draining(k: float, end: float) -> Problem:
    """h' = −k√h, h(0) = 1: a tank that drains, k < 2."""
    solution = lambda p: (1 - k * p[0] / (2 * end)) ** 2
    return starting("draining", end, solution, lambda u, p: end * u.d("t")(p) + k * jnp.sqrt(u(p)))


def gompertz(k: float, end: float) -> Problem:
    """u' = −ku ln u, u(0) = 0.1: growth that slows down."""
    solution = lambda p: jnp.exp(math.log(0.1) * jnp.exp(-k * p[0] / end))
    residual = lambda u, p: end * u.d("t")(p) + k * u(p) * jnp.log(u(p))
    return starting("gompertz", end, solution, residual)


def porous(power: float, end: float) -> Problem:
    """u_t = (u^m)_xx / 10 + f for u* = 1 + sin(2πx)/2 · e^(−t)."""
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, end))
    solution = lambda p: 1 + 0.5 * jnp.sin(2 * math.pi * p[0]) * jnp.exp(-p[1] / end)
    operator = lambda u: end * u.d("t") - 0.1 * (u**power).d("x", "x")
    exact = operator(Field(solution, domain.coordinates))
    conditions = [
        dirichlet("boundary", domain.walls(), solution, 40),
        initial_value("initial", domain, solution, 40),
        Condition("residual", lambda u, p: operator(u)(p) - exact(p), domain, 200),
    ]
    return Problem("porous", domain, conditions, solution=solution)


def not_finite(rng: Rng, strength: Strength) -> Illness:
    """A root, a power or a logarithm of a network that is negative at first."""
    kind = ("draining", "gompertz", "porous")[rng.integers(3)]
    end, k = between(rng, 0.5, 20), float(np.round(rng.uniform(0.7, 1.5), 2))
    make, operation = {
        "draining": (lambda: draining(k, end), "root"),
        "gompertz": (lambda: gompertz(2 * k, end), "logarithm"),
        "porous": (lambda: porous(k + 0.55, end), "power"),
    }[kind]
    why = f"The {operation} of a network that is negative somewhere; the twin's is positive."
    return Illness(kind, make, why, twin={"network": positive})
