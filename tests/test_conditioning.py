"""Numbers that explain a slow training, each against what is known by hand."""

from __future__ import annotations

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import LinearModel, mlp
from pinntk.conditions import Condition, initial_value
from pinntk.diagnosis import Severity
from pinntk.diagnosis.conditioning import (
    alignment,
    curvature,
    effective_dimension,
    kernel_spread,
    promised,
    spread,
)
from pinntk.diagnosis.examination import gather
from pinntk.diagnosis.fieldkernel import FIELD, field_kernels
from pinntk.diagnosis.findings import Conditioning
from pinntk.diagnosis.linearized import DAMPING
from pinntk.diagnosis.reach import reach
from pinntk.diagnosis.subject import Draw, JaxSubject
from pinntk.domain import Interval, SpaceTime
from pinntk.kernel import TangentKernel, tangent_kernel
from pinntk.optim import adam
from pinntk.problem import Problem
from pinntk.training import Drawn, Setup, Training

pytestmark = pytest.mark.fast

KEY = jax.random.key(0)


class Sines(eqx.Module):
    """Σ_k c_k √2 sin(kπx)/k: modes of its kernel are sines, with eigenvalues n/k² on an even grid."""

    c: jax.Array

    def __call__(self, x):
        k = np.arange(1, self.c.shape[0] + 1)
        return jnp.dot(self.c, math.sqrt(2) * jnp.sin(k * np.pi * x[0]) / k)


def test_the_network_s_spread_and_that_of_the_operator():
    """Of u'' on sines, the k-th amplified by (kπ)⁴: the network's spread is 5², the operator's 5⁴."""
    domain = Interval(x=(0.0, 1.0))
    second = Condition("inside", lambda u, x: u.d("x", "x")(x), domain, 64)
    problem = Problem("sines", domain, [second])
    points = (np.arange(64)[:, None] + 0.5) / 64
    kernel = field_kernels(problem, points, "inside")(Sines(jnp.ones(5)))
    assert set(kernel.names) == {FIELD, "inside"}
    found = spread(kernel, "inside")
    assert found.field == pytest.approx(5**2, rel=1e-6)
    assert found.operator == pytest.approx(5**4, rel=1e-6)
    # Together: k⁴/k², while u itself as an equation adds nothing.
    assert found.equation == pytest.approx(5**2, rel=1e-6)
    same = Condition("inside", lambda u, x: 3.0 * u(x), domain, 64)
    itself = field_kernels(Problem("same", domain, [same]), points, "inside")(Sines(jnp.ones(5)))
    assert spread(itself, "inside").operator == pytest.approx(1.0, rel=1e-6)


def test_effective_dimension_counts_what_stands_above_the_damping():
    values = np.array([1.0] * 6 + [0.0] * 14)
    assert effective_dimension(values) == pytest.approx(6.0, rel=1e-5)
    half = np.full(10, 1.0)
    assert effective_dimension(half, damping=1.0) == pytest.approx(5.0)
    assert effective_dimension(np.zeros(3)) == 0.0


def test_what_the_model_promises_against_the_step_itself():
    matrix = np.diag([2.0, 1.0, 0.0])
    kernel = TangentKernel(matrix, {"inside": 3})
    residual = np.array([1.0, 2.0, 2.0])
    found = promised(reach(kernel, {"inside": residual}, {"inside": 1.0}, 10).descent)
    mu = DAMPING * 1.0
    left = residual - matrix @ np.linalg.solve(matrix + mu * np.eye(3), residual)
    assert found == pytest.approx(1 - left @ left / (residual @ residual), rel=1e-9)
    assert found == pytest.approx(5 / 9, rel=1e-5)  # the mode without a rate stays


def test_alignment_is_the_cosine_of_two_gradients_and_that_of_many():
    assert alignment({("a", "b"): 0.3}) == pytest.approx(0.3)
    assert alignment({}) == 1.0
    gradients = np.random.default_rng(0).standard_normal((4, 7))
    units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    cosines = {
        (str(i), str(j)): float(units[i] @ units[j]) for i in range(4) for j in range(i + 1, 4)
    }
    direct = 2 * np.linalg.norm(units.mean(axis=0)) ** 2 - 1
    assert alignment(cosines) == pytest.approx(direct, rel=1e-12)


def test_curvature_against_second_derivatives():
    domain = Interval(x=(0.0, 1.0))
    model = LinearModel(jnp.array([0.5, -0.2, 0.3]))

    def of(residual):
        problem = Problem("p", domain, [Condition("inside", residual, domain, 9)])
        batch = problem.sample(KEY)
        subject = JaxSubject(problem, [Draw(model, batch)], Training(adam(1e-3), steps=1), KEY)
        kernel = tangent_kernel(problem, model, batch)
        values = subject.residuals(model, batch, exact=True)
        found = curvature(subject, model, batch, kernel, values)
        # d = −Jᵀ(K + μI)⁻¹r, and r'' from nested derivatives.
        with jax.enable_x64(True):
            double = LinearModel(jnp.asarray(model.coefficients, jnp.float64))
            points = {
                "inside": batch["inside"]._replace(points=batch["inside"].points.astype(float))
            }
            r = lambda c: problem.residuals(LinearModel(c), points)["inside"]
            jacobian = np.asarray(jax.jacobian(r)(double.coefficients))
            hessian = np.asarray(jax.hessian(r)(double.coefficients))
        k = jacobian @ jacobian.T
        mu = DAMPING * np.trace(k) / 9
        d = jacobian.T @ np.linalg.solve(k + mu * np.eye(9), values["inside"].ravel())
        exact = np.linalg.norm(np.einsum("nij,i,j->n", hessian, d, d)) / np.linalg.norm(
            jacobian @ d
        )
        return found, exact

    found, exact = of(lambda u, x: u.d("x")(x) + 3 * u(x) ** 2 - 1)
    assert found == pytest.approx(exact, rel=1e-3)
    assert found > 0.01
    linear, nothing = of(lambda u, x: u.d("x")(x) + 3 * u(x) - 1)
    assert nothing == 0.0
    assert linear < 1e-5


def test_spread_of_kernels_over_draws():
    one = np.eye(3)
    assert kernel_spread([one, one]) == 0.0
    assert kernel_spread([one, 3 * one]) == pytest.approx(0.5)


def test_the_note_is_made_where_an_error_stays_and_nowhere_else():
    domain = SpaceTime(t=(0.0, 1.0))
    conditions = [
        initial_value("start", domain, 1.0, 1),
        Condition("inside", lambda u, p: (u.d("t") + u)(p), domain, 16),
    ]
    problem = Problem("decay", domain, conditions)
    plan = Training(adam(1e-3), steps=3)
    network = lambda key: mlp(key, 1)
    draws = [Draw(network(key), problem.sample(key)) for key in jax.random.split(KEY, 2)]
    subject = JaxSubject(problem, draws, plan, KEY)
    e = gather(Setup(problem, plan, Drawn(network)), subject, alternatives={})

    def with_error(error):
        after = [
            dataclasses.replace(
                item,
                linearized=item.linearized._replace(
                    error=error, shares=dict.fromkeys(item.linearized.shares, error)
                ),
            )
            for item in e.after
        ]
        return dataclasses.replace(e, after=after, _kept={})

    found = Conditioning().judge(with_error(0.5))
    assert found is not None
    assert found.severity is Severity.NOTE
    assert all(np.isfinite(value) for value in found.evidence.values())
    assert Conditioning().judge(with_error(1e-3)) is None
