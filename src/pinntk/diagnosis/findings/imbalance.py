"""Conditions that converge at different rates."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping
from typing import ClassVar

from pinntk.diagnosis.baseline import weights_at
from pinntk.diagnosis.evidence import BALANCED, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Severity
from pinntk.diagnosis.remedies import algorithm_1, build_in, natural_gradient
from pinntk.optim import SecondOrder
from pinntk.words import percent, times


@dataclasses.dataclass(frozen=True)
class Imbalance(AbstractFinding):
    """Average rates that differ, under the weights in force."""

    name: ClassVar[str] = "imbalance"
    needs_training: ClassVar[bool] = True

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        second_order = isinstance(e.training.optimizer.kind, SecondOrder)
        if second_order or len(e.problem.names) == 1:
            return None
        rates = [_rates(e, i) for i in range(e.draws)]

        def behind(i: int) -> list[str]:
            fastest = max(rates[i].values())
            return [n for n in e.stuck(i) if rates[i][n] * e.orders(BALANCED) < fastest]

        share = e.share(lambda i: _spread(rates[i]) > e.orders(BALANCED))
        if not e.enough(share):
            return None
        slowest = min(rates[0], key=lambda n: rates[0][n])
        left = e.share(lambda i: bool(behind(i)))
        severe = e.enough(left)
        names = [n for i in range(e.draws) for n in behind(i)]
        worst = statistics.mode(names) if severe else slowest
        # The sentence and its numbers are about one pair: the condition that is left behind, where one
        # is, and the one that is the fastest in most draws.
        first = [max(each, key=lambda n: each[n]) for each in rates]
        others = [name for name in first if name != worst]
        fastest = statistics.mode(others)
        ratio = e.median(lambda i: _over(rates[i][fastest], rates[i][worst]))
        kept = e.median(lambda i: e.errors(i)[worst])
        measured = {
            f"rate of '{fastest}' over that of '{worst}'": ratio,
            "rate of the fastest over the slowest": e.median(lambda i: _spread(rates[i])),
            "the same before training, without weights": e.median(
                lambda i: _spread(e.before[i].rates)
            ),
            f"relative error that '{worst}' is expected to leave": kept,
            f"left of '{worst}' by the kernel, weights as given": e.median(
                lambda i: e.before[i].reach.given[worst]
            ),
            f"left of '{worst}' by the kernel, equal rates": e.median(
                lambda i: e.before[i].reach.balanced[worst]
            ),
        }
        end = (
            f", and is left behind: an error of {percent(kept)} is expected to stay."
            if severe
            else ", which costs steps but lets it follow."
        )
        return Found(
            self.name,
            Severity.SEVERE if severe else Severity.MODERATE,
            left if severe else share,
            f"Imbalance: the condition '{worst}' converges about {times(ratio)} slower than "
            f"'{fastest}'{end}",
            "Gradient descent fits what the kernel makes fast and leaves the rest; the weights decide "
            "which.",
            measured,
            "rates",
            e.proposals(algorithm_1, build_in, natural_gradient),
        )


def _rates(e: Evidence, draw: int) -> dict[str, float]:
    """The weighted rates when they differ more: with weights that are set anew, that is the end."""
    weights = weights_at(e.baseline, -1, draw)
    after = {n: w * e.after[draw].rates[n] for n, w in weights.items()}
    if e.training.weighting.every is not None:
        return after
    weights = weights_at(e.baseline, 0, draw)
    before = {n: w * e.before[draw].rates[n] for n, w in weights.items()}
    return max(before, after, key=_spread)


def _over(fast: float, slow: float) -> float:
    return fast / slow if slow > 0 else math.inf


def _spread(rates: Mapping[str, float]) -> float:
    values = [rate for rate in rates.values() if rate > 0]
    return max(values) / min(values) if values else 1.0
