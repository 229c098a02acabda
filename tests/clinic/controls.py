"""Healthy cases, of different equations and optimisers, in which nothing severe may be found."""

from __future__ import annotations

import functools
from typing import Any

from clinic.equations import (
    burgers,
    convection,
    heat,
    helmholtz,
    logistic,
    oscillator,
    poisson,
    wave,
)
from clinic.patient import Patient
from clinic.training_cases import DESCENT, LONGER, NATURAL, decay
from pinntk.diagnosis.examination import HEALTHY
from pinntk.weighting import Fixed

partial = functools.partial


def control(name: str, problem: Any, changes: dict[str, Any], why: str) -> Patient:
    """A case in which nothing is wrong."""
    return Patient(f"healthy_{name}", HEALTHY, "none", problem, changes, False, why)


CASES = [
    control("poisson", partial(poisson, 2.0), {}, "Adam with the weights of Algorithm 1."),
    control(
        "poisson_weights",
        partial(poisson, 2.0),
        {"weighting": Fixed({"boundary": 300.0})},
        "Adam with weights set well by hand.",
    ),
    control("poisson_natural", partial(poisson, 4.0), NATURAL, "The natural gradient, float64."),
    control("heat", heat, {}, "Adam with the weights of Algorithm 1."),
    control("wave", wave, LONGER, "Adam with the weights of Algorithm 1."),
    control(
        "helmholtz_natural",
        partial(helmholtz, 1.0, 2.0),
        NATURAL,
        "The natural gradient in two dimensions.",
    ),
    control(
        "convection_hard",
        convection,
        {"hard": True, "weighting": Fixed()},
        "Initial values and periodicity built in: one condition is left.",
    ),
    control(
        "descent", decay, {**DESCENT, "learning_rate": 0.01}, "Gradient descent at a stable step."
    ),
    control("burgers", burgers, {}, "A nonlinear equation with a travelling front."),
    control(
        "logistic_hard",
        partial(logistic, 2.0, 0.1),
        {"hard": True, "weighting": Fixed()},
        "Growth, with the initial value built in.",
    ),
    control("oscillator", oscillator, {}, "An oscillation of less than one period."),
]
