"""Options become objects and back: what names stand for, what carries over, what is refused."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from each import each
from helpers import poisson
from pinntk.cli import names
from pinntk.cli.loading import load
from pinntk.cli.options import Options
from pinntk.cli.settings import apply, plain
from pinntk.cli.spelling import options_of, same, total_options
from pinntk.conditions import observations
from pinntk.domain import Interval, Points
from pinntk.errors import PinntkError
from pinntk.library.registry import PROBLEMS
from pinntk.nets import MLP, ModifiedMLP, StandardParametrization
from pinntk.optim import (
    SPRING,
    ConjugateGradients,
    FirstOrder,
    NaturalGradient,
    adam,
    gradient_descent,
    rate_of,
)
from pinntk.problem import Problem
from pinntk.training import (
    AsConditioned,
    Network,
    ProgressivePoints,
    ResidualAdaptive,
    default_setup,
    natural_setup,
)
from pinntk.weighting import Fixed, NTKWeights

pytestmark = pytest.mark.fast

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def setup():
    """A small problem with Adam and Algorithm 1, whose natural gradient is another setup."""
    small = default_setup(poisson())
    return small.replace(network=Network(width=3, depth=1))


@pytest.fixture(scope="module")
def presets(setup):
    natural = natural_setup(setup.problem)
    return {"default": lambda: setup, "natural-gradient": lambda: natural}


def applied(setup, presets=None, **options):
    return apply(setup, Options(**options), presets)


def network(problem=None, **options):
    """The network that options make of a problem."""
    start = default_setup(problem or poisson()).replace(network=Network(width=3, depth=1))
    made = applied(start, **options)
    return made.network.network(made.problem, made.problem.sample(KEY), KEY)


# --- names become objects -----------------------------------------------------------------------


def test_the_activations_are_what_they_are_called():
    functions = {
        "tanh": np.tanh,
        "sin": np.sin,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "softplus": lambda x: np.log1p(np.exp(x)),
        "swish": lambda x: x / (1 + np.exp(-x)),
    }
    assert set(functions) == set(names.ACTIVATIONS) - {"gelu"}
    for name, function in functions.items():
        model, x = network(activation=name, scaling="none", bias_std=0.5), np.array([0.3])
        inner, outer = model.layers
        expected = function(x @ inner.weight + inner.bias) @ outer.weight + outer.bias
        np.testing.assert_allclose(model(jnp.asarray(x)), expected[0], rtol=1e-5)


def test_the_networks_are_what_they_are_called():
    assert type(network(network="mlp")) is MLP
    assert type(network(network="modified-mlp")) is ModifiedMLP
    assert network(fourier_features=4).layers[0].weight.shape == (4, 3)
    scaled = network(fourier_features=4, fourier_scales={"x": 3.0}).embedding.frequencies
    np.testing.assert_array_equal(
        scaled, network(fourier_features=4, fourier_scale=3.0).embedding.frequencies
    )
    with pytest.raises(
        PinntkError, match=r"fourier_scale: got {'t': 3\.0}; expected a number for each of x"
    ):
        network(fourier_features=4, fourier_scales={"t": 3.0})
    with pytest.raises(
        PinntkError, match="fourier_scale of 'x': got 0; expected a positive finite"
    ):
        Network(fourier_scale={"x": 0})
    with pytest.raises(PinntkError, match="--fourier-scale: got 2; expected no such option beside"):
        network(fourier_scale=2, fourier_scales={"x": 3.0})
    assert network(parametrization="ntk").layers[1].factor == pytest.approx(3**-0.5)
    assert not network().layers[0].bias.any()
    assert network(bias_std=1.0).layers[0].bias.all()
    wide = {"width": 2000, "scaling": "none"}
    for name, deviation in (("glorot", (2 / 2001) ** 0.5), ("lecun", 2000**-0.5)):
        drawn = float(jnp.std(network(initializer=name, **wide).layers[1].weight))
        assert drawn == pytest.approx(deviation, rel=0.1)  # of 2,000 numbers: 2% is one deviation


@each(
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
    scaled = network(scaling=scaling).scaling
    found = x if scaled is None else scaled(jnp.asarray(x))
    np.testing.assert_allclose(found, expected(x, points), rtol=1e-5)
    if scaling != "none":
        stretched = network(scaling=scaling, input_scale=3.0).scaling(jnp.asarray(x))
        np.testing.assert_allclose(stretched, 3 * expected(x, points), rtol=1e-5)


def test_scaling_by_points_uses_the_last_condition_where_none_is_called_residual():
    domain = Interval(x=(0.0, 1.0))
    x = np.array([[0.1], [0.3]])
    problem = Problem("data", domain, [observations("data", domain, x, x[:, 0])])
    np.testing.assert_allclose(
        network(problem, scaling="points").scaling(jnp.array([0.2])), 0, atol=1e-6
    )


def test_given_points_are_scaled_by_their_box():
    x = np.array([[0.0], [2.0], [4.0]])
    domain = Points(x, ("x",))
    problem = Problem("data", domain, [observations("data", domain, x, x[:, 0])])
    for scaling in ("unit", "standard", "points"):
        np.testing.assert_allclose(
            network(problem, scaling=scaling).scaling(jnp.array([2.0])), 0.0, atol=1e-6
        )


def test_one_output_per_field():
    problem = dataclasses.replace(poisson(), fields=("u", "v"))
    assert network(problem)(jnp.array([0.5])).shape == (2,)
    assert network()(jnp.array([0.5])).shape == ()


def test_the_optimizers_are_what_they_are_called(setup):
    x, gradient = jnp.array([1.0]), jnp.array([4.0])
    objective = lambda p: ((jnp.zeros(()), {}), gradient)
    for name, moved in (("sgd", 0.1 * 4.0), ("adam", 0.1)):  # Adam's first step has length η
        optimizer = applied(setup, optimizer=name, learning_rate=0.1).training.optimizer
        after = optimizer.step(x, optimizer.init(x), objective).parameters
        np.testing.assert_allclose(x - after, moved, rtol=1e-5)
    decayed = applied(setup, learning_rate=0.1, decay_rate=0.5, decay_steps=10)
    assert rate_of(decayed.training.optimizer, 20) == pytest.approx(0.025)
    spring = applied(setup, optimizer="spring", momentum=0.5, damping=0.1).training.optimizer
    assert spring == SPRING(damping=0.1, momentum=0.5)
    natural = applied(setup, optimizer="natural-gradient", solver="cg").training.optimizer
    assert natural == NaturalGradient(solver=ConjugateGradients())


def test_the_rules_are_what_they_are_called(setup):
    rule = lambda **options: applied(setup, **options).training.weighting
    ntk = {"weighting": "ntk", "every": 7, "moving_average": 0.5, "subsample": 3}
    assert rule(**ntk) == NTKWeights(every=7, moving_average=0.5, subsample=3)
    twice = {"boundary": 2.0}
    assert rule(weights=twice) == Fixed(twice)  # naming weights means wanting them
    assert rule(weighting="ntk", weights=twice) == NTKWeights(factors=twice)
    assert rule(weighting="fixed") == rule(weights={"boundary": 1.0}) == Fixed()
    points = lambda **options: applied(setup, **options).training.resampling
    assert points(resampling="residual", resample_every=9) == ResidualAdaptive(every=9)
    assert points(resampling="growing") == ProgressivePoints()
    assert points() == AsConditioned()


# --- what an option leaves as it is -------------------------------------------------------------


def test_what_is_not_named_stays(setup):
    assert same(applied(setup), setup)
    lion = FirstOrder(optax.lion(1e-3))
    own = setup.replace(training=setup.training.replace(optimizer=lion))
    changed = applied(own, steps=5, dtype="float64", points={"residual": 30.0}, redraw_every=2)
    assert changed.training.optimizer is lion
    assert (changed.training.steps, changed.dtype) == (5, "float64")
    assert [(c.points, c.redraw_every) for c in changed.problem.conditions] == [(4, 2), (30, 2)]
    assert applied(changed, redraw_every=0).problem.condition("residual").redraw_every is None


def test_the_rate_and_its_decay_carry_over_to_another_optimizer(setup):
    start = setup.replace(training=setup.training.replace(optimizer=adam(0.5, 0.9, 100)))
    assert applied(start, optimizer="sgd").training.optimizer == gradient_descent(0.5, 0.9, 100)
    assert applied(start, learning_rate=0.1).training.optimizer == adam(0.1, 0.9, 100)
    assert applied(start, decay_steps=7).training.optimizer == adam(0.5, 0.9, 7)


def test_an_optimizer_of_ones_own_is_rescaled_to_the_rate(setup):
    own = FirstOrder(optax.sgd(0.5), schedule=lambda step: 0.5)
    start = setup.replace(training=setup.training.replace(optimizer=own))
    slower = applied(start, learning_rate=0.1).training.optimizer
    assert rate_of(slower) == pytest.approx(0.1)
    x, gradient = jnp.array([1.0]), jnp.array([4.0])
    after = slower.step(x, slower.init(x), lambda p: ((jnp.zeros(()), {}), gradient)).parameters
    np.testing.assert_allclose(x - after, 0.1 * 4.0, rtol=1e-5)


def test_the_factors_of_algorithm_1_become_fixed_weights(setup):
    factors = NTKWeights(every=5, factors={"boundary": 3.0})
    start = setup.replace(training=setup.training.replace(weighting=factors))
    assert applied(start, weighting="fixed").training.weighting == Fixed({"boundary": 3.0})
    assert applied(start, every=9).training.weighting == NTKWeights(
        every=9, factors={"boundary": 3.0}
    )


def test_the_natural_gradient_starts_from_its_own_preset_with_the_options_on_top(setup, presets):
    natural = presets["natural-gradient"]()
    assert same(applied(setup, presets, optimizer="natural-gradient"), natural)
    changed = applied(setup, presets, optimizer="natural-gradient", width=7, damping=0.5)
    assert (changed.network.width, changed.network.input_scale, changed.dtype) == (7, 3, "float64")
    assert changed.training.optimizer == NaturalGradient(damping=0.5)
    again = applied(changed, presets, optimizer="natural-gradient", steps=3)
    assert (again.network.width, again.training.steps) == (7, 3)  # it has that optimizer already


def test_the_plain_training_has_all_weights_1_unless_weights_are_asked_for(setup):
    rule = lambda **options: plain(applied(setup, **options), Options(**options)).training.weighting
    assert rule() == rule(width=5) == Fixed()
    assert rule(weighting="ntk") == rule(every=100) == NTKWeights(every=100)
    assert rule(weights={"boundary": 7.0}) == Fixed({"boundary": 7.0})


# --- what is refused ----------------------------------------------------------------------------


@each(
    ("options", "text"),
    [
        ({"network": "mpl"}, r"^network: got 'mpl'.*'mlp'"),
        ({"activation": "tan"}, "^activation: .*'tanh'"),
        ({"optimizer": "adma"}, "^optimizer: .*Did you mean 'adam'"),
        ({"points": {"residul": 3.0}}, "^condition: got 'residul'.*'residual'"),
        ({"weights": {"bondary": 3.0}}, "^weight: got 'bondary'.*'boundary'"),
        ({"points": {"residual": 2.5}}, "^points of 'residual': got 2.5; expected a whole"),
        ({"width": 0}, "^width: got 0"),
        ({"bias_std": -1.0}, "^bias_std: got -1.0"),
        ({"learning_rate": float("nan")}, "^learning_rate: got nan"),
        ({"decay_rate": 0.5}, "both or neither"),
        ({"hard": True}, "^hard: .*no hard form"),
    ],
)
def test_names_and_numbers_that_mean_nothing_are_refused(setup, options, text):
    with pytest.raises(PinntkError, match=text):
        applied(setup, **options)


@each(
    ("options", "text"),
    [
        ({"damping": 0.1}, "--damping: got 0.1; expected --optimizer natural-gradient or spring"),
        ({"optimizer": "spring", "solver": "cg"}, "--solver: .*natural-gradient"),
        ({"optimizer": "spring", "learning_rate": 0.1}, "--learning-rate: .*a learning rate"),
        ({"weighting": "fixed", "every": 5}, "--every: got 5; expected --weighting ntk with it"),
        ({"resample_every": 5}, "--resample-every: .*residual or growing"),
        ({"parametrization": "ntk", "bias_std": 1.0}, "--bias-std: .*standard"),
    ],
)
def test_options_that_would_change_nothing_are_refused(setup, options, text):
    with pytest.raises(PinntkError, match=text):
        applied(setup, **options)


def test_a_network_of_ones_own_has_no_options(setup):
    own = setup.replace(network=lambda key: MLP(1, width=2, depth=1, key=key))
    assert applied(own, steps=3).network is own.network
    with pytest.raises(PinntkError, match="--activation: got sin; expected no options"):
        applied(own, activation="sin")


def test_a_saved_value_of_the_wrong_type_is_named():
    for field in dataclasses.fields(Options):
        flag = field.name.replace("_", "-")
        with pytest.raises(PinntkError, match=rf"^--{flag}: got \[1\]; expected "):
            Options.from_saved({field.name: [1]})
    with pytest.raises(PinntkError, match="--width: got True; expected a whole number"):
        Options.from_saved({"width": True})
    with pytest.raises(PinntkError, match=r"option: got 'widht'.*'width'"):
        Options.from_saved({"widht": 3})


# --- and back -----------------------------------------------------------------------------------

#: One of every kind of difference; all together they name every option but those of presets.
WAYS = {
    "numbers": {"width": 7, "depth": 2, "steps": 5, "log_every": 3, "harmonics": 2},
    "names": {"network": "modified-mlp", "activation": "sin", "scaling": "none"},
    "digits": {"learning_rate": 0.123456789, "input_scale": 1 / 3, "dtype": "float64"},
    "output": {"output": "softplus"},
    "standard": {"initializer": "lecun", "bias_std": 1.0},
    "ntk": {"parametrization": "ntk"},
    "features": {"fourier_features": 4, "fourier_scale": 2.0},
    "scales": {"fourier_features": 4, "fourier_scales": {"x": 0.5}},
    "descent": {"optimizer": "sgd", "decay_rate": 0.5, "decay_steps": 7},
    "points": {"points": {"residual": 77.0}, "redraw_every": 3},
    "fixed": {"weighting": "fixed", "weights": {"boundary": 100.0}},
    "none": {"weighting": "fixed"},
    "algorithm": {"every": 5, "moving_average": 0.5, "subsample": 4},
    "factors": {"weighting": "ntk", "weights": {"boundary": 3.0}},
    "residual": {"resampling": "residual", "resample_every": 3},
    "spring": {"optimizer": "spring", "momentum": 0.5, "damping": 0.1},
    "natural": {"optimizer": "natural-gradient", "damping": 0.5, "solver": "cg", "width": 9},
    "slabs": {"slabs": 8},
    "adaptive": {"slabs": 0},
}


def test_an_output_can_be_asked_for_and_taken_away(setup):
    exp = apply(setup, Options(output="exp"))
    assert exp.network.output is jnp.exp
    assert apply(exp, Options(width=3)).network.output is jnp.exp
    plain = apply(exp, Options(output="none"))
    assert plain.network.output is None
    assert options_of(exp, plain) == "--output none"
    with pytest.raises(PinntkError, match=r"^output: .*'softplus'"):
        apply(setup, Options(output="softplu"))


@each("way", WAYS)
def test_a_change_is_written_as_the_options_that_make_it(setup, presets, way):
    asked = Options(**WAYS[way])
    assert same(
        apply(setup, Options.from_saved(json.loads(json.dumps(asked.given()))), presets),
        apply(setup, asked, presets),
    )
    after = apply(setup, asked, presets)
    assert not same(setup, after)
    written = options_of(setup, after, presets)
    assert written == asked.text()
    assert options_of(after, after, presets) == ""


def test_hard_conditions_are_an_option_and_so_are_soft_ones():
    loaded = load("burgers1d")
    hard = applied(loaded.setup, hard=True)
    assert options_of(loaded.setup, hard, loaded.presets) == "--hard"
    assert options_of(hard, loaded.setup, loaded.presets) == "--soft"


def test_the_natural_gradient_of_the_library_is_one_option():
    for name in PROBLEMS:
        loaded = load(name)
        natural = loaded.presets["natural-gradient"]()
        assert isinstance(natural.training.optimizer, NaturalGradient)
        found = options_of(loaded.setup, natural, loaded.presets)
        assert found == "--optimizer natural-gradient", name


def test_what_options_cannot_say_is_none(setup):
    training = setup.training
    unsaid = [
        setup.replace(training=training.replace(optimizer=FirstOrder(optax.lion(1e-3)))),
        setup.replace(training=training.replace(optimizer=adam(1e-3)), problem=poisson()),
        setup.replace(network=setup.network.replace(activation=lambda x: x)),
        setup.replace(network=lambda key: MLP(1, width=2, depth=1, key=key)),
        setup.replace(training=training.replace(resampling=ResidualAdaptive(exponent=2.0))),
        setup.replace(
            network=setup.network.replace(
                parametrization=StandardParametrization(jax.nn.initializers.he_normal())
            )
        ),
    ]
    assert [options_of(setup, after) for after in unsaid] == [None] * len(unsaid)


def test_a_faster_step_is_a_learning_rate(setup):
    """What a remedy makes of an optimizer by its kind is what the option makes."""
    start = applied(setup, learning_rate=0.1, decay_rate=0.9, decay_steps=10)
    for factor, rate in ((2.0, "0.2"), (3.0, "0.3")):  # in floats, 3 · 0.1 is not 0.3
        faster = start.training.optimizer.kind.rescaled(factor)
        after = start.replace(training=start.training.replace(optimizer=faster))
        assert options_of(start, after) == f"--learning-rate {rate}"
    assert rate_of(start.training.optimizer) == 0.1


def test_the_whole_command_counts_from_the_setup_as_loaded(setup, presets):
    """`diagnose --width 9` looks at all weights 1; a remedy on top is one command from the preset."""
    asked = Options(width=9)
    before = plain(apply(setup, asked, presets), asked)
    after = before.replace(training=before.training.replace(steps=7))
    assert total_options(setup, asked, before, after, presets) == (
        "--width 9 --weighting fixed --steps 7"
    )
    natural = presets["natural-gradient"]()
    assert total_options(setup, asked, before, natural, presets) == "--optimizer natural-gradient"


def test_an_optimizer_from_a_file_stays_in_the_whole_command(setup, presets, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import optax, pinntk as pk\nlion = pk.FirstOrder(optax.lion(1e-4))\n")
    asked = Options(optimizer=f"{file}:lion")
    before = apply(setup, asked, presets)
    after = before.replace(training=before.training.replace(steps=7))
    assert options_of(before, after, presets) == "--steps 7"
    assert (
        total_options(setup, asked, before, after, presets) == f"--optimizer {file}:lion --steps 7"
    )


def test_every_name_has_an_object_of_its_own():
    tables = [v for k, v in vars(names).items() if k.isupper() and isinstance(v, dict)]
    assert len(tables) == 11
    for table in tables:
        assert [names.name_of(table, value) for value in table.values()] == list(table)
