"""The forecast: every number against numpy, and against gradient descent itself."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from each import each
from helpers import LinearModel, poisson_case
from pinntk.conditions import Condition, dirichlet
from pinntk.diagnosis import diagnose, forecast
from pinntk.diagnosis.record import check_record
from pinntk.domain import Interval
from pinntk.errors import PinntkError, ResidualError
from pinntk.kernel import Spectrum
from pinntk.optim import FirstOrder, adam, gradient_descent
from pinntk.problem import Problem
from pinntk.training import Training
from pinntk.weighting import Fixed
from pinntk.words import percent

KEY = jax.random.key(0)
WEIGHTS = {"ends": 30.0, "inside": 0.5}
STEPS = 40


# --- a model that is linear in its parameters, so that its kernel is constant -----------------------


def linear_problem(scale=1.0):
    """u given at both ends (3 points), scale·u'' given inside (8 points)."""
    domain = Interval(x=(0.0, 1.0))
    inside = Condition("inside", lambda u, x: scale * (u.d("x", "x")(x) - x[0]), domain, 8)
    return Problem("linear", domain, [dirichlet("ends", domain.faces(), 0.5, 3), inside])


def linear_model():
    return LinearModel(jnp.array([0.3, -0.2, 0.1, 0.25]))


def system(batch, scale=1.0):
    """r_k = A_k c − b_k of the linear model: A and b by condition, from the formula of its waves."""
    frequencies, phases = np.arange(1, 5) * np.pi / 2, np.arange(4)
    waves = lambda x: np.sin(x * frequencies + phases)
    ends, inside = (np.asarray(batch[name].points, np.float64) for name in ("ends", "inside"))
    return {
        "ends": (waves(ends), np.full(3, 0.5)),
        "inside": (-scale * frequencies**2 * waves(inside), scale * inside[:, 0]),
    }


def descend(rows, c, weights, step, steps):
    """Gradient descent on Σ λ_k mean r_k², step by step; the losses before and after."""
    losses = lambda c: {k: np.mean((a @ c - b) ** 2) for k, (a, b) in rows.items()}
    before = losses(c)
    for _ in range(steps):
        c = c - step * sum(
            weights[k] * 2 / len(b) * a.T @ (a @ c - b) for k, (a, b) in rows.items()
        )
    return before, losses(c)


def out_of_reach(rows, c, weights, step, steps):
    """The energy of every condition's residual in the modes with more than 0.1 left."""
    root = {k: np.sqrt(weights[k] / len(b)) for k, (_, b) in rows.items()}
    jacobian = np.concatenate([root[k] * a for k, (a, _) in rows.items()])
    residual = np.concatenate([root[k] * (a @ c - b) for k, (a, b) in rows.items()])
    values, vectors = np.linalg.eigh(jacobian @ jacobian.T)
    slow = vectors[:, np.abs(1 - 2 * step * values) ** steps > 0.1]
    unlearned = slow @ (slow.T @ residual)
    parts = {"ends": slice(0, 3), "inside": slice(3, 11)}
    return {k: np.sum(unlearned[s] ** 2) / np.sum(residual[s] ** 2) for k, s in parts.items()}


@dataclasses.dataclass
class Looked:
    found: object
    rows: dict
    coefficients: np.ndarray

    def report(self, name):
        return next(report for report in self.found.conditions if report.name == name)


def plan(steps=10_000, learning_rate=None, weights=None):
    """Gradient descent where a learning rate is given, Adam otherwise."""
    optimizer = adam(1e-3) if learning_rate is None else gradient_descent(learning_rate)
    return Training(optimizer, steps=steps, weighting=Fixed(weights or {}))


def look(scale=1.0, **options):
    with jax.enable_x64(True):
        problem, model = linear_problem(scale), linear_model()
        batch = problem.sample(KEY)
        found = forecast(problem, model, plan(**options), batch)
        return Looked(found, system(batch, scale), np.asarray(model.coefficients))


@pytest.fixture(scope="module")
def planned():
    """Gradient descent is planned, with a step that is a third of the largest stable one."""
    bound = look(weights=WEIGHTS, steps=STEPS).found.stable_step
    return look(weights=WEIGHTS, steps=STEPS, learning_rate=bound / 3)


@pytest.mark.parametrize("name", ["ends", "inside"])
def test_loss_left_is_what_gradient_descent_leaves(planned, name):
    step = planned.found.learning_rate
    assert step == pytest.approx(planned.found.stable_step / 3)
    report = planned.report(name)
    before, after = descend(planned.rows, planned.coefficients, WEIGHTS, step, STEPS)
    assert report.loss == pytest.approx(before[name], rel=1e-12)
    assert 1e-3 < after[name] / before[name] < 0.99  # neither all nor nothing
    # 40 steps against one eigendecomposition, in float64
    assert report.loss_left == pytest.approx(after[name] / before[name], rel=1e-8)


@pytest.mark.parametrize("name", ["ends", "inside"])
def test_loss_left_under_algorithm_1_is_what_its_weights_leave(planned, name):
    weights = {report.name: report.ntk_weight for report in planned.found.conditions}
    step = min(planned.found.learning_rate, 0.9 * planned.found.stable_step_ntk)
    before, after = descend(planned.rows, planned.coefficients, weights, step, STEPS)
    assert planned.report(name).loss_left_ntk == pytest.approx(after[name] / before[name], rel=1e-8)


@pytest.mark.parametrize("name", ["ends", "inside"])
def test_out_of_reach_is_the_energy_in_modes_not_learned(planned, name):
    report, step = planned.report(name), planned.found.learning_rate
    given = out_of_reach(planned.rows, planned.coefficients, WEIGHTS, step, STEPS)
    assert report.out_of_reach == pytest.approx(given[name], rel=1e-8)
    weights = {r.name: r.ntk_weight for r in planned.found.conditions}
    step = min(step, 0.9 * planned.found.stable_step_ntk)
    balanced = out_of_reach(planned.rows, planned.coefficients, weights, step, STEPS)
    assert report.out_of_reach_ntk == pytest.approx(balanced[name], rel=1e-8)


def test_control_the_forecast_depends_on_the_point_counts_and_weights(planned):
    """With one weight for all, or without the 1/N_k, gradient descent ends elsewhere."""
    step, left = planned.found.learning_rate, planned.report("inside").loss_left
    for wrong in ({"ends": 1.0, "inside": 1.0}, {"ends": 3 * 30.0, "inside": 8 * 0.5}):
        before, after = descend(planned.rows, planned.coefficients, wrong, step, STEPS)
        assert after["inside"] / before["inside"] != pytest.approx(left, rel=1e-2)


def test_the_stable_step_is_where_gradient_descent_turns(planned):
    total = lambda losses: sum(WEIGHTS[k] * v for k, v in losses.items())
    run = lambda factor: descend(
        planned.rows, planned.coefficients, WEIGHTS, factor * planned.found.stable_step, 2000
    )
    before, after = map(total, run(0.999))
    assert after < before
    before, after = map(total, run(1.01))
    assert after > 1e6 * before


def test_without_a_plan_the_forecast_takes_nine_tenths_of_the_stable_step():
    """At the stable step itself the fastest mode, which is the easiest to learn, would never decay."""
    looked = look(weights=WEIGHTS, steps=2000)
    found = looked.found
    assert found.planned_learning_rate is None
    assert found.learning_rate == pytest.approx(0.9 * found.stable_step)
    before, after = descend(
        looked.rows, looked.coefficients, WEIGHTS, found.learning_rate, found.steps
    )
    for report in found.conditions:
        assert report.loss_left == pytest.approx(after[report.name] / before[report.name], rel=1e-6)


# --- a network: traces, rates, eigenvalues, ranks ---------------------------------------------------


@pytest.fixture(scope="module")
def network():
    """The diagnosis of a small network in float64, and K by `jax.jacobian` over all parameters."""
    with jax.enable_x64(True):
        case = poisson_case()
        batch = case.problem.sample(KEY)
        found = forecast(case.problem, case.model, plan(), batch)
        flat, unravel = ravel_pytree(case.model)

        @jax.jit
        def residuals(theta):
            rows = {k: lambda x, r=r: r(unravel(theta), x, None) for k, r in case.plain.items()}
            return {k: jax.vmap(row)(batch[k].points) for k, row in rows.items()}

        jacobian = jax.tree.map(np.asarray, jax.jit(jax.jacobian(residuals))(flat))
        values = jax.tree.map(np.asarray, residuals(flat))
        return found, jacobian, values, flat.size


def test_the_numbers_of_every_condition(network):
    found, jacobian, residuals, parameters = network
    assert (found.problem, found.parameters, found.steps) == ("poisson", parameters, 10_000)
    assert [report.name for report in found.conditions] == ["boundary", "residual"]
    rates = {k: np.sum(j**2) / len(j) for k, j in jacobian.items()}
    for report in found.conditions:
        kernel = jacobian[report.name] @ jacobian[report.name].T
        eigenvalues = np.linalg.eigvalsh(kernel)[::-1]
        assert (report.points, report.residuals) == (len(kernel), len(kernel))
        assert report.loss == pytest.approx(np.mean(residuals[report.name] ** 2), rel=1e-10)
        assert report.trace == pytest.approx(np.trace(kernel), rel=1e-10)
        assert report.rate == pytest.approx(rates[report.name], rel=1e-10)
        assert report.largest_eigenvalue == pytest.approx(eigenvalues[0], rel=1e-10)
        floor = len(kernel) * np.finfo(float).eps * eigenvalues[0]
        assert report.rank == np.sum(eigenvalues > floor)
        assert report.weight == 1.0
        assert report.ntk_weight == pytest.approx(
            sum(rates.values()) / rates[report.name], rel=1e-6
        )
        np.testing.assert_allclose(
            found.spectra[report.name], eigenvalues, rtol=0, atol=1e-10 * eigenvalues[0]
        )


def test_the_numbers_of_the_whole_kernel(network):
    found, jacobian, _, _ = network
    stacked = np.concatenate([jacobian["boundary"], jacobian["residual"]])
    eigenvalues = np.linalg.eigvalsh(stacked @ stacked.T)[::-1]
    assert found.largest_eigenvalue == pytest.approx(eigenvalues[0], rel=1e-10)
    assert found.noise_floor == pytest.approx(11 * np.finfo(float).eps * eigenvalues[0], rel=1e-10)
    assert found.eigenvalues_below_noise == np.sum(found.eigenvalues <= found.noise_floor)
    # two copies of each end: rank 2 of 4 at the boundary
    assert {c.name: c.rank for c in found.conditions}["boundary"] == 2
    assert found.eigenvalues_below_noise >= 2
    np.testing.assert_allclose(found.eigenvalues, eigenvalues, rtol=0, atol=1e-10 * eigenvalues[0])
    scaled = np.concatenate([j / np.sqrt(len(j)) for j in jacobian.values()])
    assert found.stable_step == pytest.approx(1 / np.linalg.norm(scaled, 2) ** 2, rel=1e-10)
    rates = {k: np.sum(j**2) / len(j) for k, j in jacobian.items()}
    weights = {k: sum(rates.values()) / rates[k] for k in rates}
    weighted = np.concatenate([np.sqrt(weights[k] / len(j)) * j for k, j in jacobian.items()])
    assert found.stable_step_ntk == pytest.approx(1 / np.linalg.norm(weighted, 2) ** 2, rel=1e-6)
    assert found.imbalance == pytest.approx(max(rates.values()) / min(rates.values()), rel=1e-10)


def test_the_record_is_json_and_whole(network):
    found = network[0]
    record = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert set(record) == {field.name for field in dataclasses.fields(found)}
    assert list(record["conditions"]) == ["boundary", "residual"]
    assert record["conditions"]["residual"]["rank"] == found.conditions[1].rank
    assert record["eigenvalues"] == found.eigenvalues.tolist()
    assert list(record["spectra"]) == ["boundary", "residual"]


def test_a_forecast_is_printed_as_a_table(network):
    head, *rows = str(network[0]).splitlines()[-3:]
    assert head.split()[:3] == ["condition", "loss", "rate"]
    assert [row.split()[0] for row in rows] == ["boundary", "residual"]
    assert len({len(line) for line in (head, *rows)}) == 1


# --- what it says about weights and steps -----------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "slow", "fast"), [(100.0, "ends", "inside"), (1e-3, "inside", "ends")]
)
def test_an_imbalance_has_a_direction_and_weights_that_mend_it(scale, slow, fast):
    found = look(scale=scale).found
    assert (found.slowest, found.fastest) == (slow, fast)
    assert found.imbalance > 10
    weights = {report.name: report.ntk_weight for report in found.conditions}
    assert weights[slow] > weights[fast]  # the slowest gets the largest weight
    mended = look(scale=scale, weights=weights).found
    assert mended.imbalance == pytest.approx(1.0, rel=1e-5)
    assert mended.stable_step == pytest.approx(found.stable_step_ntk, rel=1e-5)


def test_a_planned_step_that_is_not_stable_is_not_forecast():
    bound = look().found.stable_step
    found = look(learning_rate=2 * bound).found
    assert found.planned_learning_rate == pytest.approx(2 * bound)
    assert found.learning_rate == pytest.approx(0.9 * bound)
    assert look(learning_rate=bound / 2).found.learning_rate == pytest.approx(bound / 2)
    assert look().found.planned_learning_rate is None  # Adam


def test_one_condition_has_no_imbalance():
    domain = Interval(x=(0.0, 1.0))
    problem = Problem("one", domain, [dirichlet("ends", domain.faces(), 0.5, 3)])
    found = forecast(problem, linear_model(), plan(steps=5))
    assert found.imbalance == 1.0
    assert [report.points for report in found.conditions] == [3]


def test_a_residual_that_is_zero_has_nothing_left():
    domain = Interval(x=(0.0, 1.0))
    problem = Problem("zero", domain, [dirichlet("ends", domain.faces(), 0.0, 3)])
    (report,) = forecast(problem, LinearModel(jnp.zeros(3)), plan(steps=5)).conditions
    assert (report.loss, report.loss_left, report.out_of_reach) == (0.0, 0.0, 0.0)


# --- what it refuses -------------------------------------------------------------------------------


def test_a_residual_that_is_not_finite_is_named_with_its_count():
    domain = Interval(x=(0.0, 1.0))
    broken = Condition("broken", lambda u, x: u(x) + jnp.where(x[0] > 0.5, jnp.nan, 0.0), domain, 8)
    problem = Problem("nan", domain, [dirichlet("ends", domain.faces(), 0.0, 2), broken])
    with pytest.raises(ResidualError, match="'broken': got NaN or infinity at 4 of 8 points"):
        forecast(problem, linear_model(), plan())


def test_a_derivative_that_is_not_finite_is_named():
    domain = Interval(x=(0.0, 1.0))
    root = Condition("root", lambda u, x: u(x) + jnp.sqrt(u(x) - u(x)), domain, 3)
    problem = Problem("root", domain, [dirichlet("ends", domain.faces(), 0.0, 2), root])
    with pytest.raises(
        PinntkError, match="kernel of condition 'root': got NaN or infinity at 3 of"
    ):
        forecast(problem, linear_model(), plan())


def test_a_condition_without_a_gradient_is_refused():
    domain = Interval(x=(0.0, 1.0))
    dead = Condition("dead", lambda u, x: 0.0 * x[0], domain, 3)
    problem = Problem("dead", domain, [dirichlet("ends", domain.faces(), 0.0, 2), dead])
    with pytest.raises(ResidualError, match="'dead': got a kernel block of zeros"):
        forecast(problem, linear_model(), plan())


# --- the whole diagnosis ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["residual", "K", "kernel", "steps", "conditions"])
def test_a_model_of_one_s_own_is_diagnosed_in_the_training_that_is_given(name):
    """An optimizer that pinntk has no name for, and conditions with names that records use."""
    domain = Interval(x=(0.0, 1.0))
    inside = Condition(name, lambda u, x: u.d("x")(x) - 1.0, domain, 8)
    problem = Problem("own", domain, [dirichlet("ends", domain.faces(), 0.5, 3), inside])
    training = Training(FirstOrder(optax.lion(1e-3)), steps=5, weighting=Fixed({name: 3.0}))
    found = diagnose(problem, linear_model(), training, draws=1, steps=5)
    record = found.as_dict()
    check_record(json.loads(json.dumps(record, allow_nan=False)))
    assert record["baseline"]["history"]["weights"][name] == [3.0] * 6
    assert list(record["spectra"]["before"]["conditions"]) == ["ends", name]
    assert list(record["baseline"]["rates"]["conditions"]) == ["ends", name]
    assert record["settings"]["training"]["weighting"]["weights"] == {name: 3.0}
    assert all(
        len(line) <= 80 for line in str(found).splitlines() if not line.startswith("       ")
    )


# --- small things ----------------------------------------------------------------------------------


@each(
    ("share", "text"),
    [
        *((0.0, "0%"), (1e-6, "0%"), (0.0123, "1.2%"), (0.53, "53%"), (0.99, "99%")),
        *((0.996, "100%"), (1.0, "100%"), (9.5, "950%"), (10.0, "1000%"), (11.0, ">1000%")),
    ],
)
def test_shares_are_written_as_a_reader_would(share, text):
    assert percent(share) == text


def test_energy_shares_sum_to_one_and_a_zero_residual_has_none():
    modes = Spectrum(np.array([2.0, 1.0]), np.eye(2))
    np.testing.assert_allclose(modes.energy(np.array([3.0, 4.0])), [0.36, 0.64])
    np.testing.assert_array_equal(modes.energy(np.zeros(2)), [0.0, 0.0])
