"""A remedy for fields and residuals far from order one: the dimensionless form of a setup."""

from __future__ import annotations

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import Proposal
from pinntk.problem import scales
from pinntk.training import Network, Setup, nondimensional
from pinntk.words import listed, number


def nondimensionalize(setup: Setup, evidence: Evidence) -> Proposal | None:
    """The setup in dimensionless form; None where its fields and residuals are of order one already.

    None too for a network of one's own, whose outputs cannot be scaled from here.
    """
    del evidence
    if not isinstance(setup.network, Network):
        return None
    changed = nondimensional(setup)
    if changed is setup:
        return None
    found = scales(setup.problem)
    fields = [
        f"{name} in steps of {number(float(size.scale))} about {number(float(size.shift))}"
        for name, size in found.fields.items()
    ]
    return Proposal(
        f"Solve in dimensionless form, {listed(fields)}: the model still answers in your units.",
        changed,
        "pk.nondimensional(setup)",
    )
