"""What a command prints about a setup before it starts: a line of settings, and a warning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pinntk.cli import names, tables
from pinntk.errors import PinntkError
from pinntk.inverse import Estimate, coefficient_uncertainty
from pinntk.jacobian import parameter_count
from pinntk.kernel import largest_eigenvalue, largest_stable_step
from pinntk.optim import AbstractOptimizer, FirstOrder, GradientDescent, rate_of
from pinntk.training import Network, Outcome, Result, Setup, is_scaled, precision
from pinntk.training.network import NetworkLike
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights

#: Error bars cost a QR of a matrix of all parameters: a second or two for so many.
PARAMETERS = 2500


def step_size_warning(setup: Setup, seed: int) -> str | None:
    """A sentence where plain gradient descent starts with a step above the largest stable one."""
    optimizer = setup.training.optimizer
    if not isinstance(optimizer.kind, GradientDescent):
        return None
    with precision(setup.dtype):
        start = setup.start(seed)
        # Those of Algorithm 1 only grow from here, so that the bound is the mildest.
        weights = setup.training.weighting.init(start.problem.names).weights
        largest = float(largest_eigenvalue(start.problem, start.model, start.batch, weights))
        bound, rate = largest_stable_step(largest), rate_of(optimizer)
    if rate is None or rate <= bound:
        return None
    return (
        f"The learning rate {rate:.2g} is above {bound:.2g}, the largest stable step of gradient "
        "descent at the start; the run is likely to diverge."
    )


def print_setup(spec: str, setup: Setup, seed: int) -> None:
    """Network, optimizer, weighting, steps, dtype and seed in one line."""
    network, training = setup.network, setup.training
    with precision(setup.dtype):
        parameters = parameter_count(setup.start(seed).model)
    rate = rate_of(training.optimizer)
    tables.show(
        tables.settings_line(
            {
                spec: _network(network),
                "parameters": f"{parameters:,}",
                _optimizer(training.optimizer): "" if rate is None else f"{rate:g}",
                "weighting": _weighting(training.weighting),
                "steps": f"{training.steps:,}",
                "dtype": setup.dtype,
                **({"residuals": "dimensionless"} if is_scaled(setup) else {}),
                "seed": seed,
            }
        )
    )


def coefficient_lines(setup: Setup, seed: int, result: Result) -> list[str]:
    """The unknown coefficients that were found, one a line, with error bars, or why there are none."""
    found = {
        name: f"{name} = {np.array2string(np.asarray(value), precision=6)}"
        for name, value in result.coefficients.items()
    }
    if not found:
        return []
    bars = _error_bars(setup, seed, result)
    if isinstance(bars, str):
        return [*found.values(), f"No error bars: {bars}"]
    return [f"{name} = {bars[name]}" for name in found]


def _error_bars(setup: Setup, seed: int, result: Result) -> Mapping[str, Estimate] | str:
    """Those at the points that training began with, or why there are none."""
    if result.outcome is Outcome.DIVERGED:
        return "the run diverged."
    count = parameter_count(result.model)
    if count > PARAMETERS:
        return (
            f"the model has {count:,} parameters, more than {PARAMETERS:,}; "
            "pk.coefficient_uncertainty(problem, model, batch) takes its time for them."
        )
    try:
        with precision(setup.dtype):
            start = setup.start(seed)
        return coefficient_uncertainty(start.problem, result.model, start.batch).coefficients
    except PinntkError as error:
        return str(error)


def _network(network: NetworkLike) -> str:
    if not isinstance(network, Network):
        return "a network of its own"
    kind = names.name_of(names.ARCHITECTURES, network.architecture) or _called(network.architecture)
    activation = names.name_of(names.ACTIVATIONS, network.activation)
    return f"{kind} {network.depth}×{network.width} {activation or _called(network.activation)}"


def _optimizer(optimizer: AbstractOptimizer) -> str:
    if isinstance(optimizer, FirstOrder):
        return _called(optimizer.method) if optimizer.method is not None else "first-order"
    return names.name_of(names.SECOND_ORDER, type(optimizer)) or _called(type(optimizer))


def _weighting(weighting: AbstractWeighting) -> str:
    """fixed, ntk, ntk × values 3, values 100."""
    match weighting:
        case Fixed(weights):
            return _numbers(weights) or "fixed"
        case NTKWeights(factors=factors):
            return " × ".join(filter(None, ("ntk", _numbers(factors))))
    return _called(type(weighting))


def _numbers(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in numbers.items())


def _called(value: Any) -> str:
    return getattr(value, "__name__", type(value).__name__)
