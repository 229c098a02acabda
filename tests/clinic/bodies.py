"""Healthy problems with random numbers: ten equations, boxes of random extents, Ls and space-time.

A body is stated in coordinates that run from 0 to 1 and then put on a domain of any extents. Every
derivative is multiplied by the extent of its coordinate, so that the problem is the same on all of them
but for the scale of the inputs. Right-hand sides come from the solution.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.calculus import AbstractField, Field, Point
from pinntk.conditions import Condition, dirichlet, initial_value
from pinntk.domain import AbstractRegion, Box, Interval, SpaceTime, Union
from pinntk.problem import Problem

Formula = Callable[[Point], Array]
#: `d(u, "x", "x")` is u_xx in coordinates that run from 0 to 1.
Derivative = Callable[..., AbstractField]
#: `equation(u, d, p)` is N[u] at the point p, a number, or one number for each equation of a system.
Equation = Callable[[AbstractField, Derivative, Point], Array]
TURN = 2 * math.pi


@dataclasses.dataclass(frozen=True)
class Dials:
    """What an illness turns: size of the inputs and of the solution, a further wave, points.

    `offset` is added to both sides of the equation.
    """

    stretch: float = 1.0
    height: float = 1.0
    offset: float = 0.0
    periods: float = 0.0
    amplitude: float = 0.5
    points: int | None = None


USUAL = Dials()


@dataclasses.dataclass(frozen=True)
class Body:
    """A healthy problem that a seed has drawn; `build(dials)` states it."""

    name: str
    equation: Equation
    formula: Formula
    low: tuple[float, ...]
    extents: tuple[float, ...]
    place: Callable[[Body, Dials], tuple[AbstractRegion, list[Condition]]]
    coordinates: tuple[str, ...] = ("x",)
    fields: tuple[str, ...] = ("u",)
    points: int = 64

    @property
    def scalar(self) -> bool:
        """Whether it has one field."""
        return len(self.fields) == 1

    def ends(self, dials: Dials) -> dict[str, tuple[float, float]]:
        """The bounding box, coordinate by coordinate; time begins at 0."""
        rows = zip(self.coordinates, self.low, self.extents, strict=True)
        return {
            name: (low * dials.stretch, (low + extent) * dials.stretch)
            for name, low, extent in rows
        }

    def unit(self, dials: Dials, point: Point) -> Array:
        """A point of the domain in coordinates from 0 to 1."""
        low, extent = (np.array(v) * dials.stretch for v in (self.low, self.extents))
        return (point - jnp.asarray(low, point.dtype)) / jnp.asarray(extent, point.dtype)

    def solution(self, dials: Dials) -> Formula:
        """The exact solution, with the further wave in every field."""

        def value(p: Point) -> Array:
            y = self.unit(dials, p)
            further = dials.amplitude * jnp.sin(TURN * dials.periods * y[0])
            return dials.height * (self.formula(y) + (further if dials.periods else 0.0))

        return value

    def build(self, dials: Dials = USUAL) -> Problem:
        """The problem: h·(N[u/h] − N[u*/h]), with the values of u* on the border, h its height."""
        solution = self.solution(dials)
        extents = {
            name: dials.stretch * extent
            for name, extent in zip(self.coordinates, self.extents, strict=True)
        }

        def d(u: AbstractField, *names: str) -> AbstractField:
            return math.prod(extents[name] for name in names) * u.d(*names)

        names = self.fields if len(self.fields) > 1 else ()
        exact = Field(lambda p: solution(p) / dials.height, self.coordinates, names)

        def residual(u: AbstractField, p: Point) -> Array:
            relative = Field(lambda q: u(q) / dials.height, self.coordinates, names)
            found, wanted = self.equation(relative, d, p), self.equation(exact, d, p)
            return dials.height * ((found + dials.offset) - (wanted + dials.offset))

        domain, border = self.place(self, dials)
        inside = Condition("residual", residual, domain, dials.points or self.points)
        return Problem(self.name, domain, [*border, inside], self.fields, solution=solution)


# Where a body stands: the domain and the conditions on its border.


def on_line(body: Body, dials: Dials) -> tuple[AbstractRegion, list[Condition]]:
    """Values at both ends of an interval."""
    domain = Interval(**body.ends(dials))
    return domain, [dirichlet("boundary", domain.faces(), body.solution(dials), 2)]


def on_box(body: Body, dials: Dials) -> tuple[AbstractRegion, list[Condition]]:
    """Values on all sides of a rectangle."""
    domain = Box(**body.ends(dials))
    return domain, [dirichlet("boundary", domain.faces(), body.solution(dials), 80)]


def on_ell(body: Body, dials: Dials) -> tuple[AbstractRegion, list[Condition]]:
    """Values on the six sides of an L, a rectangle that lacks its upper right quarter."""
    (left, right), (bottom, top) = body.ends(dials).values()
    x, y = (left + right) / 2, (bottom + top) / 2
    lower, upper = Box(x=(left, right), y=(bottom, y)), Box(x=(left, x), y=(y, top))
    ledge = Box(x=(x, right), y=(bottom, y))
    sides: Sequence[AbstractRegion] = [
        *(lower.face(y=bottom), lower.face(x=left), lower.face(x=right), ledge.face(y=y)),
        *(upper.face(x=left), upper.face(x=x), upper.face(y=top)),
    ]
    edge = Union(sides, shares=[2, 1, 1, 1, 1, 1, 1])
    domain = Union([lower, upper], shares=[2, 1])
    return domain, [dirichlet("boundary", edge, body.solution(dials), 80)]


def in_time(body: Body, dials: Dials) -> tuple[AbstractRegion, list[Condition]]:
    """Values at the start of an ordinary differential equation."""
    domain = SpaceTime(**body.ends(dials))
    return domain, [initial_value("initial", domain, body.solution(dials), 1)]


def with_walls(body: Body, dials: Dials) -> tuple[AbstractRegion, list[Condition]]:
    """Values on both walls and at the start."""
    domain = SpaceTime(**body.ends(dials))
    solution = body.solution(dials)
    return domain, [
        dirichlet("boundary", domain.walls(), solution, 40),
        initial_value("initial", domain, solution, 40),
    ]


def moving(body: Body, dials: Dials) -> tuple[AbstractRegion, list[Condition]]:
    """As `with_walls`, and the velocity at the start, in units of the extent of time."""
    domain, conditions = with_walls(body, dials)
    length, solution = dials.stretch * body.extents[-1], body.solution(dials)
    exact = Field(solution, body.coordinates).d("t")
    change = lambda u, p: length * (u.d("t")(p) - exact(p))
    velocity = Condition("velocity", change, conditions[-1].where, 40)
    return domain, [*conditions, velocity]


def with_inflow(body: Body, dials: Dials) -> tuple[AbstractRegion, list[Condition]]:
    """Values at the start and where the flow comes in, at the least x."""
    domain = SpaceTime(**body.ends(dials))
    solution = body.solution(dials)
    inflow = domain.face(x=domain.lower[0])
    return domain, [
        dirichlet("inflow", inflow, solution, 40),
        initial_value("initial", domain, solution, 40),
    ]


# What is drawn.


def waves(rng: np.random.Generator, dimension: int, most: float = 1.0) -> Formula:
    """Two waves of at most `most` periods along each coordinate, in random directions."""
    parts = [
        (
            size,
            rng.uniform(0.3, most, dimension) * rng.choice([-1, 1], dimension),
            rng.uniform(0, TURN),
        )
        for size in (1.0, rng.uniform(0.2, 0.5))
    ]

    def value(y: Point) -> Array:
        turn = lambda k: TURN * jnp.dot(jnp.asarray(k, y.dtype), y)
        return jnp.stack([size * jnp.sin(turn(k) + phase) for size, k, phase in parts]).sum()

    return value


def extents(rng: np.random.Generator, coordinates: Sequence[str]) -> dict[str, Any]:
    """Random ends: extents of 0.3 to 5; time begins at 0."""
    low = [0.0 if name == "t" else float(rng.uniform(-2, 2)) for name in coordinates]
    size = [float(np.exp(rng.uniform(math.log(0.3), math.log(5)))) for _ in coordinates]
    return {"low": tuple(low), "extents": tuple(size), "coordinates": tuple(coordinates)}


def poisson_line(rng: np.random.Generator) -> Body:
    """u'' = f."""
    equation = lambda u, d, p: d(u, "x", "x")(p)
    return Body("poisson_line", equation, waves(rng, 1), place=on_line, **extents(rng, "x"))


def in_plane(rng: np.random.Generator, name: str, equation: Equation) -> Body:
    """An equation in two dimensions on a rectangle or an L."""
    ell = rng.uniform() < 0.5
    place, name = (on_ell, f"{name}_ell") if ell else (on_box, f"{name}_plane")
    return Body(name, equation, waves(rng, 2), place=place, points=200, **extents(rng, "xy"))


def poisson_plane(rng: np.random.Generator) -> Body:
    """Δu = f."""
    return in_plane(rng, "poisson", lambda u, d, p: (d(u, "x", "x") + d(u, "y", "y"))(p))


def helmholtz(rng: np.random.Generator) -> Body:
    """Δu + k²u = f, k below the first eigenvalue's root, 4.44 on the square."""
    k = float(rng.uniform(1, 3))
    equation = lambda u, d, p: (d(u, "x", "x") + d(u, "y", "y") + k**2 * u)(p)
    return in_plane(rng, "helmholtz", equation)


def heat(rng: np.random.Generator) -> Body:
    """u_t = κ u_xx + f."""
    kappa = float(rng.uniform(0.05, 0.3))
    equation = lambda u, d, p: (d(u, "t") - kappa * d(u, "x", "x"))(p)
    return Body("heat", equation, waves(rng, 2), place=with_walls, points=200, **extents(rng, "xt"))


def advection(rng: np.random.Generator) -> Body:
    """u_t + βu_x = f, values where the flow comes in."""
    beta = float(rng.uniform(0.5, 1.5))
    equation = lambda u, d, p: (d(u, "t") + beta * d(u, "x"))(p)
    place = with_inflow
    return Body("advection", equation, waves(rng, 2), place=place, points=200, **extents(rng, "xt"))


def wave(rng: np.random.Generator) -> Body:
    """u_tt = c² u_xx + f."""
    c = float(rng.uniform(0.7, 1.3))
    equation = lambda u, d, p: (d(u, "t", "t") - c**2 * d(u, "x", "x"))(p)
    return Body("wave", equation, waves(rng, 2), place=moving, points=250, **extents(rng, "xt"))


def burgers(rng: np.random.Generator) -> Body:
    """u_t + u u_x = ν u_xx + f."""
    nu = float(rng.uniform(0.05, 0.2))
    equation = lambda u, d, p: (d(u, "t") - nu * d(u, "x", "x"))(p) + u(p) * d(u, "x")(p)
    return Body(
        "burgers", equation, waves(rng, 2), place=with_walls, points=250, **extents(rng, "xt")
    )


def reaction(rng: np.random.Generator) -> Body:
    """u_t = κ u_xx + ρ g(u) + f: Allen and Cahn's g = u − u³, or Fisher's g = u(1 − u)."""
    kappa, rho = float(rng.uniform(0.05, 0.2)), float(rng.uniform(0.5, 2.0))
    power = int(rng.choice([2, 3]))
    equation = lambda u, d, p: (
        (d(u, "t") - kappa * d(u, "x", "x"))(p) - rho * (u(p) - u(p) ** power)
    )
    name = "fisher" if power == 2 else "allen_cahn"
    return Body(name, equation, waves(rng, 2), place=with_walls, points=250, **extents(rng, "xt"))


def pair(rng: np.random.Generator) -> Body:
    """a' = ωb − γa + f, b' = −ωa − γb + g."""
    omega, gamma = float(rng.uniform(1, 5)), float(rng.uniform(0, 1))
    parts = [waves(rng, 1), waves(rng, 1)]

    def equation(w: AbstractField, d: Derivative, p: Point) -> Array:
        a, b = w(p)
        return d(w, "t")(p) - jnp.stack([omega * b - gamma * a, -omega * a - gamma * b])

    formula = lambda y: jnp.stack([part(y) for part in parts])
    kind = {"place": in_time, "fields": ("a", "b"), **extents(rng, "t")}
    return Body("pair", equation, formula, **kind)


def flow(rng: np.random.Generator) -> Body:
    """Steady flow (u, v, p) at a Reynolds number of 5 to 40, all values given on the border."""
    reynolds = float(rng.uniform(5, 40))
    parts = [waves(rng, 2, 0.6) for _ in range(3)]

    def equation(w: AbstractField, d: Derivative, p: Point) -> Array:
        (u, v, _), x, y = w(p), d(w, "x")(p), d(w, "y")(p)
        spread = (d(w, "x", "x") + d(w, "y", "y"))(p) / reynolds
        along = u * x[0] + v * y[0] + x[2] - spread[0]
        across = u * x[1] + v * y[1] + y[2] - spread[1]
        return jnp.stack([along, across, x[0] + y[1]])

    formula = lambda y: jnp.stack([part(y) for part in parts])
    kind = {"place": on_box, "fields": ("u", "v", "p"), "points": 250, **extents(rng, "xy")}
    return Body("flow", equation, formula, **kind)


BODIES: tuple[Callable[[np.random.Generator], Body], ...] = (
    *(poisson_line, poisson_plane, helmholtz, heat, advection, wave, burgers, reaction, pair, flow),
)
