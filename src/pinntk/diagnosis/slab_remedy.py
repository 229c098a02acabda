"""A remedy for long times: the problem solved in slabs of time by the natural gradient."""

from __future__ import annotations

from pinntk.diagnosis.code import changed_code, replaced
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import Proposal
from pinntk.diagnosis.remedies import NATURAL
from pinntk.errors import PinntkError
from pinntk.training import Network, Setup, TimeSlabs, check_marchable, natural_setup


def time_slabs(setup: Setup, evidence: Evidence | None = None) -> Proposal | None:
    """The natural gradient in slabs of time, as tuned for the problem or with its default settings.

    None where the training has slabs already, and where a problem cannot be solved in slabs: it has no
    time `t`, a condition at a later instant, or an unknown coefficient. All conditions are terms of the
    loss, also those that could be built in: what holds at the first instant is carried on.
    """
    try:
        check_marchable(setup.problem)
    except PinntkError:
        return None
    if setup.training.slabs is not None:
        return None
    tuned = None if evidence is None else evidence.alternatives.get(NATURAL)
    start = tuned or natural_setup(setup.problem)
    if isinstance(start.network, Network) and start.network.hard:
        start = start.replace(network=start.network.replace(hard=False))
    changed = start.replace(training=start.training.replace(slabs=TimeSlabs()))
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
