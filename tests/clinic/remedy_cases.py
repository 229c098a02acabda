"""What each remedy is tried on, the natural gradient aside: cases with the failure that it is for."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array

from clinic import PATIENTS
from clinic.alterations import times
from clinic.equations import (
    PI,
    convection,
    logistic,
    manufactured,
    oscillator,
    relaxation,
    waves,
)
from clinic.patient import Patient
from pinntk.calculus import Point
from pinntk.conditions import Condition, dirichlet, initial_value
from pinntk.diagnosis.findings import Causality, Imbalance, Points, SpectralBias
from pinntk.domain import SpaceTime
from pinntk.problem import Problem
from pinntk.weighting import Fixed

partial = functools.partial
PLAIN = {"weighting": Fixed()}


def travelling(across: float, along: float, *, points: int = 400) -> Problem:
    """u_t + 0.3 u_x + u = f on [0, 1]² for sin(2πx) cos(πt) + 0.3 sin(across·πx) cos(along·πt)."""
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))

    def solution(p: Point) -> Array:
        slow = jnp.sin(2 * PI * p[0]) * jnp.cos(PI * p[1])
        return slow + 0.3 * jnp.sin(across * PI * p[0]) * jnp.cos(along * PI * p[1])

    residual = manufactured(lambda u: u.d("t") + 0.3 * u.d("x") + u, solution, ("x", "t"))
    conditions = [
        initial_value("initial", domain, solution, 80),
        dirichlet("boundary", domain.walls(), solution, 80),
        Condition("residual", residual, domain, points),
    ]
    return Problem("travelling", domain, conditions, solution=solution)


def long_multiscale() -> Problem:
    """u' + u = f on [0, 4] for sin(πt/2) + 0.3 sin(7.5πt): fifteen periods beside one."""
    return relaxation(waves((0.5, 1.0), (7.5, 0.3)), 1.0, 4.0, points=200)


def front(steepness: float, points: int) -> Problem:
    """u' + u = f on [0, 1] for tanh(steepness · (t − ½))."""
    return relaxation(lambda p: jnp.tanh(steepness * (p[0] - 0.5)), points=points)


_OWN = [
    Patient(
        "spectral_long",
        SpectralBias.name,
        "mild",
        long_multiscale,
        {},
        True,
        "Fifteen periods beside one, on an interval of another length.",
    ),
    Patient(
        "spectral_across",
        SpectralBias.name,
        "mild",
        partial(travelling, 12.0, 1.0),
        {},
        True,
        "Six periods along x and half of one along t.",
    ),
    Patient(
        "spectral_both",
        SpectralBias.name,
        "strong",
        partial(travelling, 8.0, 8.0),
        {},
        True,
        "Four periods along x and along t.",
    ),
    Patient(
        "points_front",
        Points.name,
        "mild",
        partial(front, 40.0, 16),
        {},
        True,
        "A front a twentieth of the domain wide, and sixteen points.",
    ),
    Patient(
        "points_front_strong",
        Points.name,
        "strong",
        partial(front, 100.0, 48),
        {},
        True,
        "A front a fiftieth of the domain wide, and 48 points.",
    ),
    Patient(
        "imbalance_logistic",
        Imbalance.name,
        "strong",
        lambda: times(logistic(1.0, 0.1), "initial", 0.01),
        PLAIN,
        True,
        "The initial value of a growth is counted a ten-thousandth; equal weights.",
    ),
    Patient(
        "imbalance_oscillator",
        Imbalance.name,
        "strong",
        lambda: times(oscillator(), "initial", 0.01),
        PLAIN,
        True,
        "The initial value of an oscillation is counted a ten-thousandth; equal weights.",
    ),
    Patient(
        "imbalance_convection",
        Imbalance.name,
        "mild",
        lambda: times(convection(1.0, points=150), "initial", 0.03),
        PLAIN,
        True,
        "The initial values of a transport are counted a thousandth; equal weights.",
    ),
    Patient(
        "causality_logistic_short",
        Causality.name,
        "mild",
        partial(logistic, 8.0, 0.05),
        {},
        True,
        "Growth from 0.05 over eight growth times.",
    ),
]
_EVERY = PATIENTS | {patient.name: patient for patient in _OWN}

#: The cases of each remedy, by its key.
REMEDY_CASES: Mapping[str, tuple[Patient, ...]] = {
    key: tuple(_EVERY[name] for name in names)
    for key, names in {
        "algorithm-1": (
            *("imbalance_heat", "imbalance_heat_strong", "imbalance_helmholtz"),
            *("imbalance_poisson", "imbalance_logistic"),
        ),
        "hard-constraints": (
            *("imbalance_logistic", "imbalance_oscillator", "imbalance_convection"),
            *("causality_logistic", "causality_logistic_short", "causality_convection"),
        ),
        "equal-slabs": (
            *("causality_logistic", "causality_logistic_short", "causality_convection"),
        ),
        "fourier-features": (
            *("spectral_relaxation", "spectral_relaxation_strong", "spectral_poisson"),
            *("spectral_long", "spectral_across", "spectral_both", "spectral_helmholtz"),
        ),
        "more-points": (
            *("points_relaxation", "points_relaxation_strong", "points_helmholtz"),
            *("points_front", "points_front_strong"),
        ),
        "points-by-residual": (
            *("points_relaxation", "points_relaxation_strong", "points_helmholtz"),
            *("points_front", "points_front_strong"),
        ),
        "larger-network": (
            *("conflict_helmholtz", "conflict_helmholtz_strong"),
            *("conflict_heat", "conflict_poisson"),
        ),
        "learning-rate": (
            *("step_small_heat", "step_small_poisson", "step_large_heat"),
            *("step_large_poisson", "step_descent", "step_descent_strong"),
        ),
        "adam": ("step_descent", "step_descent_strong"),
        "input-scaling": (
            *("scaling_long", "scaling_long_strong", "scaling_short", "scaling_short_strong"),
        ),
        "float64": ("precision_offset", "precision_offset_strong", "precision_differences"),
        "fresh-network": ("dead_saturated", "dead_saturated_strong", "dead_constant"),
    }.items()
}
