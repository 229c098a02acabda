"""A residual that is fitted late in time while early times are not."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Severity
from pinntk.diagnosis.findings.scaling import Scaling
from pinntk.diagnosis.long_times import LONG_TIMES
from pinntk.diagnosis.remedies import algorithm_1, build_in
from pinntk.words import times

#: Keeps the logarithm of a ratio finite.
_TINY = 1e-30


@dataclasses.dataclass(frozen=True)
class Causality(AbstractFinding):
    """A residual that is fitted late in time while early times are not."""

    name: ClassVar[str] = "causality"
    needs_training: ClassVar[bool] = True

    #: First over last quarter of the mean square residual over time that calls causality violated: an
    #: order, in most draws and in their geometric mean.
    causal: float = 10.0

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        if Scaling().certain(e):  # a network that cannot reach the values fits whatever it can
            return None
        limit = e.orders(self.causal)
        stuck = [i for i in range(e.draws) if e.stuck(i)]
        share = e.share(lambda i: _early_over_late(e, i) > limit and i in stuck)
        # Local fits lie early in one draw and late in another; what follows from time has one direction.
        logarithms = [math.log(max(_early_over_late(e, i), _TINY)) for i in stuck]
        size = math.exp(float(np.mean(logarithms))) if stuck else 1.0
        if not e.enough(share) or size <= limit:
            return None
        return Found(
            self.name,
            Severity.SEVERE,
            share,
            f"Causality: the equation is fitted {times(size)} better late in time than early, though what "
            "is late follows from what is early.",
            "A field that is right for the equation but grew from wrong early values solves nothing.",
            {
                "mean square residual, first quarter of time over last": size,
                "stuck conditions": ", ".join(e.stuck(0)) or "none",
            },
            "maps",
            e.proposals(*LONG_TIMES, build_in, algorithm_1),
        )


def _early_over_late(e: Evidence, draw: int) -> float:
    profile = e.after[draw].profile
    if profile is None:
        return 1.0
    quarter = len(profile) // 4
    early, late = float(profile[:quarter].mean()), float(profile[-quarter:].mean())
    return early / max(late, _TINY)
