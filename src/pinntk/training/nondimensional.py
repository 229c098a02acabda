"""Setups in dimensionless form: fields and residuals of order one inside, the user's units outside."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from pinntk.nets import OutputScaling
from pinntk.problem import FieldScale, Problem, Scales, scales
from pinntk.training.network import Network, NetworkLike, no_scaling, unit_scaling
from pinntk.training.setup import Setup

#: Fields and coordinates are of order one within a decimal order on either side: initial weights are made
#: for such numbers, and what is left a network learns in passing.
ORDER_ONE = 10.0
#: Residuals are of order one within two: a loss is a square, and what is left the weights of Algorithm 1
#: or a step of the natural gradient level.
RESIDUALS = 100.0
#: Points at which the slope of an ansatz is looked at.
LOOKS = 64


def nondimensional(setup: Setup) -> Setup:
    """The setup with fields and residuals scaled to order one; the same object where they are so already.

    The network's outputs are shifted and scaled within the model, so that the model still gives fields
    in the problem's units. Each residual is divided by its size, so that losses are dimensionless. A
    `Network` without input scaling gets that of [−1, 1]^d where the domain's extents are far from one.
    Where the setup brings a network of its own, only the residuals are scaled. Scales that the setup
    already has stay.

    The sizes are those of `pk.scales(problem)`, which says how they are found.
    """
    found = scales(setup.problem)
    problem, network = setup.problem, _with_inputs(setup.network, found)
    if not order_one(found):
        problem = _with_sizes(problem, found)
        if isinstance(network, Network) and network.output_scaling is None:
            network = network.replace(output_scaling=_outputs(problem, network, found))
    if problem is setup.problem and network is setup.network:
        return setup
    return setup.replace(problem=problem, network=network)


def dimensional(setup: Setup) -> Setup:
    """The setup with no scaling of residuals and outputs; the same object where there was none."""
    network, problem = setup.network, setup.problem
    if any(condition.scale != 1.0 for condition in problem.conditions):
        problem = problem.scaled(dict.fromkeys(problem.names, 1.0))
    if isinstance(network, Network) and network.output_scaling is not None:
        network = network.replace(output_scaling=None)
    if problem is setup.problem and network is setup.network:
        return setup
    return setup.replace(problem=problem, network=network)


def is_scaled(setup: Setup) -> bool:
    """Whether residuals or the network's outputs are scaled."""
    network = setup.network
    outputs = isinstance(network, Network) and network.output_scaling is not None
    return outputs or any(condition.scale != 1.0 for condition in setup.problem.conditions)


def order_one(found: Scales) -> bool:
    """Whether all fields and residuals are of order one as they are."""
    sizes = [size for values in found.conditions.values() for size in values]
    residuals = all(1 / RESIDUALS <= size <= RESIDUALS for size in sizes)
    return residuals and all(map(_of_order_one, found.fields.values()))


def _of_order_one(found: FieldScale) -> bool:
    largest = max(abs(found.shift), found.scale)
    return 1 / ORDER_ONE <= largest <= ORDER_ONE and abs(found.shift) <= ORDER_ONE * found.scale


def _with_inputs(network: NetworkLike, found: Scales) -> Any:
    """The network with its inputs scaled where they need it."""
    if not isinstance(network, Network) or network.scaling is not no_scaling:
        return network
    if all(map(_of_order_one, found.coordinates.values())):
        return network
    return network.replace(scaling=unit_scaling)


def _with_sizes(problem: Problem, found: Scales) -> Problem:
    """The problem with the scales of those conditions that have none."""
    missing = {
        condition.name: found.conditions[condition.name]
        for condition in problem.conditions
        if condition.scale == 1.0 and set(found.conditions[condition.name]) != {1.0}
    }
    return problem.scaled(missing) if missing else problem


def _outputs(problem: Problem, network: Network, found: Scales) -> OutputScaling:
    """Shifts and scales of the fields; within an ansatz, scales that give the fields theirs."""
    shift, scale = zip(*found.fields.values(), strict=True)
    if network.output is not None:  # a shift would undo what it does, such as keep fields positive
        largest = tuple(abs(m) + s for m, s in zip(shift, scale, strict=True))
        shift, scale = (0.0,) * len(scale), largest
    if not network.hard or problem.hard is None or problem.hard.ansatz is None:
        return OutputScaling(shift, scale)
    slopes = _slopes(problem)
    return OutputScaling(
        (0.0,) * len(scale),
        tuple(float(f"{s / slope:.1e}") for s, slope in zip(scale, slopes, strict=True)),
    )


def _slopes(problem: Problem) -> np.ndarray:
    """The largest slope of each field in the ansatz by the network's value; 1 where there is none."""
    assert problem.hard is not None
    ansatz, count = problem.hard.ansatz, len(problem.fields)
    assert ansatz is not None
    with jax.enable_x64(True):
        points = np.asarray(problem.domain.uniform(LOOKS), np.float64)
        value = np.zeros((count,) if count > 1 else ())
        slopes = np.asarray(jax.vmap(lambda x: jax.jacfwd(lambda v: ansatz(x, v))(value))(points))
    own = np.abs(np.diagonal(slopes.reshape(-1, count, count), axis1=1, axis2=2)).max(axis=0)
    return np.where(np.isfinite(own) & (own > 0), own, 1.0)
