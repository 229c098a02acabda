"""Unknown coefficients: in residuals by name, trained beside the network, kept by checkpoints."""

from __future__ import annotations

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import pinntk as pk
from command import one_line, run_pinntk
from each import each
from helpers import assert_close, mlp, sample
from pinntk.cli.origin import setup_of
from pinntk.errors import PinntkError, ResidualError
from pinntk.jacobian import dense, jacobian, jvp, parameters_by_name, trainable
from pinntk.training import Given, Network, trained_model
from pinntk.training.network import draw_model

KEY = jax.random.key(3)
DOMAIN = pk.SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))
LINE = pk.Interval(x=(0.0, 1.0))
KAPPA = 0.3


def decay(p, np=jnp):
    return np.exp(-KAPPA * np.pi**2 * p[1]) * np.sin(np.pi * p[0])


def heat(coefficients, **options):
    """u_t = κ u_xx with κ unknown, and 9 exact observations."""
    places = np.stack(np.meshgrid([0.2, 0.5, 0.7], [0.1, 0.4, 0.9]), -1).reshape(-1, 2)
    return pk.Problem(
        "heat",
        DOMAIN,
        [
            pk.Condition(
                "heat",
                lambda u, p: (u.d("t") - u.coefficient("kappa") * u.d("x", "x"))(p),
                DOMAIN,
                12,
            ),
            pk.observations("data", DOMAIN, places, decay(places.T, np)),
        ],
        solution=decay,
        coefficients=coefficients,
        **options,
    )


def kappa_field(x):
    return 1 + 0.5 * jnp.sin(3 * x[0])


def flux_divergence(u, x):
    kappa = u.coefficient("kappa")
    return (kappa(x) * u.d("x", "x") + kappa.d("x")(x) * u.d("x"))(x)


def source(x):
    """(κ u')' for u = x², by hand."""
    return 2 * kappa_field(x) + 1.5 * jnp.cos(3 * x[0]) * 2 * x[0]


def diffusion(**options):
    """(κ u')' = f with κ a field, u = x²."""
    start = lambda key: pk.Positive(pk.MLP(1, width=4, depth=1, key=key))
    return pk.Problem(
        "diffusion",
        LINE,
        [
            pk.Condition("flux", lambda u, x: flux_divergence(u, x) - source(x), LINE, 9),
            pk.dirichlet("ends", LINE.faces(), lambda x: x[0] ** 2, 2),
        ],
        solution=lambda x: x[0] ** 2,
        coefficients={"kappa": pk.Unknown(start, true=kappa_field)},
        **options,
    )


# In residuals


def test_a_residual_reads_the_value_and_differentiates_by_it(x64):
    problem = heat({"kappa": 0.7})
    network = mlp(KEY)
    model = pk.WithCoefficients(network, {"kappa": 0.7})
    batch = sample(problem)

    def plain(kappa, p):
        slopes, second = jax.grad(network)(p), jax.hessian(network)(p)
        return slopes[1] - kappa * second[0, 0]

    rows = batch["heat"].points
    assert_close(
        jax.jit(problem.residuals)(model, batch)["heat"],
        jax.jit(jax.vmap(lambda p: plain(0.7, p)))(rows),
    )
    place = list(parameters_by_name(model)).index(".coefficients['kappa']")
    flat = [leaf.size for leaf in jax.tree.leaves(trainable(model)[0])]
    column = dense(problem, model, batch).blocks["heat"][:, sum(flat[:place])]
    assert_close(column, jax.jit(jax.vmap(lambda p: jax.grad(plain)(0.7, p)))(rows))


def test_a_coefficient_field_has_values_and_derivatives(x64):
    problem = diffusion()
    kappa, network = pk.MLP(1, width=4, depth=1, key=KEY), mlp(KEY, 1)
    model = pk.WithCoefficients(network, {"kappa": kappa})
    batch = sample(problem)

    def plain(x):
        value, slope = kappa(x), jax.grad(kappa)(x)[0]
        second, first = jax.hessian(network)(x)[0, 0], jax.grad(network)(x)[0]
        return value * second + slope * first - source(x)

    assert_close(
        jax.jit(problem.residuals)(model, batch)["flux"],
        jax.jit(jax.vmap(plain))(batch["flux"].points),
    )


@each("form", ["factored", "implicit"])
@each("make", [lambda: heat({"kappa": pk.Positive(0.7)}), diffusion])
def test_every_form_of_the_jacobian_has_the_coefficients(make, form, x64):
    problem = make()
    d = len(problem.domain.coordinates)
    model = problem.with_coefficients(mlp(KEY, d), KEY)
    batch = sample(problem)
    oracle = dense(problem, model, batch)
    flat, unravel = ravel_pytree(oracle.parameters)
    direction = jax.random.normal(KEY, flat.shape)
    found = jvp(jacobian(problem, model, batch, form=form), unravel(direction))
    for name, block in oracle.blocks.items():
        assert_close(found[name], block @ direction)


@pytest.mark.parametrize(
    "problem",
    [heat({"kappa": pk.Unknown(0.7, true=KAPPA)}), diffusion()],
    ids=lambda problem: problem.name,
)
def test_the_solution_goes_with_the_true_values(problem, x64):
    losses = jax.jit(lambda batch: problem.losses(problem.solution, batch))(sample(problem))
    assert all(loss < 1e-24 for loss in losses.values())


def test_control_another_value_leaves_a_residual(x64):
    problem = heat({"kappa": pk.Unknown(0.7, true=KAPPA + 0.01)})
    assert jax.jit(lambda batch: problem.losses(decay, batch))(sample(problem))["heat"] > 1e-5


def test_a_system_keeps_its_components():
    square = pk.Box(x=(0.0, 1.0), y=(0.0, 1.0))
    problem = pk.Problem(
        "system",
        square,
        [
            pk.Condition(
                "r",
                lambda w, x: w.coefficient("a")[1] * w["v"].d("x")(x) - w.divergence()(x),
                square,
                3,
            )
        ],
        fields=("u", "v"),
        coefficients={"a": [1.0, 2.0]},
    )
    model = problem.with_coefficients(mlp(KEY, 2, 2), KEY)
    batch = sample(problem)

    def plain(x):
        slopes = jax.jacfwd(model.network)(x)
        return 2.0 * slopes[1, 0] - slopes[0, 0] - slopes[1, 1]

    assert_close(
        jax.jit(problem.residuals)(model, batch)["r"], jax.jit(jax.vmap(plain))(batch["r"].points)
    )


# Positive


def test_a_positive_coefficient_starts_where_it_is_told(x64):
    model = pk.WithCoefficients(mlp(KEY), {"a": pk.Positive(0.05), "b": pk.Positive([1.0, 4.0])})
    assert_close(model.values()["a"], np.array(0.05))
    assert_close(model.values()["b"], np.array([1.0, 4.0]))


def test_no_step_makes_it_negative():
    value = lambda positive: positive.resolve()
    slope = jax.grad(value)(pk.Positive(0.05))
    stepped = jax.tree.map(lambda a, g: a - 100.0 * g, pk.Positive(0.05), slope)
    assert 0 < float(stepped.resolve()) < 0.05
    assert_close(slope.log, np.float32(0.05))  # a step is a relative change


def test_a_positive_field_is_the_exponential_of_its_network():
    network = mlp(KEY, 1)
    x = jnp.array([0.4])
    field = pk.Positive(network, scale=3.0).resolve()
    assert callable(field)
    assert_close(field(x), 3.0 * jnp.exp(network(x)))


@pytest.mark.parametrize("start", [0.0, -1.0, [1.0, -2.0]])
def test_positive_wants_a_positive_start(start):
    with pytest.raises(PinntkError, match="positive"):
        pk.Positive(start)


# What is wrong


def test_a_misspelt_coefficient_is_reported_with_the_nearest():
    problem = heat({"kapa": 0.7})
    model = problem.with_coefficients(mlp(KEY), KEY)
    with pytest.raises(ResidualError, match=r"condition 'heat'.*Did you mean 'kapa'"):
        problem.check(model, sample(problem))


def test_a_problem_without_coefficients_says_how_to_declare_one():
    problem = heat({})
    with pytest.raises(ResidualError, match=r"Problem\(coefficients="):
        problem.check(mlp(KEY), sample(problem))


def test_a_bare_network_never_gets_the_true_value():
    problem = heat({"kappa": pk.Unknown(0.7, true=KAPPA)})
    with pytest.raises(PinntkError, match="with_coefficients"):
        problem.check(mlp(KEY), sample(problem))


def test_a_derivative_has_no_coefficients():
    field = heat({"kappa": 0.7}).field(pk.WithCoefficients(mlp(KEY), {"kappa": 0.7}))
    assert float(field.coefficient("kappa")) == np.float32(0.7)
    with pytest.raises(PinntkError, match="first argument"):
        field.d("x").coefficient("kappa")


@each("start", ["much", float("nan"), None, [1.0, float("inf")]])
def test_a_start_is_a_finite_number(start):
    with pytest.raises(PinntkError, match="kappa"):
        heat({"kappa": start})


@pytest.mark.parametrize("name", ["", "a b", 3])
def test_a_coefficient_has_a_name(name):
    with pytest.raises(PinntkError, match="coefficients"):
        heat({name: 1.0})


# Training


def test_a_model_is_drawn_with_coefficients_and_the_same_network():
    bare, whole = heat({}), heat({"kappa": pk.Positive(0.7)})
    batch, network = sample(whole), Network(width=4, depth=1)
    plain = draw_model(network, bare, batch, KEY, jnp.float32)
    model = draw_model(network, whole, batch, KEY, jnp.float32)
    assert isinstance(model, pk.WithCoefficients)
    assert eqx.tree_equal(model.network, plain)
    assert_close(model.values()["kappa"], np.float32(0.7))


def test_a_network_that_brings_coefficients_keeps_them():
    own = pk.WithCoefficients(mlp(KEY), {"kappa": 5.0})
    problem = heat({"kappa": 0.7, "other": 2.0})
    model = draw_model(Given(own), problem, sample(problem), KEY, jnp.float32)
    assert {n: float(v) for n, v in model.values().items()} == {"kappa": 5.0, "other": 2.0}


def test_coefficient_fields_are_drawn_with_the_key():
    problem = diffusion()
    first, again, other = (
        problem.with_coefficients(mlp(KEY, 1), jax.random.key(i)) for i in (0, 0, 1)
    )
    assert eqx.tree_equal(first, again)
    assert not eqx.tree_equal(first, other)


def test_training_moves_the_coefficient_to_its_true_value():
    """u is given by a network that is exact up to its scale: what is left to find is κ."""

    class Decaying(eqx.Module):
        amplitude: jax.Array

        def __call__(self, x):
            return self.amplitude * decay(x)

    problem = heat({"kappa": pk.Unknown(pk.Positive(0.1), true=KAPPA)})
    model = problem.with_coefficients(Decaying(jnp.array(0.8)), KEY)
    training = pk.Training(pk.adam(2e-2), steps=800, log_every=800)
    result = pk.train(problem, model, training, key=KEY)
    assert float(result.model.values()["kappa"]) == pytest.approx(KAPPA, rel=1e-3)


FILE = """
import jax.numpy as jnp
import numpy as np
import pinntk as pk
domain = pk.Interval(x=(0, 1))
places = np.linspace(0, 1, 7)[:, None]
problem = pk.Problem("growth", domain, [
    pk.Condition("growth", lambda u, x: u.d("x")(x) - u.coefficient("rate") * u(x), domain, 16),
    pk.observations("data", domain, places, np.exp(2 * places[:, 0])),
], coefficients={"rate": pk.Unknown(pk.Positive(1.0), true=2.0)})
training = pk.Training(pk.adam(1e-3), steps=40, log_every=10, weighting=pk.NTKWeights(every=100))
setup = pk.Setup(problem, training, pk.Network(width=8, depth=1))
"""


def test_the_command_line_trains_resumes_and_names_the_coefficient(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "growth.py").write_text(FILE)
    code, out, err = run_pinntk("train", "growth.py:setup", "--out", "whole")
    assert code == 0, err
    assert "rate" in one_line(out)
    setup = setup_of(tmp_path / "whole")
    _, start, model, state = trained_model(tmp_path / "whole", setup)
    assert int(state.step) == 40
    rate = float(model.values()["rate"])
    assert rate != float(start.model.values()["rate"])
    record = json.loads((tmp_path / "whole" / "result.json").read_text())
    assert record["coefficients"] == {"rate": pytest.approx(rate)}
    # The newest checkpoint is lost; what is left goes on to the same bits.
    newest = sorted((tmp_path / "whole" / "checkpoints").glob("step-40.*"))
    assert newest
    for file in newest:
        file.unlink()
    code, _, err = run_pinntk("resume", "whole")
    assert code == 0, err
    again = trained_model(tmp_path / "whole", setup)[2]
    assert float(again.values()["rate"]) == rate
    assert setup.problem.coefficients["rate"].true == 2.0
