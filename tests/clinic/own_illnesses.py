"""Illnesses that come with equations of their own: long times, unknown coefficients; and none at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from clinic.bodies import USUAL, Body, Formula
from clinic.illnesses import Illness, Rng, Strength, between, draw
from pinntk.calculus import AbstractField, Point
from pinntk.conditions import Condition, dirichlet, initial_value, observations, periodic
from pinntk.domain import SpaceTime
from pinntk.nets import Unknown
from pinntk.problem import Problem

Residual = Callable[..., Array]


def starting(
    name: str, end: float, solution: Formula, residual: Residual, **options: Any
) -> Problem:
    """An ordinary differential equation on [0, end] from the solution's value at 0."""
    domain = SpaceTime(t=(0.0, end))
    fields = options.get("fields", ("u",))
    conditions = [
        initial_value("initial", domain, solution, 1),
        Condition("residual", residual, domain, 128),
        *options.pop("more", lambda domain: ())(domain),
    ]
    return Problem(name, domain, conditions, **{**options, "fields": fields}, solution=solution)


# Long times: each begins at, or near, something that also has no residual.


def bistable(rate: float, start: float, end: float) -> Problem:
    """u' = ρu(1 − u²) from near the rest point 0 to the rest point 1, ρ · end = rate."""
    rho = rate / end

    def solution(p: Point) -> Array:
        return start / jnp.sqrt(start**2 + (1 - start**2) * jnp.exp(-2 * rho * p[0]))

    residual = lambda u, p: u.d("t")(p) / rho - u(p) * (1 - u(p) ** 2)
    return starting("bistable", end, solution, residual)


def carried(turns: float, length: float, end: float) -> Problem:
    """u_t + βu_x = 0, periodic in x: a wave that passes its whole length `turns` times."""
    domain = SpaceTime(x=(0.0, length), t=(0.0, end))
    solution = lambda p: jnp.sin(2 * math.pi * (p[0] / length - turns * p[1] / end))
    residual = lambda u, p: end * u.d("t")(p) + turns * length * u.d("x")(p)
    conditions = [
        initial_value("initial", domain, solution, 60),
        periodic("periodic", domain, "x", 30, order=0),
        Condition("residual", residual, domain, 300),
    ]
    return Problem("carried", domain, conditions, solution=solution)


def turning(periods: float, end: float) -> Problem:
    """a' = ωb, b' = −ωa over so many periods."""
    omega = 2 * math.pi * periods / end
    solution = lambda p: jnp.stack([jnp.cos(omega * p[0]), -jnp.sin(omega * p[0])])

    def residual(w: AbstractField, p: Point) -> Array:
        a, b = w(p)
        return w.d("t")(p) / omega - jnp.stack([b, -a])

    return starting("turning", end, solution, residual, fields=("a", "b"))


def causality(rng: Rng, strength: Strength) -> Illness:
    """A time so long that late times settle on something else before the start has reached them."""
    mild, end = strength == "mild", between(rng, 0.5, 20)
    drawn = lambda low, high: float(np.round(rng.uniform(*(low if mild else high)), 1))
    kind = ("bistable", "carried", "turning")[rng.integers(3)]
    also = {"spurious solution", "propagation failure"}
    if kind == "bistable":
        rate, start = (
            drawn((5, 8), (12, 20)),
            between(rng, *((0.05, 0.1) if mild else (0.01, 0.03))),
        )
        why = f"u' = ρu(1 − u²) for {rate:g} growth times from {start:g}: zero has no residual either."
        make, twin = (lambda: bistable(rate, start, end)), (lambda: bistable(1.0, start, end))
    elif kind == "carried":
        turns, length = drawn((2, 3), (4, 6)), between(rng, 0.5, 6)
        why = f"Transport over {turns:g} periods: a constant has no residual."
        make, twin = (lambda: carried(turns, length, end)), (lambda: carried(0.2, length, end))
        also |= {"many periods"}
    else:
        periods = drawn((5, 7), (10, 15))
        why = f"A rotation over {periods:g} periods: zero has no residual."
        make, twin = (lambda: turning(periods, end)), (lambda: turning(0.5, end))
        # Its frequency is as much what is wrong as the time it lasts.
        also |= {"many periods", "spectral bias"}
    return Illness(kind, make, why, twin_problem=twin, also=frozenset(also))


# Coefficients.


def coefficients(rng: Rng, strength: Strength) -> Illness:
    """Two coefficients of which only a sum or a product is known, or one that starts far away."""
    kind = ("sum", "product", "far")[rng.integers(3)]
    places = rng.uniform(size=(30, 2))
    # Far apart: training from equal starts finds equal ones.
    a, b = (float(np.round(value, 2)) for value in rng.uniform((0.3, 0.9), (0.5, 1.2)))
    if kind == "sum":
        make = lambda free: grown(a, b, places[:, :1], free)
        why = "u' = (a + b)u: the data of u determine the sum alone."
    elif kind == "product":
        make = lambda free: diffused(a / 4, b, places, 1.0, free)
        why = "u_t = ab u_xx: the data of u determine the product alone."
    else:
        factor = between(rng, *((50, 200) if strength == "mild" else (2e3, 2e4)))
        make = lambda free: diffused(a / 4, b, places, factor if free else 1.5, False)
        why = f"The diffusivity starts {factor:g} times too large."
    return Illness(kind, lambda: make(True), why, twin_problem=lambda: make(False), treatable=False)


def grown(a: float, b: float, places: np.ndarray, free: bool) -> Problem:
    """u' = (a + b)u with data; b is unknown too if `free`."""
    solution = lambda p: jnp.exp((a + b) * p[0])

    def residual(u: AbstractField, p: Point) -> Array:
        other = u.coefficient("b") if free else b
        return u.d("t")(p) - (u.coefficient("a") + other) * u(p)

    values = np.exp((a + b) * places[:, 0])
    known = {"a": Unknown(0.1, true=a), **({"b": Unknown(0.1, true=b)} if free else {})}
    data = lambda domain: [observations("data", domain, places, values)]
    return starting("grown", 1.0, solution, residual, more=data, coefficients=known)


def diffused(a: float, b: float, places: np.ndarray, factor: float, free: bool) -> Problem:
    """u_t = ab u_xx with data; a starts at `factor` times its value, b is unknown if `free`."""
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))

    def solution(p: Point) -> Array:
        return jnp.exp(-a * b * math.pi**2 * p[1]) * jnp.sin(math.pi * p[0])

    def residual(u: AbstractField, p: Point) -> Array:
        other = u.coefficient("b") if free else b
        return u.d("t")(p) - u.coefficient("a") * other * u.d("x", "x")(p)

    values = np.array(jax.vmap(solution)(jnp.asarray(places)))
    conditions = [
        dirichlet("boundary", domain.walls(), 0.0, 40),
        initial_value("initial", domain, solution, 40),
        Condition("residual", residual, domain, 200),
        observations("data", domain, places, values),
    ]
    start = 0.5 if free else factor * a
    known = {"a": Unknown(start, true=a), **({"b": Unknown(0.5, true=b)} if free else {})}
    return Problem("diffused", domain, conditions, solution=solution, coefficients=known)


# What is given, and what is not.


def given_solution(rng: Rng, strength: Strength) -> Illness:
    """The solution that is given is not that of the conditions."""
    body = draw(rng)
    share = float(np.round(rng.uniform(*((0.4, 0.7) if strength == "mild" else (1, 3))), 2))
    right = body.solution(USUAL)
    kind = ("higher", "shifted")[rng.integers(2)]
    wrong = {
        "higher": lambda p: (1 + share) * right(p),
        "shifted": lambda p: right(p) + share,
    }[kind]
    why = (
        f"The given solution is {share:g} {'times its value ' if kind == 'higher' else ''}too high."
    )

    def build() -> Problem:
        problem = body.build()
        return Problem(
            body.name, problem.domain, problem.conditions, problem.fields, solution=wrong
        )

    return Illness(body.name, build, why, twin_problem=body.build, treatable=False)


# Nothing.


def healthy(rng: Rng, strength: Strength) -> Illness:
    """A body as it is."""
    body: Body = draw(rng)
    return Illness(body.name, body.build, "Adam with the weights of Algorithm 1.")
