"""`merge_equal`: the same function, with equal sub-expressions computed once."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import assert_close, mlp
from pinntk.program import merge_equal, merging

pytestmark = pytest.mark.fast

NETWORK = mlp(jax.random.key(0))


def inner_jaxprs(value):
    if isinstance(value, jax.extend.core.ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, jax.extend.core.Jaxpr):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from inner_jaxprs(item)


def count(jaxpr, primitive):
    """How many equations of one primitive a program has, those of its inner programs included."""
    total = 0
    for equation in jaxpr.eqns:
        total += equation.primitive.name == primitive
        for parameter in equation.params.values():
            total += sum(count(inner, primitive) for inner in inner_jaxprs(parameter))
    return total


def products(function, *arguments):
    return count(jax.make_jaxpr(function)(*arguments).jaxpr, "dot_general")


def three_calls(x):
    return NETWORK(x) ** 2 + jnp.sin(NETWORK(x)) * NETWORK(x)


def second_derivatives(x):
    return jax.hessian(NETWORK)(x)[0, 0] + jax.hessian(NETWORK)(x)[1, 1] + NETWORK(x)


def with_relu(x):
    return jax.nn.relu(x[0]) + jax.nn.relu(x[1]) * jax.nn.relu(x[0])


def with_softplus(x):
    return jax.nn.softplus(x[0]) - jax.nn.softplus(x[1]) * jax.nn.softplus(x[0])


def with_two_scans(x):
    doubled = jax.lax.scan(lambda c, _: (c * x[0], None), x[1], None, length=3)[0]
    added = jax.lax.scan(lambda c, _: (c + x[0], None), x[1], None, length=3)[0]
    return doubled - added


def with_two_conds(x):
    first = jax.lax.cond(x[0] > 0, jnp.sin, jnp.cos, x[1])
    second = jax.lax.cond(x[0] > 0, jnp.cos, jnp.sin, x[1])
    return first - 2 * second


def with_inner_jit(x):
    @jax.jit
    def square(y):
        return y * y

    return square(x[0]) + square(x[1]) + jax.jit(lambda y: y * y)(x[0])


def with_jit_on_numbers(x):
    scale = jax.jit(lambda a, b: a * b)
    return scale(x[0], 2.0) + scale(x[0], 3.0) + scale(x[0], 2.0)


def with_two_axes(x):
    table = x[:, None] * jnp.sin(x)[None, :] * np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    return jnp.sum(jnp.sum(table, axis=0) * jnp.sum(table, axis=1) ** 2)


def with_where(x):
    return jnp.where(x[0] > x[1], x[0], x[1]) + jnp.where(x[0] > x[1], x[1] ** 2, x[0])


def with_remat(x):
    kept = jax.checkpoint(lambda y: jnp.sin(y[0]) * jnp.exp(y[1]))
    return kept(x) - 2 * kept(2 * x)


FUNCTIONS = [
    three_calls,
    second_derivatives,
    with_relu,
    with_softplus,
    with_two_scans,
    with_two_conds,
    with_inner_jit,
    with_jit_on_numbers,
    with_two_axes,
    with_where,
    with_remat,
]
POINT = jnp.array([0.3, -0.7])


@each("function", FUNCTIONS)
def test_values_and_gradients_are_those_of_the_function(function):
    value, slope = jax.jit(jax.value_and_grad(merge_equal(function)))(POINT)
    plain_value, plain_slope = jax.jit(jax.value_and_grad(function))(POINT)
    assert_close(value, plain_value)
    assert_close(slope, plain_slope)


def test_it_works_outside_jit():
    assert_close(merge_equal(with_softplus)(POINT), with_softplus(POINT))


@each("function", [three_calls, with_softplus, with_two_conds, with_where])
def test_it_works_under_vmap_of_grad_inside_jit(function):
    points = jnp.array([[0.3, -0.7], [-0.2, 0.9], [1.1, 0.4]])
    slopes = jax.jit(jax.vmap(jax.grad(merge_equal(function))))(points)
    for slope, point in zip(slopes, points, strict=True):
        assert_close(slope, jax.grad(function)(point))


def test_a_network_called_three_times_is_evaluated_once():
    layers = len(NETWORK.layers)
    assert products(three_calls, POINT) == 3 * layers
    assert products(merge_equal(three_calls), POINT) == layers


def test_the_backward_pass_shrinks_too():
    assert products(jax.grad(merge_equal(three_calls)), POINT) < products(
        jax.grad(three_calls), POINT
    )


def test_equal_second_derivatives_are_merged():
    assert products(merge_equal(second_derivatives), POINT) < products(second_derivatives, POINT)


def test_equal_parts_of_two_inner_calls_are_merged():
    call = lambda y: NETWORK(y)
    merged = merge_equal(lambda x: jax.jit(call)(x) + jax.jit(lambda y: NETWORK(y))(x))
    assert products(merged, POINT) == len(NETWORK.layers)


def test_gradients_reach_parameters_that_are_closed_over():
    def loss(weight, f):
        return f(lambda x: jnp.sum(jnp.sin(weight @ x)) ** 2 + jnp.sum(jnp.sin(weight @ x)))(POINT)

    weight = jnp.array([[0.2, 1.0], [-0.4, 0.6]])
    assert_close(
        jax.grad(loss)(weight, merge_equal), jax.grad(loss)(weight, lambda function: function)
    )


def test_equal_literals_of_different_dtype_are_not_merged():
    # int32 0 and float32 0.0 have the same bytes, and both fill an array of the same shape.
    merged = merge_equal(lambda x: (x, jnp.zeros((3,), jnp.int32), jnp.zeros((3,), jnp.float32)))
    _, integers, floats = merged(1.0)
    assert integers.dtype == jnp.int32
    assert floats.dtype == jnp.float32


def test_the_same_literal_is_merged():
    jaxpr = jax.make_jaxpr(merge_equal(lambda x: x * jnp.sin(2.0 * x) + jnp.sin(2.0 * x)))(1.0)
    assert count(jaxpr.jaxpr, "sin") == 1


def test_nan_and_signed_zero_literals_keep_their_values():
    merged = merge_equal(lambda x: (x * jnp.nan, x * 0.0, x * -0.0))
    nan, zero, negative = (np.asarray(value) for value in merged(1.0))
    assert np.isnan(nan)
    assert not np.signbit(zero)
    assert np.signbit(negative)


def test_it_would_fail_if_the_parameters_of_an_equation_were_ignored(monkeypatch):
    """Control: the comparison above does see a wrong merge."""

    def blind_key(equation, values):
        return equation.primitive.name, tuple(id(value) for value in values)

    monkeypatch.setattr(merging, "_key", blind_key)
    wrong = merge_equal(with_two_axes)(POINT)
    with pytest.raises(AssertionError):
        assert_close(wrong, with_two_axes(POINT))


def test_effects_are_not_merged():
    seen = []

    @jax.jit
    def tell(x):
        jax.debug.callback(seen.append, x)
        return 2 * x

    merge_equal(lambda x: tell(x) + tell(x))(1.0)
    jax.effects_barrier()
    assert len(seen) == 2


def test_pytrees_go_in_and_come_out():
    result = merge_equal(lambda tree, y: {"a": (tree["x"] + y, y), "b": None})({"x": 1.0}, 2.0)
    assert result["a"] == (3.0, 2.0)
    assert result["b"] is None


def test_a_constant_function_keeps_its_constant():
    assert merge_equal(lambda x: jnp.asarray(2.5))(POINT) == 2.5


def test_random_numbers_of_different_keys_stay_different():
    key = jax.random.key(0)
    first, second = jax.random.split(key)
    merged = merge_equal(lambda x: x * jax.random.normal(first) - x * jax.random.normal(second))
    assert merged(1.0) == jax.random.normal(first) - jax.random.normal(second)
