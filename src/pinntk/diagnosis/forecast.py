"""A forecast from the current kernel: what gradient descent would do to each condition."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pinntk.diagnosis.laziness import laziness
from pinntk.diagnosis.measures import check_finite
from pinntk.diagnosis.reach import Reach, balancing, reach
from pinntk.diagnosis.subject import AbstractSubject, Draw, JaxSubject, precision_of
from pinntk.kernel import TangentKernel, spectrum
from pinntk.optim import GradientDescent, rate_of
from pinntk.problem import Batch, Model, Problem
from pinntk.training import Training, precision, strict
from pinntk.words import number, percent, table, times

#: Steps to a tenth of the loss are looked for up to so many times the planned ones.
FAR = 100


@dataclasses.dataclass(frozen=True)
class ConditionForecast:
    """The forecast for one condition.

    `rate` is tr(K_kk)/N_k. `out_of_reach` is the initial energy of the condition in eigenmodes of the
    whole weighted kernel that are not learned within the planned steps, as a share of its ‖r_k‖²; it
    can exceed one, because a mode spans all conditions and its parts may cancel in the sum. `loss_left`
    is the loss that the frozen kernel predicts after those steps, as a share of today's. The names
    that end in `_ntk` are the same under Algorithm 1's weights. `steps_to_tenth` is how many steps of
    the same gradient descent the loss is predicted to need for a fall by 10×; None where that is more
    than `FAR` times the planned ones.
    """

    name: str
    points: int
    residuals: int
    loss: float
    trace: float
    rate: float
    largest_eigenvalue: float
    rank: int
    weight: float
    ntk_weight: float
    out_of_reach: float
    out_of_reach_ntk: float
    loss_left: float
    loss_left_ntk: float
    steps_to_tenth: int | None


@dataclasses.dataclass(frozen=True, eq=False)
class Forecast:
    """The forecast of a training. Print it to see a table; `as_dict` holds everything.

    `stable_step` is the largest step of gradient descent on Σ λ_k mean r_k² with the first weights of
    the training; `learning_rate` the step that the forecast was computed with, `steps` the number of
    them. Where gradient descent is planned, `kernel_change` is how far the weighted kernel would move
    on the way of the forecast, as a share of itself, and `valid_steps` how many steps it stays nearly
    the same. `eigenvalues` are those of the whole kernel, `spectra` those of the blocks by condition.
    """

    problem: str
    parameters: int
    conditions: tuple[ConditionForecast, ...]
    imbalance: float
    fastest: str
    slowest: str
    largest_eigenvalue: float
    noise_floor: float
    eigenvalues_below_noise: int
    stable_step: float
    stable_step_ntk: float
    learning_rate: float
    planned_learning_rate: float | None
    steps: int
    kernel_change: float | None
    valid_steps: int | None
    eigenvalues: np.ndarray
    spectra: Mapping[str, np.ndarray]

    def __str__(self) -> str:
        head = ("condition", "loss", "rate", "weight", "by Algorithm 1", "loss left", "with those")
        rows = [
            (
                c.name,
                *(number(value) for value in (c.loss, c.rate, c.weight, c.ntk_weight)),
                percent(c.loss_left),
                percent(c.loss_left_ntk),
            )
            for c in self.conditions
        ]
        lines = [
            f"Gradient descent on {self.problem}: {self.steps:,} steps at a learning rate of "
            f"{number(self.learning_rate)} (stable up to {number(self.stable_step)}),",
            f"rates {times(self.imbalance)} apart.",
            table(head, rows),
        ]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-ready; the spectra as lists, largest eigenvalue first."""
        record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        record["conditions"] = {c.name: dataclasses.asdict(c) for c in self.conditions}
        return strict(record)


def forecast(
    problem: Problem, model: Model, training: Training, batch: Batch | None = None
) -> Forecast:
    """Compute the kernel at the points of `batch`, and forecast the planned training from it.

    `batch` is drawn with key 0 where it is not given. The forecast is that of gradient descent under
    the kernel as it is now and the first weights of the training. Where plain gradient descent is
    planned, it takes the planned step if that is stable; otherwise, and for optimizers whose steps the
    kernel does not predict, nine tenths of the largest stable one.

    **Raises:** `ResidualError` where a residual is not finite or does not depend on the model;
    `MemoryLimitError` where the kernel would not fit.
    """
    with precision(precision_of(model)):
        if batch is None:
            batch = problem.sample(jax.random.key(0), precision_of(model))
        subject = JaxSubject(problem, [Draw(model, batch)], training, jax.random.key(0))
        subject.check_sensitivity(batch)
        check_finite(subject, model, batch)
        kernel = subject.kernel(model, batch)
        residuals = {n: r.ravel() for n, r in subject.residuals(model, batch).items()}
        weights = first_weights(subject)
        found = reach(kernel, residuals, weights, training.steps)
        return forecast_of(subject, model, batch, kernel, residuals, found)


def first_weights(subject: AbstractSubject) -> dict[str, float]:
    """The loss weights before the rule's first update."""
    weights = subject.training.weighting.init(subject.problem.names).weights
    return {name: float(weight) for name, weight in weights.items()}


def planned_rate(subject: AbstractSubject) -> float | None:
    """The learning rate of plain gradient descent, None where another optimizer is planned."""
    optimizer = subject.training.optimizer
    return rate_of(optimizer) if isinstance(optimizer.kind, GradientDescent) else None


def forecast_of(
    subject: AbstractSubject,
    model: Model,
    batch: Batch,
    kernel: TangentKernel,
    residuals: Mapping[str, np.ndarray],
    found: Reach,
) -> Forecast:
    """The forecast from a kernel and residuals (n_k,) that were measured, and what they leave."""
    rate, steps = planned_rate(subject), subject.training.steps
    given, balanced = found.descent.at(rate), found.balanced_descent.at(rate)
    weights, even = first_weights(subject), balancing(kernel)
    whole = spectrum(kernel.matrix)
    tenth = given.moving.steps_to(0.1, given.learning_rate, FAR * steps)
    left, left_even = given.losses_left(), balanced.losses_left()
    out, out_even = given.out_of_reach(), balanced.out_of_reach()
    lazy = None if rate is None else laziness(subject, model, batch, given)
    rates, traces = kernel.rates(), kernel.traces()
    effective = {name: weights[name] * rates[name] for name in kernel.names}
    fastest = max(effective, key=lambda name: effective[name])
    slowest = min(effective, key=lambda name: effective[name])
    return Forecast(
        problem=subject.problem.name,
        parameters=subject.parameters(model).size,
        conditions=tuple(
            ConditionForecast(
                name=name,
                points=len(batch[name].points),
                residuals=kernel.rows[name],
                loss=float(np.mean(residuals[name] ** 2)),
                trace=traces[name],
                rate=rates[name],
                largest_eigenvalue=found.blocks[name].largest,
                rank=found.blocks[name].rank,
                weight=weights[name],
                ntk_weight=even[name],
                out_of_reach=out[name],
                out_of_reach_ntk=out_even[name],
                loss_left=left[name],
                loss_left_ntk=left_even[name],
                steps_to_tenth=tenth[name],
            )
            for name in kernel.names
        ),
        imbalance=effective[fastest] / effective[slowest],
        fastest=fastest,
        slowest=slowest,
        largest_eigenvalue=whole.largest,
        noise_floor=whole.noise_floor,
        eigenvalues_below_noise=whole.below_noise,
        stable_step=given.stable_step,
        stable_step_ntk=balanced.stable_step,
        learning_rate=given.learning_rate,
        planned_learning_rate=rate,
        steps=steps,
        kernel_change=None if lazy is None else lazy.change,
        valid_steps=None if lazy is None else lazy.valid_steps,
        eigenvalues=whole.eigenvalues,
        spectra={name: block.eigenvalues for name, block in found.blocks.items()},
    )
