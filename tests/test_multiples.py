"""Proportional values of a program share a base, and the values themselves stay what they are."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import assert_close, mlp
from pinntk.program import Multiple, evaluate, scaled
from programs import plan_of, setting

pytestmark = pytest.mark.fast

W = np.random.default_rng(0).normal(size=(3, 3))
X, Y = np.random.default_rng(1).normal(size=(2, 3))  # NumPy's, which are float64 at any precision
#: The same value in two ways, and what the second is of the first.
PROPORTIONAL = {
    "products": (lambda x, y: (W @ x, W @ (-4 * x), -4)),
    "both_sides": (lambda x, y: (jnp.outer(x, y), jnp.outer(2 * x, 3 * y) / 4, 1.5)),
    "sums": (lambda x, y: (x + 2 * y, 6 * y + 3 * x, 3)),
    "differences": (lambda x, y: (x - 2 * y, 2 * y - x, -1)),
    "itself": (lambda x, y: (x, 3 * x - x / 2, 2.5)),
    "order": (lambda x, y: (x * jnp.sin(y), jnp.sin(y) * x * 2, 2)),
    "layout": (
        lambda x, y: (x / y, (5 * (x / y)).reshape(1, 3, 1).transpose(2, 0, 1).reshape(3), 5)
    ),
    "zeros_and_ones": (lambda x, y: (x * y, (x + jnp.zeros(3)) * (y * jnp.ones(3)), 1)),
    "sum_of_ones": (lambda x, y: (x, x * jnp.sum(jnp.ones(3)), 3)),
    "inside_jit": (lambda x, y: (jnp.sin(x), jax.jit(lambda z: -2 * jnp.sin(z))(x), -2)),
}
DIFFERENT = {
    "functions": lambda x, y: (jnp.sin(x), jnp.sin(2 * x)),
    "sums": lambda x, y: (x + 2 * y, x + 3 * y),
    "operands": lambda x, y: (x - y, x + y),
    "divided": lambda x, y: (x / y, y / x),
    "sides": lambda x, y: (W @ x, x @ W),
    "layout": lambda x, y: (jnp.outer(x, x + y), jnp.outer(x, x + y).T),
    "constants": lambda x, y: (x + jnp.ones(3), x),
}


def outputs(function):
    closed = jax.make_jaxpr(function)(X, Y)
    return evaluate(closed, [jnp.asarray(X), jnp.asarray(Y)])


@each("name", PROPORTIONAL)
def test_proportional_values_share_their_base(name, x64):
    *_, factor = PROPORTIONAL[name](X, Y)
    first, second = outputs(lambda x, y: PROPORTIONAL[name](x, y)[:2])
    assert second.base is first.base
    assert second.coefficient == pytest.approx(factor * first.coefficient, rel=1e-15)
    for found, expected in zip((first, second), PROPORTIONAL[name](X, Y), strict=False):
        assert_close(scaled(found), expected)


@each("name", DIFFERENT)
def test_other_values_do_not(name, x64):
    first, second = outputs(DIFFERENT[name])
    assert second.base is not first.base
    for found, expected in zip((first, second), DIFFERENT[name](X, Y), strict=True):
        assert_close(scaled(found), expected)


def everything(x, y):
    """Integers, comparisons, several results, zeros, sums to zero, a scan, and functions of all kinds."""
    n = jnp.arange(3) * 2 + jnp.argmax(x)
    low, high = jax.lax.top_k(x - y, 2)
    nothing = (x - x) * 4.0 + 0.0 * y
    carried, _ = jax.lax.scan(lambda c, _: (-2.0 * c + x, None), 3.0 * y, None, length=2)
    return (
        jnp.where(x > 0, n * x, -x / 3),
        low,
        high,
        nothing,
        carried,
        jax.nn.relu(-x),
        jnp.cumsum(2 * x),
    )


def test_values_are_those_of_the_program(x64):
    expected = jax.tree.leaves(jax.jit(everything)(X, Y))
    for found, value in zip(outputs(everything), expected, strict=True):
        np.testing.assert_allclose(scaled(found), value, rtol=1e-13, atol=1e-14)


def in_mode(along):
    def residual(u, x):
        second = lambda v: along(along(u, v), v)(x)
        return second(jnp.eye(2)[1]) - 4 * second(jnp.eye(2)[0])

    return residual


def forward(f, v):
    return lambda x: jax.jvp(f, (x,), (v,))[1]


def reverse(f, v):
    return lambda x: jax.grad(f)(x) @ v


def counts(residual):
    """K of the hidden matrix."""
    problem, batch = setting({"pde": residual})
    plan = plan_of(problem, mlp(jax.random.key(0)), batch, "pde")
    return plan.factored[".layers[1].weight"].count


def test_the_wave_residual_takes_four_outer_products_in_every_mode(x64):
    """x, its two slopes and one sum of second derivatives; without merging 5 and 6."""
    assert counts(lambda u, x: (u.d("y", "y") - 4 * u.d("x", "x"))(x)) == 4
    modes = [in_mode(forward), in_mode(reverse)]
    assert [counts(residual) for residual in modes] == [4, 4]
    separate = lambda closed, inputs: [
        Multiple(1.0, value) for value in jax.core.eval_jaxpr(closed.jaxpr, closed.consts, *inputs)
    ]
    with mock.patch("pinntk.jacobian.products.evaluate", separate):
        assert [counts(residual) for residual in modes] == [5, 6]
