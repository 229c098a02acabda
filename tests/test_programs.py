"""The factored Jacobian in every derivative mode, and on random programs."""

import functools
from collections.abc import Callable
from unittest import mock

import equinox as eqx
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.jet import jet
from jax.flatten_util import ravel_pytree

from each import each
from helpers import assert_close
from pinntk.jacobian import products, trainable
from programs import (
    POINTS,
    Model,
    always_factored,
    assert_same,
    column,
    kernel,
    lift,
    parameters,
    plan_of,
    row,
    setting,
    table,
)

# Derivative modes: r = u_xx + u u_y for one network, written in every mode


def slow(x):
    return jnp.tanh(x)


custom_forward = jax.custom_jvp(slow)
custom_forward.defjvp(lambda x, t: (jnp.tanh(x[0]), t[0] * (1 - custom_forward(x[0]) ** 2)))
custom_reverse = jax.custom_vjp(slow)
custom_reverse.defvjp(lambda x: (slow(x), x), lambda x, g: (g * (1 - custom_reverse(x) ** 2),))


class Net(eqx.Module):
    """Two hidden layers of five; `wrap` goes around a layer, `stacked` puts them in a `scan`."""

    first: jax.Array
    hidden: tuple[jax.Array, ...] | jax.Array
    biases: jax.Array
    last: jax.Array
    activation: Callable = eqx.field(static=True, default=jnp.tanh)
    wrap: Callable = eqx.field(static=True, default=lambda f: f)

    def __call__(self, x):
        layer = self.wrap(lambda h, w, b: self.activation(w @ h + b))
        h = self.activation(self.first @ x)
        if not isinstance(self.hidden, tuple):
            scanned = (self.hidden, self.biases)
            h, _ = jax.lax.scan(lambda h, wb: (layer(h, *wb), None), h, scanned)
        else:
            for w, b in zip(self.hidden, self.biases, strict=True):
                h = layer(h, w, b)
        return (self.last @ h)[0]


def net(**changes):
    rng = np.random.default_rng(0)
    shapes = [(5, 2), (2, 5, 5), (2, 5), (1, 5)]
    first, hidden, biases, last = (jnp.asarray(0.6 * rng.normal(size=s)) for s in shapes)
    stacked = changes.pop("stacked", False)
    return Net(first, hidden if stacked else tuple(hidden), biases, last, **changes)


def x_axis(x):
    return jnp.zeros_like(x).at[0].set(1.0)


def by_hessian(hessian):
    return lambda u, x: hessian(u)(x)[0, 0] + u(x) * jax.grad(u)(x)[1]


def by_nested_jvp(u, x):
    along = lambda f, v: lambda x: jax.jvp(f, (x,), (v,))[1]
    slope = along(u, jnp.zeros_like(x).at[1].set(1.0))
    return along(along(u, x_axis(x)), x_axis(x))(x) + u(x) * slope(x)


def by_grad_of_grad(u, x):
    return jax.grad(lambda x: jax.grad(u)(x)[0])(x)[0] + u(x) * jax.grad(u)(x)[1]


def by_jet(u, x):
    value, (_, second) = jet(u, (x,), ([x_axis(x), jnp.zeros_like(x)],))
    return second + value * jax.grad(u)(x)[1]


def by_package(u, x):
    return u.d("x", "x")(x) + u(x) * u.d("y")(x)


FORWARD_REVERSE = by_hessian(lambda u: jax.jacfwd(jax.jacrev(u)))
REVERSE = by_hessian(lambda u: jax.jacrev(jax.jacrev(u)))
MODES = {
    "nested_jvp": (by_nested_jvp, {}),
    "grad_of_grad": (by_grad_of_grad, {}),
    "jacfwd_of_jacrev": (FORWARD_REVERSE, {}),
    "jacrev_of_jacfwd": (by_hessian(lambda u: jax.jacrev(jax.jacfwd(u))), {}),
    "jacfwd_of_jacfwd": (by_hessian(lambda u: jax.jacfwd(jax.jacfwd(u))), {}),
    "hessian": (by_hessian(jax.hessian), {}),
    "jet": (by_jet, {}),
    "package": (by_package, {}),
    "jit": (lambda u, x: jax.jit(lambda x: by_nested_jvp(jax.jit(u), x))(x), {}),
    "remat_and_jvp": (by_nested_jvp, {"wrap": jax.checkpoint}),
    "remat_and_grad": (by_grad_of_grad, {"wrap": jax.checkpoint}),
    "remat_of_all": (jax.checkpoint(by_grad_of_grad, static_argnums=0), {}),
    "custom_jvp": (FORWARD_REVERSE, {"activation": custom_forward}),
    "custom_vjp": (REVERSE, {"activation": custom_reverse}),
    "jit_layers": (by_package, {"wrap": jax.jit}),
    "scan": (by_grad_of_grad, {"stacked": True}),
    "scan_package": (by_package, {"stacked": True}),
}


@functools.cache
def oracle():
    """The kernel by one reverse-mode gradient for each point, of a residual in plain JAX."""
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(trainable(net())[0])
        rest = trainable(net())[1]
        slope = jax.jit(jax.grad(lambda p, x: by_grad_of_grad(eqx.combine(unravel(p), rest), x)))
        rows = np.stack([slope(flat, jnp.asarray(x)) for x in POINTS])
    return rows @ rows.T


@each("mode", MODES)
def test_every_derivative_mode_gives_the_same_kernel(mode, x64):
    residual, changes = MODES[mode]
    model = net(**changes)
    problem, batch = setting({"pde": residual})
    plan = plan_of(problem, model, batch, "pde")
    if mode.startswith("scan"):
        assert plan.plain[".hidden"] == "used in scan"
        assert set(plan.factored) == {".first", ".last"}
    else:
        assert set(plan.factored) == {".first", ".hidden[0]", ".hidden[1]", ".last"}
    with always_factored():
        assert_close(kernel(problem, model, batch, "factored"), oracle())
    assert_close(kernel(problem, model, batch, "dense"), oracle())


# Random programs

ONE_STEP = {
    "W": lambda p, w, h: w @ h,
    "W_transposed": lambda p, w, h: h @ w,
    "scaled": lambda p, w, h: (0.7 * w) @ h / 1.3,
    "rows": lambda p, w, h: (column(p) * w) @ h,
    "columns": lambda p, w, h: (w * row(p)) @ h,
    "scaled_transpose": lambda p, w, h: (w.T / column(p)) @ h,
    "trained_scale": lambda p, w, h: (p["g"] * w) @ h,
    "reshaped": lambda p, w, h: h @ (p["f"].reshape(4, 4) * row(p, "b")),
    "table": lambda p, w, h: jnp.sum(jnp.tanh(w @ table(h)), axis=1),
    "table_left": lambda p, w, h: jnp.einsum("ia,ij->j", table(h), w),
    "bias": lambda p, w, h: h + p["b"],
    "tanh": lambda p, w, h: jnp.tanh(h),
    "sin": lambda p, w, h: jnp.sin(h),
    "skip": lambda p, w, h: h + jnp.tanh(w @ h),
    "elementwise": lambda p, w, h: h * jnp.mean(w**2),
    "scan": lambda p, w, h: jax.lax.scan(lambda h, _: (w @ h, None), h, None, length=2)[0],
}
WRAPS = {"bare": lambda f: f, "jit": jax.jit, "remat": jax.checkpoint}
SHAPES = {"V": (4, 4), "W": (4, 4), "f": (16,), "b": (4,), "s": (4,), "g": ()}


def along_x(f):
    return lambda x: jax.jvp(f, (x,), (x_axis(x),))[1]


def reversed_x(f):
    return lambda x: jax.jacrev(f)(x)[..., 0]


DERIVATIVES = {"package": lambda f: f.d("x"), "jvp": along_x, "reverse": reversed_x}
steps = st.tuples(
    st.sampled_from(sorted(ONE_STEP)), st.sampled_from("VW"), st.sampled_from(sorted(WRAPS))
)
programs = st.tuples(
    st.lists(steps, min_size=1, max_size=5),
    st.integers(1, 2),
    st.integers(0, 2),
    st.sampled_from(sorted(DERIVATIVES)),
)


def random_case(program):
    """r = ∂ⁿu/∂xⁿ + 0.3 u in one mode, of the network that was drawn."""
    operations, components, order, mode = program

    def network(p, x):
        h = lift(x)
        for kind, matrix, wrap in operations:
            step = lambda p, h, f=ONE_STEP[kind], m=matrix: f(p, p[m], h)
            h = WRAPS[wrap](step)(p, h)
        return (p["L"] @ jnp.sin(h)).reshape((2,) if components == 2 else ())

    def residual(u, x):
        derivative = u
        for _ in range(order):
            derivative = DERIVATIVES[mode](derivative)
        return derivative(x) + 0.3 * u(x)

    names = {matrix for _, matrix, _ in operations} | {"f", "b", "s", "g"}
    shapes = {name: SHAPES[name] for name in sorted(names)} | {"L": (components, 4)}
    model = Model(parameters(shapes), network)
    problem, batch = setting({"pde": residual}, ("u", "v")[:components])
    return problem, model, batch


def check(program):
    with jax.enable_x64(True):
        problem, model, batch = random_case(program)
        plan = plan_of(problem, model, batch, "pde")
        assert set(plan.factored) | set(plan.plain) | set(plan.unused) == {
            f".p['{key}']" for key in model.p
        }
        assert all(plan.plain.values())
        assert_same(problem, model, batch)


@hypothesis.settings(max_examples=15, deadline=None, derandomize=True, database=None)
@hypothesis.given(programs)
def test_random_programs(program):
    check(program)


def test_a_lost_scale_is_found():
    """Control: scales along an axis left out of the products."""
    program = [("columns", "W", "bare"), ("tanh", "W", "bare")], 1, 1, "jvp"
    check(program)
    original = products._scaled
    lost = lambda rows, scales, axis: rows if axis == 1 else original(rows, scales, axis)
    with mock.patch.object(products, "_scaled", lost), pytest.raises(AssertionError):
        check(program)
