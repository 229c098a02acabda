"""What the doctor believes: how many draws must agree, and what a second look is content with."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import mlp
from pinntk.conditions import Condition, initial_value
from pinntk.diagnosis import FINDINGS, AbstractFinding, Found, Severity
from pinntk.diagnosis.effort import DRAWS
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.examination import HEALTHY, UNEXPLAINED, UNSEEN, gather
from pinntk.diagnosis.examination import judge as judge_by
from pinntk.diagnosis.findings import Causality, Laziness, Scaling, StepSize, step_size
from pinntk.diagnosis.measures import BINS
from pinntk.diagnosis.subject import Draw, JaxSubject
from pinntk.domain import SpaceTime
from pinntk.nets import OutputScaling
from pinntk.optim import adam
from pinntk.problem import Problem
from pinntk.training import Drawn, Network, Setup, Training

pytestmark = pytest.mark.fast

KEY = jax.random.key(0)


def judge(evidence, findings=FINDINGS):
    return judge_by(evidence, findings)


@functools.cache
def transport() -> Evidence:
    """u_t + u_x = 0, hardly trained, from `DRAWS` draws."""
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))
    conditions = [
        initial_value("start", domain, lambda p: jnp.sin(6 * jnp.pi * p[0]), 16),
        Condition("inside", lambda u, p: (u.d("t") + u.d("x"))(p), domain, 64),
    ]
    problem = Problem("transport", domain, conditions)
    keys = jax.random.split(KEY, DRAWS)
    draws = [Draw(mlp(key, 2), problem.sample(key)) for key in keys]
    setup = Setup(problem, Training(adam(1e-3), steps=3), Drawn(lambda key: mlp(key, 2)))
    subject = JaxSubject(problem, draws, setup.training, KEY)
    return gather(setup, subject, alternatives={})


def with_profiles(ratios, error=0.5, size=1.0) -> Evidence:
    """The evidence with residuals that are so many times larger early than late, and with an error.

    All else is made unsuspicious: what is learned, and sizes of order one.
    """
    evidence = transport()
    after = []
    for item, ratio in zip(evidence.after, ratios, strict=True):
        profile = np.ones(BINS)
        profile[: BINS // 4] = ratio
        shares = dict.fromkeys(item.linearized.shares, error)
        learned = dict.fromkeys(item.reach.alone, 0.0)
        after.append(
            dataclasses.replace(
                item,
                profile=profile,
                linearized=item.linearized._replace(error=error, shares=shares, wanted_rms=size),
                reach=item.reach._replace(alone=learned, balanced=learned),
                rates=dict.fromkeys(item.rates, 1.0),
            )
        )
    before = [
        dataclasses.replace(
            item,
            rates=dict.fromkeys(item.rates, 1.0),
            linearized=item.linearized._replace(wanted_rms=size),
        )
        for item in evidence.before
    ]
    rms = 1e-6  # less than the way that the planned steps can go
    return dataclasses.replace(evidence, before=before, after=after, parameter_rms=rms)


def first(evidence):
    found = judge(evidence)[0]
    return found.name, found.severity, found.confidence


def test_what_most_draws_show_is_severe():
    assert first(with_profiles([30, 30, 30, 30, 1])) == (Causality.name, Severity.SEVERE, 0.8)


def test_a_direction_of_time_must_be_one():
    """Three draws are fitted late, two early and far better so: local fits, not causality."""
    ratios = [30, 30, 30, 1e-3, 1e-3]
    assert first(with_profiles(ratios))[0] == UNEXPLAINED
    assert first(with_profiles([30, 30, 30, 1, 1]))[0] == Causality.name


@each(
    ("ratios", "name", "confidence"),
    [
        ([30, 30, 2, 2, 2], Causality.name, 0.4),  # two draws in five
        ([5, 5, 5, 5, 5], Causality.name, 1.0),  # half an order
        ([1e4, 2, 2, 2, 2], UNEXPLAINED, 1.0),  # one draw says nothing
        ([2, 2, 2, 2, 2], UNEXPLAINED, 1.0),
    ],
)
def test_a_second_look_where_nothing_else_explains_the_error(ratios, name, confidence):
    found = judge(with_profiles(ratios))
    assert first(with_profiles(ratios)) == (name, Severity.MODERATE, confidence)
    assert ("likeliest cause" in found[0].sentence) is (name == Causality.name)
    # Where there is no error to explain, nobody looks twice.
    assert first(with_profiles(ratios, error=0.01))[0] == HEALTHY


@each(
    ("size", "error", "severity"),
    [
        (30.0, 0.5, Severity.SEVERE),  # beyond an order, and not reached
        (30.0, 0.01, Severity.MODERATE),
        (300.0, 0.01, Severity.SEVERE),  # beyond two orders
        (1 / 300, 0.01, Severity.SEVERE),
        (3.0, 0.5, None),
    ],
)
def test_sizes_far_from_one_are_severe_where_they_are_not_reached(size, error, severity):
    found = judge(with_profiles([1] * DRAWS, error, size))
    scaling = [finding.severity for finding in found if finding.name == Scaling.name]
    assert scaling == ([] if severity is None else [severity])


def test_a_smaller_step_is_no_cure_of_inputs_far_from_one(monkeypatch):
    monkeypatch.setattr(step_size, "_gain_of_smaller_step", lambda e: 100.0)
    evidence = with_profiles(np.ones(DRAWS))
    found = StepSize().judge(evidence)
    assert found is not None
    assert found.severity is Severity.SEVERE
    monkeypatch.setattr(Scaling, "inputs_off", lambda self, m: True)
    assert StepSize().judge(evidence) is None


def test_sizes_far_from_one_are_no_finding_where_outputs_are_scaled():
    evidence = with_profiles([1] * DRAWS, size=300.0)
    scaled = Network(output_scaling=OutputScaling((0.0,), (300.0,)))
    evidence = dataclasses.replace(evidence, setup=evidence.setup.replace(network=scaled))
    assert Scaling.name not in [finding.name for finding in judge(evidence)]


@dataclasses.dataclass(frozen=True)
class Rounding(AbstractFinding):
    """A finding of a user's own."""

    name = "rounding"
    threshold: float = 0.0

    def judge(self, evidence):
        size = evidence.median(lambda i: max(evidence.after[i].noise.values()))
        if not size > self.threshold:
            return None
        return Found(self.name, Severity.SEVERE, 1.0, "Rounded.", "So it is.", {"size": size}, "")


@dataclasses.dataclass(frozen=True)
class Last(Rounding):
    """The same, judged only where nothing else is severe."""

    name = "last"
    last = True


def test_a_finding_of_one_s_own_is_told_where_it_stands():
    evidence = with_profiles([30] * DRAWS)
    names = lambda findings: [found.name for found in judge(evidence, findings)][:2]
    assert names([*FINDINGS, Rounding()]) == [Causality.name, "rounding"]
    assert names([Rounding(), *FINDINGS]) == ["rounding", Causality.name]
    assert "rounding" not in names([Rounding(threshold=1.0), *FINDINGS])


def test_a_last_finding_is_judged_where_nothing_is_severe():
    severe, calm = with_profiles([30] * DRAWS), with_profiles([1] * DRAWS)
    found = lambda evidence: [each.name for each in judge(evidence, [Last(), Causality()])]
    assert "last" not in found(severe)
    assert "last" in found(calm)


def test_three_steps_do_not_make_a_training_lazy():
    evidence = with_profiles([1] * DRAWS)
    assert Laziness().judge(evidence) is None
    assert Laziness(fewest=1, telling=0.0).judge(evidence) is not None


def cut(evidence, done, asked):
    """The evidence of a training that was stopped after so many steps of those it was to take."""
    baseline = evidence.baseline
    steps = (*baseline.steps[:-1], done)
    return dataclasses.replace(
        evidence, baseline=dataclasses.replace(baseline, steps=steps, asked=asked)
    )


def test_a_training_that_was_hardly_seen_is_not_spoken_of():
    evidence = with_profiles([30] * DRAWS)
    found = judge(cut(evidence, 37, 2000))
    assert found[0].name == UNSEEN
    assert found[0].severity is not Severity.SEVERE
    assert "37 of 2,000 steps were seen" in found[0].sentence
    assert not any(each.name in (Causality.name, Laziness.name) for each in found)
    assert "expect" not in " ".join(each.sentence for each in found)
    # The control: half of the steps are enough.
    assert judge(cut(evidence, 1000, 2000))[0].name == Causality.name
