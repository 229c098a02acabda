"""A model that cannot learn."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.findings.scaling import Scaling
from pinntk.diagnosis.measures import Measures, main_condition
from pinntk.diagnosis.remedies import fresh_network, natural_gradient
from pinntk.diagnosis.stated import at_points, derivatives_of, operator_of
from pinntk.training import Setup
from pinntk.words import percent, quoted

#: Points at which the derivatives of an untrained network are looked at.
LOOKS = 32
#: Of the largest slope: a derivative below it is rounding.
FLAT = 1e-6


@dataclasses.dataclass(frozen=True)
class Dead(AbstractFinding):
    """A model that cannot learn: zero kernel blocks, saturated units, a constant field, or one that is
    piecewise linear where the equation asks for second derivatives.
    """

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
        straight = e.measured(_straight)
        if straight:
            sentence = (
                f"The network is piecewise linear: its derivative {straight} is zero at every point, and "
                f"'{main_condition(e.problem)}' asks for it."
            )
            reason = "The activation has no second derivative (ReLU), so that term has no gradient."
            return self._found(e, 1.0, sentence, reason, measured, "maps")
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


def _straight(e: Evidence) -> str | None:
    """A derivative that the equation asks for and that the network does not have; None if it has all.

    The network must have slopes: one that is constant has other troubles.
    """
    problem, network = e.problem, e.subject.draws[0].model
    condition = problem.condition(main_condition(problem))
    if condition.targets is not None or condition.where.given is not None:
        return None
    places = np.asarray(condition.where.uniform(LOOKS), float)
    operator = operator_of(problem, condition.name, network, at_points(places))
    if operator is None:
        return None
    d = len(problem.domain.coordinates)
    slopes = [tuple(int(i == axis) for i in range(d)) for axis in range(d)]
    higher = [index for index in operator.present() if sum(index) >= 2]
    function = getattr(network, "network", network) if problem.coefficients else network
    found = derivatives_of(problem, function, places, [*slopes, *higher])
    largest = max((np.nanmax(np.abs(found[a])) for a in slopes if a in found), default=0.0)
    for index in higher:
        if index in found and largest > 0 and np.nanmax(np.abs(found[index])) <= FLAT * largest:
            names = [name for name, k in zip(problem.domain.coordinates, index, strict=True) if k]
            orders = [k for k in index if k]
            return "".join(f"u_{name * k}" for name, k in zip(names, orders, strict=True))
    return None


def _constancy(m: Measures) -> float:
    return m.field_swing / m.field_rms if m.field_rms > 0 else 0.0
