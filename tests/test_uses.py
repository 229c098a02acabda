"""Every way to use a parameter: what is factored, what is not and why, and equal kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import assert_close
from programs import (
    Model,
    always_factored,
    column,
    kernel,
    lift,
    parameters,
    plan_of,
    row,
    setting,
    table,
)


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


def assert_same_kernel(problem, model, batch):
    with always_factored():
        mine = kernel(problem, model, batch, "factored")
    assert_close(mine, kernel(problem, model, batch, "dense"))


@each("use", USES)
def test_every_way_to_use_a_parameter(use, x64):
    function, shapes, expected = USES[use]
    model = Model(parameters(shapes), lambda p, x: jnp.sum(jnp.tanh(function(p, lift(x)))))
    residual = lambda u, x: u(x) * u.d("x")(x)
    problem, batch = setting({"pde": residual, "value": lambda u, x: u(x)})
    assert_planned(problem, model, batch, expected)
    assert_same_kernel(problem, model, batch)


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
    assert_same_kernel(problem, model, batch)


def test_one_parameter_as_matrices_of_two_shapes(x64):
    """4×4 in one condition, 2×8 in the other: cross blocks need one form, so it is plain in both."""

    def network(p, x):
        if x.size == 2:
            return jnp.sum(jnp.tanh(p["f"].reshape(4, 4) @ lift(x)))
        return jnp.sum(jnp.tanh(lift(x[:2])[:2] @ p["f"].reshape(2, 8)))

    model = Model(parameters({"f": (16,)}), network)
    value = lambda u, x: u(x)
    longer = lambda u, x: u(jnp.append(x, 0.0))  # which the network takes another way
    problem, batch = setting({"pde": value, "value": longer})
    for name in batch:
        assert "another shape" in plan_of(problem, model, batch, name).plain[".p['f']"]
    assert_same_kernel(problem, model, batch)
