"""Remedies of what goes wrong over long times."""

from __future__ import annotations

from pinntk.diagnosis.finding import Remedy
from pinntk.diagnosis.remedies import natural_gradient

#: What helps where the time span is too long to be solved at once. Time slabs belong here, first.
LONG_TIMES: tuple[Remedy, ...] = (natural_gradient,)
