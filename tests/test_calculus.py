"""Derivatives by coordinate name, against nested `jax.grad`, `jax.hessian` and closed forms."""

import itertools
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import polynomial

from each import each
from helpers import ACTIVATIONS, NETWORKS, assert_close, nested
from pinntk.calculus import Derivatives, Field, second_order
from pinntk.errors import PinntkError
from pinntk.nets import MLP
from pinntk.program import merge_equal

pytestmark = pytest.mark.fast

XY = ("x", "y")
POINT = np.array([0.3, -0.7])
COEFFICIENTS = np.vstack([np.eye(6)[:5], [1.0, -3.0, -2.0, -0.5, 3.0, 1.0]])
#: Everything up to order four in two variables, as sorted axes.
MULTI_INDICES = [
    axes for n in range(5) for axes in itertools.combinations_with_replacement((0, 1), n)
]


def names(axes, coordinates=XY):
    return [coordinates[axis] for axis in axes]


def point(dtype=None):
    return jnp.asarray(POINT, dtype)


def derivatives(function, x):
    """The five derivatives up to order two and one mixture of them and u: shape (6,).

    All are the same operator with other coefficients, so that one program gives every row.
    """
    u = Field(function, XY)

    def operator(c):
        slopes = c[0] * u.d("x") + c[1] * u.d("y")
        return (
            slopes + c[2] * u.d("x", "x") + c[3] * u.d("x", "y") + c[4] * u.d("y", "y") + c[5] * u
        )(x)

    return jax.vmap(operator)(jnp.asarray(COEFFICIENTS, x.dtype))


def plain_derivatives(function, x, slopes=jax.jacrev):
    second, slope = jax.jacfwd(lambda x: (slopes(function)(x),) * 2, has_aux=True)(x)
    each = jnp.stack([*slope, second[0, 0], second[0, 1], second[1, 1], function(x)])
    return jnp.asarray(COEFFICIENTS, x.dtype) @ each


def check_all(function, x, slopes=jax.jacrev):
    ours, plain = jax.jit(
        lambda x: (derivatives(function, x), plain_derivatives(function, x, slopes))
    )(x)
    assert ours.dtype == x.dtype
    assert_close(ours, plain)


# Networks


@each("activation", ACTIVATIONS)
def test_derivatives_of_an_mlp_with_every_activation(activation, x64):
    model = MLP(2, width=3, depth=1, activation=ACTIVATIONS[activation], key=jax.random.key(0))
    check_all(model, point())


@each(
    ("network", "dtype"),
    [*((name, "float64") for name in NETWORKS), ("mlp", "float32")],
)
def test_derivatives_of_every_network(network, dtype):
    with jax.enable_x64(dtype == "float64"):
        model = NETWORKS[network](jax.random.key(1))
        check_all(model, point(dtype))


@pytest.mark.parametrize("axes", [(0, 0, 1), (0, 1, 1, 1)], ids=str)
def test_third_and_fourth_derivatives_of_a_network(axes, x64):
    model = NETWORKS["mlp"](jax.random.key(1))
    ours = jax.jit(Field(model, XY).d(*names(axes)))(point())
    assert_close(ours, jax.jit(nested(model, *axes))(point()), roundings=2e4)


def test_gradients_with_respect_to_parameters_go_through_an_operator(x64):
    model = NETWORKS["mlp"](jax.random.key(2))

    def ours(model):
        u = Field(model, XY)
        return (u.d("y", "y") - 4 * u.d("x", "x") + u.d("x", "y"))(point())

    def plain(model):
        second = jax.hessian(model)(point())
        return second[1, 1] - 4 * second[0, 0] + second[0, 1]

    slopes, expected = jax.jit(lambda m: (jax.grad(ours)(m), jax.grad(plain)(m)))(model)
    for a, b in zip(jax.tree.leaves(slopes), jax.tree.leaves(expected), strict=True):
        assert_close(a, b)


def test_it_works_under_vmap(x64):
    u = Field(quotient, XY)
    points = np.array([[0.3, -0.7], [1.2, 0.4], [-0.5, 0.1]])
    laplacian = lambda x: jnp.trace(jax.hessian(quotient)(x))
    ours, plain = jax.jit(lambda x: (jax.vmap(u.laplacian())(x), jax.lax.map(laplacian, x)))(points)
    assert_close(ours, plain)


def products(function):
    """Matrix products in the program of a function, equal ones counted once, as in a residual."""
    return str(jax.make_jaxpr(merge_equal(function))(point("float32"))).count("dot_general[")


def test_an_operator_costs_four_products_a_layer():
    """Value, two tangents and one combination: what the collapsed Taylor pass promises."""
    model = NETWORKS["mlp"](jax.random.key(0))
    u = Field(model, ("x", "t"))
    # The combination starts at zero, so the first layer has one product less.
    assert products(u.d("t", "t") - 4 * u.d("x", "x")) == 4 * len(model.layers) - 1
    assert products(lambda x: u.d("t", "t")(x) - 4 * u.d("x", "x")(x)) == 5 * len(model.layers) - 2
    assert products(lambda x: nested(model, 1, 1)(x) - 4 * nested(model, 0, 0)(x)) > 4 * len(
        model.layers
    )


# Functions whose programs hold steps other than those of a network


def quotient(x):
    return jnp.sin(x[0]) / (2 + jnp.cos(x[0] * x[1]))


def power(x):
    return (1 + x[0] ** 2) ** x[1] + jnp.abs(x[1]) ** 2.5 + x[0] ** -3


def with_where(x):
    return jnp.where(x[0] > x[1], x[0] ** 2 * x[1], jnp.exp(x[0]))


def with_scan(x):
    step = lambda carry, row: (jnp.sin(carry + row * x[0]) * x[1], carry**2)
    last, squares = jax.lax.scan(step, x[1], jnp.arange(3.0) + 1)
    return last + jnp.sum(squares)


def with_loop(x):
    return jax.lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x[0] + x[1]), (0, x[0])
    )[1]


def with_cond(x):
    return jax.lax.cond(x[0] > 0, lambda y: y[0] ** 3 * y[1], lambda y: jnp.sum(y), x)


def moving_products(x):
    left = jnp.stack([jnp.sin(x), x * x[0]])
    right = jnp.stack([jnp.exp(x), jnp.cos(x) * x[1]])
    return jnp.sum((left @ right) @ x)


def with_concatenation(x):
    both = jnp.concatenate([jnp.sin(x), x**2, jnp.ones(1)])
    return jnp.prod(both[:-1]) + jnp.sum(both**2 * np.arange(1.0, 6.0))


def with_indexing(x):
    swapped = x[jnp.array([1, 0, 1])]
    return swapped[0] ** 2 * swapped[1] * swapped[2] + jnp.take(x, 0) ** 3


def with_dynamic_slice(x):
    start = jnp.where(x[0] > 0, 1, 0)
    return jax.lax.dynamic_slice(x**3 * x[::-1], (start,), (1,))[0]


def with_update(x):
    return jnp.sum(jnp.zeros(3).at[1].set(x[0] ** 2 * x[1]).at[2].add(x[1]) ** 2)


def with_extrema(x):
    return (
        jnp.maximum(x[0], x[1]) ** 2 * jnp.minimum(x[0] ** 3, 2.0)
        + jnp.max(x**3)
        + jnp.abs(x[1]) ** 3
    )


def with_rounding(x):
    return jnp.floor(3 * x[0]) * x[1] ** 2 + x.astype(int)[0] * x[0] + jnp.sign(x[1]) * x[1] ** 3


def with_sort(x):
    return jnp.dot(jnp.sort(x**2), np.array([1.0, -2.0])) + x[jnp.argmax(x)] ** 3


def with_solve(x):
    matrix = jnp.stack([jnp.stack([2 + x[0], x[1]]), jnp.stack([x[0] * x[1], 3.0 + x[1]])])
    return jnp.sum(jnp.linalg.solve(matrix, x**2))


def with_sums(x):
    return jax.nn.logsumexp(x) + jnp.linalg.norm(x) + jnp.sum(jnp.cumsum(x**2) ** 2) + jnp.var(x)


def with_special(x):
    return jax.scipy.special.erf(x[0]) * jnp.arctan2(x[1], x[0]) + jnp.log1p(x[0]) * jnp.sinh(x[1])


def with_remat(x):
    return jax.checkpoint(lambda y: jnp.sin(y[0]) * jnp.exp(y[1] * y[0]))(x)


def with_jit(x):
    return jax.jit(lambda y: y[0] ** 2 * y[1])(x) + jax.jit(lambda a, b: a * b)(x[0], x[1])


def with_stop_gradient(x):
    return jax.lax.stop_gradient(x[0] ** 2) * x[1] ** 2 + x[0] ** 3


def with_lookup(x):
    table = jnp.array([1.0, 2.0, 4.0])
    return jnp.interp(x[0], jnp.array([0.0, 0.5, 1.0]), table) ** 2 * x[1]


def constant(x):
    return jnp.asarray(2.0)


def affine(x):
    return 2 * x[0] - 3 * x[1] + 1


def one_coordinate(x):
    return jnp.sin(x[0]) ** 2


FUNCTIONS = [
    quotient,
    power,
    with_where,
    with_scan,
    with_loop,
    with_cond,
    moving_products,
    with_concatenation,
    with_indexing,
    with_dynamic_slice,
    with_update,
    with_extrema,
    with_rounding,
    with_sort,
    with_solve,
    with_sums,
    with_special,
    with_remat,
    with_jit,
    with_stop_gradient,
    with_lookup,
    constant,
    affine,
    one_coordinate,
]


@each("function", FUNCTIONS)
def test_derivatives_of_a_function_with_other_steps(function, x64):
    check_all(function, point(), slopes=jax.jacfwd)  # loops have no reverse mode


@pytest.mark.parametrize("function", [quotient, moving_products])
def test_derivatives_of_a_function_with_other_steps_in_float32(function):
    check_all(function, point("float32"), slopes=jax.jacfwd)


def test_a_derivative_rule_that_the_user_wrote_is_obeyed(x64):
    @jax.custom_jvp
    def odd(y):
        return y**2

    @odd.defjvp
    def _(primals, tangents):
        return odd(*primals), 7 * primals[0] ** 3 * tangents[0]

    u = Field(lambda x: odd(x[0]), XY)
    assert_close(u.d("x")(point()), 7 * 0.3**3)
    assert_close(u.d("x", "x")(point()), 21 * 0.3**2)


# Closed forms


def test_all_orders_of_an_exponential(x64):
    a, b = 0.7, -1.3
    u = Field(lambda x: jnp.exp(a * x[0] + b * x[1]), XY)
    value = math.exp(a * POINT[0] + b * POINT[1])
    ours = jax.jit(lambda x: [u.d(*names(axes))(x) for axes in MULTI_INDICES])(point())
    for axes, number in zip(MULTI_INDICES, ours, strict=True):
        assert_close(number, value * math.prod((a, b)[axis] for axis in axes))


def test_the_order_of_names_does_not_matter(x64):
    u = Field(quotient, XY)
    assert u.d("x", "y", "x")(point()) == u.d("y", "x", "x")(point())
    assert_close(u.d("x").d("y")(point()), u.d("y", "x")(point()))


def test_d_of_nothing_is_the_field(x64):
    assert Field(quotient, XY).d()(point()) == quotient(point())


def test_laplacian_gradient_and_divergence_of_a_polynomial(x64):
    x, y, z = 0.5, -0.4, 0.9
    p = jnp.array([x, y, z])
    u = Field(lambda p: p[0] ** 2 * p[1] + p[2] ** 3 * p[0], ("x", "y", "z"))
    assert_close(u.gradient()(p), np.array([2 * x * y + z**3, x**2, 3 * z**2 * x]))
    assert_close(u.gradient("z", "x")(p), np.array([3 * z**2 * x, 2 * x * y + z**3]))
    assert_close(u.laplacian()(p), 2 * y + 6 * z * x)
    assert_close(u.laplacian("x", "y")(p), 2 * y)
    assert_close(u.laplacian("z")(p), 6 * z * x)
    assert_close(u.gradient().divergence()(p), u.laplacian()(p))


def test_the_bilaplacian_is_the_laplacian_twice(x64):
    u = Field(lambda p: p[0] ** 4 + 3 * p[0] ** 2 * p[1] ** 2, XY)
    assert_close(u.laplacian().laplacian()(point()), 24.0 + 2 * 12.0)


def test_divergence_takes_components_in_order(x64):
    w = Field(lambda p: jnp.stack([p[0] ** 2 * p[1], p[1] ** 3, p[0]]), XY, ("u", "v", "p"))
    x, y = POINT
    assert_close(w.divergence()(point()), 2 * x * y + 3 * y**2)
    assert_close(w.divergence("y", "x")(point()), x**2)


# Arithmetic of fields


def test_sums_of_derivatives_become_one_operator():
    u = Field(quotient, XY)
    operator = u.d("x", "x") - 4 * u.d("y", "y") / 2 + u - (-u.d("x"))
    assert isinstance(operator, Derivatives)
    assert operator.terms == {(0, 0): 1.0, (1, 1): -2.0, (): 1.0, (0,): 1.0}
    assert (operator - u.d("x", "x")).terms[(0, 0)] == 0.0


def test_derivatives_of_different_functions_are_not_merged(x64):
    u, v = Field(lambda p: p[0] ** 2, XY), Field(lambda p: p[0] ** 3, XY)
    assert_close((u.d("x") - v.d("x"))(point()), 2 * 0.3 - 3 * 0.3**2)


def test_arithmetic_is_that_of_values(x64):
    u, v = Field(quotient, XY), Field(power, XY)
    a, b = (float(f(point())) for f in (quotient, power))
    c = lambda x: x[0] + 2
    cases = [
        (u + v, a + b),
        (u - v, a - b),
        (u * v, a * b),
        (u / v, a / b),
        (u**3, a**3),
        (-u, -a),
        (u + 2, a + 2),
        (2 + u, a + 2),
        (u - 2, a - 2),
        (2 - u, 2 - a),
        (3 * u, 3 * a),
        (u * 3, 3 * a),
        (u / 4, a / 4),
        (4 / u, 4 / a),
        (u + c, a + 2.3),
        (c + u, a + 2.3),
        (u - c, a - 2.3),
        (c - u, 2.3 - a),
        (u * c, a * 2.3),
        (c * u, a * 2.3),
        (u / c, a / 2.3),
        (c / u, 2.3 / a),
    ]
    values = jax.jit(lambda x: [field(x) for field, _ in cases])(point())
    assert_close(np.stack(values), np.stack([expected for _, expected in cases]))


def test_products_powers_and_quotients_of_fields_differentiate(x64):
    u, v = Field(lambda p: p[0] ** 2, XY), Field(lambda p: p[0] * p[1], XY)
    x, y = POINT
    cases = [
        ((u * v).d("x", "x"), 6 * x * y),
        ((u * v.d("x")).d("x", "y"), 2 * x),
        ((u**3).d("x"), 6 * x**5),
        ((v / u).d("x"), -y / x**2),
        ((v / u).d("y"), 1 / x),
        ((1 / u).d("x", "x"), 6 / x**4),
        ((v + 5).d("y"), x),
        ((u * (lambda p: p[1])).d("y"), x**2),
        ((u * u.d("x")).d("x"), 6 * x**2),
    ]
    values = jax.jit(lambda x: [field(x) for field, _ in cases])(point())
    for value, (_, expected) in zip(values, cases, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


@each("kind", [np.float32, np.float64, np.array, jnp.asarray])
def test_coefficients_may_be_numbers_of_numpy_and_jax(kind):
    u = Field(lambda p: p[0] ** 2, XY)
    x = point("float32")
    for field, expected in [(kind(2.0) * u.d("x"), 4 * x[0]), (kind(2.0) - u, 2 - x[0] ** 2)]:
        assert field(x).dtype == jnp.float32
        assert_close(field(x), expected)


def test_a_numpy_array_times_a_field_is_a_field_of_components(x64):
    field = np.array([1.0, 2.0]) * Field(lambda p: p[0] ** 2, XY)
    assert_close(field(point()), np.array([0.09, 0.18]))


def test_traced_coefficients_differentiate(x64):
    def operator(speed):
        u = Field(quotient, XY)
        return (u.d("y", "y") - speed**2 * u.d("x", "x") + speed * u)(point())

    second, (value, slope) = jax.jit(
        lambda speed: (jax.hessian(quotient)(point()), jax.value_and_grad(operator)(speed))
    )(1.5)
    assert_close(value, second[1, 1] - 2.25 * second[0, 0] + 1.5 * quotient(point()))
    assert_close(slope, -3.0 * second[0, 0] + quotient(point()))


# Several components


def pair(p):
    return jnp.stack([p[0] ** 2 * p[1], jnp.sin(p[0]) * p[1]])


def test_components_by_name_and_by_index(x64):
    w = Field(pair, XY, ("u", "v"))
    x, y = POINT
    u, v = w.components()
    cases = [
        *((field.d("x", "y"), math.cos(x)) for field in (v, w["v"], w[1], w[-1])),
        (u.d("x", "x"), 2 * y),
        (w.d("x")["v"], math.cos(x) * y),
        ((w.d("x", "x") + w)["u"].d("y"), 2 + x**2),
    ]
    values, slopes = jax.jit(lambda p: ([field(p) for field, _ in cases], w.d("x")(p)))(point())
    assert_close(np.stack(values), np.array([expected for _, expected in cases]))
    assert_close(slopes, np.array([2 * x * y, math.cos(x) * y]))


def test_the_gradient_of_a_model_of_several_components_inside_jit(x64):
    """Models compare equal by value, which cannot be asked while their arrays are traced."""
    model = MLP(2, 2, width=3, depth=1, key=jax.random.key(3))

    @jax.jit
    def both(model):
        w = Field(model, XY, ("u", "v"))
        slopes, second = jax.jacfwd(model)(point()), jax.hessian(model)(point())
        return (w.d("x", "x") + w.d("y"))(point()), second[:, 0, 0] + slopes[:, 1]

    assert_close(*both(model))


SCALED = {
    "power": (lambda w: w**2, [25.0, 49.0]),
    "power_of_fields": (lambda w: w ** Field(lambda p: 2.0 + 0 * p[0], XY), [25.0, 49.0]),
    "scalar_first": (lambda w: Field(lambda p: 2.0 + 0 * p[0], XY) * w, [10.0, 14.0]),
    "scalar_last": (lambda w: w * Field(lambda p: 2.0 + 0 * p[0], XY), [10.0, 14.0]),
    "difference": (lambda w: Field(lambda p: 9.0 + 0 * p[0], XY) - w, [4.0, 2.0]),
    "quotient": (lambda w: 35.0 / w, [7.0, 5.0]),
    "quotient_of_fields": (lambda w: Field(lambda p: 35.0 + 0 * p[0], XY) / w, [7.0, 5.0]),
    "negative": (lambda w: -w, [-5.0, -7.0]),
    "shifted": (lambda w: 1.0 - w, [-4.0, -6.0]),
    "divided": (lambda w: w / 2.0, [2.5, 3.5]),
}


@each("name", SCALED)
def test_the_names_of_components_survive_arithmetic(name, x64):
    function, expected = SCALED[name]
    field = function(Field(lambda p: jnp.array([5.0, 7.0]) + 0 * p[0], XY, ("u", "v")))
    assert_close(np.stack([field["u"](point()), field["v"](point())]), np.array(expected))


@pytest.mark.parametrize("index", [2, -3, 17])
def test_a_component_out_of_range_is_an_error_and_not_the_last_one(index):
    with pytest.raises(PinntkError, match=r"component: got .*shape is \(2,\)"):
        Field(pair, XY)[index](point("float32"))


def test_more_names_than_components_is_an_error():
    with pytest.raises(PinntkError, match=r"component: got 'p'"):
        Field(pair, XY, ("u", "v", "p"))["p"](point("float32"))


def test_a_scalar_field_has_no_components():
    with pytest.raises(PinntkError, match=r"component: got 0; .*shape is \(\)"):
        Field(quotient, XY)[0](point("float32"))


# Names


def test_an_unknown_coordinate_is_named_with_a_suggestion():
    u = Field(quotient, ("time", "space"))
    with pytest.raises(PinntkError) as caught:
        u.d("space", "tine")
    assert str(caught.value) == (
        "coordinate: got 'tine'; expected one of time, space. Did you mean 'time'?"
    )


def test_an_unknown_component_is_named_with_a_suggestion():
    w = Field(pair, XY, ("velocity", "pressure"))
    with pytest.raises(PinntkError, match=r"component: got 'presure'.*Did you mean 'pressure'"):
        w["presure"]


def test_an_unknown_name_without_a_near_one_lists_the_known():
    with pytest.raises(PinntkError) as caught:
        Field(quotient, XY).laplacian("q")
    assert str(caught.value) == "coordinate: got 'q'; expected one of x, y."


# Properties


def evaluate(coefficients, x):
    """Σ c_ij xⁱ yʲ, written as a network's author might: powers and products."""
    powers = [jnp.stack([x[axis] ** n for n in range(4)]) for axis in (0, 1)]
    return powers[0] @ coefficients @ powers[1]


def exact_derivative(coefficients, axes, x):
    for axis in axes:
        coefficients = polynomial.polyder(coefficients, axis=axis)
    return polynomial.polyval2d(*x, coefficients)


@jax.jit
def operators(coefficients, weights, x):
    """Σ_α weights_α ∂^α p with every derivative up to order four, for every row of the weights."""
    u = Field(lambda p: evaluate(coefficients, p), XY)

    def operator(row):
        terms = [w * u.d(*names(axes)) for w, axes in zip(row, MULTI_INDICES, strict=True)]
        return sum(terms, start=0 * u)(x)

    return jax.vmap(operator)(weights)


numbers = st.integers(-3, 3).map(float)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(
    coefficients=st.lists(numbers, min_size=16, max_size=16),
    weights=st.lists(numbers, min_size=len(MULTI_INDICES), max_size=len(MULTI_INDICES)),
    x=st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5)),
)
def test_derivatives_of_random_polynomials_are_exact(coefficients, weights, x):
    table = np.reshape(coefficients, (4, 4))
    exact = np.array([exact_derivative(table, axes, x) for axes in MULTI_INDICES])
    with jax.enable_x64(True):
        rows = np.vstack([np.eye(len(weights)), weights])
        *each, total = operators(table, rows, np.array(x))
    # Coefficients grow to at most 3·3!·3!·1.5³·1.5³ and 16 of them are summed: 1e-10 is far above
    # their rounding in float64 and far below the smallest wrong term.
    np.testing.assert_allclose(each, exact, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(total, np.dot(weights, exact), rtol=1e-10, atol=1e-9)


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(
    terms=st.lists(
        st.tuples(numbers, st.lists(st.sampled_from(XY), max_size=3)), min_size=1, max_size=4
    )
)
def test_random_operators_are_the_sum_of_their_terms(terms):
    table = np.arange(1.0, 17.0).reshape(4, 4)
    exact = sum(
        weight * exact_derivative(table, [XY.index(name) for name in d], POINT)
        for weight, d in terms
    )
    with jax.enable_x64(True):
        u = Field(lambda p: evaluate(table, p), XY)
        (first, d), *rest = terms
        operator = first * u.d(*d)
        for weight, d in rest:
            operator = operator + weight * u.d(*d)
        assert isinstance(operator, Derivatives)
        np.testing.assert_allclose(operator(point()), exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda u: u.d("x", "x") - 2 * u.d("x", "y") + 3 * u.d("y", "y"),  # sign of the cross term
        lambda u: u.d("x", "x") + 3 * u.d("y", "y"),  # no cross term
        lambda u: u.d("x", "x") + u.d("x", "y") + 3 * u.d("y", "y"),  # ∂xy and ∂yx counted once
    ],
)
def test_a_wrong_operator_fails_the_check(wrong, x64):
    """Control: the check that the right operator passes sees a wrong sign and a missing term."""
    second = jax.jit(jax.hessian(quotient))(point())
    exact = second[0, 0] + 2 * second[0, 1] + 3 * second[1, 1]
    u = Field(quotient, XY)
    right = u.d("x", "x") + 2 * u.d("x", "y") + 3 * u.d("y", "y")
    values = jax.jit(lambda x: (right(x), wrong(u)(x)))(point())
    assert_close(values[0], exact)
    with pytest.raises(AssertionError):
        assert_close(values[1], exact)


def test_second_order_adds_both_orders_of_a_pair(x64):
    value, slopes, second = jax.jit(
        lambda x: (quotient(x), jax.grad(quotient)(x), jax.hessian(quotient)(x))
    )(point())
    ours = jax.jit(lambda x: second_order(quotient, x, [1], {(0, 1): 2.0, (1, 0): 3.0}))(point())
    assert_close(ours[0], value)
    assert set(ours[1]) == {0, 1}
    assert_close(ours[1][1], slopes[1])
    assert_close(ours[2], 5 * second[0, 1])
