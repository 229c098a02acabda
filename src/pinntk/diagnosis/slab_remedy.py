"""Remedies for long times: the problem solved in slabs of time, by the natural gradient or as planned."""

from __future__ import annotations

import math

from pinntk.diagnosis.code import changed_code, replaced
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import Proposal
from pinntk.diagnosis.periods import periods
from pinntk.diagnosis.remedies import NATURAL
from pinntk.errors import PinntkError
from pinntk.optim import SecondOrder
from pinntk.training import Network, Setup, TimeSlabs, check_marchable, natural_setup

#: So many slabs a first-order optimizer begins with: in a tenth of the time little happens before the
#: start has been learned.
SLABS = 10
#: Periods in one of them, at most: a plain network learns half a wave fast.
PERIODS = 0.5


def time_slabs(setup: Setup, evidence: Evidence | None = None) -> Proposal | None:
    """The natural gradient in slabs of time, as tuned for the problem or with its default settings.

    None where the training has slabs already, and where a problem cannot be solved in slabs: it has no
    time `t`, a condition at a later instant, or an unknown coefficient. All conditions are terms of the
    loss, also those that could be built in: what holds at the first instant is carried on.
    """
    if not _marchable(setup):
        return None
    tuned = None if evidence is None else evidence.alternatives.get(NATURAL)
    start = tuned or natural_setup(setup.problem)
    changed = _in_slabs(start, TimeSlabs())
    if tuned is not None:
        code = changed_code(setup, changed)
    else:
        setup_code = "pk.natural_setup(problem)"
        training = f"{setup_code}.training.replace(slabs=pk.TimeSlabs())"
        code = replaced(setup_code, training=training)
    return Proposal(
        "Solve in slabs of time, each from the end of the one before, by the natural gradient.",
        changed,
        code,
    )


def equal_slabs(setup: Setup, evidence: Evidence) -> Proposal | None:
    """The training as planned in each of some equal slabs of time, for a first-order optimizer.

    A tolerance of the residual, as `TimeSlabs()` has it, is out of its reach. None where `time_slabs` is.
    """
    if isinstance(setup.training.optimizer.kind, SecondOrder) or not _marchable(setup):
        return None
    count = slabs_for(evidence.measured(periods).along.get("t", 0.0))
    changed = _in_slabs(setup, TimeSlabs(count))
    return Proposal(
        f"Solve in {count} slabs of time, each from the end of the one before; train in each as planned.",
        changed,
        changed_code(setup, changed),
        "equal-slabs",
    )


def slabs_for(turns: float) -> int:
    """How many equal slabs a solution of so many periods in time gets."""
    return max(SLABS, math.ceil(turns / PERIODS))


def _marchable(setup: Setup) -> bool:
    """Whether the problem can be solved in slabs of time, and the training has none."""
    try:
        check_marchable(setup.problem)
    except PinntkError:
        return False
    return setup.training.slabs is None


def _in_slabs(setup: Setup, slabs: TimeSlabs) -> Setup:
    """The setup in slabs; what was built in holds at the first instant alone, and becomes a term again."""
    if isinstance(setup.network, Network) and setup.network.hard:
        setup = setup.replace(network=setup.network.replace(hard=False))
    return setup.replace(training=setup.training.replace(slabs=slabs))
