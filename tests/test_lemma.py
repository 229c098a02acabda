"""Lemma 3.1 in small: the gradient flow by Diffrax, and its right-hand side."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import LinearModel
from pinntk.conditions import Condition
from pinntk.domain import Interval
from pinntk.errors import PinntkError
from pinntk.paper import lemma
from pinntk.paper.lemma import Config, claims, gradient_flow
from pinntk.problem import Problem
from pinntk.training import progress_bar

pytestmark = pytest.mark.slow

ROD = Interval(x=(0.0, 1.0))


def test_the_flow_of_a_linear_model_is_its_exponential(x64):
    """r(t) = e^(−Kt) r(0), on half the sum of squares: no factor 2, no 1/N."""
    problem = Problem("linear", ROD, [Condition("r", lambda u, p: u(p) - 1.0, ROD, 4)])
    model = LinearModel(jnp.array([0.3, -1.0, 0.7]))
    batch = problem.sample(jax.random.key(0))
    jacobian = jax.jacobian(lambda c: problem.residuals(LinearModel(c), batch)["r"])(
        model.coefficients
    )
    values, vectors = np.linalg.eigh(np.asarray(jacobian @ jacobian.T))
    before = np.asarray(problem.residuals(model, batch)["r"])
    times = [0.1, 0.4, 1.0]
    for time, at in zip(times, gradient_flow(problem, model, batch, times, 1e-11), strict=True):
        expected = vectors @ (np.exp(-values * time) * (vectors.T @ before))
        np.testing.assert_allclose(problem.residuals(at, batch)["r"], expected, atol=1e-9)
        twice = vectors @ (np.exp(-2 * values * time) * (vectors.T @ before))
        assert np.abs(np.asarray(problem.residuals(at, batch)["r"]) - twice).max() > 1e-2


def test_the_lemma_for_a_nonlinear_problem(tmp_path):
    config = Config(("burgers1d",), width=6, points=4, times=1, horizon=1.0)
    found = lemma.run(config, tmp_path, lambda steps, label: progress_bar(steps, label=label))
    assert all(claim.holds for claim in claims(found))
    for values in found.values():
        for wrong in ("factor 2", "sign"):
            assert min(values["errors"][wrong]) > 0.9  # control
            assert min(values["errors"][wrong]) > 1e5 * max(values["errors"]["lemma"])


def test_without_diffrax_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    problem = Problem("linear", ROD, [Condition("r", lambda u, p: u(p), ROD, 4)])
    with pytest.raises(PinntkError, match=r"pinntk\[paper\]"):
        gradient_flow(problem, LinearModel(jnp.ones(2)), {}, [1.0], 1e-6)
