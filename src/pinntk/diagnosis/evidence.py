"""The measurements of one PINN: several draws, each before and after a short training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pinntk.diagnosis.baseline import Baseline, extrapolated
from pinntk.diagnosis.finding import Proposal, Remedy
from pinntk.diagnosis.forecast import Forecast
from pinntk.diagnosis.measures import Measures
from pinntk.diagnosis.subject import AbstractSubject
from pinntk.problem import Problem
from pinntk.training import Setup, Training

if TYPE_CHECKING:
    from pinntk.diagnosis.findings.not_finite import NotFiniteAt

T = TypeVar("T")

#: A relative error above this is a failure: it is seen in a plot of the solution.
FAILED = 0.05
#: What more than half of the draws show is found.
MAJORITY = 0.5
#: If an error remains that no cause explains, two draws in five are enough, but never a single one; and
#: half an order of magnitude is enough where a threshold asks for one.
HINT, HALF_ORDER = 0.3, math.sqrt(10)
#: Rates within this factor of each other are called balanced: the slowest condition then needs less
#: than ten times the steps of the fastest, which a reasonable budget has to spare.
BALANCED = 10.0
#: A loss predicted to keep more than this share is called stuck: not one decimal order in the budget.
STUCK = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What findings judge. `before` and `after` hold one entry per draw.

    `setup` is what was examined; `forecast` that of the first draw, None where a condition has no
    gradient at all; `midway_rates` are tr(K_kk)/N_k of the first draw at the baseline's middle row,
    empty where it had diverged; `alternatives` are tuned setups of the same problem by name;
    `not_finite` says which draws were left out because a residual had no value. In a `second_look`
    thresholds are lower.
    """

    setup: Setup
    subject: AbstractSubject
    before: Sequence[Measures]
    after: Sequence[Measures]
    baseline: Baseline
    forecast: Forecast | None
    midway_rates: Mapping[str, float]
    counts: Mapping[str, int]
    parameters: int
    parameter_rms: float
    alternatives: Mapping[str, Setup] = dataclasses.field(default_factory=dict)
    not_finite: NotFiniteAt | None = None
    second_look: bool = False
    _kept: dict[Any, Any] = dataclasses.field(default_factory=dict)

    @property
    def problem(self) -> Problem:
        """The problem that was trained, without the conditions that its model meets by construction."""
        return self.subject.problem

    @property
    def training(self) -> Training:
        """The training that is planned."""
        return self.subject.training

    def measured(self, what: Callable[[Evidence], T]) -> T:
        """A measurement that only one finding asks for, made once for both looks."""
        if what not in self._kept:
            self._kept[what] = what(self)
        return self._kept[what]

    def proposals(self, *remedies: Remedy) -> tuple[Proposal, ...]:
        """The proposals of those remedies that apply."""
        made = (remedy(self.setup, self) for remedy in remedies)
        return tuple(proposal for proposal in made if proposal is not None)

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
        decline, shares = self.decline(draw), self.after[draw].linearized.shares
        return {name: shares[name] * math.sqrt(decline[name]) for name in shares}

    def error(self, draw: int) -> float:
        """The relative error expected at the planned step: today's, less what the losses still fall."""
        today = self.after[draw].linearized
        total = math.sqrt(sum(share**2 for share in today.shares.values()))
        left = math.sqrt(sum(error**2 for error in self.errors(draw).values()))
        return today.error * (left / total if total > 0 else 0.0)

    def stuck(self, draw: int) -> list[str]:
        """The conditions that are expected to leave more than `FAILED`, the worst first.

        None where too little of the training was seen to expect anything.
        """
        if not self.baseline.told:
            return []
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
        """Whether this share of the draws is enough for a finding."""
        return share > (max(HINT, 1.5 / self.draws) if self.second_look else MAJORITY)

    def orders(self, factor: float) -> float:
        """What a factor of decimal orders is in this look."""
        return factor / HALF_ORDER if self.second_look else factor

    def median(self, value: Callable[[int], float]) -> float:
        """The median over the draws."""
        return float(np.median([value(i) for i in range(self.draws)]))
