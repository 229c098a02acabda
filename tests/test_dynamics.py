"""Losses under a frozen kernel against gradient descent and flow of a model whose kernel is constant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import pinntk as pk
from helpers import LinearModel
from pinntk.conditions import Condition, dirichlet
from pinntk.domain import Interval
from pinntk.errors import PinntkError
from pinntk.kernel import dynamics, parting, tangent_kernel
from pinntk.library import poisson1d
from pinntk.problem import Problem
from pinntk.weighting import Fixed

WEIGHTS = {"ends": 7.0, "inside": 0.5}


def setting():
    """A linear model, its problem and points: 2 residuals of one condition, 9 of the other."""
    rod = Interval(x=(0.0, 1.0))
    conditions = [
        dirichlet("ends", rod.faces(), 1.0, 2),
        Condition("inside", lambda u, p: u.d("x", "x")(p) + 3.0 * p[0], rod, 9),
    ]
    problem = Problem("linear", rod, conditions)
    model = LinearModel(jnp.array([0.3, -1.0, 0.7, 0.2, -0.4]))
    return problem, model, problem.sample(jax.random.key(3))


def moving(weights=WEIGHTS):
    problem, model, batch = setting()
    residuals = {n: np.asarray(r) for n, r in problem.residuals(model, batch).items()}
    return dynamics(tangent_kernel(problem, model, batch), residuals, weights)


def trained(rate, steps, weights=WEIGHTS):
    """Weighted losses after real training."""
    problem, model, batch = setting()
    result = pk.train(
        problem,
        model,
        pk.Training(pk.gradient_descent(rate), weighting=Fixed(weights), steps=steps),
        key=jax.random.key(0),
        batch=batch,
    )
    return {name: weights[name] * loss for name, loss in result.losses.items()}


@pytest.mark.parametrize("share", [0.1, 0.45, 0.9])
def test_losses_after_gradient_descent(share, x64):
    """Also for a step at which the fastest mode changes sign, share 0.9 of the stable one."""
    found = moving()
    rate = share / found.modes.largest
    for steps in (1, 6, 31):
        predicted, observed = found.after_steps(rate, steps), trained(rate, steps)
        for name in WEIGHTS:
            assert predicted[name] == pytest.approx(observed[name], rel=1e-9)
    wrong = found.after_steps(rate / 2, 6)  # control: the factor 2 forgotten
    assert wrong["inside"] != pytest.approx(trained(rate, 6)["inside"], rel=1e-2)


def test_losses_in_the_gradient_flow(x64):
    problem, model, batch = setting()
    found = moving()

    def loss(c):
        losses = problem.losses(LinearModel(c), batch)
        return sum(WEIGHTS[name] * losses[name] for name in WEIGHTS), losses

    slope = jax.jit(jax.grad(lambda c: loss(c)[0]))
    end = 3.0 / found.modes.largest
    flow = scipy.integrate.solve_ivp(
        lambda _, c: -np.asarray(slope(jnp.asarray(c))),
        (0.0, end),
        np.asarray(model.coefficients),
        rtol=1e-10,
        atol=1e-12,
    )
    _, losses = loss(jnp.asarray(flow.y[:, -1]))
    predicted = found.after_time(end)
    for name in WEIGHTS:
        assert predicted[name] == pytest.approx(WEIGHTS[name] * float(losses[name]), rel=1e-7)
    control = found.after_time(end / 2)
    assert control["inside"] != pytest.approx(WEIGHTS["inside"] * float(losses["inside"]), rel=1e-2)


def test_steps_to_a_share_are_the_first(x64):
    found = moving()
    rate = 0.3 / found.modes.largest
    start = found.after_steps(rate, 0)
    needed = found.steps_to(0.5, rate, 10_000)
    for name, steps in needed.items():
        by_hand = next(
            n for n in range(10_000) if found.after_steps(rate, n)[name] <= 0.5 * start[name]
        )
        assert steps == by_hand > 0
    assert found.steps_to(0.5, rate, max(needed.values()) - 1) != needed
    assert set(found.steps_to(1e-30, rate, 5).values()) == {None}
    assert set(found.steps_to(1.0, rate, 5).values()) == {0}


@pytest.mark.parametrize("steps", [1, 5, 400])
def test_the_way_of_the_parameters(steps, x64):
    problem, model, batch = setting()
    found = moving()
    rate = 0.4 / found.modes.largest
    result = pk.train(
        problem,
        model,
        pk.Training(pk.gradient_descent(rate), weighting=Fixed(WEIGHTS), steps=steps),
        key=jax.random.key(0),
        batch=batch,
    )
    jacobians = jax.jacobian(lambda c: problem.residuals(LinearModel(c), batch))(model.coefficients)
    vectors = found.displacement(rate, steps)
    step = -sum(np.asarray(jacobians[n]).T @ vectors[n] for n in WEIGHTS)
    expected = np.asarray(result.model.coefficients - model.coefficients)
    np.testing.assert_allclose(step, expected, atol=1e-9 * np.abs(expected).max())
    assert np.abs(2 * step - expected).max() > 0.1 * np.abs(expected).max()  # control


def test_the_parting_is_the_first_step_off_by_a_tenth():
    steps, observed = [0, 10, 20, 30], np.array([4.0, 3.0, 2.0, 1.0])
    assert parting(steps, observed * [1.0, 1.09, 0.92, 1.0], observed) is None
    assert parting(steps, observed * [1.0, 1.09, 0.89, 5.0], observed) == 20
    assert parting(steps, observed * [1.0, 1.09, 0.89, 5.0], observed, relative=0.5) == 30


def test_every_row_of_the_kernel_needs_its_residual(x64):
    problem, model, batch = setting()
    kernel = tangent_kernel(problem, model, batch)
    with pytest.raises(PinntkError, match="residuals: got 3 of them; expected 11"):
        dynamics(kernel, {"ends": np.ones(2), "inside": np.ones(1)}, WEIGHTS)


def test_a_small_pinn_follows_its_kernel_at_first(x64):
    problem = poisson1d(1.0)
    model = pk.MLP(1, width=200, depth=1, key=jax.random.key(0))
    batch = problem.sample(jax.random.key(0))
    ones = dict.fromkeys(problem.names, 1.0)
    residuals = {n: np.asarray(r) for n, r in problem.residuals(model, batch).items()}
    found = dynamics(tangent_kernel(problem, model, batch), residuals, ones)
    rate = 0.01 / found.modes.largest
    result = pk.train(
        problem,
        model,
        pk.Training(pk.gradient_descent(rate), steps=20),
        key=jax.random.key(0),
        batch=batch,
    )
    predicted, start = found.after_steps(rate, 20), found.after_steps(rate, 0)
    for name in ones:
        moved = predicted[name] - start[name]
        assert predicted[name] == pytest.approx(result.losses[name], abs=0.1 * abs(moved))
