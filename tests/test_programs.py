"""The factored Jacobian on programs of many kinds: derivative modes, uses of a parameter, random ones."""

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

from helpers import assert_close
from pinntk.conditions import Condition
from pinntk.domain import Box
from pinntk.jacobian import (
    Use,
    apply,
    apply_transpose,
    dense,
    diagonal,
    factored,
    gram,
    products,
    trainable,
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
    return mock.patch.object(products, "_pays", lambda matrix, use: True)


def setting(residuals, fields=("u",)):
    """A new problem with these residuals by name, which is traced anew, and a batch."""
    conditions = [Condition(name, f, SQUARE, 5) for name, f in residuals.items()]
    points = dict(zip(residuals, (POINTS, OTHERS), strict=False))
    batch = {name: Sample(jnp.asarray(p)) for name, p in points.items()}
    return Problem("program", SQUARE, conditions, fields=fields), batch


def plan_of(problem, model, batch, name):
    with always_factored():
        return products.make_plans(problem, model, batch, Use.GRAM)[0][name]


@functools.partial(eqx.filter_jit, compiler_options=QUICK)
def kernel(problem, model, batch, form):
    return gram(MAKE[form](problem, model, batch)).matrix


@functools.partial(eqx.filter_jit, compiler_options=QUICK)
def everything(problem, model, batch, form):
    """All that a Jacobian is good for."""
    jacobian = MAKE[form](problem, model, batch)
    direction = jax.tree.map(lambda a: jnp.cos(3 * a), trainable(model)[0])
    vectors = {name: jnp.cos(jnp.arange(1.0, k + 1.0)) for name, k in jacobian.rows.items()}
    found = gram(jacobian).matrix, diagonal(jacobian), apply(jacobian, direction)
    return *found, apply_transpose(jacobian, vectors)


def assert_same(problem, model, batch):
    """The factored form equals the dense one in everything."""
    with always_factored():
        mine = everything(problem, model, batch, "factored")
    expected = everything(problem, model, batch, "dense")
    jax.tree.map(assert_close, mine, expected)


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


def by_linearize(u, x):
    value, push = jax.linearize(u, x)
    forward = jax.jvp(jax.grad(u), (x,), (x_axis(x),))[1]
    return forward[0] + value * push(jnp.zeros_like(x).at[1].set(1.0))


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
    "linearize": (by_linearize, {}),
    "package": (by_package, {}),
    "jit": (lambda u, x: jax.jit(lambda x: by_nested_jvp(jax.jit(u), x))(x), {}),
    "remat_and_jvp": (by_nested_jvp, {"wrap": jax.checkpoint}),
    "remat_and_grad": (by_grad_of_grad, {"wrap": jax.checkpoint}),
    "remat_of_all": (jax.checkpoint(by_grad_of_grad, static_argnums=0), {}),
    "custom_jvp": (FORWARD_REVERSE, {"activation": custom_forward}),
    "custom_jvp_package": (by_package, {"activation": custom_forward}),
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


@pytest.mark.parametrize("mode", MODES)
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


# Ways to use a parameter: the function of parameters and lifted point, their shapes, those factored


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


def einsum(pattern):
    return lambda p, h: jnp.einsum(pattern, h, p["W"])


def fourier(p, h):
    phase = h[:2] @ p["F"]
    return p["W"] @ jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])


def in_scan(p, h):
    return jax.lax.scan(lambda h, _: (jnp.tanh(p["W"] @ h), None), p["V"] @ h, None, length=2)[0]


W, V, S, T = {"W": (4, 4)}, {"V": (4, 4)}, {"s": (4,)}, {"t": (4,)}
USES = {
    "ntk": (lambda p, h: (0.7 / np.sqrt(4.0)) * p["W"] @ h, W, "W"),
    "ntk_after": (lambda p, h: (p["W"].T @ h) / np.sqrt(4.0), W, "W"),
    "scaled_rows": (lambda p, h: (column(p) * p["V"]) @ h, V | S, "V"),
    "scaled_columns": (lambda p, h: (p["V"] * row(p)) @ h, V | S, "V"),
    "divided": (lambda p, h: (p["V"] / row(p) / 3.0) @ h, V | S, "V"),
    "scaled_from_the_left": (lambda p, h: h @ (p["V"] * row(p)), V | S, "V"),
    "scaled_twice": (lambda p, h: (column(p, "t") * (p["V"] * row(p))) @ h, V | S | T, "V"),
    "scaled_transpose": (lambda p, h: (column(p) * p["V"].T * 0.5) @ table(h), V | S, "V"),
    "transposed_scaled": (lambda p, h: (column(p) * p["V"]).T @ h, V | S, "V"),
    "scale_itself": (lambda p, h: (p["V"] * p["s"][None, :]) @ h, V | S, "V"),
    "trained_number": (lambda p, h: (p["g"] * p["W"]) @ h, W | {"g": ()}, "W"),
    "one_number_each": (lambda p, h: (p["g"] * p["W"]) @ h, W | {"g": (1, 1)}, "W"),
    "spread_number": (
        lambda p, h: (p["g"] * jnp.ones(16)).reshape(4, 4) @ (p["W"] @ h),
        W | {"g": ()},
        "W",
    ),
    "repeated_row": (lambda p, h: (p["r"] * jnp.ones((4, 4))) @ h, {"r": (1, 4)}, ""),
    "scale_of_one_axis": (lambda p, h: (p["V"] * jnp.exp(p["r"])) @ h, V | {"r": (1, 4)}, "V"),
    "rows_by_itself": (lambda p, h: (p["r"] * p["r"]) @ h, {"r": (1, 4)}, ""),
    "negative": (lambda p, h: -p["W"] @ h, W, ""),
    "reshaped": (lambda p, h: p["f"].reshape(4, 4) @ h, {"f": (16,)}, "f"),
    "reshaped_scaled": (
        lambda p, h: ((2.0 * p["f"]).reshape(4, 4) * row(p)).T @ h,
        {"f": (16,)} | S,
        "f",
    ),
    "reshaped_transpose": (lambda p, h: p["W"].T.reshape(2, 8) @ jnp.tile(h, 2), W, ""),
    "two_shapes": (
        lambda p, h: p["f"].reshape(4, 4) @ h + jnp.sum(p["f"].reshape(8, 2) @ h[:2]),
        {"f": (16,)},
        "",
    ),
    "shared": (lambda p, h: p["W"] @ jnp.tanh(p["W"] @ h), W, "W"),
    "there_and_back": (lambda p, h: p["W"].T @ jnp.tanh(p["W"] @ h), W, "W"),
    "product_with_itself": (lambda p, h: (p["W"] @ p["W"]) @ h, W, ""),
    "product_of_two": (lambda p, h: (p["W"] @ p["V"]) @ h, W | V, ""),
    "elementwise": (lambda p, h: p["W"] @ h + jnp.sum(p["W"] ** 2), W, ""),
    "normalised": (lambda p, h: (p["W"] / jnp.sum(p["W"] ** 2)) @ h, W, ""),
    "entry": (lambda p, h: p["W"] @ h + p["W"][0, 1], W, ""),
    "einsum_row": (einsum("j,ij->i"), W, "W"),
    "einsum_column": (einsum("i,ij->j"), W, "W"),
    "einsum_chain": (
        lambda p, h: jnp.einsum("kj,i,ij->k", p["V"], h, p["W"]),
        W | V,
        "WV",
    ),
    "einsum_table": (lambda p, h: jnp.einsum("ka,ij,jb->ibka", table(h), p["W"], table(h)), W, "W"),
    "heads": (einsum("j,hij->hi"), {"W": (2, 4, 4)}, ""),
    "layers": (lambda p, h: p["W"][1] @ jnp.tanh(p["W"][0] @ h), {"W": (2, 4, 4)}, ""),
    "table": (lambda p, h: p["W"] @ table(h), W, "W"),
    "table_from_the_left": (lambda p, h: table(h).T @ p["W"], W, "W"),
    "vmapped": (lambda p, h: jax.vmap(lambda a: p["W"] @ a)(table(h).T), W, "W"),
    "bias": (lambda p, h: p["W"] @ h + p["b"], W | {"b": (4,)}, "W"),
    "vector": (lambda p, h: jnp.tanh(p["b"] @ h) + jnp.tanh(p["W"] @ h), W | {"b": (4,)}, "W"),
    "frequencies": (fourier, W | {"F": (2, 2)}, "WF"),
    "scan": (in_scan, W | V, "V"),
    "cond": (lambda p, h: jax.lax.cond(h[0] > 0, lambda: p["W"] @ h, lambda: h), W | V, ""),
}


def assert_planned(problem, model, batch, expected):
    """These parameters are factored, and all others named with a reason, in every condition."""
    for name in batch:
        plan = plan_of(problem, model, batch, name)
        keys = {key: f".p['{key}']" for key in model.p}
        assert set(plan.factored) | set(plan.unused) >= {keys[key] for key in expected}
        assert set(plan.factored) <= {keys[key] for key in expected}
        assert set(plan.factored) | set(plan.plain) | set(plan.unused) == set(keys.values())
        assert all(plan.plain.values())


@pytest.mark.parametrize("use", USES)
def test_every_way_to_use_a_parameter(use, x64):
    function, shapes, expected = USES[use]
    model = Model(parameters(shapes), lambda p, x: jnp.sum(jnp.tanh(function(p, lift(x)))))
    residual = lambda u, x: u.d("x", "x")(x) + u(x) * u.d("y")(x)
    problem, batch = setting({"pde": residual, "value": lambda u, x: u(x)})
    assert_planned(problem, model, batch, expected)
    assert_same(problem, model, batch)


def schroedinger(w, x):
    re, im = w.components()
    size = re(x) ** 2 + im(x) ** 2
    real = re.d("y")(x) + im.d("x", "x")(x) + size * im(x)
    return jnp.stack([real, im.d("y")(x) - re.d("x", "x")(x) - size * re(x)])


def unknown_coefficient(w, x):
    u, c = w.components()
    return u.d("y")(x) - c(x) * u.d("x", "x")(x)


PAIRS = {
    "complex": (
        lambda p, x: p["L"] @ jnp.tanh(p["W"] @ lift(x)),
        W | {"L": (2, 4)},
        schroedinger,
        "WL",
    ),
    "both_ways": (
        lambda p, x: p["L"] @ jnp.tanh(p["W"].T @ jnp.tanh(p["W"] @ lift(x))),
        W | {"L": (2, 4)},
        schroedinger,
        "WL",
    ),
    "coefficient": (
        lambda p, x: jnp.stack([jnp.sum(jnp.tanh(p["W"] @ lift(x))), jnp.exp(p["c"])]),
        W | {"c": ()},
        unknown_coefficient,
        "W",
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_two_components(pair, x64):
    function, shapes, residual, expected = PAIRS[pair]
    model = Model(parameters(shapes), function)
    value = lambda w, x: w.components()[0](x)
    problem, batch = setting({"pde": residual, "value": value}, ("u", "v"))
    assert_planned(problem, model, batch, expected)
    assert_same(problem, model, batch)


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


DERIVATIVES = {"package": None, "jvp": along_x, "reverse": reversed_x}
steps = st.tuples(st.sampled_from(sorted(ONE_STEP)), st.sampled_from("VW"), st.sampled_from(sorted(WRAPS)))
programs = st.tuples(
    st.lists(steps, min_size=1, max_size=5),
    st.integers(1, 2),
    st.integers(0, 2),
    st.sampled_from(sorted(DERIVATIVES)),
)


def random_case(program):
    """r = ∂ⁿu/∂xⁿ + 0.3 u in one mode, and u itself elsewhere, of the network that was drawn."""
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
            derivative = u.d(*"x" * order) if mode == "package" else DERIVATIVES[mode](derivative)
        return derivative(x) + 0.3 * u(x)

    names = {matrix for _, matrix, _ in operations} | {"f", "b", "s", "g"}
    shapes = {name: SHAPES[name] for name in sorted(names)} | {"L": (components, 4)}
    model = Model(parameters(shapes), network)
    problem, batch = setting(
        {"pde": residual, "value": lambda u, x: u(x)}, ("u", "v")[:components]
    )
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


@hypothesis.settings(max_examples=20, deadline=None, derandomize=True, database=None)
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
