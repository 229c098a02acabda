"""Cases whose problem is wrong: rounding, too few points, contradictions, scales, models that are dead."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from clinic.alterations import (
    blocked,
    differenced,
    given_twice,
    offset,
    own_network,
    times,
    with_data,
    without_unknown,
)
from clinic.equations import heat, helmholtz, on_interval, poisson, relaxation, waves
from clinic.patient import Patient
from clinic.training_cases import LONGER, NATURAL
from pinntk.diagnosis.findings import Contradiction, Dead, Points, Precision, Scaling
from pinntk.training import no_scaling

partial = functools.partial
DOUBLE = {"dtype": "float64"}
PI = jnp.pi


def long_poisson(length: float, height: float = 1.0):
    """L² u'' = f on [0, L], u* = height · sin(2πx/L): the same for every L up to the scale of x."""
    return on_interval(
        "poisson",
        lambda p: height * jnp.sin(2 * PI * p[0] / length),
        lambda u: length**2 * u.d("x", "x"),
        ends=(0.0, length),
    )


def long_relaxation(length: float, height: float = 1.0):
    """L u' + u = f on [0, L], u* = height · (1 + sin(2πt/L))."""
    solution = lambda p: height * (1 + jnp.sin(2 * PI * p[0] / length))
    return times(relaxation(solution, 1 / length, length), "residual", length)


def two_waves():
    """u' + u = f for sin(2πt) + 0.5 sin(6πt), on 64 points."""
    return relaxation(waves((2, 1.0), (6, 0.5)))


PRECISION = [
    Patient(
        "precision_offset",
        Precision.name,
        "mild",
        lambda: offset(poisson(2.0), "residual", 1e8),
        {},
        True,
        "(u'' + 1e8) − (f + 1e8) in float32, where numbers near 1e8 are 8 apart; |f| is up to 40.",
        DOUBLE,
    ),
    Patient(
        "precision_offset_strong",
        Precision.name,
        "strong",
        lambda: offset(helmholtz(1.0, 1.0, 0.0), "residual", 1e9),
        {},
        True,
        "The same in two dimensions with 1e9, near which float32 numbers are 64 apart; |f| is up to 20.",
        DOUBLE,
    ),
    Patient(
        "precision_differences",
        Precision.name,
        "mild",
        lambda: differenced(heat(), 0.1, 3e-4),
        {},
        True,
        "u_xx by central differences of step 3e-4 in float32: rounding of 6e-8 over h² is 0.7.",
        DOUBLE,
    ),
    Patient(
        "precision_differences_strong",
        Precision.name,
        "strong",
        lambda: differenced(heat(), 0.1, 1e-4),
        {},
        True,
        "The same with a step of 1e-4: rounding of 6e-8 over h² is 6.",
        DOUBLE,
    ),
]

POINTS = [
    Patient(
        "points_relaxation",
        Points.name,
        "mild",
        two_waves,
        {**LONGER, "points": {"residual": 10}},
        True,
        "Ten points for three periods, and steps enough to fit them: between them nothing is asked.",
        LONGER,
    ),
    Patient(
        "points_relaxation_strong",
        Points.name,
        "strong",
        two_waves,
        {**LONGER, "points": {"residual": 6}},
        True,
        "The same with six points.",
        LONGER,
    ),
    Patient(
        "points_helmholtz",
        Points.name,
        "mild",
        partial(helmholtz, 1.0, 2.0),
        {**LONGER, "points": {"residual": 12}},
        True,
        "Twelve points of a square for an equation that needs some hundred.",
        LONGER,
    ),
    Patient(
        "points_helmholtz_strong",
        Points.name,
        "strong",
        partial(helmholtz, 1.0, 2.0),
        {**LONGER, "points": {"residual": 6}},
        True,
        "The same with six points.",
        LONGER,
    ),
]

CONTRADICTION = [
    Patient(
        "contradiction_corner",
        Contradiction.name,
        "mild",
        partial(heat, walls=0.3),
        {},
        False,
        "The walls are held at 0.3, and the initial values are 0 there; the error is to the walls at 0.",
        twin_problem=heat,
    ),
    Patient(
        "contradiction_corner_strong",
        Contradiction.name,
        "strong",
        partial(heat, walls=1.0),
        {},
        False,
        "The same with walls at 1: a jump as large as the solution.",
        twin_problem=heat,
    ),
    Patient(
        "contradiction_twice",
        Contradiction.name,
        "mild",
        lambda: given_twice(poisson(2.0), "boundary", 0.3),
        {},
        False,
        "Both ends are given two values that differ by 0.3.",
        twin_problem=lambda: given_twice(poisson(2.0), "boundary", 0.0),
    ),
    Patient(
        "contradiction_data",
        Contradiction.name,
        "strong",
        lambda: with_data(helmholtz(), 1.0),
        {},
        False,
        "Thirty measurements inside that are all off by 1, the height of the solution.",
        twin_problem=lambda: with_data(helmholtz(), 0.0),
    ),
]

RAW = {"scaling": no_scaling}
SCALING = [
    Patient(
        "scaling_long",
        Scaling.name,
        "mild",
        partial(long_poisson, 100.0),
        RAW,
        True,
        "x up to 100 goes into the network as it is: its units saturate over most of the domain.",
    ),
    Patient(
        "scaling_long_strong",
        Scaling.name,
        "strong",
        partial(long_relaxation, 1000.0),
        RAW,
        True,
        "t up to 1,000 goes into the network as it is.",
    ),
    Patient(
        "scaling_short",
        Scaling.name,
        "mild",
        partial(long_relaxation, 0.03),
        RAW,
        True,
        "t up to 0.03 goes into the network as it is: it is nearly linear over all of the domain.",
    ),
    Patient(
        "scaling_short_strong",
        Scaling.name,
        "strong",
        partial(long_poisson, 0.01),
        RAW,
        True,
        "x up to 0.01 goes into the network as it is.",
    ),
    Patient(
        "scaling_high",
        Scaling.name,
        "mild",
        partial(long_relaxation, 1.0, 300.0),
        {},
        False,
        "A solution as high as 600, from a network whose values are of order one; no "
        "setting scales what comes out of it.",
        twin_problem=partial(long_relaxation, 1.0),
    ),
    Patient(
        "scaling_high_strong",
        Scaling.name,
        "strong",
        partial(long_poisson, 1.0, 1000.0),
        {},
        False,
        "A solution as high as 1,000, from a network whose values are of order one; no "
        "setting scales what comes out of it.",
        twin_problem=partial(long_poisson, 1.0),
    ),
    Patient(
        "scaling_low_strong",
        Scaling.name,
        "strong",
        partial(long_poisson, 1.0, 1e-6),
        {},
        True,
        "A solution as low as 1e-6: the steps of Adam are larger than it.",
        twin_problem=partial(long_poisson, 1.0),
        cure=NATURAL,
    ),
]

OWN = {"network": own_network}
DEAD = [
    Patient(
        "dead_saturated",
        Dead.name,
        "mild",
        partial(relaxation, waves((2, 1.0))),
        {"network": partial(own_network, factor=30.0)},
        False,
        "Hidden weights 30 times too large: nearly every unit is saturated at nearly every point.",
        twin=OWN,
    ),
    Patient(
        "dead_saturated_strong",
        Dead.name,
        "strong",
        heat,
        {"network": partial(own_network, factor=100.0)},
        False,
        "Hidden weights 100 times too large.",
        twin=OWN,
    ),
    Patient(
        "dead_constant",
        Dead.name,
        "strong",
        partial(relaxation, waves((2, 1.0))),
        {"network": partial(own_network, inputs=0.0)},
        False,
        "The inputs are multiplied by 0: the model is a constant field.",
        twin=OWN,
    ),
    Patient(
        "dead_relu",
        Dead.name,
        "strong",
        poisson,
        {"network": partial(own_network, activation=jax.nn.relu)},
        False,
        "u'' of a network of ReLUs is zero wherever it is: the equation has no gradient.",
        twin=OWN,
    ),
    Patient(
        "dead_forgotten",
        Dead.name,
        "strong",
        lambda: without_unknown(poisson(), "boundary"),
        {},
        False,
        "The boundary condition is written for the exact solution in place of u.",
        twin_problem=poisson,
    ),
    Patient(
        "dead_blocked",
        Dead.name,
        "strong",
        lambda: blocked(heat(), "residual"),
        {},
        False,
        "stop_gradient stands around the residual of the equation.",
        twin_problem=heat,
    ),
]

CASES = [*PRECISION, *POINTS, *CONTRADICTION, *SCALING, *DEAD]
