"""All that was seen of one PINN: several draws, each before and after a short training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pinntk.diagnosis.baseline import Baseline, extrapolated
from pinntk.diagnosis.contradiction import Clash
from pinntk.diagnosis.first_look import STUCK
from pinntk.diagnosis.measures import Measures
from pinntk.problem import Problem
from pinntk.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the rules judge. `before` and `after` hold one entry for each draw.

    `dense_learnable` is how many modes of the equation's block the planned steps learn where points are
    plenty, by draw; `smaller_step` the factor by which a tenth of the step lowers the loss at the
    end of the baseline, None where that was not tried.
    """

    problem: Problem
    recipe: Recipe
    before: Sequence[Measures]
    after: Sequence[Measures]
    baseline: Baseline
    clash: Clash | None
    dense_learnable: Sequence[int]
    smaller_step: float | None
    counts: Mapping[str, int]
    parameters: int
    parameter_rms: float

    @property
    def baseline_rows(self) -> Mapping[str, int]:
        """Residuals for every point of a condition, times its points."""
        return {
            name: self.before[0].rows[name]
            // len(self.before[0].batch[name].points)
            * self.counts[name]
            for name in self.problem.names
        }

    @property
    def draws(self) -> int:
        """How many networks and sets of points were looked at."""
        return len(self.before)

    def left(self, draw: int) -> dict[str, float]:
        """The share of its peak that each loss is expected to keep at the planned step."""
        found = {}
        for name, losses in self.baseline.losses.items():
            values = losses[:, draw]
            peak = float(np.nanmax(values))
            end = extrapolated(self.baseline.steps, values, self.baseline.planned)
            found[name] = end / peak if peak > 0 else 0.0
        return found

    def stuck(self, draw: int) -> list[str]:
        """The conditions that are expected to keep more than `STUCK` of their peak."""
        if self.baseline.diverged[draw]:
            return list(self.problem.names)
        return [name for name, share in self.left(draw).items() if not share <= STUCK]

    def share(self, holds: Callable[[int], bool]) -> float:
        """The share of the draws in which something holds."""
        return sum(bool(holds(i)) for i in range(self.draws)) / self.draws

    def median(self, value: Callable[[int], float]) -> float:
        """The median over the draws."""
        return float(np.median([value(i) for i in range(self.draws)]))


def weights_of(baseline: Baseline, row: int, draw: int) -> Mapping[str, float]:
    """The loss weights in force at a row."""
    return {name: float(values[row, draw]) for name, values in baseline.weights.items()}
