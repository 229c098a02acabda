"""Remedies for more than one failure mode: functions from a setup and evidence to a proposal."""

from __future__ import annotations

from collections.abc import Iterable

from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import Proposal
from pinntk.optim import NaturalGradient, SecondOrder
from pinntk.training import Network, Setup, Training, natural_setup
from pinntk.weighting import NTKWeights

#: The name of a tuned setup with the natural gradient among the alternatives, and of the remedy.
NATURAL = "natural-gradient"


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
        shape = setup.network
        changed = natural_setup(setup.problem)
        if shape.hard:
            hard = changed.network
            assert isinstance(hard, Network)
            changed = changed.replace(network=hard.replace(hard=True, harmonics=shape.harmonics))
            return Proposal(
                text,
                changed,
                f"pk.natural_setup(problem, hard=True, harmonics={shape.harmonics})",
                NATURAL,
            )
        return Proposal(text, changed, "pk.natural_setup(problem)", NATURAL)
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
