"""The natural gradient against dense algebra in NumPy, its refusals, and what it reaches."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from each import each
from helpers import CASES, LinearModel, mlp, poisson, sample, train_with, wave
from pinntk.conditions import Condition
from pinntk.domain import Interval
from pinntk.errors import MemoryLimitError, PinntkError, PinntkWarning
from pinntk.jacobian import cast, dense, parameter_count, trainable
from pinntk.nets import MLP
from pinntk.optim import (
    SPRING,
    Cholesky,
    ConjugateGradients,
    NaturalGradient,
    Objective,
    Status,
    adam,
)
from pinntk.optim.linear import cholesky, nystrom, residual_form, residual_space
from pinntk.optim.solvers import plan
from pinntk.problem import Problem
from pinntk.training import Outcome
from pinntk.weighting import Fixed

SPACES = {
    "parameters": Cholesky("parameters"),
    "residuals": Cholesky("residuals"),
    "cg": ConjugateGradients(rank=8, tolerance=1e-14),
}
WEIGHTS = {"poisson": {"boundary": 30.0, "residual": 0.5}, "wave": {"u": 7.0, "ut": 2.0}}


def setting(name, model=None):
    """An objective with uneven weights, its parameters, and r̃ and J̃ by NumPy from the dense form."""
    case = CASES[name]()
    problem, model = case.problem, case.model if model is None else model
    model = cast(model, jnp.float64)
    batch = sample(problem, dtype=jnp.float64)
    parameters, rest = trainable(model)
    weights = {n: jnp.asarray(WEIGHTS[name].get(n, 1.0)) for n in problem.names}
    found = dense(problem, model, batch)
    scale = {n: np.sqrt(weights[n] / found.residuals[n].size) for n in problem.names}
    r = np.concatenate([scale[n] * found.residuals[n].ravel() for n in problem.names])
    j = np.concatenate([scale[n] * found.blocks[n] for n in problem.names])
    return Objective(problem, rest, weights, batch), parameters, r, j


@functools.cache
def prepared(name):
    """The setting with the case's own model, for the tests that only read it. Under x64."""
    return setting(name)


def ridge(j, r, mu):
    """The step −(JᵀJ + μI)⁻¹Jᵀr as a least-squares problem: nothing of either matrix is formed."""
    rows = np.concatenate([j, np.sqrt(mu) * np.eye(j.shape[1])])
    return np.linalg.lstsq(rows, -np.concatenate([r, np.zeros(j.shape[1])]), rcond=None)[0]


@each(("name", "solver"), [*(("poisson", solver) for solver in SPACES), ("wave", "residuals")])
def test_a_step_is_the_regularised_least_squares_solution(x64, name, solver):
    objective, parameters, r, j = prepared(name)
    optimizer = NaturalGradient(acceleration=False, solver=SPACES[solver])
    state = optimizer.init(parameters)._replace(damping=jnp.asarray(50.0))
    done = jax.jit(lambda p, s: optimizer.step(p, s, objective))(parameters, state)
    taken = ravel_pytree(done.parameters)[0] - ravel_pytree(parameters)[0]
    assert Status(int(done.status)) is Status.RUNNING
    assert set(done.metrics) == {"damping"}
    assert float(done.metrics["damping"]) == 50.0
    losses = done.losses
    np.testing.assert_allclose(taken, ridge(j, r, 50.0), rtol=0, atol=1e-9 * np.abs(taken).max())
    # Another damping, or residuals without their weights, are another step.
    assert np.abs(taken - ridge(j, r, 55.0)).max() > 1e-3 * np.abs(taken).max()
    assert np.abs(taken - ridge(j, 2 * r, 50.0)).max() > 1e-3 * np.abs(taken).max()
    total = sum(float(objective.weights[n] * losses[n]) for n in objective.problem.names)
    np.testing.assert_allclose(total, r @ r, rtol=1e-12)


@pytest.mark.parametrize("solver", SPACES)
def test_the_acceleration_is_the_second_derivative_along_the_step(x64, solver):
    objective, parameters, r, j = prepared("wave")
    optimizer = NaturalGradient(solver=SPACES[solver])
    mu = 50.0
    state = optimizer.init(parameters)._replace(damping=jnp.asarray(mu))
    after, _, _ = jax.jit(lambda p, s: optimizer.step(p, s, objective)[:3])(parameters, state)
    theta, unravel = ravel_pytree(parameters)
    step = ridge(j, r, mu)
    at = lambda t: np.asarray(objective.residuals(unravel(theta + t * step)))
    h = 1e-3
    curvature = (at(h) - 2 * at(0.0) + at(-h)) / h**2
    bend = 0.5 * ridge(j, curvature, mu)
    loss = lambda d: float(jnp.sum(objective.residuals(unravel(theta + d)) ** 2))
    assert 2 * np.linalg.norm(bend) < 0.75 * np.linalg.norm(step), "the case shows the correction"
    assert loss(step + bend) < loss(step), "the case shows the correction"
    taken = ravel_pytree(after)[0] - theta
    np.testing.assert_allclose(taken, step + bend, rtol=0, atol=1e-5 * np.abs(bend).max())
    assert np.abs(taken - (step - bend)).max() > 0.1 * np.abs(bend).max()


def exponential():
    """e^x by five sines, which cannot be met: problem, model, points."""
    domain = Interval(x=(0.0, 1.0))
    fit = Condition("fit", lambda u, x: u(x) - jnp.exp(x[0]), domain, 40)
    problem = Problem("linear", domain, [fit], solution=lambda x: jnp.exp(x[0]))
    return problem, LinearModel(jnp.zeros(5)), problem.sample(jax.random.key(0), jnp.float64)


def test_a_linear_model_is_solved_in_a_few_steps(x64):
    """Least squares by NumPy, from rows that are written down here."""
    problem, model, batch = exponential()
    result = train_with(
        problem, model, optimizer=NaturalGradient(), steps=40, key=jax.random.key(0), batch=batch
    )
    x = np.asarray(batch["fit"].points)[:, 0]
    waves = np.stack([np.sin((k + 1) * np.pi * x / 2 + k) for k in range(5)], axis=1)
    best = np.linalg.lstsq(waves, np.exp(x), rcond=None)[0]
    np.testing.assert_allclose(result.model.coefficients, best, rtol=1e-8)


def test_the_damping_follows_the_gain(x64):
    """A linear model keeps its promise, so μ falls by the largest factor; a rejected step raises it."""
    objective, parameters, _, _ = setting("poisson", LinearModel(jnp.ones(6)))
    optimizer = NaturalGradient()
    state = optimizer.init(parameters)._replace(damping=jnp.asarray(1.0))
    after = optimizer.step(parameters, state, objective).state
    np.testing.assert_allclose(after.damping, 0.2, rtol=1e-9)


def logarithm():
    """r = log θ − 3: from θ = 5e-3 the undamped step, and many a damped one, leaves θ > 0."""
    domain = Interval(x=(0.0, 1.0))

    class Number(eqx.Module):
        value: jax.Array

        def __call__(self, x):
            return self.value + 0 * x[0]

    condition = Condition("log", lambda u, x: 3.0 - jnp.log(u(x)), domain, 2)
    problem = Problem("log", domain, [condition])
    return problem, Number(jnp.asarray(200.0))


def test_a_trial_point_with_nan_is_refused(x64):
    problem, model = logarithm()
    parameters, rest = trainable(model)
    batch = problem.sample(jax.random.key(0), jnp.float64)
    objective = Objective(problem, rest, {"log": jnp.asarray(1.0)}, batch)
    optimizer = NaturalGradient(acceleration=False, damping=1e-3)
    # The undamped step goes to 200 − 200·2.3 < 0, where the residual is NaN.
    raw = 200.0 * (1 + 3.0 - np.log(200.0))
    assert raw < 0
    after, state, *_ = optimizer.step(parameters, optimizer.init(parameters), objective)
    assert float(after.value) > 0
    assert float(state.damping) > 1e-3 / 200.0**2
    result = train_with(problem, model, optimizer=optimizer, steps=60, key=jax.random.key(0))
    np.testing.assert_allclose(result.model.value, np.exp(3.0), rtol=1e-9)


def test_where_no_step_helps_the_run_says_that_it_stalled(x64):
    domain = Interval(x=(0.0, 1.0))
    flat = Condition("flat", lambda u, x: u.d("x")(x) * 1e-9 + 1.0, domain, 4)
    result = train_with(
        Problem("flat", domain, [flat]),
        LinearModel(jnp.full(3, 1e-3)),
        optimizer=NaturalGradient(damping=1e12),
        steps=400,
        key=jax.random.key(0),
    )
    assert result.outcome in (Outcome.STALLED, Outcome.CONVERGED)
    assert result.steps < 400
    assert result.history[-1].step == result.steps


@pytest.mark.parametrize(
    ("tolerance", "reason"),
    [
        ({"loss_tolerance": 1e-3}, "the loss is at its tolerance"),
        ({"step_tolerance": 1e-2}, "the steps are at their tolerance"),
        ({"gradient_tolerance": 1e-6}, "the gradient is at its tolerance"),
    ],
)
def test_a_run_that_converged_says_why(x64, tolerance, reason):
    problem, model, _ = exponential()
    optimizer = NaturalGradient(**tolerance)
    result = train_with(problem, model, optimizer=optimizer, steps=500, key=jax.random.key(0))
    assert result.outcome is Outcome.CONVERGED
    assert result.message == f"converged after {result.steps} of 500 steps: {reason}"
    assert result.history[-1].step == result.steps < 500
    assert result.history[-1].metrics["damping"] > 0


def test_it_goes_where_adam_does_not(x64):
    """The same network, points and number of gradients; both errors against the exact solution."""
    problem = poisson().with_points({"residual": 64})
    model = cast(mlp(jax.random.key(1), 1), jnp.float64)
    options = {"steps": 150, "key": jax.random.key(0)}
    cured = train_with(problem, model, optimizer=NaturalGradient(), **options)
    plain = train_with(problem, model, optimizer=adam(1e-2), **options)
    assert cured.relative_l2 < 1e-6
    assert plain.relative_l2 > 1e-3


def test_weights_change_the_objective(x64):
    problem = poisson().with_points({"residual": 64})
    model = cast(mlp(jax.random.key(1), 1), jnp.float64)
    options = {"optimizer": NaturalGradient(), "steps": 3, "key": jax.random.key(0)}
    even = train_with(problem, model, **options)
    heavy = train_with(problem, model, weighting=Fixed({"boundary": 1e4}), **options)
    assert heavy.losses["boundary"] < 1e-2 * even.losses["boundary"]


@pytest.mark.parametrize("size", [5, 300])
def test_cholesky_factors_what_is_definite_and_repairs_what_is_not(x64, size):
    draws = np.random.default_rng(0).normal(size=(size, size // 2))
    low_rank = draws @ draws.T
    factor = np.asarray(cholesky(jnp.asarray(low_rank), jnp.asarray(0.1)))
    np.testing.assert_allclose(factor @ factor.T, low_rank + 0.1 * np.eye(size), atol=1e-9 * size)
    assert np.isnan(np.asarray(jnp.linalg.cholesky(jnp.asarray(low_rank - np.eye(size))))).any()
    repaired = np.asarray(cholesky(jnp.asarray(low_rank - np.eye(size)), jnp.asarray(0.0)))
    assert np.isfinite(repaired).all()
    assert np.allclose(np.triu(repaired, 1), 0)
    values, vectors = np.linalg.eigh(low_rank - np.eye(size))
    expected = (vectors * np.maximum(values, 0)) @ vectors.T
    # The floor under the eigenvalues is n·eps·λ_max.
    np.testing.assert_allclose(repaired @ repaired.T, expected, atol=1e-9 * values[-1])


def test_nystrom_finds_a_matrix_of_low_rank_and_the_top_of_another(x64):
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    low = (basis[:, :6] * np.arange(1, 7.0)) @ basis[:, :6].T
    key = jax.random.key(0)
    found = nystrom(lambda v: jnp.asarray(low) @ v, 60, 10, jnp.float64, key)
    vectors, values = (np.asarray(part) for part in found)
    np.testing.assert_allclose((vectors * values) @ vectors.T, low, atol=1e-9)
    decaying = (basis * 2.0 ** -np.arange(60)) @ basis.T
    _, values = nystrom(lambda v: jnp.asarray(decaying) @ v, 60, 20, jnp.float64, key)
    np.testing.assert_allclose(values[:8], 2.0 ** -np.arange(8), rtol=1e-3)
    assert (np.asarray(values) >= 0).all()


def test_spring_solves_for_the_vector_nearest_to_the_step_before(x64):
    objective, parameters, r, j = prepared("wave")
    optimizer = SPRING(damping=1e-2, momentum=0.7, step_length=0.5)
    before = np.random.default_rng(0).normal(size=j.shape[1])
    state = optimizer.init(parameters)._replace(direction=jnp.asarray(before))
    after, state, _ = jax.jit(lambda p, s: optimizer.step(p, s, objective)[:3])(parameters, state)
    mu = 1e-2 * np.trace(j @ j.T) / len(j)
    rows = np.concatenate([j, np.sqrt(mu) * np.eye(j.shape[1])])
    aim = np.concatenate([-r, np.sqrt(mu) * 0.7 * before])
    expected = np.linalg.lstsq(rows, aim, rcond=None)[0]
    np.testing.assert_allclose(state.direction, expected, atol=1e-9 * np.abs(expected).max())
    taken = ravel_pytree(after)[0] - ravel_pytree(parameters)[0]
    np.testing.assert_allclose(taken, 0.5 * expected, atol=1e-9 * np.abs(expected).max())
    # Without the projection, J̃φ₋ left out, it is another vector.
    wrong = 0.7 * before + ridge(j, r, mu)
    assert np.abs(wrong - expected).max() > 1e-2 * np.abs(expected).max()


def test_spring_trains_a_wide_network_on_few_points_at_a_time(x64):
    problem = wave()
    conditions = [dataclasses.replace(c, redraw_every=1) for c in problem.conditions]
    problem = dataclasses.replace(problem, conditions=conditions).with_points(
        {"u": 48, "ut": 16, "residual": 64}
    )
    model = cast(MLP(2, width=64, depth=2, key=jax.random.key(0)), jnp.float64)
    result = train_with(problem, model, optimizer=SPRING(), steps=60, key=jax.random.key(0))
    assert result.relative_l2 < 0.05
    assert result.relative_l2 < 0.1 * result.history[0].relative_l2


def test_the_plan_says_why(x64):
    case = CASES["poisson"]()
    model = cast(case.model, jnp.float64)
    found = NaturalGradient().plan(case.problem, model, sample(case.problem))
    assert found.solver == Cholesky("residuals")
    assert (found.residuals, found.parameters) == (11, 46)
    assert "the smaller matrix is 11 × 11" in str(found)
    more = sample(case.problem.with_points({"residual": 60}))
    assert NaturalGradient().plan(case.problem, model, more).solver == Cholesky("parameters")
    asked = NaturalGradient(solver=ConjugateGradients(rank=3)).plan(case.problem, model, more)
    assert asked.solver == ConjugateGradients(rank=3)


def test_memory_that_does_not_suffice_is_said_with_a_way_out(x64, monkeypatch):
    case = CASES["poisson"]()
    arguments = case.problem, case.model, sample(case.problem)
    monkeypatch.setattr("pinntk.optim.solvers.total_memory", lambda: 2e4)
    assert isinstance(NaturalGradient().plan(*arguments).solver, ConjugateGradients)
    with pytest.raises(MemoryLimitError, match="ConjugateGradients") as caught:
        NaturalGradient(solver=Cholesky()).plan(*arguments)
    assert "11 residuals of 46 parameters, which take" in str(caught.value)


def test_the_plan_counts_the_jacobian_that_residual_space_holds(x64):
    """Factors of a wide network are smaller than its J: between the two a direct solve still fits."""
    problem = wave().with_points({"residual": 40})
    batch = sample(problem, dtype=jnp.float64)
    weights = {n: jnp.asarray(1.0) for n in problem.names}
    for width, form in ((80, "factored"), (7, "dense")):
        model = cast(MLP(2, width=width, depth=3, key=jax.random.key(0)), jnp.float64)
        parameters, rest = trainable(model)
        objective = Objective(problem, rest, weights, batch)
        n, p = sum(objective.rows(parameters).values()), parameter_count(model)
        chosen = residual_form(objective, parameters)
        assert chosen.form == form
        found = plan(Cholesky("residuals"), objective, parameters)
        assert found.bytes == 2 * chosen.costs[form].held + 4 * 8 * n**2
        by_dense = 2 * 8 * n * p + 4 * 8 * n**2
        assert (found.bytes < by_dense / 2) == (form == "factored")
        assert (found.bytes == by_dense) == (form == "dense")  # control
        between = plan(None, objective, parameters, memory_limit=0.9 * by_dense).solver
        assert isinstance(between, Cholesky if form == "factored" else ConjugateGradients)


def test_float32_and_too_few_points_are_said():
    with pytest.warns(PinntkWarning) as caught:
        result = train_with(
            poisson(),
            mlp(jax.random.key(1), 1),
            optimizer=NaturalGradient(),
            steps=2,
            key=jax.random.key(0),
        )
    said = [str(warning.message) for warning in caught]
    assert any("in float32, in which modes" in text for text in said)
    assert any("11 residuals for 46 parameters" in text for text in said)
    assert set(said) <= set(result.notes)
    assert result.model.layers[0].weight.dtype == jnp.float32


def test_an_overfitted_residual_is_said(x64):
    """u'' = −π² sin πx at seven points, with 46 parameters: fitted there, and wrong between them."""
    with pytest.warns(PinntkWarning, match="residuals for"):
        result = train_with(
            poisson(),
            cast(mlp(jax.random.key(1), 1), jnp.float64),
            optimizer=NaturalGradient(),
            steps=60,
            key=jax.random.key(0),
        )
    assert result.held_out["residual"] > 100 * result.losses["residual"]
    assert any(note.startswith("Overfitted") and "'residual'" in note for note in result.notes)
    many = train_with(
        poisson().with_points({"residual": 128}),
        cast(mlp(jax.random.key(1), 1), jnp.float64),
        optimizer=NaturalGradient(),
        steps=60,
        key=jax.random.key(0),
    )
    assert many.notes == ()


@each(
    ("make", "argument"),
    [
        (lambda: NaturalGradient(damping=0.0), "damping"),
        (lambda: NaturalGradient(step_tolerance=-1.0), "step_tolerance"),
        (lambda: NaturalGradient(loss_tolerance=float("nan")), "loss_tolerance"),
        (lambda: Cholesky("dual"), "space"),
        (lambda: ConjugateGradients(rank=0), "rank"),
        (lambda: ConjugateGradients(tolerance=2.0), "tolerance"),
        (lambda: SPRING(momentum=1.0), "momentum"),
        (lambda: SPRING(damping=0.0), "damping"),
        (lambda: SPRING(step_length=-1.0), "step_length"),
    ],
)
def test_bad_settings_are_named(make, argument):
    with pytest.raises(PinntkError) as caught:
        make()
    assert caught.value.argument == argument


def test_the_linearisation_of_a_wide_network_uses_the_factors(x64):
    """In residual space J comes in the cheaper form; the step is that of the dense algebra."""
    problem = wave().with_points({"residual": 40})
    model = cast(MLP(2, width=80, depth=3, key=jax.random.key(0)), jnp.float64)
    parameters, rest = trainable(model)
    batch = sample(problem, dtype=jnp.float64)
    weights = {n: jnp.asarray(1.0) for n in problem.names}
    objective = Objective(problem, rest, weights, batch)
    linear = residual_space(objective, parameters, objective.rows(parameters))
    found = dense(problem, model, batch)
    scale = {n: 1 / np.sqrt(found.residuals[n].size) for n in problem.names}
    r = np.concatenate([scale[n] * found.residuals[n].ravel() for n in problem.names])
    j = np.concatenate([scale[n] * found.blocks[n] for n in problem.names])
    mu = 0.1 * np.trace(j @ j.T) / len(j)
    direct = j.T @ np.linalg.solve(j @ j.T + mu * np.eye(len(j)), r)
    solved = linear.factorize(jnp.asarray(mu))(linear.residual)
    np.testing.assert_allclose(solved, direct, atol=1e-9 * np.abs(direct).max())
    np.testing.assert_allclose(linear.gradient, j.T @ r, atol=1e-9 * np.abs(j.T @ r).max())
    np.testing.assert_allclose(linear.mean, np.trace(j @ j.T) / len(j), rtol=1e-10)
