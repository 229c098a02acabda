"""Numbers of the kernel and of the last steps that explain an error that stays."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from pinntk.diagnosis.conditioning import (
    MODES,
    alignment,
    curvature,
    effective_dimension,
    kernel_spread,
    promised,
    spread,
)
from pinntk.diagnosis.evidence import MAJORITY, Evidence
from pinntk.diagnosis.fieldkernel import field_kernels
from pinntk.diagnosis.finding import AbstractFinding, Found, Severity
from pinntk.diagnosis.measures import main_condition
from pinntk.words import percent, times


@dataclasses.dataclass(frozen=True)
class Conditioning(AbstractFinding):
    """Whose ill-conditioning slows training, and what a Gauss–Newton step would still give: a note."""

    name: ClassVar[str] = "conditioning"
    #: Numbers for an error that nothing severe explains.
    last: ClassVar[bool] = True
    needs_training: ClassVar[bool] = True

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        share = e.share(lambda i: bool(e.stuck(i)) and not e.baseline.diverged[i])
        if not share > MAJORITY or not all(np.any(m.kernel.matrix) for m in e.after):
            return None
        measured = e.measured(_numbers)
        operator, field = measured[OPERATOR], measured[NETWORK]
        whose = "the equation" if operator > field else "the network"
        return Found(
            self.name,
            Severity.NOTE,
            share,
            f"Conditioning: over {MODES} modes, {whose} makes most of the spread of rates (equation "
            f"{times(operator)}, network {times(field)}). The last steps took "
            f"{percent(measured[GIVEN])} of the loss; a Gauss–Newton step promises "
            f"{percent(measured[PROMISED])}.",
            "Gradient steps slow down by the spread of rates; a step that solves with the kernel does not.",
            measured,
            "spectra",
        )


NETWORK = "spread of the network's rates over its largest modes"
OPERATOR = "spread that the equation adds (generalized eigenvalues)"
PROMISED = "share of the loss that the Gauss–Newton model takes away"
GIVEN = "share of the loss that the last steps took"


def _numbers(e: Evidence) -> dict[str, Any]:
    """Of the first draw where not said otherwise; see docs/diagnosis.md for their meaning."""
    main, alive = (
        main_condition(e.problem),
        [i for i in range(e.draws) if not e.baseline.diverged[i]],
    )
    first = alive[0]
    after, model = e.after[first], e.baseline.models[first]
    points = np.asarray(after.batch[main].points, np.float64)
    spreads = spread(field_kernels(e.problem, points, main)(model), main)
    balanced = after.reach.balanced_descent.moving.modes.eigenvalues
    return {
        NETWORK: spreads.field,
        "spread of the equation's rates over its largest modes": spreads.equation,
        OPERATOR: spreads.operator,
        "effective dimension of the kernel": effective_dimension(balanced),
        "residuals that it was looked for in": len(after.kernel.matrix),
        "parameters": e.parameters,
        PROMISED: float(np.median([promised(e.after[i].reach.descent) for i in alive])),
        GIVEN: float(np.median([_given(e, i) for i in alive])),
        "alignment of the conditions' gradients": float(
            np.median([alignment(e.after[i].cosines) for i in alive])
        ),
        "curvature along the Gauss–Newton step": curvature(
            e.subject, model, after.batch, after.kernel, after.residuals
        ),
        "spread of the kernel over the draws": kernel_spread([m.kernel.matrix for m in e.before]),
    }


def _given(e: Evidence, draw: int) -> float:
    """The decrease of the weighted loss between the last two rows of the short training."""
    rows = [
        sum(
            float(losses[row, draw]) * float(e.baseline.weights[name][-1, draw])
            for name, losses in e.baseline.losses.items()
        )
        for row in (-2, -1)
    ]
    return 1.0 - rows[1] / rows[0] if len(e.baseline.steps) > 1 and rows[0] > 0 else 0.0
