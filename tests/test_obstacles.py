"""Residuals that print, loop or call back: they work, or say what to write instead."""

import jax
import jax.numpy as jnp
import pytest

from each import each
from helpers import assert_close, mlp
from pinntk.errors import ResidualError
from pinntk.jacobian import diagonal, factored, gram, implicit, vjp
from programs import Model, always_factored, assert_same, kernel, lift, parameters, setting

pytestmark = pytest.mark.fast

MODEL = mlp(jax.random.key(0))


def showing(u, x):
    return jax.debug.print("{}", u(x)) or u(x)


def showing_a_derivative(u, x):
    u_xx = u.d("x", "x")(x)
    jax.debug.print("u_xx = {}", u_xx)
    return u_xx + u(x)


def looping(u, x):
    step = lambda c: (c[0] + 1, jnp.sin(c[1]))
    return jax.lax.while_loop(lambda c: c[0] < 3, step, (0, u(x)))[1]


def looping_over_the_point(u, x):
    step = lambda c: (c[0] + 1, jnp.sin(c[1]))
    return u(x) * jax.lax.while_loop(lambda c: c[0] < 3, step, (0, x[0]))[1]


def outside(value, **settings):
    return jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct((), value.dtype), value, **settings)


def calling(u, x):
    return u(x) * outside(x[0])


def calling_point_by_point(u, x):
    return u(x) * outside(x[0], vmap_method="sequential")


def calling_with_the_model(u, x):
    return outside(u(x), vmap_method="sequential")


@pytest.mark.parametrize("residual", [showing, showing_a_derivative])
def test_a_residual_that_prints_has_its_kernel(residual, x64, capfd):
    problem, batch = setting({"pde": residual})
    model = mlp(jax.random.key(0))
    assert_same(problem, model, batch)
    jax.effects_barrier()
    assert capfd.readouterr().out
    silent, _ = setting({"pde": lambda u, x: residual(u, x)})
    with pytest.MonkeyPatch.context() as patch, always_factored():
        patch.setattr(jax.debug, "print", lambda *_, **__: None)
        expected = kernel(silent, model, batch, "factored")
    with always_factored():
        assert_close(kernel(problem, model, batch, "factored"), expected)


def test_it_prints_once_for_every_point(capfd):
    problem, batch = setting({"pde": showing})
    jax.block_until_ready(problem.losses(MODEL, batch))
    jax.effects_barrier()
    assert len(capfd.readouterr().out.splitlines()) == len(batch["pde"].points)


def test_a_parameter_that_is_printed_keeps_its_plain_gradient(x64, capfd):
    def network(p, x):
        jax.debug.print("{}", p["W"].T)
        return jnp.sum(jnp.tanh(p["W"] @ lift(x)))

    problem, batch = setting({"pde": lambda u, x: u(x)})
    model = Model(parameters({"W": (4, 4)}), network)
    assert_same(problem, model, batch)


@pytest.mark.parametrize("residual", [looping_over_the_point, calling_point_by_point])
def test_loops_and_calls_that_no_parameter_enters_are_fine(residual, x64):
    problem, batch = setting({"pde": residual})
    model = mlp(jax.random.key(0))
    problem.check(model, batch)
    assert_same(problem, model, batch)


REFUSED = {
    looping: ("got a while_loop", "jax.lax.scan"),
    calling: ("does not say how it is evaluated at many points", 'vmap_method="sequential"'),
    calling_with_the_model: ("got a callback", "jax.custom_jvp"),
}
ACTIONS = {
    "check": lambda problem, model, batch: problem.check(model, batch),
    "dense": lambda problem, model, batch: kernel(problem, model, batch, "dense"),
    "factored": lambda problem, model, batch: gram(factored(problem, model, batch)).matrix,
    "diagonal": lambda problem, model, batch: diagonal(implicit(problem, model, batch)),
    "vjp": lambda problem, model, batch: vjp(
        implicit(problem, model, batch), {"pde": jnp.ones(len(batch["pde"].points))}
    ),
}


@each("action", ACTIONS)
@each("residual", REFUSED)
def test_what_reverse_mode_cannot_do_is_said_with_a_fix(residual, action):
    got, fix = REFUSED[residual]
    problem, batch = setting({"pde": residual})
    with pytest.raises(ResidualError) as error:
        ACTIONS[action](problem, MODEL, batch)
    assert got in str(error.value)
    assert fix in error.value.fix
    assert error.value.argument in ("residual of condition 'pde'", "residuals")


def test_other_errors_stay_what_they_are():
    def failing(u, x):
        raise ValueError("no such thing")

    problem, batch = setting({"pde": failing})
    with pytest.raises(ValueError, match=r"^no such thing"):
        problem.losses(MODEL, batch)
