"""The factored and implicit forms of the Jacobian against the dense one, and what is factored."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import CASES, assert_close, double_case, poisson, sample
from pinntk.errors import PinntkError
from pinntk.jacobian import (
    FORMS,
    Use,
    block_traces,
    choose,
    dense,
    diagonal,
    factored,
    gram,
    jvp,
    trainable,
    vjp,
)
from pinntk.nets import MLP

WIDE = {"width": 40, "depth": 2}


def wide(name):
    """A case with a network wide enough that its hidden matrices are worth factoring."""
    case, batch = double_case(name)
    outputs = len(case.problem.fields)
    d = len(case.problem.domain.coordinates)
    model = MLP(d, None if outputs == 1 else outputs, **WIDE, key=jax.random.key(7))
    return case.problem, model, batch


@each("form", ["factored", "implicit"])
@each("name", CASES)
def test_every_form_agrees_with_the_dense_one(name, form, x64):
    problem, model, batch = wide(name)
    parameters = trainable(model)[0]
    keys = jax.random.split(jax.random.key(3), 2)
    direction = jax.tree.map(lambda a: jax.random.normal(keys[0], a.shape), parameters)

    @eqx.filter_jit
    def everything(model, batch, form):
        jacobian = FORMS[form](problem, model, batch, Use.GRAM)
        vectors = {n: jnp.cos(jnp.arange(1.0, k + 1.0)) for n, k in jacobian.rows.items()}
        return (
            gram(jacobian).matrix,
            diagonal(jacobian),
            jvp(jacobian, direction),
            vjp(jacobian, vectors),
        )

    mine, expected = everything(model, batch, form), everything(model, batch, "dense")
    np.testing.assert_array_equal(mine[0], mine[0].T)
    jax.tree.map(assert_close, mine, expected)


def test_wide_matrices_are_factored_and_biases_are_not(x64):
    choice = choose(*wide("wave"))
    assert choice.form == "factored"
    plan = choice.plans["residual"]
    assert plan.factored[".layers[1].weight"].count == 4
    assert plan.plain[".layers[0].bias"] == "used in add"
    assert ".layers[1].weight factored, 4 products" in str(choice)


def test_one_product_less_fails_the_comparison(x64):
    """Control: the outer product of one of the four uses left out."""
    problem, model, batch = wide("wave")
    jacobian = factored(problem, model, batch, Use.GRAM)
    gradients = jacobian.gradients["residual"]
    fewer = {name: uses[:-1] for name, uses in gradients.factored.items()}
    wrong = eqx.tree_at(lambda j: j.gradients["residual"].factored, jacobian, fewer)
    expected = block_traces(dense(problem, model, batch))["residual"]
    assert_close(block_traces(jacobian)["residual"], expected)
    with pytest.raises(AssertionError):
        assert_close(block_traces(wrong)["residual"], expected)


class Tied(eqx.Module):
    """W used as it is, transposed, scaled by column with trained factors; a `scan` over layers."""

    matrix: jax.Array
    scales: jax.Array
    stack: jax.Array

    def __call__(self, x):
        hidden = jnp.tanh(jnp.ones(30) * x[0] @ (self.matrix * jnp.exp(self.scales)[None, :]))
        hidden = jnp.tanh(hidden @ self.matrix.T)
        hidden = jax.checkpoint(lambda h: jnp.tanh(self.matrix @ h))(hidden)
        hidden, _ = jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), hidden, self.stack)
        return jnp.sum(hidden)


def test_parameters_used_in_many_ways(x64):
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = [(30, 30), (30,), (2, 30, 30)]
    model = Tied(*(0.2 * jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)))
    problem = poisson()
    batch = sample(problem)
    plan = choose(problem, model, batch, Use.DIAGONAL).plans["boundary"]
    assert plan.factored[".matrix"].count == 3
    assert plan.plain[".stack"] == "used in scan"
    mine = factored(problem, model, batch, Use.DIAGONAL)
    exact = dense(problem, model, batch)
    assert_close(gram(mine).matrix, gram(exact).matrix)
    jax.tree.map(assert_close, diagonal(mine), diagonal(exact))


def test_sums_in_float64_are_refused_where_jax_does_not_compute_in_it():
    problem = poisson()
    model = MLP(1, **WIDE, key=jax.random.key(7))
    jacobian = factored(problem, model, sample(problem))
    with pytest.raises(PinntkError, match=r"dtype: got float64.*enable_x64"):
        gram(jacobian, dtype=jnp.float64)
