"""How much an examination does, from the size of the problem alone: the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pinntk.diagnosis.subject import AbstractSubject
from pinntk.optim import SecondOrder
from pinntk.training import Training

#: Draws of network and points; a finding must hold in most of them. Three can still disagree two to one.
DRAWS, FEWER_DRAWS = 5, 3
#: Steps of the short training: enough for Adam to move every parameter of a usual network by its own
#: size at a rate of 1e-3, and a fifth of the 10,000 that a training plans by default.
STEPS = 2000
#: Steps of a second-order optimizer, which has solved the problem by then or follows a valley.
SECOND_ORDER_STEPS = 50
#: Fewer steps than this are no training to judge: Adam at 1e-3 moves a parameter by 0.2 in them, as much
#: as the weights of a layer of 50 vary.
FEWEST_STEPS = 200
FEWEST_SECOND_ORDER_STEPS = 10
#: Points of a condition, of all draws, that the short training takes where more would take too long. 128
#: are as many as the kernels are computed at.
POINTS = (512, 256, 128)
#: Operations of the short training: 15 seconds at 40 GFLOP/s, which one core of 2020 does in float32.
OPERATIONS = 6e11
#: A gradient by reverse mode takes two to four times the operations of the function (Griewank and
#: Walther, Evaluating Derivatives, 2008, section 4.6).
REVERSE = 3.0


class Effort(NamedTuple):
    """What the short training takes: so many draws, points by condition at most (None: all), and steps.

    `operations` is what that comes to.
    """

    draws: int
    points: int | None
    steps: int
    operations: float

    @property
    def seconds(self) -> float:
        """How long that takes at the rate that `OPERATIONS` was set for."""
        return 15.0 * self.operations / OPERATIONS


def effort_of(subject: AbstractSubject, draws: int, steps: int) -> Effort:
    """As many of the draws and steps as `OPERATIONS` allow; fewer points and draws before fewer steps."""
    second_order = isinstance(subject.training.optimizer.kind, SecondOrder)
    most = min(steps, subject.training.steps, SECOND_ORDER_STEPS if second_order else STEPS)
    fewest = min(most, FEWEST_SECOND_ORDER_STEPS if second_order else FEWEST_STEPS)
    each = subject.row_operations()
    given = {c.name for c in subject.problem.conditions if c.where.given is not None}
    rows = {name: len(sample.points) for name, sample in subject.draws[0].batch.items()}
    parameters = subject.parameters(subject.draws[0].model).size

    def step(points: int | None) -> float:
        counts = {n: c if points is None or n in given else min(c, points) for n, c in rows.items()}
        return step_operations(subject.training, each, counts, parameters)

    few = min(draws, FEWER_DRAWS)
    ways = [(draws, None), *((draws, n) for n in POINTS[:-1]), (few, POINTS[-2]), (few, POINTS[-1])]
    largest = max((count for name, count in rows.items() if name not in given), default=0)
    taken = [(count, n if n is not None and n < largest else None) for count, n in ways]
    costs = [count * step(points) for count, points in taken]
    chosen = next((i for i, cost in enumerate(costs) if cost * most <= OPERATIONS), len(costs) - 1)
    (count, points), cost = taken[chosen], costs[chosen]
    affordable = max(fewest, min(most, int(OPERATIONS / cost)))
    return Effort(count, points, affordable, cost * affordable)


def step_operations(
    training: Training, each: Mapping[str, float], counts: Mapping[str, int], parameters: int
) -> float:
    """Operations of a step of one draw: a gradient; of a second-order step, J, its products, and a factor.

    `each` are those of a residual at one of `counts` points, by condition.
    """
    gradient = REVERSE * sum(counts[name] * each[name] for name in counts)
    if not isinstance(training.optimizer.kind, SecondOrder):
        return gradient
    rows = sum(counts.values())
    smaller, larger = sorted((rows, parameters))
    return 2 * gradient + 2.0 * smaller**2 * larger + smaller**3 / 3
