"""Conditions that are built into the model hold exactly, for any parameters."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pinntk as pk
from each import each
from pinntk.domain import Box
from pinntk.errors import PinntkError
from pinntk.jacobian import cast
from pinntk.library import PROBLEMS, heat1d, helmholtz2d, kdv1d, poisson1d
from pinntk.nets import MLP, Constrained, PeriodicFeatures
from pinntk.optim import Cholesky, NaturalGradient
from pinntk.problem import HardConstraints
from pinntk.training import Network, no_scaling, standard_scaling, unit_scaling

WITH_HARD_FORM = [name for name, entry in PROBLEMS.items() if entry.problem().hard]


def build(name, hard, **changes):
    entry = PROBLEMS[name]
    problem, network = entry.problem(), entry.presets["natural-gradient"]().network
    network = network.replace(hard=hard, width=5, depth=1, **changes)
    batch = problem.sample(jax.random.key(1), jnp.float64)
    used = network.reduced(problem)
    model = network.network(used, batch, jax.random.key(0))
    return problem, used, cast(model, jnp.float64), batch


def test_the_library_has_problems_with_hard_conditions():
    assert {"burgers1d", "kdv1d", "allen_cahn1d", "convection1d"} <= set(WITH_HARD_FORM)


@each("name", WITH_HARD_FORM)
def test_hard_conditions_hold_for_a_network_that_has_not_been_trained(x64, name):
    """To rounding: derivatives of up to second order of waves sum some ten terms of size 10²."""
    problem, used, model, batch = build(name, True)
    dropped = problem.hard.conditions
    assert used.names == tuple(n for n in problem.names if n not in dropped)
    at = {n: batch[n] for n in dropped}
    for condition, residual in jax.jit(lambda: problem.residuals(model, at))().items():
        assert float(jnp.max(jnp.abs(residual))) < 1e-11, condition
    _, _, soft, _ = build(name, False)
    for condition, residual in jax.jit(lambda: problem.residuals(soft, at))().items():
        assert float(jnp.max(jnp.abs(residual))) > 1e-3, condition


def test_periodic_features_have_the_period_and_all_waves(x64):
    features = PeriodicFeatures(3, (0, 2), 2, jnp.pi / 3.0)
    assert features.out_size == 2 * 2 * 2 + 1
    z = jnp.array([0.3, -0.7, 1.1])
    found = np.asarray(features(z))
    w = np.pi / 3
    expected = [
        *(f(j * w * z[0]) for f in (np.cos, np.sin) for j in (1, 2)),
        *(f(j * w * z[2]) for f in (np.cos, np.sin) for j in (1, 2)),
        -0.7,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    shifted = z + jnp.array([6.0, 0.0, -12.0])
    np.testing.assert_allclose(features(shifted), found, atol=1e-14)
    assert np.abs(np.asarray(features(z.at[0].add(3.0))) - found).max() > 0.1


def test_the_period_is_that_of_the_domain_whatever_the_scaling(x64):
    for scaling, stretch in ((unit_scaling, 3.0), (no_scaling, 1.0), (standard_scaling, 0.5)):
        _, _, model, _ = build("convection1d", True, scaling=scaling, input_scale=stretch)
        u = lambda x, t, m=model: float(m(jnp.array([x, t])))
        assert abs(u(0.3, 0.4) - u(0.3 + 2 * np.pi, 0.4)) < 1e-13
        assert abs(u(0.3, 0.4) - u(0.3 + np.pi, 0.4)) > 1e-3


def test_an_ansatz_acts_on_the_network_s_value():
    network = MLP(2, width=4, depth=1, key=jax.random.key(0))
    model = Constrained(network, lambda x, value: 5.0 + x[1] * value)
    x = jnp.array([0.2, 0.3])
    np.testing.assert_allclose(model(x), 5.0 + 0.3 * network(x), rtol=1e-6)
    assert model(jnp.array([0.2, 0.0])) == 5.0
    weights = jax.grad(lambda m: m(x))(network)
    inside = jax.tree.leaves(jax.grad(lambda n: Constrained(n, model.ansatz)(x))(network))
    for leaf, other in zip(jax.tree.leaves(weights), inside, strict=True):
        np.testing.assert_allclose(other, 0.3 * leaf, rtol=1e-6)


def draw(network, problem):
    return network.network(problem, {}, jax.random.key(0))


def test_what_cannot_be_hard_is_explained():
    with pytest.raises(PinntkError, match="poisson1d, which has no hard form"):
        Network(hard=True).reduced(poisson1d())
    problem = heat1d()
    wrong = dataclasses.replace(problem, hard=HardConstraints(("walls",)))
    with pytest.raises(PinntkError, match="expected one of boundary, initial, residual"):
        wrong.hardened()
    with pytest.raises(PinntkError, match="coordinate: got 'y'"):
        dataclasses.replace(problem, hard=HardConstraints((), periodic=("y",)))
    with pytest.raises(PinntkError, match="fourier_features: got 8; expected 0 with a network"):
        draw(Network(hard=True, fourier_features=8), kdv1d())
    with pytest.raises(PinntkError, match="harmonics"):
        Network(hard=True, harmonics=0)
    square = Box(x=(0.0, 1.0), y=(0.0, 4.0))
    torus = dataclasses.replace(
        helmholtz2d(),
        domain=square,
        conditions=[dataclasses.replace(problem.conditions[2], name="r", where=square)],
        hard=HardConstraints((), periodic=("x", "y")),
    )
    draw(Network(hard=True), torus)  # both have the period 2 scaled
    with pytest.raises(
        PinntkError, match="scaling: got no_scaling; expected unit_scaling, where several"
    ):
        draw(Network(hard=True, scaling=no_scaling), torus)


def test_the_network_of_the_natural_gradient_is_small_and_can_be_changed():
    setup = pk.natural_setup(kdv1d(), width=7, hard=True)
    assert (setup.network.width, setup.network.depth, setup.dtype) == (7, 2, "float64")
    with pk.precision("float64"):
        start = setup.start()
    assert start.problem.names == ("residual",)
    assert setup.problem.names == ("initial", "periodic", "residual")
    with pytest.raises(PinntkError, match="width: got True; expected a whole number"):
        pk.natural_setup(kdv1d(), width=True)
    with pytest.raises(PinntkError, match="condition: got 'residul'"):
        pk.natural_setup(kdv1d(), points={"residul": 3})


@each("name", PROBLEMS)
def test_the_library_s_settings_for_the_natural_gradient_have_enough_points(name):
    """More residuals than parameters, so that no bare run begins with a warning; float64."""
    setup = PROBLEMS[name].presets["natural-gradient"]()
    with pk.precision(setup.dtype):
        start = setup.start()
        found = NaturalGradient().plan(start.problem, start.model, start.batch)
        assert found.solver == Cholesky("parameters")
        assert found.residuals > found.parameters
        assert jax.tree.leaves(start.batch)[0].dtype == jnp.float64
