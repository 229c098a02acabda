"""All that was seen of one PINN: several draws, each before and after a short training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pinntk.diagnosis.baseline import Baseline, extrapolated
from pinntk.diagnosis.contradiction import Clash
from pinntk.diagnosis.first_look import BALANCED
from pinntk.diagnosis.measures import Measures
from pinntk.problem import Problem
from pinntk.recipe import Recipe

#: A relative error above this is a failure: it is seen in a plot of the solution.
FAILED = 0.05
#: What more than half of the draws show is found.
MAJORITY = 0.5
#: Where an error stays and no cause is found so, one that two draws in five show is named, never one that
#: a single draw shows; and half an order will do where a threshold asks for one.
HINT, HALF_ORDER = 0.3, math.sqrt(10)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the rules judge. `before` and `after` hold one entry for each draw.

    `midway_rates` are tr(K_kk)/N_k of the first draw at the baseline's middle row, empty where it had
    diverged; `product_error` is that of a matrix product in the model's precision; `smaller_step` the
    factor by which a tenth of the step lowers the loss at the end of the baseline, None where that was
    not tried. In a `second_look` the rules are content with less.
    """

    problem: Problem
    recipe: Recipe
    before: Sequence[Measures]
    after: Sequence[Measures]
    baseline: Baseline
    clash: Clash | None
    midway_rates: Mapping[str, float]
    product_error: float
    smaller_step: float | None
    counts: Mapping[str, int]
    parameters: int
    parameter_rms: float
    second_look: bool = False

    @property
    def residuals(self) -> Mapping[str, int]:
        """How many residuals each condition is trained on."""
        seen = self.before[0]
        each = {name: seen.rows[name] // len(seen.batch[name].points) for name in self.counts}
        return {name: each[name] * count for name, count in self.counts.items()}

    @property
    def draws(self) -> int:
        """How many networks and sets of points were looked at."""
        return len(self.before)

    def decline(self, draw: int) -> dict[str, float]:
        """Each loss at the planned step over that at the end of the baseline, by its power law."""
        found = {}
        for name, losses in self.baseline.losses.items():
            values = losses[:, draw]
            end = extrapolated(self.baseline.steps, values, self.baseline.planned)
            found[name] = min(1.0, end / float(values[-1])) if values[-1] > 0 else 0.0
        return found

    def errors(self, draw: int) -> dict[str, float]:
        """The relative error that each condition's residual is expected to leave at the planned step."""
        decline, shares = self.decline(draw), self.after[draw].linearised.shares
        return {name: shares[name] * math.sqrt(decline[name]) for name in shares}

    def error(self, draw: int) -> float:
        """The relative error expected at the planned step: today's, less what the losses still fall."""
        today = self.after[draw].linearised
        total = math.sqrt(sum(share**2 for share in today.shares.values()))
        left = math.sqrt(sum(error**2 for error in self.errors(draw).values()))
        return today.error * (left / total if total > 0 else 0.0)

    def stuck(self, draw: int) -> list[str]:
        """The conditions that are expected to leave more than `FAILED`, the worst first."""
        if self.baseline.diverged[draw]:
            return list(self.problem.names)
        found = self.errors(draw)
        if not self.error(draw) > FAILED:
            return []
        worst = max(found.values())
        behind = [n for n, e in found.items() if e > FAILED and e * BALANCED > worst]
        return sorted(behind, key=lambda name: -found[name])

    def share(self, holds: Callable[[int], bool]) -> float:
        """The share of the draws in which something holds."""
        return sum(bool(holds(i)) for i in range(self.draws)) / self.draws

    def enough(self, share: float) -> bool:
        """Whether so many of the draws are to be believed."""
        return share > (max(HINT, 1.5 / self.draws) if self.second_look else MAJORITY)

    def orders(self, factor: float) -> float:
        """What a factor of decimal orders is in this look."""
        return factor / HALF_ORDER if self.second_look else factor

    def median(self, value: Callable[[int], float]) -> float:
        """The median over the draws."""
        return float(np.median([value(i) for i in range(self.draws)]))


def weights_of(baseline: Baseline, row: int, draw: int) -> Mapping[str, float]:
    """The loss weights in force at a row."""
    return {name: float(values[row, draw]) for name, values in baseline.weights.items()}
