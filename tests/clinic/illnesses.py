"""Illnesses of settings and statements that any healthy body can have, with random numbers.

Each function draws its numbers from `rng` and returns what makes a patient: the sick problem and its
changes of `usual`, those of the twin, and in words what is wrong.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from clinic.alterations import given_twice, own_network, times, with_more
from clinic.bodies import BODIES, USUAL, Body, Dials
from pinntk.conditions import observations
from pinntk.problem import Problem
from pinntk.training import no_scaling
from pinntk.weighting import Fixed

Rng = np.random.Generator
Strength = Literal["mild", "strong"]
PLAIN: dict[str, Any] = {"weighting": Fixed()}
LONGER: dict[str, Any] = {"steps": 6000, "decay_steps": 1000}


@dataclasses.dataclass(frozen=True)
class Illness:
    """What a patient is made from; `body` names its equation, `also` other names of what is wrong."""

    body: str
    problem: Callable[[], Problem]
    why: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    twin: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    twin_problem: Callable[[], Problem] | None = None
    treatable: bool = True
    also: frozenset[str] = frozenset()


def draw(rng: Rng, *names: str, scalar: bool = False) -> Body:
    """A body at random, from all or from those of the functions of these names."""
    made = [make for make in BODIES if not names or make.__name__ in names]
    while True:
        body = made[rng.integers(len(made))](rng)
        if body.scalar or not scalar:
            return body


def between(rng: Rng, low: float, high: float) -> float:
    """A positive number at random, its logarithm evenly, to two digits."""
    return float(f"{np.exp(rng.uniform(np.log(low), np.log(high))):.2g}")


def imbalance(rng: Rng, strength: Strength) -> Illness:
    """One condition in other units, with equal weights."""
    body = draw(rng)
    factor = between(rng, *((20, 60) if strength == "mild" else (300, 3000)))
    return Illness(
        body.name,
        lambda: times(body.build(), "residual", factor),
        f"The residual of the equation is multiplied by {factor:g}; all weights are equal.",
        PLAIN,
    )


def spectral_bias(rng: Rng, strength: Strength) -> Illness:
    """A further wave of many periods, points enough for it; the twin has one period."""
    body = draw(rng, "poisson_line", "pair", "poisson_plane", "helmholtz", "heat")
    flat = len(body.coordinates) > 1
    ranges = {"mild": (5, 6), "strong": (7, 9)} if flat else {"mild": (8, 12), "strong": (15, 25)}
    periods = float(rng.integers(*ranges[strength], endpoint=True))
    many = Dials(periods=periods, amplitude=0.5, points=600 if flat else 250)
    once = dataclasses.replace(many, periods=1.0)
    return Illness(
        body.name,
        lambda: body.build(many),
        f"A wave of {periods:g} periods along {body.coordinates[0]}, half as high as the rest.",
        twin_problem=lambda: body.build(once),
        also=frozenset({"many periods"}),
    )


def contradiction(rng: Rng, strength: Strength) -> Illness:
    """Values that are given twice, or measurements that are off."""
    body = draw(rng, scalar=True)
    size = float(np.round(rng.uniform(*((0.4, 0.7) if strength == "mild" else (1, 2))), 2))
    if rng.uniform() < 0.5:
        name = body.build().names[0]
        make = lambda value: given_twice(body.build(), name, value)
        why = f"'{name}' is given a second value {size:g} above the first."
    else:
        places = rng.uniform(0.1, 0.45, (30, len(body.coordinates)))
        make = functools.partial(_measured, body, places)
        why = f"Thirty measurements are all {size:g} above the solution."
    return Illness(
        body.name,
        lambda: make(size),
        why,
        twin_problem=lambda: make(0.0),
        treatable=False,
    )


def _measured(body: Body, places: np.ndarray, error: float) -> Problem:
    """The problem with measurements at places from 0 to 1."""
    problem, solution = body.build(), body.solution(USUAL)
    points = np.array(body.low) + places * np.array(body.extents)
    values = np.array(jax.vmap(solution)(jnp.asarray(points))) + error
    return with_more(problem, observations("data", problem.domain, points, values))


def scaling_of_inputs(rng: Rng, strength: Strength) -> Illness:
    """A domain of large or small extents, whose coordinates go into the network as they are."""
    body = draw(rng)
    size = between(rng, *((30, 100) if strength == "mild" else (300, 2000)))
    longest = max(body.extents)
    factor = size / longest if rng.uniform() < 0.7 else 1 / (size * longest)
    return Illness(
        body.name,
        lambda: body.build(Dials(stretch=factor)),
        f"The longest side is {longest * factor:.2g}; the network's inputs are not scaled.",
        {"scaling": no_scaling},
    )


def scaling_of_outputs(rng: Rng, strength: Strength) -> Illness:
    """A solution far larger or smaller than what a network's values are at first."""
    body = draw(rng)
    size = between(rng, *((100, 300) if strength == "mild" else (1e3, 1e5)))
    height = size if rng.uniform() < 0.6 else 0.1 / size
    return Illness(
        body.name,
        lambda: body.build(Dials(height=height)),
        f"The solution is of size {height:.2g}, and the network's values are of size one.",
        twin_problem=body.build,
    )


def points(rng: Rng, strength: Strength) -> Illness:
    """A few collocation points for two or three periods, and steps enough to fit them."""
    body = draw(rng)
    flat = len(body.coordinates) > 1
    ranges = {"mild": (10, 14), "strong": (4, 7)} if flat else {"mild": (8, 10), "strong": (4, 6)}
    count = int(rng.integers(*ranges[strength], endpoint=True))
    dials = Dials(periods=2.0 if flat else 3.0)
    return Illness(
        body.name,
        lambda: body.build(dials),
        f"{count} points for a solution of {dials.periods:g} periods.",
        {**LONGER, "points": {"residual": count}},
        LONGER,
    )


def step_size(rng: Rng, strength: Strength) -> Illness:
    """Adam's learning rate far too small, or far too large to the end."""
    body = draw(rng)
    if rng.uniform() < 0.5:
        rate = between(rng, *((5e-6, 2e-5) if strength == "mild" else (3e-7, 2e-6)))
        changes = {"learning_rate": rate}
    else:
        rate = between(rng, *((0.3, 0.5) if strength == "mild" else (1, 3)))
        changes = {"learning_rate": rate, "decay_rate": 1.0}
    return Illness(body.name, body.build, f"Adam's learning rate is {rate:g}.", changes)


def dead_model(rng: Rng, strength: Strength) -> Illness:
    """Saturated units, a layer of zeros, or ReLUs in an equation of second order."""
    body = draw(rng, "poisson_line", "heat", "wave", "burgers", "reaction")
    factor = between(rng, *((25, 40) if strength == "mild" else (80, 200)))
    kind = ("saturated", "zero", "relu")[rng.integers(3)]
    options, why = {
        "saturated": ({"factor": factor}, f"Hidden weights {factor:g} times too large."),
        "zero": ({"factor": 0.0}, "The hidden weights are all zero: no unit ever differs."),
        "relu": ({"activation": jax.nn.relu}, "The second derivative of a ReLU network is zero."),
    }[kind]
    return Illness(
        body.name,
        body.build,
        why,
        {"network": functools.partial(own_network, **options), **LONGER},
        {"network": own_network, **LONGER},
        treatable=False,
    )


def conflict(rng: Rng, strength: Strength) -> Illness:
    """A network of two or three units."""
    body = draw(rng)
    width = 3 if strength == "mild" else 2
    why = f"{width} units for the equation and its border."
    return Illness(body.name, body.build, why, {"width": width, "depth": 1})


def precision(rng: Rng, strength: Strength) -> Illness:
    """The equation as the difference of two sums with a large number, which float32 rounds."""
    body = draw(rng, scalar=True)
    share = between(rng, *((2e7, 6e7) if strength == "mild" else (1e8, 4e8)))

    places = rng.uniform(size=(64, len(body.coordinates)))
    big = share * _right_hand_side(body, places)
    return Illness(
        body.name,
        lambda: body.build(Dials(offset=big)),
        f"A number {share:.1g} times the right-hand side stands on both sides, in float32.",
        twin={"dtype": "float64"},
    )


def _right_hand_side(body: Body, places: np.ndarray) -> float:
    """The largest |f| at places from 0 to 1: the residual of u = 0, whose N[u] is 0."""
    problem, points = body.build(), np.array(body.low) + places * np.array(body.extents)
    nothing = problem.field(lambda p: 0.0 * jnp.sum(p))
    residual = problem.condition("residual").residual
    return float(jnp.abs(jax.vmap(lambda p: residual(nothing, p))(jnp.asarray(points))).max())
