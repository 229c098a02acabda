"""What the trials may claim: a cure is an error of at most 5%, three times better, nowhere worse."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pinntk as pk
from each import each
from pinntk.diagnosis import Proposal, examine, treat
from pinntk.diagnosis.claim import BETTER, winner_of
from pinntk.diagnosis.evidence import FAILED
from pinntk.diagnosis.record import check_record
from pinntk.diagnosis.score import SHARE, Gap, Score, held_rows, without
from pinntk.diagnosis.trial import BASELINE, NOT_TRIED, Race
from pinntk.diagnosis.trials import choose
from pinntk.training import (
    Network,
    Outcome,
    Result,
    Row,
    Setup,
    Training,
    points_scaling,
    start_run,
)


def ended(error, step, planned_rows=(), outcome=Outcome.BUDGET, held_out=1.0):
    """A result with an error at each of some steps, the last of which is the end."""
    rows = [
        Row(at, {"a": value}, {"a": 1.0}, {}, value, float(at), {"a": held_out})
        for at, value in planned_rows
    ]
    return Result(
        model=None,
        outcome=outcome,
        message="",
        steps=step,
        seconds=1.0,
        losses={},
        weights={},
        relative_l2=error,
        history=tuple(rows),
        held_out={},
        notes=(),
        compilation=0.0,
    )


class Known(Score):
    """A score where the solution is known."""

    by_error = True

    def __init__(self):
        self.weights = {}


class Unknown(Known):
    """A score where it is not: estimates are what `claim` asks for."""

    by_error = False

    def estimate(self, model):
        return model

    def gap(self, model, better):
        return Gap(model, (0.0,), better)


LINE = pk.Interval(x=(0.0, 1.0))
PROBLEM = pk.Problem("line", LINE, [pk.dirichlet("a", LINE.faces(), 0.0, 2)])
SETUP = Setup(PROBLEM, Training(pk.adam(1e-3), steps=1000))


def race(error=None, held_out=1.0, *, remedy=True, model=None, rows=(), outcome=Outcome.COMPLETED):
    made = Race(SETUP, 0, Proposal("a remedy", SETUP) if remedy else None)
    made.result = ended(error, 100, rows, outcome)
    object.__setattr__(made.result, "model", model)
    made.error, made.held_out, made.start = error, held_out, None
    return made


@each(
    ("before", "after", "held_out", "cure", "doubt"),
    [
        (0.8, 0.04, 0.5, True, ""),
        (0.92, 0.86, 0.5, False, "more than 5%"),  # what was called a cure
        (1.0, 0.06, 0.5, False, "more than 5%"),
        (0.06, 0.03, 0.5, False, "3× is asked for"),
        (0.8, 0.04, 2.0, False, "held-out residual is larger"),
    ],
)
def test_a_cure_is_a_claim(before, after, held_out, cure, doubt):
    found = winner_of(race(before, remedy=False), [race(after, held_out)], Known())
    assert found.cure is cure
    assert doubt in found.doubt
    assert ("not a cure" in found.sentence) is not cure


def test_nothing_better_is_no_winner():
    assert winner_of(race(0.1, remedy=False), [race(0.2)], Known()) is None
    assert winner_of(race(0.1, remedy=False), [], Known()) is None
    # A remedy that was not reached has no rank.
    assert (
        winner_of(race(0.1, remedy=False), [Race(SETUP, 0, Proposal("x", SETUP))], Known()) is None
    )


def test_the_baseline_counts_as_it_will_end():
    """An error of 1/step is 0.01 after 100 of 1,000 steps and 0.001 at the end of the plan."""
    rows = [(step, 1.0 / step) for step in (1, 2, 5, 10, 20, 50, 100)]
    cut = race(0.01, remedy=False, rows=rows, outcome=Outcome.BUDGET)
    assert cut.at_the_end(Known()) == pytest.approx(1e-3, rel=1e-6)
    best = race(0.002)
    assert 0.01 / best.error > BETTER  # the control: better than what it has reached
    assert not winner_of(cut, [best], Known()).cure
    done = race(0.01, remedy=False, rows=rows, outcome=Outcome.COMPLETED)
    assert winner_of(done, [best], Known()).cure


@each(
    ("estimates", "held_out", "cure"),
    [
        ((0.9, 0.01), (1.0, 1e-3), True),
        ((0.9, 0.5), (1.0, 1e-3), False),  # the residual is small and the error is not
        ((0.9, 0.01), (1.0, 0.5), False),  # hardly less of a residual
        ((0.9, math.inf), (1.0, 1e-3), False),
    ],
)
def test_without_a_solution_estimate_and_residual_must_agree(estimates, held_out, cure):
    first = race(None, held_out[0], remedy=False, model=estimates[0])
    best = race(None, held_out[1], model=estimates[1])
    assert not winner_of(first, [best], Unknown(), estimate=False).cure
    found = winner_of(first, [best], Unknown())
    assert found.cure is cure
    assert (found.estimate_before, found.estimate_after) == estimates
    assert (found.gap is not None) is cure


def test_a_baseline_that_cannot_begin_is_better_by_nothing():
    first = Race(SETUP, 0)
    first.reason = "ResidualError: NaN"
    found = winner_of(first, [race(0.01)], Known())
    assert found.cure
    assert not winner_of(first, [race(0.9)], Known()).cure
    assert found.relative_l2_before is None


# --- held-out points of a cloud ---------------------------------------------------------------------


def cloud(count=60):
    rng = np.random.default_rng(0)
    inside = rng.uniform(-1, 1, (count, 2))
    rim = np.stack([np.cos(np.arange(12)), np.sin(np.arange(12))], 1)
    names = ("x", "y")
    source = lambda u, p: u.laplacian()(p) + 4.0
    return pk.Problem(
        "cloud",
        pk.Points(np.concatenate([inside, rim]), names),
        [
            pk.Condition("poisson", source, pk.Points(inside, names), count),
            pk.dirichlet("rim", pk.Points(rim, names), 0.0, 12),
        ],
    )


def test_a_fifth_of_given_points_is_held_out():
    rows = held_rows(60)
    assert len(rows) == 60 // SHARE == len(set(rows.tolist()))
    batch = cloud().sample(pk.training.Setup(cloud(), SETUP.training).start(0).key)
    fewer = without(batch, {"poisson": rows})
    kept, held = np.asarray(fewer["poisson"].points), np.asarray(batch["poisson"].points)[rows]
    assert len(kept) == 48
    assert not (kept[:, None, :] == held[None]).all(axis=2).any()
    assert len(fewer["rim"].points) == 12


@pytest.mark.slow
def test_trials_on_a_cloud_are_ranked_by_points_that_none_was_trained_on():
    setup = Setup(
        cloud(),
        Training(pk.adam(1e-3), steps=300),
        Network(width=10, depth=2, scaling=points_scaling),
    )
    diagnosis = examine(setup, draws=1, steps=50)
    score = Score(diagnosis)
    assert set(score.points) == {"poisson", "rim"}
    assert len(score.points["poisson"].points) == 12
    assert score(setup.start(0).model) > 0  # it was zero: nothing was held out
    treatment = treat(diagnosis, 20.0)
    check_record(treatment.added_to(diagnosis.as_dict()))
    first = treatment.trials[0]
    assert first.name == BASELINE
    assert first.held_out > 0
    winner = treatment.winner
    assert winner is not None
    assert winner.held_out_after < winner.held_out_before
    assert winner.cure is (winner.doubt == "")
    if winner.cure:
        assert winner.estimate_after <= FAILED
        assert winner.gap.relative_l2 > 0


def test_networks_scaled_to_their_own_points_are_examined_together():
    """Their constants differ by draw; one program trains them all."""
    sides = [pk.Box(x=(0, 1), y=(0, 1)), pk.Box(x=(1, 2), y=(0, 1))]
    domain = pk.Union(sides)
    edge = pk.Union([sides[0].faces("y"), sides[1].faces("y")])
    problem = pk.Problem(
        "union",
        domain,
        [
            pk.Condition("laplace", lambda u, p: u.laplacian()(p), domain, points=32),
            pk.dirichlet("edge", edge, lambda p: p[0] * p[1], points=16),
        ],
        solution=lambda p: p[0] * p[1],
    )
    shape = Network(width=6, depth=1, scaling=points_scaling)
    setup = Setup(problem, Training(pk.adam(1e-2), steps=20), shape)
    own = [jax.tree.structure(setup.start(seed).model) for seed in range(2)]
    assert own[0] != own[1]  # the control: they cannot be stacked as they are
    diagnosis = examine(setup, draws=2, steps=20)
    assert diagnosis.evidence.baseline.losses["edge"].shape[1] == 2
    natural = next(p for p in choose(diagnosis) if p.setup.dtype == "float64")
    short = natural.setup.training.replace(steps=3)
    assert start_run(natural.setup.replace(training=short)).steps == 3


# --- one precision for each run ---------------------------------------------------------------------


def turning(dtype="float32"):
    """A residual with an array of numbers in it: float64 wherever 64-bit mode is on."""
    time = pk.Interval(t=(0, 1))
    problem = pk.Problem(
        "turning",
        time,
        [
            pk.Condition("turn", lambda w, p: w.d("t")(p) - w(p)[::-1], time, points=16),
            pk.initial_value("start", time, lambda p: jnp.array([1.0, 0.0]), points=1),
        ],
        fields=("a", "b"),
        solution=lambda p: jnp.stack([jnp.cosh(p[0]), jnp.sinh(p[0])]),
    )
    return Setup(problem, Training(pk.adam(1e-3), steps=60), Network(width=8, depth=1), dtype)


def test_a_trial_in_float64_does_not_refuse_the_others():
    diagnosis = examine(turning(), draws=1, steps=20)
    assert any(p.setup.dtype == "float64" for p in choose(diagnosis))
    treatment = treat(diagnosis, 8.0)
    assert all(trial.reason == "" for trial in treatment.trials if trial.outcome != NOT_TRIED)
    assert treatment.trials[0].steps > 0
    assert treatment.trials[0].relative_l2 < math.inf
    first_order = treat(diagnosis, 8.0, first_order=True)
    assert not any("natural" in trial.name for trial in first_order.trials)
