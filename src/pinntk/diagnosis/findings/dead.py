"""A model that cannot learn."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.findings.scaling import Scaling
from pinntk.diagnosis.measures import Measures
from pinntk.diagnosis.remedies import fresh_network, natural_gradient
from pinntk.training import Setup
from pinntk.words import percent, quoted


@dataclasses.dataclass(frozen=True)
class Dead(AbstractFinding):
    """A model that cannot learn: zero kernel blocks, saturated units, a constant field."""

    name: ClassVar[str] = "dead model"

    #: Share of hidden (unit, point) pairs beyond their bend that makes a network dead: most of them.
    saturated: float = 0.5
    #: The field's deviation over its rms, below which it is constant: float32 keeps seven digits of a
    #: value, and three of them are left for what varies.
    constant: float = 1e-4

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        zero = [name for name in e.problem.names if all(m.rates[name] == 0 for m in e.before)]
        saturated = e.median(lambda i: e.before[i].units.saturated or 0.0)
        measured = {
            "conditions without a gradient": ", ".join(zero) or "none",
            "saturated share of hidden units": saturated,
            "deviation of the field over its rms": e.median(lambda i: _constancy(e.before[i])),
        }
        if zero:
            sentence = (
                f"No parameter changes the residual of {quoted(zero)}: its kernel block is zero, so no "
                "training can lower it."
            )
            reason = (
                "The residual does not depend on u where it should, or the activation has no second "
                "derivative (ReLU)."
            )
            return self._found(e, 1.0, sentence, reason, measured, "spectra", zero)
        share = e.share(lambda i: (e.before[i].units.saturated or 0.0) > self.saturated)
        if e.enough(share) and not Scaling().inputs_off(e.before[0]):
            sentence = (
                f"The network is saturated: {percent(saturated)} of its hidden units are in the flat part "
                "of their activation, where gradients vanish."
            )
            reason = "Weights are far too large for the inputs, so units switch instead of bending."
            return self._found(e, share, sentence, reason, measured, "modes")
        flat = e.share(lambda i: _constancy(e.before[i]) < self.constant)
        if e.enough(flat) and e.median(lambda i: _constancy(e.after[i])) < self.constant:
            sentence = "The field is constant over the domain, before and after a short training."
            reason = (
                "The inputs do not reach the output: a zero layer, or units that are all saturated."
            )
            return self._found(e, flat, sentence, reason, measured, "maps")
        return None

    def _found(
        self,
        e: Evidence,
        share: float,
        sentence: str,
        reason: str,
        measured: dict[str, str | float],
        plot: str,
        zero: list[str] | None = None,
    ) -> Found:
        def use_unknown(setup: Setup, evidence: Evidence) -> Proposal | None:
            del setup, evidence
            if not zero:
                return None
            return Proposal(
                f"Check that the residual of {quoted(zero)} calls u, and that nothing in it stops the "
                "gradient: stop_gradient, rounding, a comparison."
            )

        remedies = e.proposals(use_unknown, fresh_network, natural_gradient)
        return Found(self.name, Severity.SEVERE, share, sentence, reason, measured, plot, remedies)


def _constancy(m: Measures) -> float:
    return m.field_swing / m.field_rms if m.field_rms > 0 else 0.0
