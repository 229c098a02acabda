"""Small problems with a known solution, from which the cases are made."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from pinntk.calculus import AbstractField, Field, Point
from pinntk.conditions import Condition, dirichlet, initial_value, initial_velocity, periodic
from pinntk.domain import Box, Interval, SpaceTime, Union
from pinntk.problem import HardConstraints, Problem

Formula = Callable[[Point], Array]
Operator = Callable[[AbstractField], AbstractField]
PI = math.pi


def manufactured(operator: Operator, solution: Formula, coordinates: tuple[str, ...]) -> Any:
    """The residual L u − L u*, whose right-hand side is the operator put on the solution."""
    exact = operator(Field(solution, coordinates))
    return lambda u, p: operator(u)(p) - exact(p)


def on_interval(
    name: str,
    solution: Formula,
    operator: Operator,
    *,
    ends: tuple[float, float] = (0.0, 1.0),
    points: int = 64,
    **options: Any,
) -> Problem:
    """L u = L u* between two ends at which u is given."""
    domain = Interval(x=ends)
    conditions = [
        dirichlet("boundary", domain.faces(), solution, 2),
        Condition("residual", manufactured(operator, solution, ("x",)), domain, points),
    ]
    return Problem(name, domain, conditions, solution=solution, **options)


def poisson(a: float = 1.0, **options: Any) -> Problem:
    """u'' = f on [0, 1], u* = sin(aπx)."""
    return on_interval("poisson", waves((a, 1.0)), lambda u: u.d("x", "x"), **options)


def waves(*parts: tuple[float, float]) -> Formula:
    """x ↦ Σ amplitude sin(aπx), from pairs (a, amplitude)."""
    return lambda p: sum(s * jnp.sin(a * PI * p[0]) for a, s in parts)  # type: ignore[return-value]


def relaxation(solution: Formula, rate: float = 1.0, end: float = 1.0, **options: Any) -> Problem:
    """u' + rate·u = f on t ∈ [0, end], u(0) given."""
    domain = SpaceTime(t=(0.0, end))
    conditions = [
        initial_value("initial", domain, solution, 1),
        Condition(
            "residual",
            manufactured(lambda u: u.d("t") + rate * u, solution, ("t",)),
            domain,
            options.pop("points", 64),
        ),
    ]
    return Problem("relaxation", domain, conditions, solution=solution, **options)


def heat(
    kappa: float = 0.1,
    *,
    points: int = 200,
    walls: float = 0.0,
    **options: Any,
) -> Problem:
    """u_t = κ u_xx on [0, 1]², u = sin(πx) at first; the walls are held at `walls`, 0 by the solution."""
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))

    def solution(p: Point) -> Array:
        return jnp.exp(-kappa * PI**2 * p[1]) * jnp.sin(PI * p[0])

    conditions = [
        dirichlet("boundary", domain.walls(), walls, 40),
        initial_value("initial", domain, solution, 40),
        Condition("residual", lambda u, p: (u.d("t") - kappa * u.d("x", "x"))(p), domain, points),
    ]
    return Problem("heat", domain, conditions, solution=solution, **options)


def wave(c: float = 1.0, *, points: int = 250) -> Problem:
    """u_tt = c² u_xx on [0, 1]², u* = sin(πx) cos(cπt)."""
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))

    def solution(p: Point) -> Array:
        return jnp.sin(PI * p[0]) * jnp.cos(c * PI * p[1])

    conditions = [
        dirichlet("boundary", domain.walls(), 0.0, 40),
        initial_value("initial", domain, solution, 40),
        initial_velocity("velocity", domain, 0.0, 40),
        Condition(
            "residual", lambda u, p: (u.d("t", "t") - c**2 * u.d("x", "x"))(p), domain, points
        ),
    ]
    return Problem("wave", domain, conditions, solution=solution)


def helmholtz(
    a1: float = 1.0,
    a2: float = 1.0,
    k: float = 1.0,
    *,
    points: int = 200,
    boundary: int = 80,
    **options: Any,
) -> Problem:
    """Δu + k²u = q on [0, 1]², u* = sin(a₁πx) sin(a₂πy)."""
    domain = Box(x=(0.0, 1.0), y=(0.0, 1.0))

    def solution(p: Point) -> Array:
        return jnp.sin(a1 * PI * p[0]) * jnp.sin(a2 * PI * p[1])

    residual = manufactured(lambda u: u.laplacian() + k**2 * u, solution, ("x", "y"))
    conditions = [
        dirichlet("boundary", domain.faces(), solution, boundary),
        Condition("residual", residual, domain, points),
    ]
    return Problem("helmholtz", domain, conditions, solution=solution, **options)


def convection(beta: float = 1.0, *, points: int = 250, end: float = 1.0) -> Problem:
    """u_t + β u_x = 0, periodic on x ∈ [0, 2π], u* = sin(x − βt)."""
    domain = SpaceTime(x=(0.0, 2 * PI), t=(0.0, end))

    def solution(p: Point) -> Array:
        return jnp.sin(p[0] - beta * p[1])

    conditions = [
        initial_value("initial", domain, solution, 60),
        periodic("periodic", domain, "x", 30, order=0),
        Condition("residual", lambda u, p: (u.d("t") + beta * u.d("x"))(p), domain, points),
    ]
    start = lambda p, value: jnp.sin(p[0]) + p[1] * value
    return Problem(
        "convection",
        domain,
        conditions,
        solution=solution,
        hard=HardConstraints(("initial", "periodic"), start, ("x",)),
    )


def logistic(
    rate: float = 5.0,
    start: float = 0.1,
    *,
    end: float = 1.0,
    points: int = 64,
) -> Problem:
    """u' = rate·u(1 − u), u(0) = start: it leaves the rest point 0 for the rest point 1."""
    domain = SpaceTime(t=(0.0, end))

    def solution(p: Point) -> Array:
        return 1 / (1 + (1 / start - 1) * jnp.exp(-rate * p[0]))

    conditions = [
        initial_value("initial", domain, start, 1),
        Condition(
            "residual",
            lambda u, p: (u.d("t")(p) - rate * u(p) * (1 - u(p))) / rate,
            domain,
            points,
        ),
    ]
    hard = HardConstraints(("initial",), lambda p, value: start + p[0] * value)
    return Problem("logistic", domain, conditions, solution=solution, hard=hard)


def oscillator(omega: float = 5.0, *, points: int = 128) -> Problem:
    """u'' + ω²u = 0 on t ∈ [0, 1], u(0) = 1, u'(0) = 0; u* = cos(ωt). Divided by ω²."""
    domain = SpaceTime(t=(0.0, 1.0))
    conditions = [
        initial_value("initial", domain, 1.0, 1),
        initial_velocity("velocity", domain, 0.0, 1),
        Condition("residual", lambda u, p: u.d("t", "t")(p) / omega**2 + u(p), domain, points),
    ]
    hard = HardConstraints(("initial", "velocity"), lambda p, value: 1 + p[0] ** 2 * value)
    return Problem(
        "oscillator",
        domain,
        conditions,
        solution=lambda p: jnp.cos(omega * p[0]),
        hard=hard,
    )


def burgers(nu: float = 0.1, *, points: int = 250) -> Problem:
    """u_t + u u_x = ν u_xx on [−1, 1] × [0, 1]; a front that travels at speed ½ and keeps its form."""
    domain = SpaceTime(x=(-1.0, 1.0), t=(0.0, 1.0))

    def solution(p: Point) -> Array:
        return 0.5 - 0.5 * jnp.tanh((p[0] - 0.5 * p[1]) / (4 * nu))

    def residual(u: AbstractField, p: Point) -> Array:
        return (u.d("t") - nu * u.d("x", "x"))(p) + u(p) * u.d("x")(p)

    known = Union([domain.initial(), *domain.walls().parts])
    conditions = [
        dirichlet("values", known, solution, 90),
        Condition("residual", residual, domain, points),
    ]
    return Problem("burgers", domain, conditions, solution=solution)
