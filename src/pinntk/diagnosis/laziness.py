"""How far the kernel would move along its own forecast, and so whether to trust the forecast."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pinntk.diagnosis.reach import Descent
from pinntk.diagnosis.subject import AbstractSubject
from pinntk.problem import Batch, Model

#: A forecast is void where the weighted kernel has changed by this share: its rates, and with them
#: every number of steps, are then wrong by about as much.
VOID = 0.25
#: The forecast is tried after the planned steps, and then after a third as often as this.
_TRIED = 8


class Laziness(NamedTuple):
    """`change` is ‖K′ − K‖/‖K‖ of the weighted kernel after the planned steps, K′ that at θ + Δθ of the
    forecast; `valid_steps` how many of the planned steps keep it under `VOID`, to a factor of three.
    """

    change: float
    valid_steps: int


def laziness(subject: AbstractSubject, model: Model, batch: Batch, forecast: Descent) -> Laziness:
    """Follow the forecast of gradient descent and look at the kernel there."""
    moving = forecast.moving

    def change(steps: int) -> float:
        way = moving.displacement(forecast.learning_rate, steps)
        root = moving.root
        now = root[:, None] * moving.kernel.matrix * root[None, :]
        there = subject.kernel(subject.moved(model, batch, way), batch)
        then = root[:, None] * there.matrix * root[None, :]
        return float(np.linalg.norm(then - now) / np.linalg.norm(now))

    whole, found = change(forecast.steps), forecast.steps
    if not whole <= VOID:
        for _ in range(_TRIED):
            found //= 3
            if found == 0 or change(found) <= VOID:
                break
        else:
            found = 0
    return Laziness(whole, found)
