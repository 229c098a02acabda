"""Inputs or outputs far from order one."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import ClassVar

from pinntk.diagnosis.asked import field_sizes
from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.measures import Measures
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.diagnosis.scale_remedy import nondimensionalize
from pinntk.training import Network, Setup, unit_scaling
from pinntk.words import listed, number


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

    def certain(self, e: Evidence) -> bool:
        """Whether inputs are off, or fields are by sizes that the problem says: no training is asked."""
        network = e.setup.network
        if isinstance(network, Network) and network.output_scaling is not None:
            return False
        inputs = e.enough(e.share(lambda i: self.inputs_off(e.before[i])))
        return inputs or bool(_far(e.measured(_known_sizes), self.order_one))

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
            e.proposals(rescale_inputs, nondimensionalize, natural_gradient),
        )

    def _outputs(self, e: Evidence) -> Found | None:
        network = e.setup.network
        if isinstance(network, Network) and network.output_scaling is not None:
            return None  # inside, the network is of order one, whatever the solution's unit
        known = e.measured(_known_sizes)
        one = e.orders(self.order_one)
        if e.problem.solution is not None and known and not _far(known, one):
            return None  # what the equation seems to ask for is not what it asks for
        # Of several fields, one can be far off where all together are not.
        several = len(known) == len(e.problem.fields) > 1 and bool(_far(known, one))
        by_field = known if several else {}
        sizes = by_field or {"": e.median(lambda i: _wanted(e, i))}

        def off(i: int, factor: float) -> bool:
            return bool(_far(by_field or {"": _wanted(e, i)}, factor))

        share = e.share(lambda i: off(i, one))
        if not e.enough(share):
            return None
        fails = lambda i: off(i, self.severe) or (off(i, self.order_one) and bool(e.stuck(i)))
        severity = Severity.SEVERE if e.enough(e.share(fails)) else Severity.MODERATE
        far = _far(sizes, one) or sizes
        divided = functools.partial(rescale_outputs, far)
        return Found(
            self.name,
            severity,
            share,
            f"Scaling: {_asked(far)}, while a network starts at order one.",
            "Steps of one size must build outputs of another, and the losses weigh by the square of "
            "the unit.",
            {
                **{_entry(name): size for name, size in sizes.items()},
                "size of the untrained network (rms)": e.median(lambda i: e.before[i].field_rms),
            },
            "maps",
            (e.proposals(nondimensionalize) or e.proposals(divided))
            + e.proposals(natural_gradient),
        )


def _known_sizes(e: Evidence) -> dict[str, float]:
    """The sizes of the fields as far as the solution or the conditions say them.

    Where the conditions alone do, a field is at least as large as the values that they ask for, and it may
    be of order one beside small ones.
    """
    sizes = field_sizes(e.problem, e.subject.draws[0].batch)
    if e.problem.solution is not None:
        return sizes
    return {name: max(size, 1.0) for name, size in sizes.items()}


def _far(sizes: Mapping[str, float], factor: float) -> dict[str, float]:
    """The sizes that are larger or smaller than one by more than this factor."""
    return {name: size for name, size in sizes.items() if not 1 / factor <= size <= factor}


def _asked(sizes: Mapping[str, float]) -> str:
    if "" in sizes:
        return f"the solution asked for is of size {number(sizes[''])}"
    one = len(sizes) == 1
    each = listed([f"{name} of size {number(size)}" for name, size in sizes.items()])
    return f"the field{'' if one else 's'} asked for {'is' if one else 'are'} {each}"


def _entry(name: str) -> str:
    return f"size of {name or 'the solution asked for'} (rms)"


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


def rescale_outputs(sizes: Mapping[str, float], setup: Setup, evidence: Evidence) -> Proposal:
    """Unknowns of order one: those fields whose sizes are given, the only one by an empty name."""
    del evidence
    fields = setup.problem.fields
    named = {name or fields[0]: size for name, size in sizes.items()}
    if "" in sizes and len(fields) > 1:
        text = f"Divide the fields by their sizes: together they are of size {number(sizes[''])}"
    elif len(fields) == 1:
        ((name, size),) = named.items()
        other = "v" if name != "v" else "w"
        text = f"Solve for {other} = {name}/{_power(size)}, whose values are of order one"
    else:
        each = [f"{name}/{_power(size)}" for name, size in named.items()]
        values = "whose values are of order one"
        text = f"Solve for {listed(each)} instead of {listed([*named])}, {values}"
    return Proposal(f"{text}; the natural gradient needs no such change.")


def _power(size: float) -> str:
    """The power of ten next to a size: 1,000, 0.01, 1e20."""
    return number(10.0 ** round(math.log10(size))) if 0 < size < math.inf else "1"
