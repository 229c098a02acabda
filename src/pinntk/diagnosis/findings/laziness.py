"""How far the kernel moves: whether the network is linear in its parameters."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Severity
from pinntk.diagnosis.laziness import VOID
from pinntk.words import percent


@dataclasses.dataclass(frozen=True)
class Laziness(AbstractFinding):
    """How far the kernel moved in the short training: whether the network is linear in its parameters."""

    name: ClassVar[str] = "lazy training"
    needs_training: ClassVar[bool] = True

    #: A network is called lazy where its kernel changed by less than this share.
    void: float = VOID
    #: What a network can learn is said to be decided at the start only after at least this share of the
    #: planned steps: the first steps of any training move the kernel little.
    telling: float = 0.1
    #: And after at least so many steps: Adam at 1e-3 has then moved each parameter by 0.1.
    fewest: int = 100

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence

        def change(i: int) -> float:
            before, after = e.before[i].kernel.matrix, e.after[i].kernel.matrix
            return float(np.linalg.norm(after - before) / np.linalg.norm(before))

        if any(e.baseline.diverged) or not all(np.any(m.kernel.matrix) for m in e.before):
            return None
        moved = e.median(change)
        lazy = moved < self.void
        short = e.baseline.done < max(self.fewest, self.telling * e.baseline.planned)
        if lazy and short:
            return None
        steps = f"in {e.baseline.done:,} steps the kernel changed by {percent(moved)}"
        sentence = (
            f"Lazy training: {steps}, so the network stays near linear and what it can learn was decided "
            "at the start."
            if lazy
            else f"Not lazy: {steps}, so forecasts from the start hold for the first steps only."
        )
        measured = {"change of the kernel over its norm": moved}
        if e.forecast is not None and e.forecast.valid_steps is not None:
            measured["steps that the forecast of gradient descent is good for"] = float(
                e.forecast.valid_steps
            )
        return Found(
            self.name,
            Severity.NOTE,
            e.share(lambda i: (change(i) < self.void) is lazy),
            sentence,
            "A frozen kernel learns its own modes in their own time; a kernel that moves makes new ones.",
            measured,
            "spectra",
        )
