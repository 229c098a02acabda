"""Reported problems of heat and of Laplace's equation, on boxes, Ls and clouds of points."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from scipy.stats import qmc

from clinic.reported.report import Report, as_asked
from pinntk.conditions import Condition, dirichlet, initial_value, neumann
from pinntk.domain import Box, Points, SpaceTime, Union
from pinntk.problem import Problem
from pinntk.training import Setup

ISSUES = "https://github.com/lululxvi/deepxde/issues"
#: Conductivities below and above y = 1, the flux that comes in at the top, the temperature below.
POOR, GOOD, FLUX, GROUND = 1.38, 400.0, 200.0, 293.15


def in_poor(y):
    """The temperature in the lower slab."""
    return GROUND + y * FLUX / POOR


def in_good(y):
    """The temperature in the upper slab."""
    return in_poor(1.0) + (y - 1.0) * FLUX / GOOD


def two_slabs() -> Setup:
    """Two materials as one field with a conductivity that jumps: k ΔT = 0, and nothing at the joint."""
    wall = Box(x=(0, 1), y=(0, 2))

    def heat(temperature, p):
        return jnp.where(p[1] > 1, GOOD, POOR) * temperature.laplacian()(p)

    problem = Problem(
        "two_slabs",
        wall,
        [
            Condition("heat", heat, wall, 1000),
            neumann("top", wall.face(y=2), FLUX / GOOD, 100),
            dirichlet("ground", wall.face(y=0), GROUND, 100),
            neumann("sides", wall.faces("x"), 0.0, 100),
        ],
        solution=lambda p: jnp.where(p[1] > 1, in_good(p[1]), in_poor(p[1])),
    )
    return as_asked(problem, 50, 4, 20_000)


def joined_slabs() -> Setup:
    """The same with a field for each material, and temperature and flux continuous at the joint."""
    wall = Box(x=(0, 1), y=(0, 2))
    lower, upper = Box(x=(0, 1), y=(0, 1)), Box(x=(0, 1), y=(1, 2))

    def joint(w, p):
        poor, good = w.components()
        fluxes = POOR * poor.d("y")(p) - GOOD * good.d("y")(p)
        return jnp.stack([poor(p) - good(p), fluxes])

    def side(name):
        return lambda w, p: w[name].d("x")(p)

    problem = Problem(
        "joined_slabs",
        wall,
        [
            Condition("poor", lambda w, p: POOR * w["poor"].laplacian()(p), lower, 500),
            Condition("good", lambda w, p: GOOD * w["good"].laplacian()(p), upper, 500),
            Condition("top", lambda w, p: GOOD * w["good"].d("y")(p) - FLUX, upper.face(y=2), 100),
            Condition("ground", lambda w, p: w["poor"](p) - GROUND, lower.face(y=0), 100),
            Condition("poor_sides", side("poor"), lower.faces("x"), 50),
            Condition("good_sides", side("good"), upper.faces("x"), 50),
            Condition("joint", joint, lower.face(y=1), 100),
        ],
        fields=("poor", "good"),
        solution=lambda p: jnp.stack([in_poor(p[1]), in_good(p[1])]),
    )
    return as_asked(problem, 50, 4, 20_000)


def rod() -> Setup:
    """A rod of 0.1 at diffusivity 1, at 50 degrees, its ends suddenly at 70 and 40, for 60 seconds."""
    length, hot, cool, first = 0.1, 70.0, 40.0, 50.0
    space_time = SpaceTime(x=(0, length), t=(0, 60))

    def exact(p):
        """The straight line between the ends, and a sine series of what is left at first."""
        x, t = p[0], p[1]
        k = jnp.arange(1, 81, dtype=p.dtype)
        ends = (first - hot) - (first - cool) * (-1.0) ** k
        series = 2 / (k * math.pi) * ends * jnp.sin(k * math.pi * x / length)
        fading = jnp.exp(-t * (k * math.pi / length) ** 2)
        return hot + (cool - hot) * x / length + jnp.dot(series, fading)

    problem = Problem(
        "rod",
        space_time,
        [
            Condition("heat", lambda u, p: (u.d("t") - u.d("x", "x"))(p), space_time, 1000),
            dirichlet("left", space_time.face(x=0), hot, 100),
            dirichlet("right", space_time.face(x=length), cool, 100),
            initial_value("start", space_time, first, 100),
        ],
        solution=exact,
    )
    return as_asked(problem, 20, 4, 10_000)


def plate() -> Setup:
    """A steel plate of 4 by 2 cm that cools from 1,000 to 300 kelvin: ϱc T_t = k ΔT, all in SI units."""
    capacity, conductivity = 8000.0 * 500.0, 200.0
    sides = {"x": 0.04, "y": 0.02}
    space_time = SpaceTime(x=(0, sides["x"]), y=(0, sides["y"]), t=(0, 30))

    def cooling(x, length, t):
        """1 at first and 0 at both ends: the odd sines of a square wave."""
        k = (2 * jnp.arange(40, dtype=x.dtype) + 1) * math.pi / length
        return jnp.sum(
            4 / (k * length) * jnp.sin(k * x) * jnp.exp(-conductivity / capacity * k**2 * t)
        )

    def exact(p):
        x, y, t = p[0], p[1], p[2]
        return 300 + 700 * cooling(x, sides["x"], t) * cooling(y, sides["y"], t)

    problem = Problem(
        "plate",
        space_time,
        [
            Condition(
                "heat",
                lambda u, p: (capacity * u.d("t") - conductivity * u.laplacian("x", "y"))(p),
                space_time,
                1000,
            ),
            dirichlet("edge", space_time.walls(), 300.0, 1000),
            initial_value("start", space_time, 1000.0, 1000),
        ],
        solution=exact,
    )
    return as_asked(problem, 60, 3, 20_000)


def bracket() -> Setup:
    """An L with a round hole, as a cloud of points: ΔT = c/r³, T = c/r with r from the hole's center."""
    center, radius, strength = np.array([0.25, 0.5]), 0.125, 0.1
    sides = np.array([[0, 0], [1, 0], [1, 0.5], [0.5, 0.5], [0.5, 1], [0, 1]], float)
    spread = qmc.Halton(2, seed=0).random(2600)
    inside = (spread.min(axis=1) < 0.5) & (np.linalg.norm(spread - center, axis=1) > radius)
    cloud = spread[inside][:1200]
    share = (np.arange(15) + 0.5)[:, None] / 15
    edge = np.concatenate(
        [a + share * (b - a) for a, b in zip(sides, np.roll(sides, -1, axis=0), strict=True)]
    )
    angle = np.arange(30) * math.tau / 30
    hole = center + radius * np.column_stack([np.cos(angle), np.sin(angle)])
    region = lambda points: Points(points, ("x", "y"))

    def distance(p):
        return jnp.linalg.norm(p - jnp.asarray(center, p.dtype))

    exact = lambda p: strength / distance(p)
    source = lambda p: strength / distance(p) ** 3
    problem = Problem(
        "bracket",
        region(np.concatenate([cloud, edge, hole])),
        [
            Condition("heat", lambda u, p: u.laplacian()(p) - source(p), region(cloud), len(cloud)),
            dirichlet("edge", region(edge), exact, len(edge)),
            dirichlet("hole", region(hole), exact, len(hole)),
        ],
        solution=exact,
    )
    return as_asked(problem, 10, 4, 10_000)


def ell() -> Setup:
    """Laplace's equation on an L, with e^(−πx) sin(πy) on its edge: values up to 23."""
    low, high = Box(x=(-1, 1), y=(-1, 0)), Box(x=(-1, 0), y=(0, 1))
    ledge = Box(x=(0, 1), y=(-1, 0)).face(y=0)
    sides = [low.face(y=-1), low.face(x=-1), low.face(x=1), ledge]
    sides += [high.face(x=-1), high.face(x=0), high.face(y=1)]
    domain, edge = Union([low, high], shares=[2, 1]), Union(sides, shares=[2, 1, 1, 1, 1, 1, 1])
    exact = lambda p: jnp.sin(math.pi * p[1]) * jnp.exp(-math.pi * p[0])
    problem = Problem(
        "ell",
        domain,
        [
            Condition("laplace", lambda u, p: u.laplacian()(p), domain, 1200),
            dirichlet("edge", edge, exact, 120),
        ],
        solution=exact,
    )
    return as_asked(problem, 50, 4, 50_000)


CASES = [
    Report(
        "two_slabs",
        f"{ISSUES}/1969",
        two_slabs,
        frozenset({"contrast", "scaling"}),
        "The answer: two networks and a condition at the joint; and T is 300 to 440 where a network is 1.",
        curable=False,
        counts=False,
    ),
    Report(
        "joined_slabs",
        f"{ISSUES}/1969",
        joined_slabs,
        frozenset({"scaling", "contrast", "imbalance"}),
        "What the answer advises; the conductivities are 290 times apart and T is still in kelvin.",
        curable=True,
        judged=False,
    ),
    Report(
        "rod",
        "https://discuss.pytorch.org/t/how-to-code-pinn-for-a-simple-pde/166695",
        rod,
        frozenset({"contradictory conditions", "scaling"}),
        "50 degrees at first and 70 at the wall meet in a corner; degrees and seconds go in as they are.",
        curable=True,
        unmet=("start",),
    ),
    Report(
        "plate",
        f"{ISSUES}/61",
        plate,
        frozenset({"scaling", "imbalance", "contradictory conditions"}),
        "The answer is to bring all to order one; in SI units one residual is 1e12 times faster, "
        "and 700 kelvin are missing in the corners.",
        curable=True,
        unmet=("start",),
    ),
    Report(
        "bracket",
        f"{ISSUES}/366",
        bracket,
        frozenset({"imbalance"}),
        "The equation, steep beside the hole, drowns the border: its rate is 500 times larger.",
        curable=True,
    ),
    Report(
        "ell",
        f"{ISSUES}/279",
        ell,
        frozenset({"scaling", "imbalance"}),
        "The values on the edge reach 23; no wave is too short for the network.",
        curable=True,
    ),
]
