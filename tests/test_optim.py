"""First-order optimizers against their updates written by hand in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from each import each
from helpers import assert_close
from pinntk.errors import PinntkError
from pinntk.optim import (
    SPRING,
    Adaptive,
    ExponentialDecay,
    FirstOrder,
    GradientDescent,
    NaturalGradient,
    SecondOrder,
    adam,
    gradient_descent,
    rate_of,
)

pytestmark = pytest.mark.fast

MATRIX = np.array([[3.0, 1.0], [1.0, 2.0]])
START = np.array([1.0, -2.0])


def quadratic(theta):
    """Two losses, of weights 1 and 4; the gradient of the weighted sum is (MATRIX + 4·I)θ."""

    def weighted(theta):
        losses = {"a": theta @ jnp.asarray(MATRIX) @ theta / 2, "b": theta @ theta / 2}
        return losses["a"] + 4 * losses["b"], losses

    return jax.value_and_grad(weighted, has_aux=True)(theta)


def slope(theta):
    return MATRIX @ theta + 4 * theta


def assert_same_path(path, expected, decay):
    # Optax counts steps in 32 bits, so a decaying rate is rounded to float32 even under x64.
    tolerance = 1e-6 if decay else 1e-14
    np.testing.assert_allclose(np.stack(path), np.stack(expected), rtol=tolerance)


def run(optimizer, steps):
    """Parameters before every step, those after the last, and the losses of every step."""
    step = jax.jit(lambda theta, state: optimizer.step(theta, state, quadratic))
    theta = jnp.asarray(START)
    state, path, seen = optimizer.init(theta), [START], []
    for _ in range(steps):
        theta, state, losses, *_ = step(theta, state)
        path.append(np.asarray(theta))
        seen.append(losses)
    return path, seen


@pytest.mark.parametrize(
    "decay", [{}, {"decay_rate": 0.9, "decay_steps": 2}], ids=["flat", "decay"]
)
def test_gradient_descent_is_its_update(decay, x64):
    path, _ = run(gradient_descent(0.05, **decay), 4)
    expected = [START]
    for step in range(4):
        theta = expected[-1]
        rate = 0.05 * (0.9 ** (step / 2) if decay else 1.0)
        expected.append(theta - rate * slope(theta))
    assert_same_path(path, expected, decay)


@pytest.mark.parametrize(
    "decay", [{}, {"decay_rate": 0.5, "decay_steps": 3}], ids=["flat", "decay"]
)
def test_adam_is_its_update(decay, x64):
    """Kingma and Ba 2015, algorithm 1, with β = (0.9, 0.999) and ε = 1e-8."""
    path, _ = run(adam(0.1, **decay), 5)
    expected, mean, square = [START], np.zeros(2), np.zeros(2)
    for step in range(5):
        theta = expected[-1]
        gradient = slope(theta)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        unbiased = mean / (1 - 0.9 ** (step + 1)), square / (1 - 0.999 ** (step + 1))
        rate = 0.1 * (0.5 ** (step / 3) if decay else 1.0)
        expected.append(theta - rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8))
    assert_same_path(path, expected, decay)


def test_losses_are_unweighted_and_those_before_the_step(x64):
    path, seen = run(gradient_descent(0.05), 2)
    for theta, losses in zip(path[:-1], seen, strict=True):
        assert_close(losses["a"], theta @ MATRIX @ theta / 2)
        assert_close(losses["b"], theta @ theta / 2)


def test_any_optax_transformation_will_do(x64):
    path, _ = run(FirstOrder(optax.sgd(0.05)), 1)
    assert_close(path[1], START - 0.05 * slope(START))
    assert rate_of(FirstOrder(optax.sgd(0.05)), 3) is None


def test_a_transformation_that_searches_a_line_gets_what_it_needs(x64):
    """L-BFGS on a quadratic of two variables: its minimum within a few steps, which descent is far from."""
    found, _ = run(FirstOrder(optax.lbfgs()), 6)
    plain, _ = run(gradient_descent(0.05), 6)
    assert np.linalg.norm(found[-1]) < 1e-8
    assert np.linalg.norm(plain[-1]) > 1e-2


def test_the_kind_of_a_method_is_told_by_type():
    assert isinstance(gradient_descent(0.1).kind, GradientDescent)
    assert isinstance(adam().kind, Adaptive)
    assert isinstance(FirstOrder(optax.lion(1e-3)).kind, Adaptive)
    assert isinstance(NaturalGradient().kind, SecondOrder)
    assert isinstance(SPRING().kind, SecondOrder)


@pytest.mark.parametrize("make", [gradient_descent, adam])
def test_a_rescaled_optimizer_steps_by_the_factor(make, x64):
    optimizer = make(0.05)
    smaller = optimizer.kind.rescaled(0.1)
    assert rate_of(smaller) == pytest.approx(0.005)
    full, short = (np.asarray(run(o, 1)[0][1]) - START for o in (optimizer, smaller))
    np.testing.assert_allclose(short, 0.1 * full, rtol=1e-6)
    assert smaller.kind.rescaled is not None


def test_equal_arguments_give_one_object():
    """So that trainings that are equal share their compiled program."""
    assert adam(1e-3, decay_rate=0.9, decay_steps=10) is adam(1e-3, decay_rate=0.9, decay_steps=10)
    assert adam(1e-3) is not adam(2e-3)
    assert adam(1e-3) is not gradient_descent(1e-3)


@pytest.mark.parametrize("value", ["adam", optax.adam, None])
def test_what_is_no_transformation_is_refused(value):
    with pytest.raises(PinntkError, match=r"^transformation: got .*expected an Optax"):
        FirstOrder(value)


def test_parameters_keep_float32():
    optimizer = adam()
    theta = jnp.asarray(START, jnp.float32)
    new = optimizer.step(theta, optimizer.init(theta), quadratic).parameters
    assert new.dtype == jnp.float32


@pytest.mark.parametrize("make", [adam, gradient_descent])
def test_the_reported_learning_rate_is_the_schedule(make):
    optimizer = make(1e-3, decay_rate=0.9, decay_steps=1000)
    for step, expected in [(0, 1e-3), (500, 1e-3 * 0.9**0.5), (1000, 9e-4), (3000, 7.29e-4)]:
        assert rate_of(optimizer, step) == pytest.approx(expected, rel=1e-6)
    assert rate_of(make(2e-3), 12345) == pytest.approx(2e-3, rel=1e-6)


def test_adam_s_default_learning_rate():
    assert rate_of(adam()) == pytest.approx(1e-3, rel=1e-6)


@each("make", [adam, gradient_descent, ExponentialDecay])
@each("rate", [0.0, -1e-3, 1e-60, float("nan"), float("inf"), "1e-3", None])
def test_a_bad_learning_rate_is_named(make, rate):
    with pytest.raises(PinntkError) as error:
        make(rate)
    shown = rate if isinstance(rate, str) else repr(rate)
    assert (
        str(error.value)
        == f"learning_rate: got {shown}; expected a positive finite number above 1.2e-38."
    )


@each(
    "decay",
    [
        {"decay_rate": 0.9},
        {"decay_steps": 100},
        {"decay_rate": 0.0, "decay_steps": 100},
        {"decay_rate": 1.1, "decay_steps": 100},
        {"decay_rate": float("nan"), "decay_steps": 100},
        {"decay_rate": 0.9, "decay_steps": 0},
    ],
)
def test_a_bad_decay_is_named(decay):
    with pytest.raises(PinntkError, match=r"decay_rate, decay_steps: got .*both or neither"):
        adam(1e-3, **decay)
