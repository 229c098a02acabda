"""Patients from a generator: illness, equation, strength and geometry at random from a seed.

Whether one of them is sick is decided by training (`clinic.patient.verdict`) and by nothing else. The
rules of the diagnosis were not looked at when the generator was written.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clinic import degenerate, illnesses, own_illnesses
from clinic.illnesses import Illness, Rng, Strength
from clinic.patient import Patient
from pinntk.diagnosis.examination import HEALTHY

#: What makes a patient of each kind, and the failure that a diagnosis should name first.
ILLNESSES: dict[Callable[[Rng, Strength], Illness], str] = {
    illnesses.imbalance: "imbalance",
    illnesses.spectral_bias: "spectral bias",
    illnesses.contradiction: "contradictory conditions",
    illnesses.scaling_of_inputs: "scaling",
    illnesses.scaling_of_outputs: "scaling",
    illnesses.points: "collocation points",
    illnesses.step_size: "step size",
    illnesses.dead_model: "dead model",
    illnesses.conflict: "conflict",
    illnesses.precision: "precision",
    own_illnesses.causality: "causality",
    own_illnesses.coefficients: "coefficients",
    own_illnesses.given_solution: "given solution",
    degenerate.zero_solves_it: "zero solves it",
    degenerate.not_finite: "not finite",
}
#: The share of healthy controls.
CONTROLS = 0.25


def generated(seed: int) -> Patient:
    """The patient of a seed."""
    rng = np.random.default_rng([2026, seed])
    strength: Strength = "mild" if rng.uniform() < 0.5 else "strong"
    make = list(ILLNESSES)[rng.integers(len(ILLNESSES))]
    if rng.uniform() < CONTROLS:
        made = own_illnesses.healthy(rng, strength)
        name = f"g{seed:03d}_healthy_{made.body}"
        return Patient(name, HEALTHY, "none", made.problem, made.changes, False, made.why)
    made = make(rng, strength)
    return Patient(
        f"g{seed:03d}_{make.__name__}_{made.body}",
        ILLNESSES[make],
        strength,
        made.problem,
        made.changes,
        made.treatable,
        made.why,
        made.twin,
        made.twin_problem,
        also=made.also,
    )


# Of each row of seeds: the first two of every illness, and the first ten healthy ones.

#: Forty that were examined once, after which rules changed.
LOOKED_AT: dict[str, Patient] = {
    patient.name: patient
    for patient in map(
        generated,
        (
            *(*range(12), *range(13, 20), *range(21, 26), 27, 29, 30, 31, 34, 35, 41, 42, 43, 51),
            *(56, 57, 60, 66, 67, 94),
        ),
    )
}
#: Forty for the rules as they are now.
GENERATED: dict[str, Patient] = {
    patient.name: patient
    for patient in map(
        generated,
        (
            *(*range(200, 213), 214, 216, 217, *range(219, 228), 229, 230, 232, 242, 243, 246, 248),
            *(255, 258, 263, 264, 270, 271, 272, 273),
        ),
    )
}
