"""A network that is too small: conditions that are fitted alone but not together, or not at all."""

from __future__ import annotations

import dataclasses
import math
import statistics
from typing import ClassVar

from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.evidence import STUCK, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.findings.joint import Opposition, opposition, rank_is_full
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.training import Network, Setup
from pinntk.words import percent


@dataclasses.dataclass(frozen=True)
class Conflict(AbstractFinding):
    """Conditions that are fitted alone but not together, or a residual that stays and that no change of the
    parameters removes, where all of them are in use.
    """

    name: ClassVar[str] = "conflict"
    needs_training: ClassVar[bool] = True

    #: What of a residual must be out of the parameters' reach: most of it.
    beyond: float = 0.5

    def judge(self, evidence: Evidence) -> Found | None:
        if not rank_is_full(evidence):
            return None
        opposed = opposition(evidence) or self._beyond(evidence)
        if opposed is None:
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

    def _beyond(self, e: Evidence) -> Opposition | None:
        """A residual that stays, most of which no change of the parameters would remove."""

        def found(i: int) -> list[str]:
            beyond = e.after[i].linearized.beyond
            kept = {name: _kept(e, i, name) for name in beyond}
            return [k for k in kept if beyond[k] > self.beyond and kept[k] > e.orders(STUCK)]

        share = e.share(lambda i: not e.baseline.diverged[i] and bool(found(i)))
        if not e.enough(share):
            return None
        names = [name for i in range(e.draws) for name in found(i)]
        name = statistics.mode(names)
        beyond = e.median(lambda i: e.after[i].linearized.beyond[name])
        kept = e.median(lambda i: _kept(e, i, name))
        lead = (
            f"{percent(kept)} of the residual of '{name}' is left (rms), of which no change of the "
            f"parameters would remove more than {percent(max(1 - beyond, 0.0))}"
        )
        measured = {
            "share of the residual that no change of the parameters removes": beyond,
            "residual that is left, over that at the start (rms)": kept,
            "rank of the kernel": e.median(lambda i: e.after[i].reach.rank),
            "parameters": e.parameters,
        }
        return Opposition(share, lead, measured)


def _kept(e: Evidence, draw: int, name: str) -> float:
    """The residual at the end of the short training over that at the start, as root mean squares."""
    losses = e.baseline.losses[name][:, draw]
    return math.sqrt(losses[-1] / losses[0]) if losses[0] > 0 else 0.0


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
