"""What a command prints about a setup before it starts: a line of settings, and a warning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinntk.cli import names, tables
from pinntk.jacobian import parameter_count
from pinntk.kernel import largest_eigenvalue, largest_stable_step
from pinntk.optim import AbstractOptimizer, FirstOrder, GradientDescent, rate_of
from pinntk.training import Network, Setup, is_scaled, precision
from pinntk.training.network import NetworkLike
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights


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
