"""Remedies tried in turns: what is tried, how it is ranked, and that its command does the same."""

from __future__ import annotations

import importlib
import math
import shlex
import warnings

import jax
import pytest
from pinntk.diagnosis.diagnose import examined
from pinntk.runs import prepare
from pinntk.treatment import least_budget, treat
from pinntk.treatment.running import Run, Score
from pinntk.treatment.trials import choose

from clinic import PATIENTS
from command import run_pinntk
from pinntk.diagnosis import Remedy, command_options
from pinntk.diagnosis.baseline import Draw
from pinntk.diagnosis.record import check_record
from pinntk.diagnosis.remedies import NATURAL
from pinntk.errors import PinntkError

COMMANDS = importlib.import_module("pinntk.cli.app")


@pytest.fixture(scope="module")
def patient():
    """The heat equation in other units, examined after a few steps: imbalance."""
    case = PATIENTS["imbalance_heat"]
    setup = prepare(case.problem(), case.changes, 0)
    draws = [Draw(setup.model, setup.batch)]
    return setup, examined(setup.problem, draws, setup.recipe, setup.key, steps=400)


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"weighting": "ntk", "every": 30},
        {"hard": True},
        {"optimizer": "natural-gradient"},
        {"points": {"residual": 512, "boundary": 2}},
        {"learning_rate": 5e-06, "scaling": "unit", "input_scale": 1.0},
        {"fourier_features": 40, "fourier_scale": 2.5, "weights": {"a": 100.0}},
    ],
)
def test_the_options_of_a_remedy_are_its_changes(changes, monkeypatch):
    asked = {}

    def stop(problem, preset, given, seed):
        asked.update(given)
        raise PinntkError("enough", got="all", expected="no more")

    monkeypatch.setattr(COMMANDS, "set_up", stop)
    run_pinntk("train", "poisson1d", *shlex.split(command_options(changes)))
    assert asked == changes


# --- what is tried ----------------------------------------------------------------------------------


def test_the_remedies_of_the_findings_are_tried_the_natural_gradient_among_them(patient):
    _, diagnosis = patient
    assert str(diagnosis.findings[0].illness) == "imbalance"
    remedies = choose(diagnosis)
    assert remedies[0].changes["weighting"] == "ntk"
    assert NATURAL in remedies
    options = [remedy.option for remedy in remedies]
    assert len(set(options)) == len(options)
    assert all(remedy.changes for remedy in remedies)


def test_a_budget_that_is_too_short_says_what_it_would_take(patient):
    setup, diagnosis = patient
    with pytest.raises(PinntkError, match=f"expected {least_budget(1):g} s or more"):
        treat(setup, diagnosis, 1.0)


# --- how it is ranked -----------------------------------------------------------------------------


def test_the_score_is_that_of_the_problem_as_stated_in_equal_rates(patient):
    setup, diagnosis = patient
    score = Score(setup, diagnosis)
    rates = diagnosis.evidence.before[0].rates
    fastest = max(rates.values())
    for name, rate in rates.items():  # Algorithm 1, the smallest weight being 1
        assert score.weights[name] == pytest.approx(fastest / rate, rel=1e-6)
    held = setup.problem.held_out(setup.key)
    losses = setup.problem.losses(setup.model, held)
    expected = sum(score.weights[name] * float(losses[name]) for name in losses)
    assert score(setup.model) == pytest.approx(expected, rel=1e-5)


def test_a_model_that_is_not_finite_comes_last(patient):
    setup, diagnosis = patient
    broken = jax.tree.map(lambda a: a * math.nan if hasattr(a, "dtype") else a, setup.model)
    assert Score(setup, diagnosis)(broken) == math.inf


def test_turns_of_a_training_are_one_training(patient):
    setup, diagnosis = patient
    short = prepare(setup.original, {**setup.changes, "steps": 60, "log_every": 10}, 0)
    score = Score(setup, diagnosis)
    whole, turns = (Run("r", None, short, short.changes) for _ in range(2))
    assert not whole.go_on(100.0, score)
    while not turns.finished:
        turns.go_on(1e-3, score)
    assert turns.rounds > 1
    assert whole.result is not None
    assert turns.result is not None
    assert turns.result.losses == whole.result.losses
    assert [row.step for row in turns.result.history] == [r.step for r in whole.result.history]


def test_a_training_that_is_refused_is_told_and_others_go_on():
    case = PATIENTS["dead_forgotten"]
    setup = prepare(case.problem(), case.changes, 0)
    draws = [Draw(setup.model, setup.batch)]
    diagnosis = examined(setup.problem, draws, setup.recipe, setup.key, steps=20)
    run = Run("baseline", None, setup, setup.changes)
    assert not run.go_on(1.0, Score(setup, diagnosis))
    assert run.finished
    assert run.trial().outcome == "refused"
    assert run.rank == math.inf


def test_the_weights_of_algorithm_1_cure_imbalance(patient):
    setup, diagnosis = patient
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        treatment = treat(setup, diagnosis, 20.0)
    check_record(treatment.added_to(diagnosis.as_dict()))
    baseline, best = treatment.trials[:2]
    assert baseline.name == "baseline"
    assert best.relative_l2 is not None
    assert baseline.relative_l2 is not None
    assert best.relative_l2 < baseline.relative_l2
    assert treatment.winner is not None
    assert treatment.winner.command.startswith("pinntk train heat ")
    assert isinstance(best.remedy, Remedy)
