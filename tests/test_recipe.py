"""Recipes: plain data that survive JSON, and what the names in them become."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pinntk.problems import PROBLEMS
from pinntk.recipe import Recipe

from helpers import poisson
from pinntk.conditions import observations
from pinntk.domain import Interval, Points
from pinntk.errors import PinntkError
from pinntk.nets import MLP, ModifiedMLP
from pinntk.problem import Problem
from pinntk.training import build_dtype, build_model, build_optimizer, build_weighting
from pinntk.weighting import Fixed, NTKWeights

KEY = jax.random.key(0)


def built(problem=None, **settings):
    problem = problem or poisson()
    recipe = Recipe(**{"width": 3, "depth": 1, **settings})
    return build_model(recipe, problem, problem.sample(KEY), KEY)


# --- plain data ---------------------------------------------------------------------------------


def test_a_recipe_survives_json():
    recipe = Recipe(width=7, weighting="fixed", weights={"boundary": 2.5}, decay_rate=0.9)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_recipe_of_the_library_survives_json(name):
    for factory in (PROBLEMS[name].factory, *PROBLEMS[name].presets.values()):
        recipe = factory().recipe
        assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_replacing_leaves_the_rest_and_none_leaves_a_setting():
    recipe = Recipe(width=7)
    changed = recipe.replace(depth=2, width=None)
    assert (changed.width, changed.depth) == (7, 2)
    assert recipe.depth == 3
    assert changed.replace() == changed


def test_unknown_settings_come_with_the_nearest_name():
    with pytest.raises(PinntkError, match=r"setting: got 'widht'.*Did you mean 'width'"):
        Recipe().replace(widht=3)
    with pytest.raises(PinntkError, match="expected what as_dict wrote"):
        Recipe.from_dict({1: 2})


FIELDS = [field.name for field in dataclasses.fields(Recipe)]
NAMES = {name for name in FIELDS if isinstance(getattr(Recipe(), name), str)}
SWITCHES = {name for name in FIELDS if isinstance(getattr(Recipe(), name), bool)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in FIELDS
        for value in ([], 1 if name in SWITCHES else True, 5 if name in NAMES else "five")
    ],
)
def test_a_value_of_the_wrong_type_is_named(name, value):
    with pytest.raises(PinntkError) as error:
        Recipe(**{name: value})
    assert str(error.value).startswith(f"{name}: got {value!r}; expected ")


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("steps", -3), ("log_every", 0)])
def test_counts_start_at_one(name, value):
    with pytest.raises(PinntkError, match=f"^{name}: got {value}; expected a whole number, 1 or"):
        Recipe(**{name: value})


# --- names become objects -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "nearest"),
    [
        ("network", "mpl", "mlp"),
        ("activation", "tan", "tanh"),
        ("parametrization", "nkt", "ntk"),
        ("initializer", "gloro", "glorot"),
        ("scaling", "units", "unit"),
        ("dtype", "float23", "float32"),
    ],
)
def test_misspelt_names_of_the_network_come_with_the_nearest(setting, value, nearest):
    with pytest.raises(PinntkError, match=rf"^{setting}: got '{value}'.*'{nearest}'"):
        built(**{setting: value})


def test_misspelt_optimisers_and_weightings_come_with_the_nearest():
    with pytest.raises(PinntkError, match=r"optimizer: got 'adma'.*Did you mean 'adam'"):
        build_optimizer(Recipe(optimizer="adma"))
    with pytest.raises(PinntkError, match=r"weighting: got 'fix'.*Did you mean 'fixed'"):
        build_weighting(Recipe(weighting="fix"))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"width": 0}, "width: got 0"),
        ({"depth": -1}, "depth: got -1"),
        ({"bias_std": -1.0}, "bias_std: got -1.0"),
        ({"bias_std": float("inf")}, "bias_std: got inf"),
        ({"fourier_features": 3}, "features: got 3; expected an even number"),
        ({"fourier_features": 4, "fourier_scale": float("nan")}, "fourier_scale: got nan"),
        ({"fourier_features": 4, "fourier_scale": 0.0}, "fourier_scale: got 0.0"),
    ],
)
def test_numbers_that_make_no_network_are_refused(settings, text):
    with pytest.raises(PinntkError, match=text):
        built(**settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate: got nan"),
        ({"decay_rate": 0.5}, "both or neither"),
        ({"decay_steps": 5}, "both or neither"),
        ({"decay_rate": 1.5, "decay_steps": 5}, "both or neither"),
        ({"decay_rate": 0.5, "decay_steps": 0}, "both or neither"),
    ],
)
def test_numbers_that_make_no_optimiser_are_refused(settings, text):
    with pytest.raises(PinntkError, match=text):
        build_optimizer(Recipe(**settings))


def test_the_optimisers_are_what_they_are_called():
    x, gradient = jnp.array([1.0]), jnp.array([4.0])
    objective = lambda p: ((0.0, {}), gradient)
    for name, moved in (("sgd", 0.1 * 4.0), ("adam", 0.1)):  # Adam's first step has length η
        optimizer = build_optimizer(Recipe(optimizer=name, learning_rate=0.1))
        after, _, _ = optimizer.step(x, optimizer.init(x), objective)
        np.testing.assert_allclose(x - after, moved, rtol=1e-5)
    decayed = build_optimizer(Recipe(learning_rate=0.1, decay_rate=0.5, decay_steps=10))
    assert float(decayed.learning_rate(20)) == pytest.approx(0.025)


def test_the_weightings_are_what_they_are_called():
    recipe = Recipe(weighting="ntk", every=7, moving_average=0.5, subsample=3)
    assert build_weighting(recipe) == NTKWeights(every=7, moving_average=0.5, subsample=3)
    fixed = build_weighting(Recipe(weighting="fixed", weights={"boundary": 2.0}))
    assert fixed == Fixed({"boundary": 2.0})
    factors = build_weighting(Recipe(weighting="ntk", weights={"boundary": 2.0}))
    assert factors == NTKWeights(factors={"boundary": 2.0})


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("tanh", np.tanh),
        ("sin", np.sin),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("softplus", lambda x: np.log1p(np.exp(x))),
        ("swish", lambda x: x / (1 + np.exp(-x))),
    ],
)
def test_the_activations_are_what_they_are_called(name, function):
    model, x = built(activation=name, scaling="none", bias_std=0.5), np.array([0.3])
    inner, outer = model.layers
    expected = function(x @ inner.weight + inner.bias) @ outer.weight + outer.bias
    np.testing.assert_allclose(model(jnp.asarray(x)), expected[0], rtol=1e-5)


def test_the_networks_are_what_they_are_called():
    assert type(built(network="mlp")) is MLP
    assert type(built(network="modified-mlp")) is ModifiedMLP
    wide = built(fourier_features=4)
    assert wide.layers[0].weight.shape == (4, 3)
    assert built(parametrization="ntk").layers[1].factor == pytest.approx(3**-0.5)
    assert not built().layers[0].bias.any()
    assert built(bias_std=1.0).layers[0].bias.all()


def test_one_output_per_field():
    problem = dataclasses.replace(poisson(), fields=("u", "v"))
    assert built(problem)(jnp.array([0.5])).shape == (2,)
    assert built()(jnp.array([0.5])).shape == ()


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("none", lambda x, points: x),
        ("unit", lambda x, points: 2 * x - 1),
        ("standard", lambda x, points: (x - 0.5) * np.sqrt(12)),
        ("points", lambda x, points: (x - points.mean()) / points.std()),
    ],
)
def test_the_scalings_are_what_they_are_called(scaling, expected):
    x = np.array([0.2], np.float32)
    points = np.asarray(poisson().sample(KEY)["residual"].points)
    np.testing.assert_allclose(
        built(scaling=scaling).scaling(jnp.asarray(x)), expected(x, points), rtol=1e-5
    )


def test_given_points_are_scaled_by_themselves():
    x = np.array([[0.0], [2.0], [4.0]])
    domain = Points(x, ("x",))
    problem = Problem("data", domain, [observations("data", domain, x, x[:, 0])])
    for scaling in ("unit", "standard", "points"):
        np.testing.assert_allclose(
            built(problem, scaling=scaling).scaling(jnp.array([2.0])), 0.0, atol=1e-6
        )


def test_a_problem_may_bring_its_own_network():
    own = dataclasses.replace(
        poisson(), network=lambda key: MLP(1, width=2, depth=2, key=key, activation=jnp.sin)
    )
    model = built(own, activation="no such thing", width=9)
    assert [layer.weight.shape for layer in model.layers] == [(1, 2), (2, 2), (2, 1)]


def test_a_network_of_ones_own_that_fails_is_named():
    broken = dataclasses.replace(poisson(), network=lambda key: {}["width"])
    with pytest.raises(PinntkError, match=r"^network: got KeyError: 'width'; expected a function"):
        built(broken)


def test_float64_needs_the_64_bit_mode():
    assert build_dtype(Recipe()) == jnp.float32
    with pytest.raises(PinntkError, match="dtype: got float64 while JAX is in 32-bit mode"):
        build_dtype(Recipe(dtype="float64"))


def test_float64_makes_float64_parameters(x64):
    assert {leaf.dtype for leaf in jax.tree.leaves(built(dtype="float64"))} == {np.dtype("f8")}
    assert {leaf.dtype for leaf in jax.tree.leaves(built(dtype="float32"))} == {np.dtype("f4")}


def test_scaling_by_points_uses_the_last_condition_where_none_is_called_residual():
    domain = Interval(x=(0.0, 1.0))
    x = np.array([[0.1], [0.3]])
    problem = Problem("data", domain, [observations("data", domain, x, x[:, 0])])
    np.testing.assert_allclose(
        built(problem, scaling="points").scaling(jnp.array([0.2])), 0, atol=1e-6
    )
