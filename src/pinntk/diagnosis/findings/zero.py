"""Conditions that a field of zero meets, though another is wanted."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, NamedTuple

import numpy as np

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.stated import (
    Zero,
    domain_points,
    in_place,
    looked_at,
    residuals_of,
    start_coefficients,
    true_coefficients,
    values_of,
)
from pinntk.training import Setup
from pinntk.words import number

#: Of a residual before training: what rounding leaves of one that vanishes, sin(π) = 1e-16 for instance.
ROUNDING = 1e-9
#: Values of all draws that agree so well are put there by the model's construction, not by chance.
AGREED = 1e-5


class Homogeneous(NamedTuple):
    """All conditions vanish at u = 0. `size` is the rms of the solution that is given, None without one."""

    size: float | None


@dataclasses.dataclass(frozen=True)
class ZeroSolves(AbstractFinding):
    """u = 0 meets every condition, and training goes there.

    The residuals of the zero field are computed at the points of all conditions, with the coefficients
    that are declared true, or their start. A network that cannot be zero, because all draws have the same
    values somewhere by construction, is not accused.
    """

    name: ClassVar[str] = "zero solves it"

    def judge(self, evidence: Evidence) -> Found | None:
        found = evidence.measured(zero_solves)
        if found is None or found.size == 0:
            return None
        given = found.size is not None
        asked = (
            f"the solution that is given, of size {number(found.size)}, is only one of many"
            if given
            else "if another solution is wanted, nothing asks for it"
        )
        return Found(
            self.name,
            Severity.SEVERE if given else Severity.MODERATE,
            1.0,
            f"Zero solves it: u = 0 meets all conditions, so training ends there; {asked}.",
            "All conditions are homogeneous: they hold for every multiple of a solution, zero among them.",
            {
                "residual of u = 0": 0.0,
                "size of the given solution": number(found.size) if given else "none",
            },
            "maps",
            evidence.proposals(ask_for_size),
        )


def zero_solves(evidence: Evidence) -> Homogeneous | None:
    """Whether zero meets all conditions, and can be reached."""
    problem, draws = evidence.setup.problem, evidence.subject.draws
    batch = looked_at(problem)
    coefficients = true_coefficients(problem) or start_coefficients(draws[0].model)
    zero = residuals_of(problem, in_place(problem, Zero(len(problem.fields)), coefficients), batch)
    if len(zero) < len(problem.conditions):
        return None
    start = residuals_of(problem, draws[0].model, batch)
    for name, r in zero.items():
        size = np.nanmax(np.abs(start[name])) if name in start else 0.0
        if not np.max(np.abs(r)) <= ROUNDING * size:
            return None
    inside = domain_points(problem)
    fields = [values_of(problem, draw.model, inside) for draw in draws]
    if any(values is None for values in fields) or _is_held(np.array(fields)):
        return None
    if problem.solution is None:
        return Homogeneous(None)
    values = values_of(problem, problem.solution, inside)
    return Homogeneous(None if values is None else float(np.sqrt(np.nanmean(values**2))))


def _is_held(fields: np.ndarray) -> bool:
    """Whether draws (draws, n, fields) have the same value, which is not zero, at some point."""
    if len(fields) < 2:
        return False
    mean, spread = np.abs(fields.mean(axis=0)), np.ptp(fields, axis=0)
    return bool(np.any((spread < AGREED * mean) & (mean > AGREED * np.abs(fields).max())))


def ask_for_size(setup: Setup, evidence: Evidence) -> Proposal:
    """A condition that zero does not meet."""
    del evidence
    u = setup.problem.fields[0]
    value = "u" if len(setup.problem.fields) == 1 else f'u["{u}"]'
    return Proposal(
        "Ask for a norm, a value or a slope that zero does not have: the integral of u² = 1 by nodes and "
        "weights of a quadrature, in a condition at one point.",
        None,
        f'pk.Condition("norm", lambda u, p: jnp.sum(weights * jax.vmap({value})(nodes) ** 2) - 1, '
        "corner, 1)",
    )
