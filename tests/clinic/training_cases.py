"""Cases whose settings are wrong: weights, step sizes, networks too small, frequencies, times too long."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp

from clinic.alterations import times
from clinic.equations import (
    convection,
    heat,
    helmholtz,
    logistic,
    on_interval,
    poisson,
    relaxation,
    wave,
    waves,
)
from clinic.patient import Patient
from pinntk.diagnosis.findings import Causality, Conflict, Imbalance, SpectralBias, StepSize
from pinntk.optim import gradient_descent
from pinntk.training import natural_setup
from pinntk.weighting import Fixed, NTKWeights

partial = functools.partial
PLAIN = {"weighting": Fixed()}
LONGER: dict[str, Any] = {"steps": 6000, "decay_steps": 1000}
DEEPER: dict[str, Any] = {
    "width": 30,
    "depth": 3,
    "learning_rate": 2e-3,
    "decay_rate": 0.8,
    "decay_steps": 250,
    "weighting": NTKWeights(every=10),
    "steps": 5000,
}
#: Gradient descent at one learning rate, on a decay that takes longer than a wave to fit.
DESCENT: dict[str, Any] = {
    "optimizer": gradient_descent,
    "weighting": Fixed(),
    "decay_rate": 1.0,
    "steps": 8000,
}
NATURAL: dict[str, Any] = {"preset": natural_setup, "steps": 300}


def decay():
    """u' + 2u = 0, u* = exp(−2t)."""
    return relaxation(lambda p: jnp.exp(-2 * p[0]), 2.0)


def multiscale_relaxation(k: float):
    """u' + u = f for sin(2πt) + 0.3 sin(kπt)."""
    return relaxation(waves((2, 1.0), (k, 0.3)), points=200)


def multiscale_poisson(k: float):
    """u'' = f for sin(2πx) + 0.1 sin(kπx)."""
    return on_interval("poisson", waves((2, 1.0), (k, 0.1)), lambda u: u.d("x", "x"), points=200)


IMBALANCE = [
    Patient(
        "imbalance_heat",
        Imbalance.name,
        "mild",
        lambda: times(heat(), "residual", 30.0),
        PLAIN,
        True,
        "The heat equation in other units: its residual times 30, its rate times 900; equal weights.",
    ),
    Patient(
        "imbalance_heat_strong",
        Imbalance.name,
        "strong",
        lambda: times(heat(), "residual", 1000.0),
        PLAIN,
        True,
        "The same with the residual times 1,000, the rate times a million.",
    ),
    Patient(
        "imbalance_helmholtz",
        Imbalance.name,
        "mild",
        lambda: times(helmholtz(), "boundary", 0.1),
        PLAIN,
        True,
        "Two derivatives make the equation fast; the boundary values are also counted a hundredth.",
    ),
    Patient(
        "imbalance_poisson",
        Imbalance.name,
        "strong",
        partial(poisson, 4.0, points=128),
        {**DEEPER, **PLAIN},
        True,
        "The paper's Poisson problem, a = 4, equal weights: rates thousands of times apart.",
        DEEPER,
    ),
    Patient(
        "imbalance_wave",
        Imbalance.name,
        "strong",
        partial(wave, 2.0),
        {**PLAIN, **LONGER},
        True,
        "The wave equation with c = 2 and equal weights: c² stands before the second derivative.",
        LONGER,
    ),
]

SPECTRAL_BIAS = [
    Patient(
        "spectral_relaxation",
        SpectralBias.name,
        "mild",
        partial(multiscale_relaxation, 20),
        {},
        True,
        "Ten periods beside one, balanced weights, 200 points: the steps do not reach the fast part.",
        twin_problem=partial(multiscale_relaxation, 3),
        cure={"fourier_features": 20, "fourier_scale": 1.25},
    ),
    Patient(
        "spectral_relaxation_strong",
        SpectralBias.name,
        "strong",
        partial(multiscale_relaxation, 40),
        {},
        True,
        "The same with twenty periods.",
        twin_problem=partial(multiscale_relaxation, 3),
        cure={"fourier_features": 20, "fourier_scale": 2.5, **LONGER},
    ),
    Patient(
        "spectral_poisson",
        SpectralBias.name,
        "mild",
        partial(multiscale_poisson, 20),
        {},
        True,
        "A Poisson problem with ten periods of a tenth of the amplitude beside one.",
        twin_problem=partial(multiscale_poisson, 3),
        cure=NATURAL,
    ),
    Patient(
        "spectral_helmholtz",
        SpectralBias.name,
        "strong",
        partial(helmholtz, 8.0, 8.0, points=400),
        {},
        False,
        "Four periods in each of two dimensions, where 3,000 steps reach one; no cure is known.",
        twin_problem=partial(helmholtz, 1.0, 1.0, points=400),
    ),
]

STEP_SIZE = [
    Patient(
        "step_small_heat",
        StepSize.name,
        "mild",
        heat,
        {"learning_rate": 1e-5},
        True,
        "Adam's learning rate is a thousandth of one that trains.",
    ),
    Patient(
        "step_small_poisson",
        StepSize.name,
        "strong",
        poisson,
        {"learning_rate": 1e-6},
        True,
        "Adam's learning rate is 1e-6: 3,000 steps move no parameter by more than 0.003.",
    ),
    Patient(
        "step_large_heat",
        StepSize.name,
        "mild",
        heat,
        {"learning_rate": 0.3, "decay_rate": 1.0},
        True,
        "Adam moves every parameter by up to 0.3 a step, to the end.",
    ),
    Patient(
        "step_large_poisson",
        StepSize.name,
        "strong",
        poisson,
        {"learning_rate": 1.0},
        True,
        "Adam moves every parameter by up to 1 a step: the units saturate at once.",
    ),
    Patient(
        "step_descent",
        StepSize.name,
        "mild",
        decay,
        {**DESCENT, "learning_rate": 0.15},
        True,
        "Gradient descent some six times above its largest stable step.",
        {**DESCENT, "learning_rate": 0.01},
    ),
    Patient(
        "step_descent_strong",
        StepSize.name,
        "strong",
        heat,
        {**DESCENT, "learning_rate": 1.0},
        True,
        "Gradient descent some thirty times above its largest stable step.",
        {**DESCENT, "learning_rate": 0.015},
    ),
]

SMALL = {"width": 3, "depth": 1}
SMALLEST = {"width": 2, "depth": 1}
CONFLICT = [
    Patient(
        "conflict_helmholtz",
        Conflict.name,
        "mild",
        helmholtz,
        SMALL,
        True,
        "Three units cannot have both the boundary values and the equation: gains of one cost the other.",
    ),
    Patient(
        "conflict_helmholtz_strong",
        Conflict.name,
        "strong",
        helmholtz,
        SMALLEST,
        True,
        "The same with two units.",
    ),
    Patient(
        "conflict_heat",
        Conflict.name,
        "mild",
        heat,
        SMALL,
        True,
        "Three units for the initial values, the walls and the heat equation.",
    ),
    Patient(
        "conflict_poisson",
        Conflict.name,
        "strong",
        partial(poisson, 2.0),
        SMALLEST,
        True,
        "Two units for the wave sin(2πx), whose second derivative also has to fit.",
    ),
]

CAUSALITY = [
    Patient(
        "causality_logistic",
        Causality.name,
        "mild",
        partial(logistic, 5.0, 0.1),
        {},
        True,
        "Growth from 0.1 to 0.94: late times settle at the rest point 0, which also has no residual, "
        "before the start has reached them.",
        twin_problem=partial(logistic, 1.0, 0.1),
        cure={"hard": True},
    ),
    Patient(
        "causality_logistic_strong",
        Causality.name,
        "strong",
        partial(logistic, 15.0, 0.01),
        {},
        True,
        "The same fifteen growth times long, from 0.01.",
        twin_problem=partial(logistic, 1.0, 0.1),
        cure=NATURAL,
    ),
    Patient(
        "causality_convection",
        Causality.name,
        "mild",
        partial(convection, 15.0),
        {},
        True,
        "Transport over 2.4 periods: far from t = 0 a constant has no residual, and is taken first.",
        twin_problem=partial(convection, 1.0),
        cure={**NATURAL, "hard": True},
    ),
    Patient(
        "causality_convection_strong",
        Causality.name,
        "strong",
        partial(convection, 30.0),
        {},
        True,
        "Transport over 4.8 periods.",
        twin_problem=partial(convection, 1.0),
        cure={
            **NATURAL,
            "hard": True,
            "activation": jnp.sin,
            "steps": 600,
            "points": {"residual": 1000},
        },
    ),
]

CASES = [*IMBALANCE, *SPECTRAL_BIAS, *STEP_SIZE, *CONFLICT, *CAUSALITY]
