"""A short training of several draws at once: the baseline of a diagnosis."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from pinntk.diagnosis.subject import AbstractSubject
from pinntk.problem import Model
from pinntk.training import Look, Training

#: Rows of history; their steps are spread evenly in the logarithm.
ROWS = 24
#: The row at which rates are looked at on the way.
HALF = ROWS // 2
#: A training that was stopped before this share of the steps that it was to take says nothing.
TOLD = 0.5


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Some steps of the planned training, from every draw; arrays are (rows, draws).

    `losses` and `held_out` are unweighted means of r² by condition, on the points trained on and on
    others. `models` are those at the end, or the last finite ones; `midway` the first draw's at row
    `middle`. `diverged` says which draws lost their finite losses. `asked` are the steps that it was to
    take, of those `planned`; `points` the most that a condition was trained on, None for all.
    """

    steps: tuple[int, ...]
    planned: int
    asked: int
    points: int | None
    losses: Mapping[str, Float[np.ndarray, "rows draws"]]
    weights: Mapping[str, Float[np.ndarray, "rows draws"]]
    held_out: Mapping[str, Float[np.ndarray, "rows draws"]]
    errors: Float[np.ndarray, "rows draws"] | None
    models: tuple[Model, ...]
    midway: Model
    middle: int
    diverged: tuple[bool, ...]
    seconds: float

    @property
    def done(self) -> int:
        """The last step that was taken."""
        return self.steps[-1]

    @property
    def told(self) -> bool:
        """Whether enough steps were seen to speak of training; a draw that diverged has told."""
        return self.done >= TOLD * self.asked or all(self.diverged)


def rows_of(steps: int) -> list[int]:
    """The steps of the rows: 0, and then evenly spread in the logarithm up to `steps`."""
    return sorted({0, *np.unique(np.geomspace(1, steps, ROWS).round().astype(int)).tolist()})


def run_baseline(
    subject: AbstractSubject,
    training: Training,
    steps: int,
    *,
    points: int | None = None,
    deadline: float = math.inf,
) -> Baseline:
    """Train all draws at once for `steps` of the planned steps, on so many `points` of a condition.

    At the first row after the `deadline`, a reading of `time.perf_counter`, it stops.
    """
    began = time.perf_counter()
    looks: list[Look] = []
    good: list[Look] = []  # for each draw, the last look at which it was finite
    middle: list[Look] = []
    for look in subject.train(training, rows_of(steps), points):
        looks.append(look)
        good = good or [look] * len(look.finite)
        good = [look if ok else old for ok, old in zip(look.finite, good, strict=True)]
        middle = [*middle, good[0]][: HALF + 1]
        if not look.finite.any() or time.perf_counter() > deadline:
            break

    def column(what: Callable[[Look], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        names = what(looks[0])
        return {
            name: np.array([np.asarray(what(look)[name], np.float64) for look in looks])
            for name in names
        }

    errors = [look.errors for look in looks if look.errors is not None]
    return Baseline(
        steps=tuple(look.step for look in looks),
        planned=training.steps,
        asked=steps,
        points=points,
        losses=column(lambda look: look.losses),
        weights=column(lambda look: look.weights),
        held_out=column(lambda look: look.held_out),
        errors=np.array(errors) if errors else None,
        models=tuple(subject.member(look, i) for i, look in enumerate(good)),
        midway=subject.member(middle[-1], 0),
        middle=min(HALF, len(looks) - 1),
        diverged=tuple(bool(not ok) for ok in looks[-1].finite),
        seconds=time.perf_counter() - began,
    )


def weights_at(baseline: Baseline, row: int, draw: int) -> Mapping[str, float]:
    """The loss weights in force at a row."""
    return {name: float(values[row, draw]) for name, values in baseline.weights.items()}


def extrapolated(steps: Sequence[int], losses: Float[np.ndarray, " rows"], planned: int) -> float:
    """The loss at the planned step, on the power law of the later half of the rows.

    A loss that rises is taken to stay: a power law is for what falls. The fit is Theil's median of
    slopes, which one wild row does not bend.
    """
    half = len(steps) // 2
    x = np.log(np.maximum(np.asarray(steps[half:], float), 1.0))
    y = np.log(np.maximum(losses[half:], np.finfo(float).tiny))
    if len(x) < 2 or not np.isfinite(y).all():
        return float(losses[-1])
    i, j = np.triu_indices(len(x), 1)
    slope = float(np.median((y[j] - y[i]) / (x[j] - x[i])))
    level = float(np.median(y - slope * x))
    now = np.exp(level + slope * x[-1])
    return float(now * (planned / max(steps[-1], 1)) ** min(slope, 0.0))
