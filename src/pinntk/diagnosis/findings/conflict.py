"""Conditions that are fitted alone but not together, for want of parameters."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.findings.joint import opposition, rank_is_full
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.training import Network, Setup


@dataclasses.dataclass(frozen=True)
class Conflict(AbstractFinding):
    """Conditions that are fitted alone but not together, for want of parameters."""

    name: ClassVar[str] = "conflict"
    needs_training: ClassVar[bool] = True

    def judge(self, evidence: Evidence) -> Found | None:
        opposed = opposition(evidence)
        if opposed is None or not rank_is_full(evidence):
            return None
        return Found(
            self.name,
            Severity.SEVERE,
            opposed.share,
            f"Conflict: {opposed.lead}, and all {evidence.parameters} parameters are in use already.",
            "The network is too small to fit all conditions at once.",
            opposed.evidence,
            "losses",
            evidence.proposals(enlarge, natural_gradient),
        )


def enlarge(setup: Setup, evidence: Evidence) -> Proposal:
    """More parameters."""
    network = setup.network
    if not isinstance(network, Network):
        return Proposal(
            f"Use a larger network, with several times its {evidence.parameters} parameters."
        )
    width, depth = max(4 * network.width, 20), max(network.depth, 2)
    changed = setup.replace(network=network.replace(width=width, depth=depth))
    text = f"Use a larger network, {depth} layers of {width}."
    return Proposal(text, changed, changed_code(setup, changed), "larger-network")
