"""What the doctor measures: every number against a closed form or a slow version of it."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import LinearModel, mlp
from pinntk.conditions import Condition, dirichlet, initial_value, observations
from pinntk.diagnosis.baseline import ROWS, extrapolated, rows_of, run_baseline
from pinntk.diagnosis.contradiction import find_clash
from pinntk.diagnosis.findings import Precision, Scaling
from pinntk.diagnosis.measures import BINS, check_finite, main_condition
from pinntk.diagnosis.measures import measure as measure_subject
from pinntk.diagnosis.reach import OF_STABLE, reach
from pinntk.diagnosis.subject import Draw, JaxSubject, product_error
from pinntk.diagnosis.units import hidden_units
from pinntk.domain import Interval, SpaceTime, UniformGrid
from pinntk.errors import ResidualError
from pinntk.kernel import TangentKernel
from pinntk.nets import MLP, InputScaling
from pinntk.optim import adam, gradient_descent
from pinntk.problem import Problem
from pinntk.training import ProgressivePoints, ResidualAdaptive, Training, train
from pinntk.weighting import NTKWeights

KEY = jax.random.key(0)
PLAN = Training(adam(1e-2), steps=40)


def subject_of(problem, model, training=PLAN):
    return JaxSubject(problem, [Draw(model, problem.sample(KEY))], training, KEY)


def measure(problem, model, batch, weights, steps):
    return measure_subject(subject_of(problem, model), model, batch, weights, steps)


def clash_of(problem, model):
    return find_clash(subject_of(problem, model))


# --- reach ---------------------------------------------------------------------------------------


def two_conditions(coupling):
    """A kernel of two single residuals with rates 1 and 10^4 and a coupling between them."""
    cross = coupling * math.sqrt(1e4)
    return TangentKernel(np.array([[1.0, cross], [cross, 1e4]]), {"slow": 1, "fast": 1})


def test_what_is_left_alone_together_and_balanced_against_descent_itself():
    kernel, steps = two_conditions(0.3), 50
    residuals = {"slow": np.array([2.0]), "fast": np.array([-1.0])}
    weights = {"slow": 1.0, "fast": 1.0}
    found = reach(kernel, residuals, weights, steps)

    def descend(matrix, r):
        step = OF_STABLE / np.linalg.eigvalsh(matrix)[-1]
        for _ in range(steps):
            r = r - 2 * step * matrix @ r
        return r

    start = np.array([2.0, -1.0])
    given = descend(kernel.matrix, start)
    assert found.given["slow"] == pytest.approx((given[0] / 2) ** 2, rel=1e-9)
    root = np.sqrt([1e4 + 1, (1e4 + 1) / 1e4])  # Algorithm 1: the sum of the rates over each
    even = descend(root[:, None] * kernel.matrix * root, root * start) / root
    assert found.balanced["slow"] == pytest.approx((even[0] / 2) ** 2, rel=1e-9)
    assert found.alone["slow"] == pytest.approx((1 - 2 * OF_STABLE) ** (2 * steps), rel=1e-9)
    # It is imbalance: alone and balanced it is learned, as given it stays. The control is the fast one.
    assert found.given["slow"] > 0.9
    assert found.balanced["slow"] < 1e-3
    assert found.given["fast"] < 0.1


def test_a_zero_block_leaves_its_residual():
    kernel = TangentKernel(np.diag([0.0, 1.0]), {"dead": 1, "alive": 1})
    residuals = {"dead": np.ones(1), "alive": np.ones(1)}
    found = reach(kernel, residuals, {"dead": 1.0, "alive": 1.0}, 100)
    assert found.alone["dead"] == found.given["dead"] == 1.0
    assert found.alone["alive"] < 1e-6


# --- the trajectory --------------------------------------------------------------------------------


def test_rows_begin_at_0_end_at_the_last_step_and_grow_evenly_in_the_logarithm():
    rows = rows_of(2000)
    assert (rows[0], rows[-1]) == (0, 2000)
    assert len(rows) <= ROWS + 1
    later = np.array(rows[-8:], float)
    assert np.ptp(np.log(later[1:] / later[:-1])) < 0.02


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (lambda s: 8.0 * s**-1.5, 8.0 * 1e5**-1.5),
        (lambda s: np.full_like(s, 0.3), 0.3),
        (lambda s: 0.1 * s**0.4, 0.1 * 1e3**0.4),  # what rises is not taken to rise forever
    ],
)
def test_a_power_law_goes_on(losses, expected):
    steps = [0, *np.geomspace(1, 1000, 20).astype(int).tolist()]
    values = losses(np.maximum(np.array(steps, float), 1.0))
    assert extrapolated(steps, values, 100_000) == pytest.approx(expected, rel=1e-6)


def test_one_wild_row_does_not_bend_the_extrapolation():
    steps = np.geomspace(1, 1000, 20).astype(int).tolist()
    values = 5.0 / np.array(steps, float)
    values[-2] *= 50
    bent = np.polyfit(np.log(steps[10:]), np.log(values[10:]), 1)  # least squares is bent by it
    least_squares = math.exp(np.polyval(bent, math.log(1e4)))
    assert extrapolated(steps, values, 10_000) == pytest.approx(5e-4, rel=0.2)
    assert least_squares != pytest.approx(5e-4, rel=0.2)


def rod(points=16, **options):
    domain = Interval(x=(0.0, 1.0))
    inside = Condition("inside", lambda u, x: u.d("x", "x")(x) - 2.0, domain, points, **options)
    ends = dirichlet("ends", domain.faces(), lambda x: x[0] ** 2, 2)
    return Problem("rod", domain, [ends, inside], solution=lambda x: x[0] ** 2)


@each(
    "changes",
    [
        {},
        {"weighting": NTKWeights(every=7)},
        {"resampling": ResidualAdaptive(every=5)},
        {"resampling": ProgressivePoints(every=10)},
    ],
)
def test_the_baseline_takes_the_steps_of_train(changes):
    problem, training = rod(), PLAN.replace(**changes)
    draws = [Draw(mlp(jax.random.key(i), 1), problem.sample(jax.random.key(i))) for i in range(2)]
    found = run_baseline(JaxSubject(problem, draws, training, KEY), training, 40)
    # A draw has keys of its own, so that only the first is the same where points are drawn on the way.
    alike = draws if "resampling" not in changes else draws[:1]
    for i, (model, batch) in enumerate(alike):
        result = train(problem, model, training, key=KEY, batch=batch)
        assert found.losses["ends"][-1, i] == pytest.approx(result.losses["ends"], rel=1e-3)
        assert found.weights["ends"][-1, i] == pytest.approx(result.weights["ends"], rel=1e-3)
        assert found.errors is not None
        assert found.errors[-1, i] == pytest.approx(result.relative_l2, rel=1e-3)
    assert found.diverged == (False, False)
    assert found.done == 40


def test_a_draw_that_diverges_is_said_and_its_last_finite_model_kept():
    training = Training(gradient_descent(1e3), steps=200)
    found = run_baseline(subject_of(rod(), mlp(KEY, 1), training), training, 200)
    assert found.diverged == (True,)
    leaves = jax.tree.leaves(eqx.filter(found.models[0], eqx.is_array))
    assert all(np.isfinite(leaf).all() for leaf in leaves)


# --- measurements ----------------------------------------------------------------------------------


def test_gradients_cosines_and_cancelling_against_autodiff():
    problem, model = rod(sampler=UniformGrid()), mlp(KEY, 1)
    batch, weights = problem.sample(KEY), {"ends": 3.0, "inside": 0.5}
    found = measure(problem, model, batch, weights, 100)

    def gradient(name):
        tree = eqx.filter_grad(lambda m: jnp.mean(problem.residuals(m, batch)[name] ** 2))(model)
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    ends, inside = gradient("ends"), gradient("inside")
    cosine = ends @ inside / np.linalg.norm(ends) / np.linalg.norm(inside)
    assert found.cosines["ends", "inside"] == pytest.approx(cosine, abs=1e-4)
    total = np.linalg.norm(3 * ends + 0.5 * inside)
    parts = 3 * np.linalg.norm(ends) + 0.5 * np.linalg.norm(inside)
    assert found.cancelled == pytest.approx(1 - total / parts, abs=1e-4)


def test_the_wanted_size_is_that_of_the_solution_of_a_linear_problem():
    """Four waves and u given at 8 points: the linearised problem is the problem, whatever its size."""
    domain = Interval(x=(0.0, 1.0))
    for size in (1e-3, 1.0, 1e4):
        truth = LinearModel(size * jnp.array([0.3, -0.2, 0.1, 0.25]))
        data = dirichlet("data", domain, truth, 8, sampler=UniformGrid())
        problem = Problem("fit", domain, [data])
        model = LinearModel(jnp.array([1.0, 0.0, 0.0, 0.0]))
        found = measure(problem, model, problem.sample(KEY), {"data": 1.0}, 100)
        field = jax.vmap(truth)(problem.test_points())
        assert found.linearized.wanted_rms == pytest.approx(
            float(jnp.sqrt(jnp.mean(field**2))), rel=2e-2
        )


def test_what_no_change_of_the_parameters_removes_is_what_least_squares_leave():
    """Four waves are asked for a jump, which they cannot be, and then for one of themselves."""
    domain = Interval(x=(0.0, 1.0))
    model = LinearModel(jnp.array([1.0, 0.0, 0.0, 0.0]))
    jump = lambda x: jnp.where(x[0] < 0.4, 1.0, -1.0)

    def beyond(truth):
        data = dirichlet("data", domain, truth, 32, sampler=UniformGrid())
        problem = Problem("fit", domain, [data])
        batch = problem.sample(KEY)
        found = measure(problem, model, batch, {"data": 1.0}, 100).linearized.beyond["data"]
        return found, np.asarray(batch["data"].points)

    found, points = beyond(jump)
    columns = [
        jax.vmap(LinearModel(jnp.eye(4)[i]))(points) - jax.vmap(LinearModel(jnp.zeros(4)))(points)
        for i in range(4)
    ]
    matrix = np.stack(columns, axis=1).astype(float)
    r = np.asarray(jax.vmap(model)(points)) - np.asarray(jax.vmap(jump)(points))
    rest = r - matrix @ np.linalg.lstsq(matrix, r, rcond=None)[0]
    assert found == pytest.approx(np.linalg.norm(rest) / np.linalg.norm(r), rel=1e-3)
    assert 0.1 < found < 1
    assert beyond(LinearModel(jnp.array([0.3, -0.2, 0.1, 0.25])))[0] < 1e-3


def test_the_rounding_of_a_residual_in_which_large_numbers_cancel():
    domain = Interval(x=(0.0, 1.0))

    def noise(offset):
        large = lambda x: offset * (1 + 0.9 * x[0])  # a constant would be folded away
        condition = Condition("r", lambda u, x: (u(x) + large(x)) - large(x), domain, 64)
        problem = Problem("p", domain, [condition])
        return measure(problem, mlp(KEY, 1), problem.sample(KEY), {"r": 1.0}, 10).noise["r"]

    # One rounding to a grid of spacing 2^-7 (numbers from 2^16 to 2^17) errs by a 12th of its square.
    assert noise(2.0**16) == pytest.approx(2**-7 / math.sqrt(12), rel=0.3)
    assert noise(0.0) < 1e-6


def test_the_profile_over_time_and_the_waves_of_a_residual():
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 2.0))
    early = lambda u, p: jnp.where(p[1] < 0.25, 1.0, 0.1) * jnp.sin(12 * jnp.pi * p[0]) + 0 * u(p)
    conditions = [initial_value("start", domain, 0.0, 4), Condition("r", early, domain, 16)]
    problem = Problem("p", domain, conditions)
    model = MLP(2, width=4, depth=1, key=KEY)
    assert main_condition(problem) == "r"
    found = measure(problem, model, problem.sample(KEY), {"start": 1.0, "r": 1.0}, 10)
    assert found.profile is not None
    assert found.profile.shape == (BINS,)
    assert found.profile[0] / found.profile[-1] == pytest.approx(100.0, rel=1e-3)
    assert found.waves["x"] == pytest.approx(6.0, abs=0.5)


@pytest.mark.parametrize(("factor", "saturated"), [(1.0, False), (100.0, True)])
def test_saturated_units_are_counted(factor, saturated):
    model = MLP(1, width=30, depth=2, key=KEY)
    model = eqx.tree_at(lambda m: m.layers[0].weight, model, factor * model.layers[0].weight)
    points = jnp.linspace(-1, 1, 101)[:, None]
    found = hidden_units(model, points)
    argument = np.asarray(points @ model.layers[0].weight) + np.asarray(model.layers[0].bias)
    assert found.swing == pytest.approx(float(np.median(np.ptp(argument, axis=0))), rel=1e-5)
    assert found.saturated is not None
    assert (found.saturated > 0.5) is saturated
    if saturated:
        assert found.saturated == pytest.approx(float(np.mean(np.abs(argument) > 3)), abs=0.05)


def test_a_function_without_units_has_none():
    found = hidden_units(lambda x: x[0] ** 2, jnp.linspace(0, 3, 4)[:, None])
    assert found == (None, None, 1.5, 3.0)


class Sines(eqx.Module):
    """A network of sines that scales its inputs by itself, or not at all."""

    layer: jax.Array
    output: jax.Array
    half: float = eqx.field(static=True)

    def __call__(self, x):
        return jnp.dot(self.output, jnp.sin(self.layer @ ((x - self.half) / self.half)))


def long_measures(model):
    domain = Interval(x=(0.0, 100.0))
    problem = Problem("p", domain, [dirichlet("d", domain, 0.0, 8)])
    return measure(problem, model, problem.sample(KEY), {"d": 1.0}, 10)


def test_inputs_are_judged_where_they_reach_the_first_layer():
    unit = InputScaling.to_unit((0.0,), (100.0,))
    weights = jax.random.normal(KEY, (8, 1)), jnp.ones(8)
    models = {
        "raw": MLP(1, width=4, depth=1, key=KEY),
        "scaled": MLP(1, width=4, depth=1, scaling=unit, key=KEY),
        "sines": Sines(*weights, half=50.0),
        "raw sines": Sines(*weights, half=1.0),
    }
    found = {name: long_measures(model) for name, model in models.items()}
    seen = {name: (m.units.half_range, m.units.largest) for name, m in found.items()}
    assert seen["raw"] == (50.0, 100.0)
    assert seen["scaled"] == seen["sines"] == pytest.approx((1.0, 1.0), rel=1e-6)
    off = {name: Scaling().inputs_off(m) for name, m in found.items()}
    assert off == {"raw": True, "scaled": False, "sines": False, "raw sines": True}


# --- contradictions --------------------------------------------------------------------------------


def corner(wall, start):
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))
    conditions = [
        dirichlet("wall", domain.walls(), wall, 8),
        initial_value("start", domain, start, 8),
        Condition("inside", lambda u, p: (u.d("t") - u.d("x", "x"))(p), domain, 16),
    ]
    return Problem("corner", domain, conditions)


def test_a_jump_at_a_corner_is_found_with_its_size_and_place():
    model = MLP(2, width=8, depth=1, key=KEY)
    clash = clash_of(corner(0.25, lambda p: 1.0 + p[0]), model)
    assert clash is not None
    assert {clash.first, clash.second} == {"wall", "start"}
    assert clash.point == (1.0, 0.0)
    assert clash.gap == pytest.approx(1.75, rel=1e-5)


def test_values_that_agree_at_the_corners_do_not_clash():
    model = MLP(2, width=8, depth=1, key=KEY)
    clash = clash_of(corner(0.25, lambda p: 0.25 + jnp.sin(jnp.pi * p[0])), model)
    assert clash is None or clash.gap < 1e-5


def test_data_against_a_boundary_value_and_data_against_data():
    domain = Interval(x=(0.0, 1.0))
    model = MLP(1, width=8, depth=1, key=KEY)
    ends = dirichlet("ends", domain.faces(), 0.0, 2)
    data = observations("data", domain, np.array([[0.0], [0.5]]), np.array([0.4, 1.0]))
    clash = clash_of(Problem("p", domain, [ends, data]), model)
    assert clash is not None
    assert clash.gap == pytest.approx(0.4, rel=1e-5)
    twice = observations("data", domain, np.array([[0.5], [0.5]]), np.array([0.4, 1.0]))
    clash = clash_of(Problem("p", domain, [ends, twice]), model)
    assert clash is not None
    assert clash.gap == pytest.approx(0.6, rel=1e-5)


# --- what cannot be examined -----------------------------------------------------------------------


def test_the_first_point_with_nan_is_named():
    domain = Interval(x=(0.0, 1.0))
    residual = lambda u, x: jnp.where(x[0] > 0.6, jnp.nan, 1.0) * u(x)
    problem = Problem("p", domain, [Condition("bad", residual, domain, 11, UniformGrid())])
    with pytest.raises(
        ResidualError, match=r"NaN or infinity at 4 of 11 points, first at x = 0\.7"
    ):
        check_finite(subject_of(problem, mlp(KEY, 1)), mlp(KEY, 1), problem.sample(KEY))


def test_products_in_reduced_precision_are_measured_not_believed():
    def rounded(a, b):
        return (a.astype(jnp.bfloat16) @ b.astype(jnp.bfloat16)).astype(jnp.float32)

    assert product_error(jnp.float32) < Precision().products / 10
    assert product_error(jnp.float32, rounded) > Precision().products * 10
