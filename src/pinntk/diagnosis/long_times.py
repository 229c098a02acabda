"""Remedies of what goes wrong over long times."""

from __future__ import annotations

from pinntk.diagnosis.finding import Remedy
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.diagnosis.slab_remedy import equal_slabs, time_slabs

#: What helps where the time span is too long to be solved at once.
LONG_TIMES: tuple[Remedy, ...] = (natural_gradient, time_slabs, equal_slabs)
