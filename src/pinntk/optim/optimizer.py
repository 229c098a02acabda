"""What an optimizer is: `init` and `step`, the kind of method it is, and what a step reports."""

from __future__ import annotations

import abc
import dataclasses
import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

Parameters = Any
State = Any
#: step ↦ learning rate
Schedule = Callable[[Any], Any]
#: θ ↦ ((weighted loss, unweighted losses by name), gradient of the weighted loss)
Gradient = Callable[[Parameters], tuple[tuple[Array, dict[str, Array]], Parameters]]


class Status(enum.IntEnum):
    """Whether another step is wanted, and if not, why: a number that a compiled loop can carry."""

    RUNNING = 0
    LOSS = 1
    STEP = 2
    GRADIENT = 3
    STALLED = 4


class Step(NamedTuple):
    """What one step returns.

    `losses` are the unweighted losses before the step; `metrics` are numbers to log with them, by name,
    such as the damping; `status` is a `Status`.
    """

    parameters: Parameters
    state: State
    losses: dict[str, Array]
    metrics: dict[str, Array]
    status: Int[Array, ""]


def running() -> Int[Array, ""]:
    """The status of a method that never stops by itself."""
    return jnp.asarray(int(Status.RUNNING), jnp.int32)


@dataclasses.dataclass(frozen=True)
class GradientDescent:
    """θ ← θ − η∇L: the kernel says how fast each mode falls and which rate η is stable.

    `rate(step)` is η. `rescaled(c)` is the same optimizer with the rate c·η, None where that cannot be
    made.
    """

    rate: Schedule
    rescaled: Callable[[float], AbstractOptimizer] | None = None


@dataclasses.dataclass(frozen=True)
class Adaptive:
    """A first-order method that scales gradients itself, as Adam does.

    `rate(step)` is its learning rate, None where it is not known. A step moves a parameter by about
    the rate. `rescaled(c)` is the same optimizer with steps c times as long.
    """

    rate: Schedule | None = None
    rescaled: Callable[[float], AbstractOptimizer] | None = None


@dataclasses.dataclass(frozen=True)
class SecondOrder:
    """A method that solves with the kernel, so that all modes fall at one rate; it has no learning rate.

    `notes(objective, θ)` are sentences that a user should read before the run; it raises where the
    method cannot work.
    """

    notes: Callable[[Any, Parameters], tuple[str, ...]]


Kind = GradientDescent | Adaptive | SecondOrder


class AbstractOptimizer(abc.ABC):
    """`state = init(θ)`, then `step(θ, state, objective)`. Works inside jit."""

    @property
    @abc.abstractmethod
    def kind(self) -> Kind:
        """What kind of method it is, which the diagnosis reads."""

    @abc.abstractmethod
    def init(self, parameters: Parameters) -> State:
        """The state before the first step."""

    @abc.abstractmethod
    def step(self, parameters: Parameters, state: State, objective: Any) -> Step:
        """One step.

        `objective` is a `Gradient`; `pinntk.optim.Objective`, which training passes, also has the
        residuals that the loss is made of.
        """


def rate_of(optimizer: AbstractOptimizer, step: int = 0) -> float | None:
    """The learning rate at a step, None if the method has none or does not say."""
    match optimizer.kind:
        case GradientDescent(rate) | Adaptive(rate) if rate is not None:
            return float(rate(step))
    return None
