"""Remedies for more than one failure mode: functions from a setup and evidence to a proposal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pinntk.diagnosis.code import changed_code, python_of
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import Proposal
from pinntk.diagnosis.measures import main_condition
from pinntk.optim import NaturalGradient, SecondOrder
from pinntk.training import Network, Setup, Training, natural_setup
from pinntk.weighting import NTKWeights
from pinntk.words import listed

#: The name of a tuned setup with the natural gradient among the alternatives, and of the remedy.
NATURAL = "natural-gradient"
#: Residuals for each parameter where the problem has fewer residuals than parameters.
MORE = 2.0


def first_order_only(proposals: Iterable[Proposal]) -> tuple[Proposal, ...]:
    """Those that keep to first-order optimizers, for networks too large to solve with their kernel."""
    return tuple(proposal for proposal in proposals if not proposal.second_order)


def natural_gradient(setup: Setup, evidence: Evidence) -> Proposal | None:
    """The natural gradient, as tuned for the problem, or else with its default settings."""
    if isinstance(setup.training.optimizer.kind, SecondOrder):
        return None
    text = "Switch to the natural gradient: it solves with the kernel instead of following the gradient."
    tuned = evidence.alternatives.get(NATURAL)
    if tuned is not None:
        return Proposal(text, tuned, changed_code(setup, tuned), NATURAL)
    if isinstance(setup.network, Network):
        options: dict[str, Any] = {}
        if setup.network.output is not None:
            options["output"] = setup.network.output
        if setup.network.hard:
            options |= {"hard": True, "harmonics": setup.network.harmonics}
        points = _enough_points(setup, evidence)
        if points:
            options["points"] = points
            each = [f"{count:,} points of '{name}'" for name, count in points.items()]
            text = f"{text[:-1]}, with {listed(each)}: as many residuals as it has parameters, and more."
        written = [f"{name}={python_of(value)}" for name, value in options.items()]
        code = f"pk.natural_setup({', '.join(['problem', *written])})"
        return Proposal(text, natural_setup(setup.problem, **options), code, NATURAL)
    return Proposal(
        text,
        setup.replace(
            problem=setup.problem.with_points({}, redraw=False),
            training=Training(NaturalGradient(), steps=1000, log_every=10),
            dtype="float64",
        ),
        "pk.Training(pk.NaturalGradient(), steps=1000, log_every=10)  # with a float64 model",
        NATURAL,
    )


def _enough_points(setup: Setup, evidence: Evidence) -> dict[str, int]:
    """More points for the equation where a natural-gradient run has fewer residuals than parameters.

    It solves to the end: with fewer it meets all residuals, and is free between the points.
    """
    problem, residuals = evidence.problem, evidence.residuals
    name = main_condition(problem)
    if problem.condition(name).where.given is not None:
        return {}
    shape = natural_setup(setup.problem, nondimensional=False).network
    assert isinstance(shape, Network)
    inside = (shape.depth - 1) * shape.width * (shape.width + 1)
    ends = shape.width * (problem.domain.dimension + 1) + (shape.width + 1) * len(problem.fields)
    parameters, others = inside + ends, sum(residuals.values()) - residuals[name]
    if others + residuals[name] >= parameters:
        return {}
    each = residuals[name] / evidence.counts[name]
    return {name: 2 ** math.ceil(math.log2((MORE * parameters - others) / each))}


def algorithm_1(setup: Setup, evidence: Evidence) -> Proposal | None:
    """Loss weights by Algorithm 1."""
    del evidence
    training = setup.training
    if isinstance(training.weighting, NTKWeights):
        return None
    every = min(100, max(1, training.steps // 100))
    changed = setup.replace(training=training.replace(weighting=NTKWeights(every=every)))
    return Proposal(
        "Weight the conditions by Algorithm 1, so that all have the same average rate.",
        changed,
        changed_code(setup, changed),
        "algorithm-1",
    )


def build_in(setup: Setup, evidence: Evidence) -> Proposal | None:
    """Conditions that hold by construction, where the problem says how."""
    del evidence
    hard, network = setup.problem.hard, setup.network
    if hard is None or not isinstance(network, Network) or network.hard:
        return None
    shape = network.replace(hard=True)
    if hard.periodic and network.fourier_features:
        shape = shape.replace(fourier_features=0)
    changed = setup.replace(network=shape)
    return Proposal(
        f"Build {', '.join(hard.conditions)} into the model, so that they need no term in the loss.",
        changed,
        changed_code(setup, changed),
        "hard-constraints",
    )


def fresh_network(setup: Setup, evidence: Evidence) -> Proposal | None:
    """A freshly initialized network."""
    del evidence
    shape = setup.network
    default = Network()
    if isinstance(shape, Network):
        default = shape.replace(
            activation=default.activation, parametrization=default.parametrization
        )
    if default == shape:
        return None
    changed = setup.replace(network=default)
    return Proposal(
        "Start from a fresh network with small weights and a smooth activation (tanh).",
        changed,
        changed_code(setup, changed),
        "fresh-network",
    )
