"""The smallest inputs that showed a fault of pinntk itself, one each."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from clinic.reported.ordinary import lotka_volterra
from clinic.reported.report import Report, as_asked
from pinntk.conditions import Condition, dirichlet, initial_value, observations
from pinntk.domain import Box, Interval, Points, Union
from pinntk.nets import Unknown
from pinntk.problem import Problem
from pinntk.training import Setup, natural_setup, points_scaling, unit_scaling


def array_in_residual() -> Setup:
    """a' = b, b' = a with its start as an array, which has the precision of JAX's mode."""
    time = Interval(t=(0, 1))
    problem = Problem(
        "array_in_residual",
        time,
        [
            Condition("pair", lambda w, p: w.d("t")(p) - jnp.flip(w(p)), time, 32),
            initial_value("start", time, lambda p: jnp.array([1.0, 0.0]), 1),
        ],
        fields=("a", "b"),
        solution=lambda p: jnp.stack([jnp.cosh(p[0]), jnp.sinh(p[0])]),
    )
    return as_asked(problem, 20, 2, 2000, scaling=unit_scaling)


def integer_point() -> Setup:
    """A line on [0, 10], inputs scaled and stretched: the model at an integer point."""
    line = Interval(x=(0, 10))
    problem = Problem(
        "integer_point",
        line,
        [
            Condition("flat", lambda u, p: u.d("x", "x")(p), line, 16),
            dirichlet("ends", line.faces(), lambda p: p[0] / 10, 2),
        ],
        solution=lambda p: p[0] / 10,
    )
    return as_asked(problem, 8, 1, 2000, scaling=unit_scaling, input_scale=3.0)


def broken_solution() -> Setup:
    """u' = 1, u(0) = 1, and u = x given as the solution."""
    line = Interval(x=(0, 1))
    problem = Problem(
        "broken_solution",
        line,
        [
            Condition("slope", lambda u, p: u.d("x")(p) - 1, line, 16),
            dirichlet("left", line.face(x=0), 1.0, 1),
        ],
        solution=lambda p: p[0],
    )
    return as_asked(problem, 10, 1, 2000, scaling=unit_scaling)


def gap_at_the_start() -> Setup:
    """Prey and predators with 400 points: a solution that jumps between t = 0 and the first of them."""
    problem = lotka_volterra(400)
    return natural_setup(problem, input_scale=10.0, steps=1000)


def two_boxes() -> Setup:
    """u = xy on a union of two squares."""
    left, right = Box(x=(0, 1), y=(0, 1)), Box(x=(1, 2), y=(0, 1))
    domain = Union([left, right])
    edge = Union([left.faces("y"), right.faces("y"), left.face(x=0), right.face(x=2)])
    product = lambda p: p[0] * p[1]
    problem = Problem(
        "two_boxes",
        domain,
        [
            Condition("laplace", lambda u, p: u.laplacian()(p), domain, 64),
            dirichlet("edge", edge, product, 48),
        ],
        solution=product,
    )
    return as_asked(problem, 20, 2, 2000, scaling=points_scaling)


def cloud() -> Setup:
    """Δu = −40 on a disc of points, zero on its rim; no solution is given."""
    angle = np.arange(130) * math.pi * (3 - math.sqrt(5))
    radius = np.sqrt((np.arange(130) + 0.5) / 100).clip(max=1.0)
    disc = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    region = lambda points: Points(points, ("x", "y"))
    problem = Problem(
        "cloud",
        region(disc),
        [
            Condition("poisson", lambda u, p: u.laplacian()(p) + 40, region(disc[:100]), 100),
            dirichlet("rim", region(disc[100:]), 0.0, 30),
        ],
    )
    return as_asked(problem, 10, 2, 2000, scaling=points_scaling)


def sum_of_two() -> Setup:
    """u' = (a + b)u from data of e^t: a + b is known, and neither a nor b."""
    time, places = Interval(t=(0, 1)), np.linspace(0, 1, 20)[:, None]

    def growth(u, p):
        return u.d("t")(p) - (u.coefficient("a") + u.coefficient("b")) * u(p)

    problem = Problem(
        "sum_of_two",
        time,
        [
            Condition("growth", growth, time, 32),
            observations("data", time, places, np.exp(places[:, 0])),
        ],
        solution=lambda p: jnp.exp(p[0]),
        coefficients={"a": Unknown(0.1, true=0.7), "b": Unknown(0.1, true=0.3)},
    )
    return as_asked(problem, 10, 1, 2000, scaling=unit_scaling)


def named_activation() -> Setup:
    """The name of an activation where the function is wanted."""
    line = Interval(x=(0, 1))
    problem = Problem("named_activation", line, [dirichlet("ends", line.faces(), 0.0, 2)])
    return as_asked(problem, 8, 1, 2, activation="sin")


def string_at_rest() -> Setup:
    """u'' + π²u = 0 with both ends at zero, and sin(πx) given as the solution."""
    line = Interval(x=(0, 1))
    problem = Problem(
        "string_at_rest",
        line,
        [
            Condition("string", lambda u, p: (u.d("x", "x") + math.pi**2 * u)(p), line, 32),
            dirichlet("ends", line.faces(), 0.0, 2),
        ],
        solution=lambda p: jnp.sin(math.pi * p[0]),
    )
    return as_asked(problem, 20, 2, 5000, scaling=unit_scaling)


CASES = [
    Report(
        "array_in_residual",
        "",
        array_in_residual,
        frozenset({"healthy"}),
        "A healthy pair of equations; a trial in another precision made its residuals mix types.",
        curable=False,
    ),
    Report(
        "integer_point",
        "",
        integer_point,
        frozenset({"healthy"}),
        "A healthy line; its model has one value at 7 and at 7.0.",
        curable=False,
        judged=False,
    ),
    Report(
        "broken_solution",
        "",
        broken_solution,
        frozenset({"given solution"}),
        "x is 0 at x = 0, where the condition asks for 1.",
        curable=False,
        unmet=("left",),
    ),
    Report(
        "gap_at_the_start",
        "",
        gap_at_the_start,
        frozenset({"spurious solution", "collocation points"}),
        "The residual is small at every point and 4e4 between the first two: too few of them there.",
        curable=True,
    ),
    Report(
        "two_boxes",
        "",
        two_boxes,
        frozenset({"healthy", "imbalance"}),
        "Nothing is wrong but equal weights; a union must go through examination and trials.",
        curable=True,
        judged=False,
    ),
    Report(
        "cloud",
        "",
        cloud,
        frozenset({"healthy", "imbalance", "scaling"}),
        "Nothing severe; a cloud must have held-out points, or no trial can be ranked.",
        curable=False,
        judged=False,
    ),
    Report(
        "sum_of_two",
        "",
        sum_of_two,
        frozenset({"coefficients"}),
        "Only a + b stands in the equation, so that no data can tell a from b.",
        curable=False,
    ),
    Report(
        "named_activation",
        "",
        named_activation,
        frozenset(),
        "A name is refused as an activation, or taken as its function; the residual is not to blame.",
        curable=False,
        judged=False,
        refused="activation",
    ),
    Report(
        "string_at_rest",
        "",
        string_at_rest,
        frozenset({"zero solves it"}),
        "All conditions are homogeneous: u = 0 meets them, and nothing asks for another size.",
        curable=False,
    ),
]
