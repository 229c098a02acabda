"""`interpret`: the one way to run a traced program, by any rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import assert_close, mlp
from pinntk.program import (
    INLINED,
    RECOMPUTED,
    arguments_of,
    bind,
    find_uses,
    interpret,
    is_variable,
    primitives,
    pruned,
    with_plain_operands,
)

pytestmark = pytest.mark.fast

TABLE = np.arange(1.0, 5001.0, dtype=np.float32)  # too large to be written into a program
NETWORK = mlp(jax.random.key(0))


def polynomial(x):
    unused = jnp.tan(x)
    inner = jax.jit(lambda y: jnp.sin(y) * 3.0 + jnp.cosh(unused) * 0.0)
    return inner(x) + jax.checkpoint(jnp.exp)(x), 2.0, jnp.sum(x * TABLE)


def run(function, *inputs, rule=bind, **settings):
    closed = jax.make_jaxpr(function)(*inputs)
    return interpret(closed.jaxpr, closed.consts, list(inputs), rule, **settings)


@pytest.mark.parametrize("inlined", [frozenset(), INLINED, INLINED | RECOMPUTED], ids=len)
def test_the_plain_rule_gives_the_values(inlined):
    for found, expected in zip(run(polynomial, 0.7, inlined=inlined), polynomial(0.7), strict=True):
        np.testing.assert_array_equal(found, expected)


def names_of(function, *inputs, **settings):
    seen = []

    def rule(equation, values):
        assert len(values) == len(equation.invars)
        seen.append(equation.primitive.name)
        return bind(equation, values)

    run(function, *inputs, rule=rule, **settings)
    return seen


def test_what_no_result_depends_on_can_be_dropped():
    dead = lambda x: (jnp.tan(x), jnp.sin(x))[1]
    assert names_of(dead, 0.5) == ["tan", "sin"]
    assert primitives(pruned(jax.make_jaxpr(dead)(0.5).jaxpr)) == {"sin"}


def test_an_effect_is_a_result():
    seen = []

    def telling(x):
        jax.debug.callback(seen.append, jnp.tan(x))
        return jnp.sin(x)

    closed = jax.make_jaxpr(telling)(0.5)
    kept = pruned(closed.jaxpr)
    assert [e.primitive.name for e in kept.eqns] == ["tan", "debug_callback", "sin"]
    interpret(kept, closed.consts, [0.5], bind)
    jax.effects_barrier()
    assert len(seen) == 1


def test_the_rule_sees_into_the_calls_that_are_named():
    wrapped = lambda x: jax.jit(jnp.sin)(x) + jax.checkpoint(jnp.cos)(x)
    assert "cos" not in names_of(wrapped, 0.5)
    assert "sin" in names_of(wrapped, 0.5)
    assert "cos" in names_of(wrapped, 0.5, inlined=INLINED | RECOMPUTED)


def test_literals_and_constants_are_lifted_by_the_caller():
    """A rule on sets: on which of the inputs and constants does a result depend?"""
    constants = []

    def constant(atom, value):
        constants.append((is_variable(atom), np.shape(value)))
        return {"constant"} if is_variable(atom) else set()

    rule = lambda equation, values: [set().union(*values) for _ in equation.outvars]
    closed = jax.make_jaxpr(lambda x, y: (x * 2.0, jnp.sum(y * TABLE), 3.0))(1.0, 2.0)
    inputs = [{"x"}, {"y"}]
    found = interpret(closed.jaxpr, closed.consts, inputs, rule, constant=constant)
    assert found == [{"x"}, {"y", "constant"}, set()]
    assert set(constants) == {(False, ()), (True, TABLE.shape)}


def test_primitives_of_loops_and_branches_are_found():
    def nested(x):
        step = lambda c, _: (jax.lax.cond(c > 0, jnp.tan, jnp.cosh, c), None)
        return jax.lax.scan(step, x, None, length=2)[0]

    assert {"scan", "cond", "tan", "cosh"} <= primitives(jax.make_jaxpr(nested)(0.5).jaxpr)


def test_a_product_takes_the_parameter_itself_and_what_prepared_it_goes():
    """y = (diag(s) Wᵀ / 3) x: transpose, scales and their broadcasts are no longer run."""
    function = lambda w, s, x: (jnp.exp(s)[:, None] * w.T / 3.0) @ x
    closed = jax.make_jaxpr(function)(jnp.ones((2, 4)), jnp.ones(4), jnp.ones(2))
    products = find_uses(closed.jaxpr, ("W",)).products
    jaxpr = with_plain_operands(closed.jaxpr, ("W",), products)
    assert [equation.primitive.name for equation in jaxpr.eqns] == ["exp", "dot_general"]
    other, parameter, scale, third = jaxpr.eqns[-1].invars
    assert (other, parameter) == (jaxpr.invars[2], jaxpr.invars[0])
    assert scale.aval.shape == (4,)
    assert third.val == 3.0


def test_the_arguments_of_squashing_functions_are_recorded():
    point = jnp.array([0.3, -0.7])
    found = arguments_of(NETWORK, {"tanh"})(point)
    assert [argument.primitive for argument in found] == ["tanh", "tanh"]
    first = NETWORK.layers[0]
    assert_close(found[0].value, first.weight.T @ point + first.bias)
    assert arguments_of(jnp.sin, {"tanh"})(point) == []
