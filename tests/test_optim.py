"""First-order optimisers against their updates written by hand in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from helpers import assert_close
from pinntk.errors import PinntkError
from pinntk.optim import FirstOrder, adam, ExponentialDecay, gradient_descent

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
        theta, state, losses = step(theta, state)
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
    assert jnp.isnan(FirstOrder(optax.sgd(0.05)).learning_rate(3))


def test_parameters_keep_float32():
    optimizer = adam()
    theta = jnp.asarray(START, jnp.float32)
    new, _, _ = optimizer.step(theta, optimizer.init(theta), quadratic)
    assert new.dtype == jnp.float32


@pytest.mark.parametrize("make", [adam, gradient_descent])
def test_the_reported_learning_rate_is_the_schedule(make):
    optimizer = make(1e-3, decay_rate=0.9, decay_steps=1000)
    for step, expected in [(0, 1e-3), (500, 1e-3 * 0.9**0.5), (1000, 9e-4), (3000, 7.29e-4)]:
        assert_close(optimizer.learning_rate(step), np.float32(expected))
    assert_close(make(2e-3).learning_rate(12345), np.float32(2e-3))


def test_adam_s_default_learning_rate():
    assert_close(adam().learning_rate(0), np.float32(1e-3))


@pytest.mark.parametrize("make", [adam, gradient_descent, ExponentialDecay])
@pytest.mark.parametrize("rate", [0.0, -1e-3, float("nan"), float("inf"), "1e-3", None])
def test_a_bad_learning_rate_is_named(make, rate):
    with pytest.raises(PinntkError) as error:
        make(rate)
    shown = rate if isinstance(rate, str) else repr(rate)
    assert str(error.value) == f"learning_rate: got {shown}; expected a positive finite number."


@pytest.mark.parametrize(
    "decay",
    [
        {"decay_rate": 0.9},
        {"decay_steps": 100},
        {"decay_rate": 0.0, "decay_steps": 100},
        {"decay_rate": 1.1, "decay_steps": 100},
        {"decay_rate": float("nan"), "decay_steps": 100},
        {"decay_rate": 0.9, "decay_steps": 0},
    ],
    ids=str,
)
def test_a_bad_decay_is_named(decay):
    with pytest.raises(PinntkError, match=r"decay_rate, decay_steps: got .*both or neither"):
        adam(1e-3, **decay)
