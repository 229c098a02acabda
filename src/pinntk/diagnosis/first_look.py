"""A first look at a PINN before it is trained: the kernel of every condition, and what it says in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pinntk.diagnosis.laziness import laziness
from pinntk.diagnosis.reach import LEARNED, OF_STABLE
from pinntk.diagnosis.words import percent, rounded
from pinntk.errors import PinntkError, ResidualError
from pinntk.jacobian import model_dtype, parameter_count
from pinntk.kernel import (
    Dynamics,
    TangentKernel,
    dynamics,
    largest_stable_step,
    remaining,
    spectrum,
    tangent_kernel,
)
from pinntk.problem import Batch, Model, Problem
from pinntk.training import check_sensitivity
from pinntk.weighting import Fixed, ntk_weights

#: Rates within this factor of each other are called balanced: the slowest condition then needs less
#: than one decimal order more steps than the fastest, which a decent step budget has to spare.
BALANCED = 10.0
#: Steps to a tenth of the loss are looked for up to so many times the planned ones.
FAR = 100
#: A loss predicted to keep more than this share is called stuck: not one decimal order in the budget.
STUCK = 0.1


@dataclasses.dataclass(frozen=True)
class ConditionReport:
    """What the kernel block of one condition says.

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


@dataclasses.dataclass(frozen=True)
class FirstLook:
    """The record of a first look. `print` of it is the verdict; `as_dict` holds everything.

    `stable_step` is the largest step of gradient descent on Σ λ_k mean r_k² with the given weights;
    `learning_rate` the step that `out_of_reach` was computed with, `steps` the number of them. Where
    gradient descent is planned, `kernel_change` is how far the weighted kernel would move on the way of
    the forecast, as a share of itself, and `valid_steps` how many steps it stays nearly the same.
    """

    problem: str
    parameters: int
    conditions: tuple[ConditionReport, ...]
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
    verdict: tuple[str, ...]
    spectra: Mapping[str, np.ndarray]

    def __str__(self) -> str:
        return "\n".join(self.verdict)

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-ready; the spectra as lists, largest eigenvalue first."""
        record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        record["conditions"] = {c.name: dataclasses.asdict(c) for c in self.conditions}
        record["spectra"] = {name: values.tolist() for name, values in self.spectra.items()}
        record["verdict"] = list(self.verdict)
        return record


def first_look(
    problem: Problem,
    model: Model,
    batch: Batch | None = None,
    *,
    steps: int | None = None,
    learning_rate: float | None = None,
    weights: Mapping[str, float] | None = None,
    memory_limit: float | None = None,
) -> FirstLook:
    """Compute the kernel at the points of `batch` and say what it means for `steps` of training.

    `batch` is drawn with key 0 and `steps` taken from the problem's recipe where they are not given.

    The forecast is that of gradient descent under the kernel as it is now. `learning_rate` is its
    step; None (for Adam and others, whose steps the kernel does not predict) takes nine tenths of the
    largest stable one, and so does a planned step that is not stable. `weights` are fixed loss
    weights, 1 where not given.
    """
    names = problem.names
    batch = problem.sample(jax.random.key(0), model_dtype(model)) if batch is None else batch
    steps = problem.recipe.steps if steps is None else steps
    if steps < 1:
        raise PinntkError("steps", got=steps, expected="a whole number, 1 or more")
    lambdas = Fixed(weights or {}).initial(names)
    check_sensitivity(problem, model, batch)
    kernel = tangent_kernel(problem, model, batch, memory_limit)
    residuals = {k: np.asarray(r).ravel() for k, r in problem.residuals(model, batch).items()}
    _check_finite(residuals)
    blocks = {name: spectrum(kernel.block(name)) for name in names}
    raw = spectrum(kernel.matrix)
    algorithm_1 = {k: float(v) for k, v in ntk_weights(kernel.traces(), kernel.rows).items()}
    given = _forecast(kernel, residuals, lambdas, learning_rate, steps)
    balanced = _forecast(kernel, residuals, algorithm_1, learning_rate, steps)
    tenth = given.dynamics.steps_to(0.1, given.learning_rate, FAR * steps)
    lazy = None
    if learning_rate is not None:
        lazy = laziness(problem, model, batch, given.dynamics, given.learning_rate, steps)
    rates = kernel.rates()
    effective = {name: lambdas[name] * rates[name] for name in names}

    reports = tuple(
        ConditionReport(
            name=name,
            points=len(batch[name].points),
            residuals=kernel.rows[name],
            loss=float(np.mean(residuals[name] ** 2)),
            trace=kernel.traces()[name],
            rate=rates[name],
            largest_eigenvalue=blocks[name].largest,
            rank=blocks[name].rank,
            weight=lambdas[name],
            ntk_weight=algorithm_1[name],
            out_of_reach=given.out_of_reach[name],
            out_of_reach_ntk=balanced.out_of_reach[name],
            loss_left=given.loss_left[name],
            loss_left_ntk=balanced.loss_left[name],
            steps_to_tenth=tenth[name],
        )
        for name in names
    )
    fastest = max(effective, key=lambda name: effective[name])
    slowest = min(effective, key=lambda name: effective[name])
    found = FirstLook(
        problem=problem.name,
        parameters=parameter_count(model),
        conditions=reports,
        imbalance=effective[fastest] / effective[slowest],
        fastest=fastest,
        slowest=slowest,
        largest_eigenvalue=raw.largest,
        noise_floor=raw.noise_floor,
        eigenvalues_below_noise=raw.below_noise,
        stable_step=given.stable_step,
        stable_step_ntk=balanced.stable_step,
        learning_rate=given.learning_rate,
        planned_learning_rate=learning_rate,
        steps=steps,
        kernel_change=None if lazy is None else lazy.change,
        valid_steps=None if lazy is None else lazy.valid_steps,
        verdict=(),
        spectra={"K": raw.eigenvalues, **{n: s.eigenvalues for n, s in blocks.items()}},
    )
    return dataclasses.replace(found, verdict=tuple(_verdict(found)))


def _check_finite(residuals: Mapping[str, np.ndarray]) -> None:
    for name, values in residuals.items():
        finite = np.isfinite(values)
        if not finite.all():
            raise ResidualError(
                f"residual of condition {name!r}",
                got=f"NaN or infinity in {int((~finite).sum())} of {len(values)} residuals",
                expected="finite residuals",
            )


@dataclasses.dataclass(frozen=True)
class _Forecast:
    """What gradient descent does under a frozen kernel and given weights."""

    dynamics: Dynamics
    stable_step: float
    learning_rate: float
    out_of_reach: dict[str, float]
    loss_left: dict[str, float]


def _forecast(
    kernel: TangentKernel,
    residuals: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    learning_rate: float | None,
    steps: int,
) -> _Forecast:
    moving = dynamics(kernel, residuals, weights)
    modes = moving.modes
    stable = largest_stable_step(modes.largest)
    step = OF_STABLE * stable
    if learning_rate is not None and learning_rate < stable:
        step = learning_rate
    left = remaining(modes.eigenvalues, step, steps)
    start = moving.losses(np.ones_like(left))

    def shares(left: np.ndarray) -> dict[str, float]:
        return {n: v / start[n] if start[n] else 0.0 for n, v in moving.losses(left).items()}

    unlearned = np.where(np.abs(left) > LEARNED, 1.0, 0.0)
    return _Forecast(moving, stable, step, shares(unlearned), shares(left))


def _verdict(found: FirstLook) -> list[str]:
    lines = [_imbalance(found)]
    lines += _stuck(found)
    lines += _void(found)
    lines.append(_step_size(found))
    if found.imbalance > BALANCED:
        weights = ", ".join(f"{c.name} {c.ntk_weight:.3g}" for c in found.conditions)
        lines.append(
            f"Algorithm 1 would give every condition the same average rate with the weights {weights} "
            "(--weighting ntk)."
        )
    return lines


def _imbalance(found: FirstLook) -> str:
    if len(found.conditions) == 1:
        return f"There is one condition, '{found.slowest}', so no imbalance."
    times = f"{found.imbalance:.2g}" if found.imbalance < 10 else f"{rounded(found.imbalance):,}"
    if found.imbalance <= BALANCED:
        return (
            f"The conditions are balanced: the average convergence rates lie within a factor {times} "
            f"(slowest '{found.slowest}', fastest '{found.fastest}')."
        )
    return (
        f"Imbalance: the condition '{found.slowest}' converges about {times}× slower than "
        f"'{found.fastest}', so training fits '{found.fastest}' and leaves '{found.slowest}' behind."
    )


def _stuck(found: FirstLook) -> list[str]:
    if (
        found.planned_learning_rate is None
    ):  # the forecast is of gradient descent, which is not planned
        return []
    lines = []
    for report in found.conditions:
        if report.loss_left > STUCK:
            line = (
                f"Out of reach: after {found.steps:,} steps of gradient descent at a learning rate of "
                f"{found.learning_rate:.2g} the loss of '{report.name}' is predicted to stand at "
                f"{percent(report.loss_left)} of today's"
            )
            if report.loss_left_ntk < STUCK * report.loss_left:
                line += f", with the weights of Algorithm 1 at {percent(report.loss_left_ntk)}"
            lines.append(line + ".")
    return lines


def _void(found: FirstLook) -> list[str]:
    if found.kernel_change is None or found.valid_steps == found.steps:
        return []
    change = percent(found.kernel_change) if np.isfinite(found.kernel_change) else "without bound"
    return [
        f"The forecast is good for about {found.valid_steps:,} steps: it holds the kernel constant, and "
        f"on the way that it predicts, the kernel would change by {change}. Numbers beyond are an order "
        "of magnitude at best."
    ]


def _step_size(found: FirstLook) -> str:
    planned = found.planned_learning_rate
    text = f"Gradient descent is stable up to a learning rate of {found.stable_step:.2g}"
    if planned is None:
        return text + " with these parameters; the steps of other optimisers are not bound by it."
    if planned > found.stable_step:
        return text + f": the planned {planned:.2g} will diverge."
    return text + f"; {planned:.2g} is planned."
