"""Conditions that ask for different values of the same thing, at a point or as data of another solution."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pinntk.diagnosis.contradiction import Clash, find_clash
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.findings.given_solution import data_alone
from pinntk.training import Setup
from pinntk.words import number, percent


@dataclasses.dataclass(frozen=True)
class Contradiction(AbstractFinding):
    """Conditions that no function can meet together."""

    name: ClassVar[str] = "contradictory conditions"

    #: A clash counts from a hundredth of the residuals on.
    clash: float = 0.01
    #: It is severe from a tenth on: that is the relative error that it forces on the solution nearby.
    severe: float = 0.1

    def judge(self, evidence: Evidence) -> Found | None:
        clash = evidence.measured(_clash)
        if clash is None or clash.relative <= self.clash:
            return self._of_data(evidence)
        severity = Severity.SEVERE if clash.relative > self.severe else Severity.MODERATE
        where = ", ".join(number(value) for value in clash.point)
        pair = (
            f"'{clash.first}' and '{clash.second}'"
            if clash.first != clash.second
            else f"'{clash.first}' with itself"
        )
        sentence = (
            f"Contradiction: at ({where}) the conditions {pair} ask for values that differ by "
            f"{number(clash.gap)}, and no network can meet both."
        )
        reason = "A floor stays on the loss that no weights, optimizer or network can pass."
        measured = {
            "gap": clash.gap,
            "gap over rms residual": clash.relative,
            "point": f"({where})",
        }
        remedies = evidence.proposals(reconcile)
        return Found(self.name, severity, 1.0, sentence, reason, measured, "maps", remedies)

    def _of_data(self, evidence: Evidence) -> Found | None:
        """Data that contradict the other conditions, which the given solution shows to have another one."""
        off = data_alone(evidence)
        if off is None or off.relative <= self.clash:
            return None
        place = off.place(evidence.setup.problem)
        return Found(
            self.name,
            Severity.SEVERE if off.relative > self.severe else Severity.MODERATE,
            1.0,
            f"Contradiction: '{off.name}' is off by {number(off.gap)} at {place}, "
            f"{percent(off.relative)} of the solution's size over it, from the solution that is given and "
            "that meets all other conditions: no network can meet both.",
            "A floor stays on the loss that no weights, optimizer or network can pass.",
            {"largest gap": off.gap, "gap over size": off.relative, "data": off.name},
            "maps",
            evidence.proposals(reconcile),
        )


def _clash(evidence: Evidence) -> Clash | None:
    return find_clash(evidence.subject)


def reconcile(setup: Setup, evidence: Evidence) -> Proposal:
    """Correct the problem: no setting resolves a contradiction."""
    del setup, evidence
    return Proposal(
        "Correct the data or the values where they disagree, or remove one of the conditions there; "
        "a smooth ramp in time removes a jump at a corner.",
        None,
        "pk.dirichlet(name, where, lambda p: ramp(p[1]) * value(p), points)",
    )
