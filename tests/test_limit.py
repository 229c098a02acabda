"""The infinite-width kernel against formulas of its own, finite wide networks, and quadrature by hand."""

import math

import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np
import pytest
import scipy.special

from each import each
from helpers import assert_close
from pinntk.conditions import Condition
from pinntk.domain import Box
from pinntk.errors import PinntkError
from pinntk.kernel import tangent_kernel
from pinntk.kernel.expectations import Erf, Sine, Tanh
from pinntk.kernel.limit import LimitNetwork, limit_kernel, limit_solution
from pinntk.library import burgers1d, poisson1d, taylor_green2d, wave1d
from pinntk.nets import MLP, FourierFeatures, InputScaling, NTKParametrization
from pinntk.paper.limit import one_hidden_layer
from pinntk.paper.sweep import first_points
from pinntk.problem import Problem, Sample

FUNCTIONS = {Tanh: jnp.tanh, Sine: jnp.sin, Erf: jax.scipy.special.erf}
COVARIANCES = [(1.3, 0.7, 0.2), (1.0, 2.0, -1.1), (1.5, 1.5, 1.5), (0.5, 2.0, 1.0)]


def by_quadrature(function, a, b, c, order=400):
    """E[f(u) f(v)] by Gauss–Hermite in both variables."""
    z, weights = scipy.special.roots_hermitenorm(order)
    weights = weights / weights.sum()
    u = math.sqrt(a) * z[:, None]
    v = c / math.sqrt(a) * z[:, None] + math.sqrt(max(0.0, b - c**2 / a)) * z[None, :]
    return np.sum(np.outer(weights, weights) * np.asarray(function(u)) * np.asarray(function(v)))


@each("covariance", COVARIANCES)
@each("kind", FUNCTIONS)
def test_expectations(kind, covariance, x64):
    function = FUNCTIONS[kind]
    slope = jax.vmap(jax.vmap(jax.grad(function)))
    found = kind()
    a, b, c = map(jnp.asarray, covariance)
    assert_close(found.values(a, b, c), by_quadrature(function, *covariance), 1e6)
    assert_close(found.slopes(a, b, c), by_quadrature(slope, *covariance), 1e6)
    assert abs(float(found.values(a, b, 0.9 * c)) - by_quadrature(function, *covariance)) > 1e-3


@each("covariance", COVARIANCES)
def test_derivatives_of_the_quadrature_are_those_of_the_integral(covariance, x64):
    """Of second order along the line a + x², b + x², c + x², through c² = ab as anywhere else."""

    def along(values, x):
        return values(*(v + x**2 for v in covariance))

    h = 1e-3
    for found, function in ((Tanh().values, jnp.tanh), (Sine().values, jnp.sin)):
        bend = jax.grad(jax.grad(lambda x, f=found: along(f, jnp.asarray(x))))(0.3)
        at = [
            by_quadrature(function, *(v + x**2 for v in covariance))
            for x in (0.3 - h, 0.3, 0.3 + h)
        ]
        expected = (at[0] - 2 * at[1] + at[2]) / h**2
        assert float(bend) == pytest.approx(expected, abs=1e-5)  # h² and rounding over h²


def test_the_rule_is_chosen_from_the_tolerance():
    coarse, fine = (Tanh(tolerance).up_to(2.0).rule for tolerance in (1e-6, 1e-12))
    assert coarse.change <= 1e-6
    assert fine.change <= 1e-12
    assert len(coarse.nodes) < len(fine.nodes) < len(Tanh(1e-12).up_to(6.0).rule.nodes)
    with pytest.raises(PinntkError, match="Scale the inputs"):
        Tanh(1e-13).up_to(1e5)
    with pytest.raises(PinntkError, match="tolerance"):
        Tanh(0.0).up_to(2.0)


def rows(x):
    return Sample(jnp.asarray(x, float).reshape(len(x), -1))


@pytest.mark.slow
def test_theorem_4_1(x64):
    """One hidden layer and u'': expectations over one neuron, x = x' and the cross block included."""
    x = np.linspace(0.0, 1.0, 5)
    problem = poisson1d()
    batch = dict.fromkeys(problem.names, rows(x))
    found, expected = limit_kernel(problem, LimitNetwork(1, Tanh()), batch), one_hidden_layer(x)
    parts = {
        "uu": ("boundary", "boundary"),
        "ur": ("boundary", "residual"),
        "rr": ("residual",) * 2,
    }
    for name, blocks in parts.items():
        np.testing.assert_allclose(
            found.block(*blocks), expected[name], rtol=0, atol=1e-9 * np.abs(expected[name]).max()
        )
    without_bias = found.block("boundary") - 1.0  # control
    assert np.abs(without_bias - expected["uu"]).max() > 0.1


def finite(problem, batch, function, depth, width, seed, **options):
    d = len(problem.domain.coordinates)
    model = MLP(
        d,
        None if len(problem.fields) == 1 else len(problem.fields),
        width=width,
        depth=depth,
        activation=function,
        parametrization=NTKParametrization(),
        key=jax.random.key(seed),
        **options,
    )
    return tangent_kernel(problem, model, batch).matrix


def mean_error(limit, found):
    """Relative error of the mean over networks, and what one would expect of it from their spread."""
    size = np.linalg.norm(limit)
    error = np.linalg.norm(np.mean(found, 0) - limit) / size
    expected = np.linalg.norm(np.std(found, 0, ddof=1)) / math.sqrt(len(found)) / size
    return error, expected


@each(
    ("problem", "activation", "depth"),
    [(poisson1d, Sine(), 2), (wave1d, Erf(), 1)],
)
def test_wide_networks_have_the_limit_as_their_mean(problem, activation, depth, x64):
    problem = problem()
    batch = first_points(problem.sample(jax.random.key(1)), 2)
    limit = limit_kernel(problem, LimitNetwork(depth, activation), batch).matrix
    found = [finite(problem, batch, FUNCTIONS[type(activation)], depth, 512, s) for s in range(12)]
    error, expected = mean_error(limit, found)
    allowed = 2.5 * expected + 2 / 512  # chance, and a bias of order 1/width
    assert error < allowed
    assert mean_error(1.5 * limit, found)[0] > allowed  # control


def test_scaling_and_embedding_stand_before_the_network(x64):
    problem = poisson1d()
    batch = first_points(problem.sample(jax.random.key(1)), 3)
    scaling = InputScaling.to_unit((0.0,), (1.0,))
    embedding = FourierFeatures(1, 4, scale=0.5, key=jax.random.key(9))
    options = {"scaling": scaling, "embedding": embedding}
    limit = limit_kernel(problem, LimitNetwork(1, Sine(), **options), batch).matrix
    found = [
        finite(problem, batch, jnp.sin, 1, 1024, s, embedding_size=4, **options) for s in range(8)
    ]
    error, expected = mean_error(limit, found)
    assert error < 2.5 * expected + 2 / 1024
    plain = limit_kernel(problem, LimitNetwork(1, Sine()), batch).matrix
    assert mean_error(plain, found)[0] > 0.1  # control


def test_several_unknowns_and_components(x64):
    """u_x + v and u − v_y: the outputs are independent, so every block is a sum over them."""
    square = Box(x=(0.0, 1.0), y=(0.0, 1.0))

    def pair(w, p):
        u, v = w.components()
        return jnp.stack([u.d("x")(p) + v(p), u(p) - v.d("y")(p)])

    problem = Problem("pair", square, [Condition("pair", pair, square, 4)], fields=("u", "v"))
    batch = problem.sample(jax.random.key(1))
    limit = limit_kernel(problem, LimitNetwork(1, Sine()), batch)
    assert limit.rows == {"pair": 8}
    found = [finite(problem, batch, jnp.sin, 1, 1024, s) for s in range(12)]
    error, expected = mean_error(limit.matrix, found)
    assert error < 2.5 * expected + 2 / 1024
    other_order = limit.matrix.reshape(4, 2, 4, 2).transpose(1, 0, 3, 2).reshape(8, 8)
    assert mean_error(other_order, found)[0] > 0.1  # control


def test_the_kernel_is_symmetric_and_repeats_repeated_points(x64):
    problem = wave1d()
    batch = first_points(problem.sample(jax.random.key(1)), 3)
    doubled = {n: jax.tree.map(lambda a: jnp.concatenate([a, a[:1]]), s) for n, s in batch.items()}
    network = LimitNetwork(1, Erf())
    whole, more = limit_kernel(problem, network, batch), limit_kernel(problem, network, doubled)
    np.testing.assert_array_equal(whole.matrix, whole.matrix.T)
    assert np.linalg.eigvalsh(whole.matrix)[0] > -1e-12 * np.linalg.norm(whole.matrix)
    for name in problem.names:
        assert_close(more.block(name)[:3, :3], whole.block(name))
        assert_close(more.block(name)[3], more.block(name)[0])


@each(("problem", "name"), [(lambda: burgers1d(nu=0.1), "residual"), (taylor_green2d, "momentum")])
def test_a_nonlinear_residual_is_named(problem, name):
    problem = problem()
    batch = first_points(problem.sample(jax.random.key(0)), 3)
    with pytest.raises(PinntkError, match=f"{name}.*not linear in u"):
        limit_kernel(problem, LimitNetwork(1, Sine()), batch)


def test_depth_is_a_whole_number():
    with pytest.raises(PinntkError, match="depth"):
        LimitNetwork(0, Sine())


def test_the_limit_of_training_meets_its_data_and_the_solution(x64):
    problem = poisson1d(2.0)
    batch = first_points(problem.sample(jax.random.key(0)), 24)
    points = np.linspace(0.0, 1.0, 21)[:, None]
    exact = np.sin(2 * np.pi * points[:, 0])
    found = limit_solution(problem, LimitNetwork(1, Erf()), batch, points)
    assert np.linalg.norm(found - exact) < 1e-4 * np.linalg.norm(exact)
    assert np.abs(found[[0, -1]]).max() < 1e-6
    few = first_points(batch, 4)  # control
    other = limit_solution(problem, LimitNetwork(1, Erf()), few, points)
    assert np.linalg.norm(other - exact) > 1e-3 * np.linalg.norm(exact)


def test_the_limit_solution_is_for_one_unknown():
    square = Box(x=(0.0, 1.0), y=(0.0, 1.0))
    value = Condition("value", lambda w, p: w(p), square, 3)
    problem = Problem("two", square, [value], fields=("u", "v"))
    problem.sample(jax.random.key(0))
    with pytest.raises(PinntkError, match="one unknown"):
        limit_solution(
            problem, LimitNetwork(1, Sine()), problem.sample(jax.random.key(0)), np.zeros((1, 2))
        )
