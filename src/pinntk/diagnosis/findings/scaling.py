"""Inputs or outputs far from order one."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import ClassVar

from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.measures import Measures
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.training import Network, Setup, unit_scaling
from pinntk.words import number


@dataclasses.dataclass(frozen=True)
class Scaling(AbstractFinding):
    """Inputs or outputs far from order one."""

    name: ClassVar[str] = "scaling"

    #: Inputs and outputs are of order one within a decimal order; outputs beyond it are severely off
    #: where they are not reached either.
    order_one: float = 10.0
    #: Outputs beyond two orders are severely off in any case.
    severe: float = 100.0
    #: What the inputs should make of a first unit's argument: less than a twentieth of a unit is a
    #: straight line in float32.
    least_swing: float = 0.05
    #: More than the bend of tanh on either side saturates.
    largest_swing: float = 6.0

    def judge(self, evidence: Evidence) -> Found | None:
        return self._inputs(evidence) or self._outputs(evidence)

    def inputs_off(self, m: Measures) -> bool:
        """Whether what reaches the first layer is far from order one, and its units show it."""
        units = m.units
        swing = units.swing
        odd = swing is None or not self.least_swing <= swing <= self.largest_swing
        return odd and (units.largest > self.order_one or units.half_range < 1 / self.order_one)

    def _inputs(self, e: Evidence) -> Found | None:
        share = e.share(lambda i: self.inputs_off(e.before[i]))
        if not e.enough(share):
            return None
        units = e.before[0].units
        what = (
            f"reach {number(units.largest)}, so that most units are saturated"
            if units.largest > self.order_one
            else f"vary by {number(units.half_range)} only, so that units hardly bend"
        )
        return Found(
            self.name,
            Severity.SEVERE,
            share,
            f"Scaling: the network's inputs {what}.",
            "Initial weights are made for inputs of order one.",
            {
                "largest input": units.largest,
                "smallest half-range of an input": units.half_range,
                "range of a first unit's argument": e.median(
                    lambda i: e.before[i].units.swing or math.nan
                ),
            },
            "maps",
            e.proposals(rescale_inputs, natural_gradient),
        )

    def _outputs(self, e: Evidence) -> Found | None:
        wanted = e.median(lambda i: _wanted(e, i))
        off = lambda i, factor: not 1 / factor <= _wanted(e, i) <= factor
        share = e.share(lambda i: off(i, e.orders(self.order_one)))
        if not e.enough(share):
            return None
        fails = lambda i: off(i, self.severe) or (off(i, self.order_one) and bool(e.stuck(i)))
        severity = Severity.SEVERE if e.enough(e.share(fails)) else Severity.MODERATE
        return Found(
            self.name,
            severity,
            share,
            f"Scaling: the solution asked for is of size {number(wanted)}, while a network starts at "
            "order one.",
            "Steps of one size must build outputs of another, and the losses weigh by the square of "
            "the unit.",
            {
                "size of the solution asked for (rms)": wanted,
                "size of the untrained network (rms)": e.median(lambda i: e.before[i].field_rms),
            },
            "maps",
            e.proposals(functools.partial(rescale_outputs, wanted), natural_gradient),
        )


def _wanted(e: Evidence, draw: int) -> float:
    """Of the sizes asked for before and after the baseline the one that is nearer to one."""
    sizes = [e.before[draw].linearized.wanted_rms, e.after[draw].linearized.wanted_rms]
    return min(sizes, key=lambda size: abs(math.log(size)) if size > 0 else math.inf)


def rescale_inputs(setup: Setup, evidence: Evidence) -> Proposal | None:
    """Inputs on [−1, 1]."""
    del evidence
    text, network = "Map the domain onto [−1, 1] in front of the network.", setup.network
    if not isinstance(network, Network):
        return Proposal(text, None, "pk.InputScaling.to_unit(domain.lower, domain.upper)")
    if network.scaling is unit_scaling and network.input_scale == 1.0:
        return None
    changed = setup.replace(network=network.replace(scaling=unit_scaling, input_scale=1.0))
    return Proposal(text, changed, changed_code(setup, changed), "input-scaling")


def rescale_outputs(wanted: float, setup: Setup, evidence: Evidence) -> Proposal:
    """An unknown of order one."""
    del setup, evidence
    size = number(10 ** round(math.log10(wanted))) if wanted > 0 else "1"
    return Proposal(
        f"Solve for v = u/{size}, whose values are of order one; the natural gradient needs no such "
        "change."
    )
