"""How the points of a run change: by residual, growing, and the same after a run was resumed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import mlp, train_with, wave
from pinntk.conditions import Condition, dirichlet
from pinntk.domain import Interval, Random, UniformGrid
from pinntk.errors import PinntkError
from pinntk.library import poisson1d
from pinntk.optim import NaturalGradient, adam
from pinntk.problem import Problem
from pinntk.training import (
    Network,
    Observer,
    Outcome,
    ProgressivePoints,
    ResidualAdaptive,
    Setup,
    Training,
    precision,
    resume_run,
    start_run,
    trained_model,
)
from pinntk.weighting import NTKWeights

POINTS = 400


def step_problem():
    """A residual that is 9 on the right half of [0, 1] and 1 on the left, whatever the model."""
    domain = Interval(x=(0.0, 1.0))
    residual = lambda u, x: jnp.where(x[0] > 0.5, 9.0, 1.0) + 1e-6 * u(x)
    start = dirichlet("start", domain.face(x=0.0), 0.0, 2)
    return Problem("step", domain, [start, Condition("jump", residual, domain, POINTS)])


def right_half(resampling, step=50):
    problem = step_problem()
    batch = problem.sample(jax.random.key(0))
    model = mlp(jax.random.key(1), 1)
    refresh = jax.jit(lambda b, s: resampling.refresh(problem, model, b, s, jax.random.key(2)))
    fresh = refresh(batch, jnp.asarray(step))
    np.testing.assert_array_equal(fresh["start"].points, batch["start"].points)
    assert fresh["jump"].points.shape == (POINTS, 1)
    return fresh["jump"].points[:, 0], batch["jump"].points[:, 0]


@pytest.mark.parametrize(
    ("exponent", "floor", "share"),
    [(1.0, 0.0, 9 / 10), (1.0, 1.0, (9 / 5 + 1) / (10 / 5 + 2)), (0.0, 0.0, 1 / 2)],
)
def test_points_are_drawn_in_proportion_to_the_residual(exponent, floor, share):
    """p ∝ |r|^k/mean + c, by hand for two values; 4 deviations of a binomial count."""
    resampling = ResidualAdaptive(every=50, exponent=exponent, floor=floor, candidates=200)
    points, _ = right_half(resampling)
    expected, deviation = POINTS * share, np.sqrt(POINTS * share * (1 - share))
    assert abs(float((points > 0.5).sum()) - expected) < 4 * deviation
    assert len(np.unique(points)) > 0.98 * POINTS  # without replacement; float32 may repeat one


def test_points_stay_between_two_draws():
    for step in (0, 49, 51):
        points, old = right_half(ResidualAdaptive(every=50), step)
        np.testing.assert_array_equal(points, old)
    points, old = right_half(ResidualAdaptive(every=50, names=("start",)))
    np.testing.assert_array_equal(points, old)


def test_conditions_on_the_rim_keep_their_points_and_names_are_checked():
    problem, model = wave(), mlp(jax.random.key(0))
    batch = problem.sample(jax.random.key(0))
    fresh = ResidualAdaptive(every=1).refresh(
        problem, model, batch, jnp.asarray(3), jax.random.key(0)
    )
    for name in ("u", "ut"):
        np.testing.assert_array_equal(fresh[name].points, batch[name].points)
    assert (np.asarray(fresh["residual"].points) != np.asarray(batch["residual"].points)).all()
    with pytest.raises(PinntkError, match="Did you mean 'residual'"):
        ResidualAdaptive(names=("residul",)).refresh(problem, model, batch, 1, jax.random.key(0))


def test_points_grow_by_doubling_and_the_old_ones_stay():
    problem = step_problem()
    growing = ProgressivePoints(every=10, start=0.25)
    counts = [growing.counts(problem, step)["jump"] for step in (0, 9, 10, 19, 20, 1000)]
    assert counts == [100, 100, 200, 200, 400, 400]
    assert [growing.next_change(step) for step in (0, 9, 10, 20)] == [10, 10, 20, None]
    assert "start" not in growing.counts(problem, 0)  # it keeps what it has
    grid = dataclasses.replace(problem.conditions[1], sampler=UniformGrid())
    fixed = dataclasses.replace(problem, conditions=[grid])
    assert growing.counts(fixed, 0) == {}

    seen = []

    def keep(state, seconds):
        seen.append((int(state.step), np.asarray(state.batch["jump"].points)))

    train_with(
        problem,
        mlp(jax.random.key(1), 1),
        optimizer=adam(1e-3),
        steps=25,
        key=jax.random.key(0),
        resampling=growing,
        checkpoint_every=5,
        observers=[Observer(checkpoint=keep)],
    )
    sizes = {step: len(points) for step, points in seen}
    assert sizes == {5: 100, 10: 100, 15: 200, 20: 200, 25: 400}
    whole = np.asarray(problem.sample(jax.random.key(0))["jump"].points)
    for _, points in seen:
        np.testing.assert_array_equal(points, whole[: len(points)])


@pytest.mark.parametrize(
    ("optimizer", "resampling"),
    [(NaturalGradient(), ResidualAdaptive(every=4)), (adam(1e-3), ProgressivePoints(every=4))],
    ids=["natural-gradient", "adam"],
)
@pytest.mark.filterwarnings("ignore::pinntk.errors.PinntkWarning")  # few residuals
def test_a_run_that_was_stopped_ends_with_the_same_bits(tmp_path, optimizer, resampling):
    plan = Training(
        optimizer,
        steps=12,
        weighting=NTKWeights(every=5),
        resampling=resampling,
        log_every=3,
    )
    problem = poisson1d().with_points({"residual": 64}, redraw=False)
    setup = Setup(problem, plan, Network(width=6), "float64")
    start_run(setup, 3, tmp_path / "whole", checkpoint_every=5)
    stopped = start_run(setup, 3, tmp_path / "stopped", checkpoint_every=5, budget=1e-3)
    assert stopped.outcome is Outcome.BUDGET
    assert 0 < stopped.steps < 12
    resumed, _ = resume_run(tmp_path / "stopped", setup)
    assert resumed.steps == 12
    files = [tmp_path / name / "checkpoints" / "step-12.npz" for name in ("whole", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()
    with precision("float64"):
        state = trained_model(tmp_path / "stopped", setup)[-1]
    assert len(state.batch["residual"].points) == 64
    assert [row.step for row in resumed.history] == [0, 3, 6, 9, 12]


@pytest.mark.parametrize("step", [0, 4, 8])
def test_a_run_that_is_interrupted_as_its_points_grow_can_be_resumed(tmp_path, step):
    """Ctrl-C at any step leaves points of the size that a resumed run expects."""
    plan = Training(adam(1e-3), steps=12, resampling=ProgressivePoints(every=4), log_every=3)
    setup = Setup(step_problem(), plan, Network(width=6))

    def press(now, steps, row):
        if now >= step:
            raise KeyboardInterrupt

    seen = [Observer(progress=press)]
    stopped = start_run(setup, 0, tmp_path / "stopped", checkpoint_every=4, observers=seen)
    assert stopped.outcome is Outcome.INTERRUPTED
    whole = start_run(setup, 0, tmp_path / "whole", checkpoint_every=4)
    resumed, warnings = resume_run(tmp_path / "stopped", setup)
    assert warnings == []
    assert resumed.losses == whole.losses


@each(
    ("make", "argument"),
    [
        (lambda: ResidualAdaptive(every=0), "every"),
        (lambda: ResidualAdaptive(candidates=0), "candidates"),
        (lambda: ResidualAdaptive(exponent=-1.0), "exponent"),
        (lambda: ResidualAdaptive(floor=float("nan")), "floor"),
        (lambda: ProgressivePoints(every=0), "every"),
        (lambda: ProgressivePoints(start=0.0), "start"),
    ],
)
def test_bad_settings_are_named(make, argument):
    with pytest.raises(PinntkError) as caught:
        make()
    assert caught.value.argument == argument


def test_random_points_are_drawn_anew_when_they_grow():
    domain = Interval(x=(0.0, 1.0))
    random = Condition("fit", lambda u, x: u(x), domain, 8, sampler=Random())
    assert ProgressivePoints(start=0.5).counts(Problem("p", domain, [random]), 0) == {"fit": 4}
