"""A positive field by construction, where the equation has no value for a negative one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from pinntk.diagnosis.asked import known_values
from pinntk.diagnosis.code import changed_code, python_of
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import Proposal
from pinntk.diagnosis.subject import residuals_at
from pinntk.nets import OutputTransform, WithCoefficients
from pinntk.optim import SecondOrder
from pinntk.problem import Batch, Model, Problem
from pinntk.training import AbstractNetwork, Network, Setup, natural_setup, precision

#: The transforms, in the order in which they are tried. Softplus is the identity for large values, so
#: that steps stay what they were; the exponential is for solutions that span orders of magnitude.
OUTPUTS = (jax.nn.softplus, jnp.exp)
#: Networks that must all have finite residuals: as many as an examination draws.
SEEDS = 5
#: A field that is asked to be this share of its largest value below zero is not asked to be positive;
#: less is rounding of data.
NEGATIVE = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Transformed(AbstractNetwork):
    """Any network, with a function on its output."""

    inner: AbstractNetwork
    output: Callable[[Array], Array]

    def reduced(self, problem: Problem) -> Problem:
        return self.inner.reduced(problem)

    def network(self, problem: Problem, batch: Batch, key: PRNGKeyArray) -> Model:
        model = self.inner.network(problem, batch, key)
        if isinstance(model, WithCoefficients):
            inside = OutputTransform(model.network, self.output)
            return WithCoefficients(inside, model.coefficients)
        return OutputTransform(model, self.output)


def positive_output(setup: Setup, evidence: Evidence | None = None) -> Proposal | None:
    """A network whose fields are positive: softplus, or else the exponential, behind its last layer.

    It is proposed where residuals are then finite for all of `SEEDS` networks at their points, as they are
    not if what is negative is no field. None where a field is known to be negative somewhere, or
    the network has a function on its output already.
    """
    del evidence
    network = setup.network
    if isinstance(network, Network) and network.output is not None:
        return None
    assert isinstance(network, AbstractNetwork)
    with precision(setup.dtype):
        if _negative(setup):
            return None
    for output in OUTPUTS:
        name = python_of(output)
        text = f"Keep the unknown positive: {name} behind the last layer of the network."
        if isinstance(network, Network):
            changed = setup.replace(network=network.replace(output=output))
            code = changed_code(setup, changed)
        else:
            changed = setup.replace(network=Transformed(network, output))
            code = f"pk.OutputTransform(model, {name})"
        if _all_finite(changed):
            return Proposal(text, changed, code)
    return None


def _all_finite(setup: Setup) -> bool:
    """Whether the residuals of all networks are finite, at their points and at others."""
    with precision(setup.dtype):
        for seed in range(SEEDS):
            start = setup.start(seed)
            others = start.problem.held_out(start.key, setup.dtype)
            for batch in (start.batch, others):
                residuals = residuals_at(start.problem, start.model, batch)
                if not all(np.isfinite(r).all() for r in residuals.values()):
                    return False
    return True


def _negative(setup: Setup) -> bool:
    """Whether a field is known to take negative values."""
    problem = setup.problem
    values = known_values(problem, problem.sample(jax.random.key(0), setup.dtype))
    return any(v.min() < -NEGATIVE * np.abs(v).max() for v in values.values() if v.size)


def natural_gradient_with(positive: Proposal, setup: Setup) -> Proposal | None:
    """The natural gradient for a network whose output is that of `positive`; None for one of your own."""
    changed = positive.setup
    if changed is None or not isinstance(changed.network, Network) or changed.network.hard:
        return None
    if isinstance(setup.training.optimizer.kind, SecondOrder):
        return None
    output = changed.network.output
    return Proposal(
        "Switch to the natural gradient as well: it solves with the kernel instead of following the "
        "gradient.",
        natural_setup(setup.problem, output=output),
        f"pk.natural_setup(problem, output={python_of(output)})",
    )
