"""Reported problems of one coordinate: ordinary differential equations, beams, waves, states, densities."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from clinic.reported.report import Report, as_asked, integral, integrated, quadrature
from pinntk.conditions import Condition, dirichlet, initial_value, neumann
from pinntk.domain import Interval, Points
from pinntk.nets import Positive, Unknown
from pinntk.problem import Problem
from pinntk.training import Setup

ISSUES = "https://github.com/lululxvi/deepxde/issues"


def lotka_volterra(points: int = 2000) -> Problem:
    """Prey and predators in animals, 100 and 15 at first, for ten units of time."""
    time = Interval(t=(0, 10))

    def rates(animals):
        prey, predators = animals
        met = prey * predators
        return [2.0 * prey - 0.04 * met, 0.02 * met - 1.06 * predators]

    def balance(w, p):
        return w.d("t")(p) - jnp.stack(rates(w(p)))

    return Problem(
        "lotka_volterra",
        time,
        [
            Condition("balance", balance, time, points),
            initial_value("start", time, lambda p: jnp.asarray([100.0, 15.0], p.dtype), 1),
        ],
        fields=("prey", "predators"),
        solution=integrated(rates, [100.0, 15.0], 10.0),
    )


def epidemic() -> Setup:
    """Susceptible, exposed, infectious, recovered, of a thousand people in 150 days."""
    people, days = 1000.0, 150.0
    time = Interval(t=(0, days))

    def rates(groups):
        susceptible, exposed, infectious, _ = groups
        new = 0.5 * susceptible * infectious / people
        ill, well = 0.2 * exposed, 0.1 * infectious
        return [-new, new - ill, ill - well, well]

    start = [people - 1, 1.0, 0.0, 0.0]
    problem = Problem(
        "epidemic",
        time,
        [
            Condition("spread", lambda w, p: w.d("t")(p) - jnp.stack(rates(w(p))), time, 500),
            initial_value("start", time, lambda p: jnp.asarray(start, p.dtype), 1),
        ],
        fields=("susceptible", "exposed", "infectious", "recovered"),
        solution=integrated(rates, start, days),
    )
    return as_asked(problem, 50, 3, 20_000)


def beam() -> Setup:
    """A beam clamped at both ends under an even load, w'''' = −1: ten points, w is 1/384 at most."""
    span = Interval(x=(0, 1))
    problem = Problem(
        "beam",
        span,
        [
            Condition("load", lambda w, p: 1 + w.d(*["x"] * 4)(p), span, 10),
            dirichlet("supports", span.faces(), 0.0, 2),
            neumann("clamps", span.faces(), 0.0, 2),
        ],
        solution=lambda p: -((p[0] * (1 - p[0])) ** 2) / 24,
    )
    return as_asked(problem, 20, 3, 10_000)


#: The lowest energy in a box of length 1, where ψ''/2 + Eψ = 0.
ENERGY = math.pi**2 / 2


def state(normed: bool) -> Setup:
    """The lowest state in a box: E given and no norm, or a norm, a slope and an unknown E."""
    box = Interval(x=(0, 1))
    rule = quadrature(0, 1, 32)

    def wave(psi, p):
        energy = psi.coefficient("energy") if normed else ENERGY
        return psi.d("x", "x")(p) / 2 + energy * psi(p)

    conditions = [
        Condition("schroedinger", wave, box, 100),
        dirichlet("walls", box.faces(), 0.0, 2),
    ]
    if normed:
        slope = math.sqrt(2) * math.pi
        start = box.face(x=0)
        conditions += [
            Condition("norm", lambda psi, p: integral(psi, rule, p.dtype, 2) - 1, start, 1),
            Condition("sign", lambda psi, p: psi.d("x")(p) - slope, start, 1),
        ]
    problem = Problem(
        "normed_state" if normed else "state",
        box,
        conditions,
        solution=lambda p: math.sqrt(2) * jnp.sin(math.pi * p[0]),
        coefficients={"energy": Unknown(Positive(3.0), true=ENERGY)} if normed else {},
    )
    return as_asked(problem, 20, 3, 10_000)


def long_wave() -> Setup:
    """u'' + 2u = 0 over 135 periods, on [−300, 300], with value and slope given in the middle."""
    line = Interval(x=(-300, 300))
    middle = Points(np.array([[0.0]]), ("x",))
    problem = Problem(
        "long_wave",
        line,
        [
            Condition("wave", lambda u, p: u.d("x", "x")(p) / 2 + u(p), line, 1000),
            dirichlet("crest", middle, 1.0, 1),
            Condition("level", lambda u, p: u.d("x")(p), middle, 1),
        ],
        solution=lambda p: jnp.cos(math.sqrt(2) * p[0]),
    )
    return as_asked(problem, 50, 3, 10_000)


def straight_line() -> Setup:
    """y'' = 0 from 0 to 1 over a length of 100, five points, inputs as they are."""
    line = Interval(x=(0, 100))
    share = lambda p: p[0] / 100
    problem = Problem(
        "straight_line",
        line,
        [
            Condition("straight", lambda y, p: y.d("x", "x")(p), line, 5),
            dirichlet("ends", line.faces(), share, 2),
        ],
        solution=share,
    )
    return as_asked(problem, 50, 3, 10_000)


def density() -> Setup:
    """The stationary density of dx = (ax − bx³)dt + s dW: an equation without sources, and ∫p = 1."""
    a, b, s, end = 0.3, 0.5, 0.5, 2.2
    line, rule = Interval(x=(-end, end)), quadrature(-end, end, 64)
    potential = lambda x: (2 / s**2) * (a * x**2 / 2 - b * x**4 / 4)
    total = float(np.dot(rule[1], np.exp(potential(rule[0][:, 0]))))

    def stationary(p, x):
        drift = lambda y: a * y - b * y**3
        push = (a - 3 * b * x[0] ** 2) * p(x) + drift(x[0]) * p.d("x")(x)
        return push - s**2 / 2 * p.d("x", "x")(x)

    problem = Problem(
        "density",
        line,
        [
            Condition("stationary", stationary, line, 88),
            dirichlet("far", line.faces(), 0.0, 2),
            Condition("total", lambda p, x: integral(p, rule, x.dtype) - 1, line.face(x=-end), 1),
        ],
        solution=lambda x: jnp.exp(potential(x[0])) / total,
    )
    return as_asked(problem, 12, 2, 5000, activation=jax.nn.sigmoid)


CASES = [
    Report(
        "lotka_volterra",
        f"{ISSUES}/85",
        lambda: as_asked(lotka_volterra(), 50, 3, 50_000, 2e-3),
        frozenset({"scaling"}),
        "The answer is to scale both: animals by a hundred, and time, which goes in as 0 to 10.",
        curable=True,
    ),
    Report(
        "beam",
        f"{ISSUES}/505",
        beam,
        frozenset({"scaling", "collocation points"}),
        "The answer is to scale: the deflection is 0.0026 at most; ten points are also few.",
        curable=True,
    ),
    Report(
        "state",
        f"{ISSUES}/356",
        lambda: state(False),
        frozenset({"zero solves it"}),
        "The answer: zero meets all conditions, so that a norm has to be asked for.",
        curable=False,
        counts=False,
    ),
    Report(
        "normed_state",
        f"{ISSUES}/356",
        lambda: state(True),
        frozenset({"healthy", "imbalance"}),
        "What the answer advises; the norm counts as one residual beside a hundred of the equation.",
        curable=True,
        judged=False,
    ),
    Report(
        "long_wave",
        f"{ISSUES}/321",
        long_wave,
        frozenset({"many periods", "spectral bias"}),
        "The answer: the domain is too long; scaled inputs alone leave 135 periods for 10,000 steps.",
        curable=False,
    ),
    Report(
        "density",
        "https://github.com/SciML/NeuralPDE.jl/issues/279",
        density,
        frozenset({"imbalance"}),
        "Only the integral keeps the density from zero, and it is one residual among ninety.",
        curable=True,
    ),
    Report(
        "epidemic",
        "https://github.com/PINA-org/PINA/issues/345",
        epidemic,
        frozenset({"scaling", "spurious solution"}),
        "The answer: ranges differ, a thousand people and 150 days; 'no epidemic' also has no residual.",
        curable=True,
    ),
    Report(
        "straight_line",
        f"{ISSUES}/794",
        straight_line,
        frozenset({"scaling"}),
        "The answer is to scale the input, which runs to 100 and saturates every unit.",
        curable=True,
    ),
]
