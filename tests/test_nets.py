"""Networks against their formulas, and their draws against the stated variances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import NETWORKS, assert_close
from pinntk.calculus import Field
from pinntk.errors import PinntkError
from pinntk.jacobian import parameter_count
from pinntk.nets import (
    MLP,
    Constrained,
    FourierFeatures,
    InputScaling,
    Linear,
    ModifiedMLP,
    NTKParametrization,
    OutputTransform,
    PeriodicFeatures,
    StandardParametrization,
    glorot,
    lecun,
)
from pinntk.training import Network

pytestmark = pytest.mark.fast

KEY = jax.random.key(0)
POINT = np.array([0.3, -0.7], np.float32)


@each("network", NETWORKS)
@each("out", [None, 1, 3])
def test_the_output_is_a_scalar_or_a_vector(network, out):
    model = NETWORKS[network](KEY, 2, out)
    shape = jax.eval_shape(model, POINT)
    assert shape.shape == (() if out is None else (out,))
    assert shape.dtype == jnp.float32


@each("network", NETWORKS)
def test_the_same_key_gives_the_same_network(network):
    first, again, other = (jax.tree.leaves(NETWORKS[network](jax.random.key(i))) for i in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_an_mlp_has_the_parameters_of_its_layers():
    model = MLP(2, 3, width=5, depth=2, key=KEY)
    assert [layer.weight.shape for layer in model.layers] == [(2, 5), (5, 5), (5, 3)]
    assert parameter_count(model) == (2 * 5 + 5) + (5 * 5 + 5) + (5 * 3 + 3)


def test_float64_draws_under_x64(x64):
    assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(NETWORKS["mlp"](KEY)))


# Parametrisations


def drawn(parametrization, fan_in=300, fan_out=100):
    weight_key, bias_key = jax.random.split(KEY)
    weight = parametrization.weight(weight_key, fan_in, fan_out)
    return np.asarray(weight), np.asarray(parametrization.bias(bias_key, 20_000))


@each(
    ("parametrization", "weight_variance", "bias_variance", "factor"),
    [
        (StandardParametrization(), 2 / 400, 0.0, 1.0),
        (StandardParametrization(lecun, bias_std=1.0), 1 / 300, 1.0, 1.0),
        (StandardParametrization(glorot, bias_std=0.1), 2 / 400, 0.01, 1.0),
        (NTKParametrization(), 1.0, 1.0, 300**-0.5),
    ],
)
def test_draws_have_the_stated_variance(parametrization, weight_variance, bias_variance, factor):
    weight, bias = drawn(parametrization)
    # 30,000 and 20,000 draws: the sample variance of a normal is off by √(2/n) < 1%, one sigma.
    np.testing.assert_allclose(weight.var(), weight_variance, rtol=0.05)
    np.testing.assert_allclose(bias.var(), bias_variance, rtol=0.05)
    assert abs(weight.mean()) < 5 * (weight_variance / weight.size) ** 0.5
    assert parametrization.factor(300) == pytest.approx(factor)
    # Not truncated: of 30,000 normal draws some lie beyond three standard deviations.
    assert np.abs(weight).max() > 3.3 * weight_variance**0.5


def test_the_variance_of_an_output_is_the_same_in_both_parametrisations():
    """Standard with 1/fan_in and NTK draw the same functions: the factor makes up for the draw."""
    x = jnp.ones(300)
    for parametrization in (StandardParametrization(lecun, bias_std=1.0), NTKParametrization()):
        layer = Linear(300, 2000, parametrization=parametrization, key=KEY)
        # xW has variance |x|²/300 = 1, the bias adds 1; 2,000 outputs, so 3% is one sigma.
        np.testing.assert_allclose(np.var(layer(x)), 2.0, rtol=0.15)


@pytest.mark.parametrize(
    "parametrization",
    [StandardParametrization(bias_std=0.5), NTKParametrization()],
    ids=["standard", "ntk"],
)
def test_an_mlp_is_its_formula(parametrization):
    model = MLP(2, width=4, depth=2, activation=jnp.sin, parametrization=parametrization, key=KEY)
    hidden = POINT.astype(np.float64)
    for i, layer in enumerate(model.layers):
        weight, bias = np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64)
        factor = (
            1.0
            if isinstance(parametrization, StandardParametrization)
            else 1 / np.sqrt(weight.shape[0])
        )
        hidden = factor * (hidden @ weight) + bias
        hidden = hidden if i == 2 else np.sin(hidden)
    assert_close(model(POINT), np.float32(hidden[0]))


def test_the_ntk_factor_belongs_to_every_layer():
    """Control: the formula without one of the factors gives another number."""
    model = MLP(2, width=4, depth=1, parametrization=NTKParametrization(), key=KEY)
    first, last = model.layers
    hidden = np.tanh(POINT @ np.asarray(first.weight) / np.sqrt(2) + np.asarray(first.bias))
    right = hidden @ np.asarray(last.weight) / np.sqrt(4) + np.asarray(last.bias)
    wrong = hidden @ np.asarray(last.weight) + np.asarray(last.bias)
    assert_close(model(POINT), right[0])
    with pytest.raises(AssertionError):
        assert_close(model(POINT), wrong[0])


def test_a_modified_mlp_is_its_formula():
    model = ModifiedMLP(2, 3, width=4, depth=2, key=KEY)

    def linear(layer, x):
        return x @ np.asarray(layer.weight, np.float64) + np.asarray(layer.bias, np.float64)

    x = POINT.astype(np.float64)
    first, second = (np.tanh(linear(encoder, x)) for encoder in model.encoders)
    hidden = x
    for layer in model.layers[:-1]:
        gate = np.tanh(linear(layer, hidden))
        hidden = (1 - gate) * first + gate * second
    assert_close(model(POINT), np.float32(linear(model.layers[-1], hidden)))
    assert [layer.weight.shape for layer in model.layers] == [(2, 4), (4, 4), (4, 3)]


# Maps before the network


def test_scaling_to_the_unit_box_maps_ends_to_ends():
    scaling = InputScaling.to_unit((0.0, -4.0), (1.0, 6.0))
    np.testing.assert_allclose(scaling(np.array([0.0, -4.0], np.float32)), [-1.0, -1.0])
    np.testing.assert_allclose(scaling(np.array([1.0, 6.0], np.float32)), [1.0, 1.0])
    np.testing.assert_allclose(scaling(np.array([0.5, 1.0], np.float32)), [0.0, 0.0])


def test_standardising_over_points_gives_mean_zero_and_deviation_one():
    points = np.asarray(jax.random.normal(KEY, (50, 2))) * [3.0, 0.1] + [7.0, -2.0]
    scaled = (points - InputScaling.standardize(points).shift) / InputScaling.standardize(
        points
    ).scale
    np.testing.assert_allclose(scaled.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(0), 1.0, atol=1e-12)


def test_standardising_a_box_uses_the_deviation_of_the_uniform_distribution():
    box = InputScaling.standardize_box((0.0,), (1.0,))
    assert box.shift == (0.5,)
    assert box.scale == pytest.approx((12**-0.5,))
    grid = np.linspace(0.0, 1.0, 100_001)[:, None]
    assert InputScaling.standardize(grid).scale == pytest.approx(box.scale, rel=1e-4)


def test_scaling_acts_before_the_network_and_keeps_the_dtype():
    scaling = InputScaling((1.0, 2.0), (2.0, 0.5))
    plain = MLP(2, width=3, depth=1, key=KEY)
    scaled = MLP(2, width=3, depth=1, scaling=scaling, key=KEY)
    assert_close(scaled(POINT), plain((POINT - np.float32([1.0, 2.0])) / np.float32([2.0, 0.5])))
    assert scaled(POINT).dtype == jnp.float32
    assert parameter_count(scaled) == parameter_count(plain)


@each("scale", [(1.0,), (1.0, 0.0), (1.0, -1.0), (1.0, float("nan"))])
def test_a_bad_scale_is_refused(scale):
    with pytest.raises(PinntkError, match=r"scale: .*one positive number per coordinate"):
        InputScaling((0.0, 0.0), scale)


def test_constant_points_cannot_be_standardised():
    with pytest.raises(PinntkError, match=r"scale: got "):
        InputScaling.standardize(np.array([[1.0, 0.0], [1.0, 2.0]]))


def test_fourier_features_are_their_formula():
    features = FourierFeatures(2, 6, scale=3.0, key=KEY)
    phase = 2 * np.pi * (POINT @ np.asarray(features.frequencies))
    assert features.frequencies.shape == (2, 3)
    assert_close(features(POINT), np.concatenate([np.cos(phase), np.sin(phase)]))


def test_frequencies_have_the_stated_scale():
    frequencies = FourierFeatures(2, 10_000, scale=3.0, key=KEY).frequencies
    np.testing.assert_allclose(np.std(frequencies), 3.0, rtol=0.05)  # 10,000 draws: 0.7% is a sigma


def test_each_coordinate_may_have_a_scale_of_its_own():
    """σ along each coordinate, of the same draws; one number is the same for all."""
    draw = lambda scale: np.asarray(FourierFeatures(2, 10_000, scale=scale, key=KEY).frequencies)
    deviations = np.std(draw((3.0, 0.5)), axis=1)
    np.testing.assert_allclose(deviations, [3.0, 0.5], rtol=0.05)
    np.testing.assert_array_equal(draw((3.0, 3.0)), draw(3.0))
    with pytest.raises(PinntkError, match=r"scale: got \(1.0,\); expected a number, or 2 numbers"):
        FourierFeatures(2, 4, scale=(1.0,), key=KEY)


def test_frequencies_are_not_trained():
    model = NETWORKS["fourier_mlp"](KEY)
    slopes = jax.grad(lambda m: m(POINT))(model)
    assert jnp.all(slopes.embedding.frequencies == 0.0)
    assert jnp.any(slopes.layers[0].weight != 0.0)


@each("features", [0, 1, 5, -2])
def test_the_number_of_features_is_even(features):
    with pytest.raises(PinntkError, match=f"features: got {features}; expected an even number"):
        FourierFeatures(2, features, scale=1.0, key=KEY)


@each("network", [MLP, ModifiedMLP])
@each("argument", ["in_size", "out_size", "width", "depth"])
@each("value", [0, -1, 2.5])
def test_bad_sizes_are_named(network, argument, value):
    sizes = {"in_size": 2, "out_size": 1, "width": 3, "depth": 1, argument: value}
    with pytest.raises(PinntkError) as error:
        network(**sizes, key=KEY)
    assert str(error.value) == f"{argument}: got {value}; expected a whole number, 1 or more."


# --- whole numbers as points -----------------------------------------------------------------------

HALF = InputScaling((0.5, 1.5), (0.5, 4.5))
PERIODIC = PeriodicFeatures(2, (0,), 2, 1.5)
TAKES_POINTS = {
    "scaling": HALF,
    "mlp": MLP(2, width=4, depth=1, scaling=HALF, key=KEY),
    "several outputs": MLP(2, 3, width=4, depth=1, key=KEY),
    "modified": ModifiedMLP(2, width=4, depth=1, scaling=HALF, key=KEY),
    "fourier": FourierFeatures(2, 4, scale=0.3, key=KEY),
    "periodic": PERIODIC,
    "periodic network": MLP(
        2, width=4, depth=1, scaling=HALF, embedding=PERIODIC, embedding_size=5, key=KEY
    ),
    "constrained": Constrained(
        MLP(2, width=4, depth=1, scaling=HALF, key=KEY), lambda x, value: x[0] ** -2 * value
    ),
    "output": OutputTransform(MLP(2, width=4, depth=1, scaling=HALF, key=KEY), jnp.exp),
    "field": Field(lambda p: p[0] ** -2 * jnp.sin(p[1]), ("x", "t")),
    "derivative": Field(lambda p: p[0] ** 3 * jnp.sin(p[1]), ("x", "t")).d("x", "x"),
    "third": Field(lambda p: p[0] ** 3 * jnp.sin(p[1]), ("x", "t")).d("x", "x", "x"),
}


@each("name", TAKES_POINTS)
@pytest.mark.parametrize("whole", [np.int32, np.int64, np.uint8])
def test_a_point_of_whole_numbers_has_the_value_of_the_same_floats(name, whole):
    function = TAKES_POINTS[name]
    found = function(jnp.asarray(np.array([3, 5], whole)))
    expected = function(jnp.array([3.0, 5.0]))
    assert found.dtype == expected.dtype == jnp.float32
    np.testing.assert_array_equal(found, expected)


def test_a_network_takes_whole_numbers_in_its_own_precision(x64):
    model = jax.tree.map(lambda a: a.astype(jnp.float32), TAKES_POINTS["mlp"])
    found = model(jnp.array([3, 5]))
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, model(jnp.array([3.0, 5.0], jnp.float32)))


# --- functions by name -------------------------------------------------------------------------------


@each("make", [MLP, ModifiedMLP])
def test_the_name_of_an_activation_is_refused_with_the_function(make):
    with pytest.raises(PinntkError) as caught:
        make(1, width=3, depth=1, activation="sin", key=KEY)
    assert str(caught.value) == (
        "activation: got 'sin'; expected a function like jnp.tanh. Write activation=jnp.sin."
    )
    with pytest.raises(PinntkError, match=r"activation=jax\.nn\.swish"):
        Network(activation="swish")
    with pytest.raises(PinntkError, match=r"got 'nothing'; expected a function like jnp\.tanh\.$"):
        make(1, width=3, depth=1, activation="nothing", key=KEY)
