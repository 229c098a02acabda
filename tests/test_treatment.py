"""Remedies tried in turns: what is tried, how it is ranked."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import optax
import pytest

import pinntk as pk
from clinic import PATIENTS
from each import each
from pinntk.diagnosis import Proposal, examine, least_budget, treat
from pinntk.diagnosis.code import changed_code, python_of
from pinntk.diagnosis.findings import Imbalance
from pinntk.diagnosis.findings.conflict import enlarge
from pinntk.diagnosis.findings.points import follow_residual, more_points
from pinntk.diagnosis.findings.precision import double
from pinntk.diagnosis.findings.scaling import rescale_inputs
from pinntk.diagnosis.findings.spectral_bias import raise_frequencies
from pinntk.diagnosis.findings.step_size import other_step, use_adam
from pinntk.diagnosis.findings.surplus_points import grow_points
from pinntk.diagnosis.record import check_record
from pinntk.diagnosis.remedies import algorithm_1, build_in, fresh_network, natural_gradient
from pinntk.diagnosis.trial import Race, Score
from pinntk.diagnosis.trials import choose
from pinntk.errors import PinntkError
from pinntk.optim import rate_of
from pinntk.training import Given, Network, start_run
from pinntk.training.describe import describe_setup


@pytest.fixture(scope="module")
def diagnosis():
    """The heat equation in other units, examined after a few steps: imbalance."""
    return examine(PATIENTS["imbalance_heat"].form("sick"), draws=1, steps=400)


@dataclasses.dataclass(frozen=True)
class Own:
    """A part of one's own."""

    every: int = 1


# --- proposals ------------------------------------------------------------------------------------


def names_of(setup):
    """What the code of a proposal may use."""
    parts = {name: getattr(setup, name) for name in ("problem", "training", "network")}
    return {"pk": pk, "jax": jax, "jnp": jnp, "setup": setup, **parts}


def remedied(diagnosis, remedy, **changes):
    """What a remedy proposes for a changed setup, and that setup."""
    setup = diagnosis.setup.replace(**changes)
    return setup, remedy(setup, diagnosis.evidence)


SLOW = pk.Training(pk.gradient_descent(1e-3), steps=100)
SHAPE = Network(width=3, depth=1, activation=jnp.sin, input_scale=2.0)


@each(
    "remedy",
    [
        algorithm_1,
        natural_gradient,
        enlarge,
        double,
        grow_points,
        follow_residual,
        rescale_inputs,
        fresh_network,
        use_adam,
        lambda s, e: other_step(0.1, s, e),
        lambda s, e: more_points("residual", 512, s, e),
        lambda s, e: raise_frequencies({"x": 12.0, "t": 2.0}, s, e),
    ],
)
def test_the_code_of_a_proposal_makes_its_setup(diagnosis, remedy):
    setup, proposal = remedied(diagnosis, remedy, training=SLOW, network=SHAPE)
    assert describe_setup(proposal.setup) != describe_setup(setup)
    made = eval(proposal.code, names_of(setup))
    if not isinstance(made, pk.Setup):
        kinds = {"problem": pk.Problem, "training": pk.Training, "network": Network}
        (part,) = (name for name, kind in kinds.items() if isinstance(made, kind))
        made = setup.replace(**{part: made})
    found, expected = describe_setup(made), describe_setup(proposal.setup)
    optimizers = [rate_of(each.training.optimizer) for each in (made, proposal.setup)]
    for one in (found, expected):  # a factor in the code has six digits
        one["training"].pop("optimizer")
    assert found == expected
    assert optimizers[0] == (optimizers[1] and pytest.approx(optimizers[1], rel=1e-5))


def test_several_changes_are_one_line():
    setup = PATIENTS["imbalance_heat"].form("sick")
    changed = setup.replace(dtype="float64", network=setup.network.replace(activation=jnp.sin))
    code = changed_code(setup, changed)
    assert code == 'setup.replace(network=network.replace(activation=jnp.sin), dtype="float64")'
    assert python_of(Network(width=200)) == "pk.Network(width=200)"
    assert python_of(Own(every=3)) == "Own(every=3)"  # which pinntk does not have


def test_a_network_that_is_given_is_not_replaced(diagnosis):
    model = diagnosis.evidence.subject.draws[0].model
    for remedy in (enlarge, rescale_inputs):
        _, proposal = remedied(diagnosis, remedy, network=Given(model))
        assert proposal.text
        assert proposal.setup is None
    setup, proposal = remedied(diagnosis, natural_gradient, network=Given(model))
    assert proposal.setup.network is setup.network
    assert proposal.setup.dtype == "float64"
    assert remedied(diagnosis, build_in, network=Given(model))[1] is None


def test_a_tuned_setup_is_the_natural_gradient_that_is_proposed(diagnosis):
    tuned = pk.natural_setup(diagnosis.setup.problem, steps=77)
    evidence = dataclasses.replace(diagnosis.evidence, alternatives={"natural-gradient": tuned})
    assert natural_gradient(diagnosis.setup, evidence).setup is tuned
    assert natural_gradient(tuned, evidence) is None  # it is used already


def test_a_smaller_step_is_that_of_any_optimizer(diagnosis):
    training = pk.Training(pk.FirstOrder(optax.lion(1e-2)), steps=100)
    _, proposal = remedied(diagnosis, lambda s, e: other_step(0.1, s, e), training=training)
    assert "tenth" in proposal.text
    assert proposal.setup.training.optimizer is not training.optimizer


# --- what is tried ----------------------------------------------------------------------------------


def test_the_remedies_of_the_findings_are_tried_the_natural_gradient_among_them(diagnosis):
    assert diagnosis.findings[0].name == Imbalance.name
    proposals = choose(diagnosis)
    assert isinstance(proposals[0].setup.training.weighting, pk.NTKWeights)
    texts = [proposal.text for proposal in proposals]
    assert any("natural gradient" in text for text in texts)
    assert len(set(texts)) == len(texts)
    assert all(proposal.setup is not None for proposal in proposals)


def test_a_budget_that_is_too_short_says_what_it_would_take(diagnosis):
    with pytest.raises(PinntkError, match=f"expected {least_budget(1):g} s or more"):
        treat(diagnosis, 1.0)


def test_an_interrupt_before_the_first_trial_leaves_nothing(diagnosis, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Race, "_train", interrupt)
    treatment = treat(diagnosis, 20.0)
    assert (treatment.trials, treatment.winner) == ((), None)
    assert treatment.interrupted
    check_record(treatment.added_to(diagnosis.as_dict()))


# --- how it is ranked -----------------------------------------------------------------------------


def test_the_score_is_that_of_the_problem_as_stated_in_equal_rates(diagnosis):
    setup, score = diagnosis.setup, Score(diagnosis)
    start = setup.start(diagnosis.seed)
    rates = diagnosis.evidence.before[0].rates
    fastest = max(rates.values())
    for name, rate in rates.items():  # Algorithm 1, the smallest weight being 1
        assert score.weights[name] == pytest.approx(fastest / rate, rel=1e-6)
    losses = setup.problem.losses(start.model, setup.problem.held_out(start.key))
    expected = sum(score.weights[name] * float(losses[name]) for name in losses)
    assert score(start.model) == pytest.approx(expected, rel=1e-5)
    broken = jax.tree.map(lambda a: a * math.nan if hasattr(a, "dtype") else a, start.model)
    assert score(broken) == math.inf


def test_turns_of_a_training_are_one_training(diagnosis):
    setup, score = diagnosis.setup, Score(diagnosis)
    short = setup.replace(training=setup.training.replace(steps=60, log_every=10))
    whole, turns = (Race(short, 0) for _ in range(2))
    assert not whole.go_on(100.0, score)
    while not turns.finished:
        turns.go_on(1e-3, score)
    assert turns.rounds > 1
    assert whole.result is not None
    assert turns.result is not None
    assert turns.result.losses == whole.result.losses
    assert [row.step for row in turns.result.history] == [r.step for r in whole.result.history]


def with_residual(setup, residual):
    """The setup with another equation."""
    changed = [
        dataclasses.replace(c, residual=residual) if c.name == "residual" else c
        for c in setup.problem.conditions
    ]
    return setup.replace(problem=dataclasses.replace(setup.problem, conditions=changed))


def test_a_refusal_keeps_its_reason_and_a_programming_error_is_not_one(diagnosis, monkeypatch):
    score = Score(diagnosis)
    race = Race(with_residual(diagnosis.setup, lambda u, p: 0.0 * p[0]), 0)
    assert not race.go_on(1.0, score)
    trial = race.trial()
    assert (trial.outcome, trial.relative_l2, trial.held_out) == ("refused", None, math.inf)
    assert "ResidualError: residual of condition 'residual'" in trial.reason
    assert race.rank(score) == math.inf

    def broken(u, p):
        return u(p) + {}["missing"]

    race = Race(with_residual(diagnosis.setup, broken), 0)
    assert not race.go_on(1.0, score)
    assert "missing" in race.trial().reason

    def bug(*_, **__):
        raise TypeError("a bug of pinntk")

    monkeypatch.setattr("pinntk.diagnosis.trial.train", bug)
    with pytest.raises(TypeError, match="a bug of pinntk"):
        Race(diagnosis.setup, 0).go_on(1.0, score)


def test_the_weights_of_algorithm_1_cure_imbalance(diagnosis, monkeypatch):
    """Every trial is as long as its plan, so that the ranking does not depend on the machine."""
    setup = diagnosis.setup.replace(training=diagnosis.setup.training.replace(steps=400))
    weights = algorithm_1(setup, diagnosis.evidence)
    monkeypatch.setattr("pinntk.diagnosis.trials.choose", lambda *_: [weights])
    evidence = dataclasses.replace(diagnosis.evidence, setup=setup)
    diagnosis = dataclasses.replace(diagnosis, evidence=evidence, setup=setup)
    treatment = treat(diagnosis, 600.0)
    option_of = lambda old, new: f"--weighting {new.training.weighting}"
    check_record(treatment.added_to(diagnosis.as_dict(option_of), option_of))
    baseline, best = treatment.trials
    assert (baseline.name, baseline.steps, best.steps) == ("baseline", 400, 400)
    assert best.relative_l2 < baseline.relative_l2 / 10
    assert treatment.winner.remedy is best.remedy is weights
    assert treatment.winner.as_dict(setup, option_of)["option"].startswith("--weighting")


def test_a_trial_of_another_precision_leaves_the_precision_as_it_was(diagnosis):
    setup = double(diagnosis.setup, diagnosis.evidence).setup
    setup = setup.replace(training=setup.training.replace(steps=10))
    before = jax.config.read("jax_enable_x64")
    race = Race(setup, 0)
    assert not race.go_on(600.0, Score(diagnosis))
    assert race.trial().steps == 10
    assert jax.config.read("jax_enable_x64") == before
    assert all(
        a.dtype == jnp.float64 for a in jax.tree.leaves(race.result.model) if hasattr(a, "dtype")
    )


# --- a prescription helps ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_fourier_features_that_are_prescribed_help(diagnosis):
    """An order and more on ten fast periods beside a slow one; a control with four times the scale."""
    setup = PATIENTS["spectral_relaxation"].form("sick")
    # The residual of the untrained part has ten periods.
    proposal = raise_frequencies({"t": 12.0}, setup, diagnosis.evidence)
    assert isinstance(proposal, Proposal)
    shape = proposal.setup.network
    wide = setup.replace(network=shape.replace(fourier_scale=4 * shape.fourier_scale))
    error = {
        name: start_run(each).relative_l2
        for name, each in {"plain": setup, "prescribed": proposal.setup, "wide": wide}.items()
    }
    assert error["prescribed"] < error["plain"] / 10
    assert error["wide"] > 3 * error["prescribed"]


def test_slow_waves_are_given_no_features(diagnosis):
    setup = PATIENTS["spectral_relaxation"].form("sick")
    assert raise_frequencies({"t": 2.0}, setup, diagnosis.evidence) is None
