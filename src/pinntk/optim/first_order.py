"""First-order methods: any Optax transformation behind `init` and `step`."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from pinntk.errors import PinntkError
from pinntk.optim.optimizer import (
    AbstractOptimizer,
    Adaptive,
    Gradient,
    GradientDescent,
    Parameters,
    Schedule,
    State,
    Step,
    running,
)

#: schedule ↦ transformation
Method = Callable[[Any], optax.GradientTransformation]


@dataclasses.dataclass(frozen=True)
class FirstOrder(AbstractOptimizer):
    """Any Optax gradient transformation: `FirstOrder(optax.lion(1e-4))`, also one that searches a line.

    **Arguments:** `schedule`: the learning rate by step, if the transformation has one; history
    logs it, and the diagnosis reads it. `descent`: whether the step is −η∇L and nothing else.
    `method`: the function of the schedule that made the transformation, such as `optax.adam`, where
    it is known.
    """

    transformation: optax.GradientTransformation
    schedule: Schedule | None = None
    descent: bool = False
    method: Method | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.transformation, optax.GradientTransformation):
            raise PinntkError(
                "transformation",
                got=self.transformation,
                expected="an Optax gradient transformation, like optax.adam(1e-3)",
            )
        if self.descent and self.schedule is None:
            raise PinntkError("schedule", got=None, expected="the learning rate of the descent")

    @property
    def kind(self) -> GradientDescent | Adaptive:
        if self.descent and self.schedule is not None:
            return GradientDescent(self.schedule, self._rescaled)
        return Adaptive(self.schedule, self._rescaled)

    def _rescaled(self, factor: float) -> FirstOrder:
        schedule = self.schedule
        if self.method is not None and isinstance(schedule, ExponentialDecay):
            rate = float(f"{factor * schedule.learning_rate:.12g}")  # 0.3, not 0.30000000000000004
            return _decaying(self.method, self.descent, schedule.replace(learning_rate=rate))
        return dataclasses.replace(
            self,
            transformation=optax.chain(self.transformation, optax.scale(factor)),
            schedule=None if schedule is None else lambda step: factor * schedule(step),
        )

    def init(self, parameters: Parameters) -> tuple[Any, State]:
        return jnp.zeros((), int), self.transformation.init(parameters)

    def step(self, parameters: Parameters, state: State, objective: Gradient) -> Step:
        count, state = state
        (loss, losses), gradient = objective(parameters)
        method = optax.with_extra_args_support(self.transformation)
        updates, state = method.update(
            gradient,
            state,
            parameters,
            value=loss,
            grad=gradient,
            value_fn=lambda p: objective(p)[0][0],
        )
        metrics = {}
        if self.schedule is not None:
            metrics["learning_rate"] = jnp.asarray(self.schedule(count), loss.dtype)
        after = optax.apply_updates(parameters, updates)
        return Step(after, (count + 1, state), losses, metrics, running())


@dataclasses.dataclass(frozen=True)
class ExponentialDecay:
    """step ↦ learning_rate · decay_rate^(step / decay_steps); constant without the decay."""

    learning_rate: float
    decay_rate: float | None = None
    decay_steps: int | None = None

    def __post_init__(self) -> None:
        _check_positive("learning_rate", self.learning_rate)
        rate, steps = self.decay_rate, self.decay_steps
        if rate is None and steps is None:
            return
        if rate is None or steps is None or not 0 < rate <= 1 or steps < 1:
            raise PinntkError(
                "decay_rate, decay_steps",
                got=(rate, steps),
                expected="both or neither: a factor in (0, 1] and a number of steps",
            )

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step: in double precision where the step is a plain number."""
        if self.decay_rate is None or self.decay_steps is None:
            return self.learning_rate
        if isinstance(step, int):
            return self.learning_rate * self.decay_rate ** (step / self.decay_steps)
        decay = optax.exponential_decay(self.learning_rate, self.decay_steps, self.decay_rate)
        return decay(step)

    def replace(self, **changes: Any) -> ExponentialDecay:
        """A copy with other values."""
        return dataclasses.replace(self, **changes)


def gradient_descent(
    learning_rate: float, decay_rate: float | None = None, decay_steps: int | None = None
) -> FirstOrder:
    """θ ← θ − η∇L, full batch; η decays by the factor `decay_rate` per `decay_steps` steps."""
    return _decaying(optax.sgd, True, ExponentialDecay(learning_rate, decay_rate, decay_steps))


def adam(
    learning_rate: float = 1e-3, decay_rate: float | None = None, decay_steps: int | None = None
) -> FirstOrder:
    """Adam (Kingma and Ba 2015) with Optax's defaults; the rate decays as in `gradient_descent`."""
    return _decaying(optax.adam, False, ExponentialDecay(learning_rate, decay_rate, decay_steps))


@functools.lru_cache(maxsize=256)  # equal arguments give one object, and so one compiled program
def _decaying(method: Method, descent: bool, schedule: ExponentialDecay) -> FirstOrder:
    return FirstOrder(method(schedule), schedule, descent, method)


def _check_positive(argument: str, value: float) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    # In float32, in which most runs compute, a smaller number is zero.
    if not (good and math.isfinite(value) and value > float(jnp.finfo(jnp.float32).tiny)):
        raise PinntkError(argument, got=value, expected="a positive finite number above 1.2e-38")
