"""The rules: from measured numbers to findings. Every threshold has a name and a reason.

A rule returns a finding where the evidence passes its threshold in more than half of the draws; the
share of draws that agree is the finding's confidence.
"""

from collections.abc import Callable

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.findings import Finding
from pinntk.diagnosis.rules.conditions import conflict, contradiction, disagreement, imbalance
from pinntk.diagnosis.rules.course import causality, laziness, points, spectral_bias, step_size
from pinntk.diagnosis.rules.model import dead, precision, scaling

Rule = Callable[[Evidence], Finding | None]

#: The rules that stand for themselves; `findings.ordered` says in which order their findings are told.
RULES: tuple[Rule, ...] = (
    dead,
    contradiction,
    precision,
    scaling,
    step_size,
    points,
    causality,
    conflict,
    imbalance,
    spectral_bias,
    laziness,
)
#: Asked where none of the others has a severe finding: what they find would look the same to them.
LAST_RULES: tuple[Rule, ...] = (disagreement,)

__all__ = ["LAST_RULES", "RULES", "Rule"]
