"""Conditions that are built into the model hold exactly, for any parameters."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pinntk.problems import PROBLEMS, library_problem
from pinntk.recipe import Recipe, natural
from pinntk.runs import set_up

from pinntk.conditions import Condition
from pinntk.domain import Box, Interval, Points, Union
from pinntk.errors import PinntkError
from pinntk.nets import MLP, Constrained, PeriodicFeatures
from pinntk.optim import Cholesky, NaturalGradient
from pinntk.problem import HardConstraints, Problem
from pinntk.training import build_model

WITH_HARD_FORM = [name for name, entry in PROBLEMS.items() if entry.factory().hard]


def build(name, hard, **changes):
    problem = library_problem(name)
    recipe = problem.natural.replace(hard=hard, width=5, depth=1, points={}, **changes)
    used = problem.hardened() if hard else problem
    batch = problem.sample(jax.random.key(1), jnp.float64)
    return problem, used, build_model(recipe, used, batch, jax.random.key(0)), batch


def test_the_library_has_problems_with_hard_conditions():
    assert {"burgers1d", "kdv1d", "allen_cahn1d", "convection1d"} <= set(WITH_HARD_FORM)


@pytest.mark.parametrize("name", WITH_HARD_FORM)
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
    for scaling, stretch in (("unit", 3.0), ("none", 1.0), ("standard", 0.5)):
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


def test_what_cannot_be_hard_is_explained():
    with pytest.raises(PinntkError, match="poisson1d, which has no hard form"):
        set_up("poisson1d", None, {"hard": True})
    problem = library_problem("heat1d")
    wrong = dataclasses.replace(problem, hard=HardConstraints(("walls",)))
    with pytest.raises(PinntkError, match="expected one of boundary, initial, residual"):
        wrong.hardened()
    with pytest.raises(PinntkError, match="coordinate: got 'y'"):
        dataclasses.replace(problem, hard=HardConstraints((), periodic=("y",)))
    with pytest.raises(PinntkError, match="fourier_features: got 8; expected 0 with a network"):
        set_up("kdv1d", None, {"hard": True, "fourier_features": 8})
    with pytest.raises(PinntkError, match="harmonics"):
        set_up("kdv1d", None, {"hard": True, "harmonics": 0})
    square = Box(x=(0.0, 1.0), y=(0.0, 4.0))
    torus = dataclasses.replace(
        library_problem("helmholtz2d"),
        domain=square,
        conditions=[dataclasses.replace(problem.conditions[2], name="r", where=square)],
        hard=HardConstraints((), periodic=("x", "y")),
    )
    build_model(Recipe(hard=True), torus, {}, jax.random.key(0))  # both have the period 2 scaled
    with pytest.raises(PinntkError, match="unit, where several coordinates are periodic"):
        build_model(Recipe(hard=True, scaling="none"), torus, {}, jax.random.key(0))


def test_a_domain_without_extents_has_no_period():
    """Scattered points or a union: said as an error, whatever the scaling."""
    rod = Interval(x=(0.0, 1.0))
    scattered = Points(np.linspace(0.0, 1.0, 5)[:, None], ("x",))
    for domain, kind in ((scattered, "Points"), (Union([rod]), "Union")):
        fit = Condition("fit", lambda u, x: u(x), domain, 5)
        problem = Problem("p", domain, [fit], hard=HardConstraints((), periodic=("x",)))
        with pytest.raises(PinntkError, match=f"hard: got .* periodic in x on a {kind}"):
            build_model(Recipe(hard=True, scaling="none"), problem, {}, jax.random.key(0))
    ring = dataclasses.replace(
        problem, domain=rod, conditions=[dataclasses.replace(fit, where=rod)]
    )
    build_model(Recipe(hard=True, scaling="none"), ring, {}, jax.random.key(0))  # control


def test_the_natural_recipe_is_a_recipe_and_says_its_settings():
    recipe = natural(width=7)
    assert (recipe.width, recipe.optimizer, recipe.dtype) == (7, "natural-gradient", "float64")
    assert Recipe.from_dict(recipe.as_dict()) == recipe
    with pytest.raises(PinntkError, match="hard: got 1; expected true or false"):
        Recipe(hard=1)
    with pytest.raises(PinntkError, match="width: got True; expected a whole number"):
        Recipe(width=True)


def test_the_optimiser_asked_for_decides_on_the_settings():
    with jax.enable_x64(True):
        setup = set_up("wave1d", None, {"optimizer": "natural-gradient", "width": 6})
        assert setup.recipe == setup.problem.natural.replace(width=6)
        assert len(setup.batch["residual"].points) == setup.recipe.points["residual"]
        fewer = {"optimizer": "natural-gradient", "points": {"residual": 30}}
        assert len(set_up("wave1d", None, fewer).batch["residual"].points) == 30
    plain = set_up("wave1d", None, {"width": 6})
    assert plain.recipe == plain.problem.recipe.replace(width=6)
    with pytest.raises(PinntkError, match="condition: got 'residul'"):
        set_up("wave1d", None, {"points": {"residul": 3}})
    with pytest.raises(PinntkError, match="points of 'residual': got 2"):
        set_up("wave1d", None, {"points": {"residual": 2.5}})


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_library_s_settings_for_the_natural_gradient_have_enough_points(name):
    """More residuals than parameters, so that no bare run begins with a warning; float64."""
    with jax.enable_x64(True):
        setup = set_up(name, None, {"optimizer": "natural-gradient"})
        found = NaturalGradient().plan(setup.problem, setup.model, setup.batch)
        assert found.solver == Cholesky("parameters")
        assert found.residuals > found.parameters
        assert jax.tree.leaves(setup.batch)[0].dtype == jnp.float64
