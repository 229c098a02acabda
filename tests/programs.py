"""What the tests of the factored Jacobian on all kinds of programs share."""

import functools
from collections.abc import Callable
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from helpers import assert_close
from pinntk.conditions import Condition
from pinntk.domain import Box
from pinntk.jacobian import (
    Use,
    dense,
    diagonal,
    factored,
    gram,
    jvp,
    plans,
    trainable,
    vjp,
)
from pinntk.problem import Problem, Sample

#: These programs run once: compile them fast.
QUICK = {"xla_backend_optimization_level": 0}
MAKE = {"factored": factored, "dense": dense}
SQUARE = Box(x=(0.0, 1.0), y=(0.0, 1.0))
POINTS = np.random.default_rng(4).uniform(size=(5, 2))
OTHERS = np.random.default_rng(5).uniform(size=(3, 2))


def always_factored():
    """Small matrices are factored as well, though it does not pay."""
    return mock.patch.object(plans, "_pays", return_value=True)


def setting(residuals, fields=("u",)):
    """A new problem with these residuals by name, which is traced anew, and a batch."""
    conditions = [Condition(name, f, SQUARE, 5) for name, f in residuals.items()]
    points = dict(zip(residuals, (POINTS, OTHERS), strict=False))
    batch = {name: Sample(jnp.asarray(p)) for name, p in points.items()}
    return Problem("program", SQUARE, conditions, fields=fields), batch


def plan_of(problem, model, batch, name):
    with always_factored():
        return plans.make_plans(problem, model, batch, Use.GRAM)[0][name]


@functools.partial(eqx.filter_jit, compiler_options=QUICK)
def kernel(problem, model, batch, form):
    return gram(MAKE[form](problem, model, batch)).matrix


@functools.partial(eqx.filter_jit, compiler_options=QUICK)
def everything(problem, model, batch, form):
    """All that a Jacobian is good for."""
    jacobian = MAKE[form](problem, model, batch)
    direction = jax.tree.map(lambda a: jnp.cos(3 * a), trainable(model)[0])
    vectors = {name: jnp.cos(jnp.arange(1.0, k + 1.0)) for name, k in jacobian.rows.items()}
    found = gram(jacobian).matrix, diagonal(jacobian), jvp(jacobian, direction)
    return *found, vjp(jacobian, vectors)


def assert_same(problem, model, batch):
    """The factored form equals the dense one in everything."""
    with always_factored():
        mine = everything(problem, model, batch, "factored")
    expected = everything(problem, model, batch, "dense")
    jax.tree.map(assert_close, mine, expected)


class Model(eqx.Module):
    """A function of named parameters and the point."""

    p: dict[str, jax.Array]
    function: Callable = eqx.field(static=True)

    def __call__(self, x):
        return self.function(self.p, x)


def parameters(shapes):
    rng = np.random.default_rng(1)
    return {name: jnp.asarray(0.5 * rng.normal(size=shape)) for name, shape in shapes.items()}


def lift(x):
    return jnp.sin(jnp.asarray(np.random.default_rng(2).normal(size=(4, 2))) @ x + 0.3)


def table(h):
    return h[:, None] * jnp.arange(1.0, 4.0)[None, :]


def column(p, name="s"):
    return jnp.exp(p[name])[:, None]


def row(p, name="s"):
    return jnp.exp(p[name])[None, :]
