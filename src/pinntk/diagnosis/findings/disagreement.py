"""Conditions that are fitted alone but not together, with parameters to spare."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Severity
from pinntk.diagnosis.findings.contradiction import Contradiction, reconcile
from pinntk.diagnosis.findings.joint import opposition, rank_is_full


@dataclasses.dataclass(frozen=True)
class Disagreement(AbstractFinding):
    """Conditions that are fitted alone but not together, with parameters to spare: judged last of all."""

    name: ClassVar[str] = Contradiction.name
    last: ClassVar[bool] = True
    needs_training: ClassVar[bool] = True

    def judge(self, evidence: Evidence) -> Found | None:
        opposed = opposition(evidence)
        if opposed is None or rank_is_full(evidence):
            return None
        return Found(
            self.name,
            Severity.SEVERE,
            opposed.share,
            f"Contradiction: {opposed.lead}, with parameters to spare.",
            "The conditions seem to describe different solutions: data against equation, say.",
            opposed.evidence,
            "losses",
            evidence.proposals(reconcile),
        )
