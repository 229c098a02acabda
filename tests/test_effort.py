"""How much an examination does: counted operations, the same whatever the machine and the precision."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pinntk as pk
from each import each
from pinntk.diagnosis import effort as efforts
from pinntk.diagnosis.baseline import run_baseline
from pinntk.diagnosis.effort import effort_of, step_operations
from pinntk.diagnosis.subject import Draw, JaxSubject
from pinntk.program import operations
from pinntk.training import Network, Setup, Training, precision

pytestmark = pytest.mark.fast
KEY = jax.random.key(0)
ADAM = Training(pk.adam(1e-3), steps=10_000)


def counted(function, *shapes):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return operations(jax.make_jaxpr(function)(*arrays).jaxpr)


@each(
    ("function", "shapes", "expected"),
    [
        (lambda a, b: a @ b, [(3, 5), (5, 7)], 2 * 3 * 5 * 7),
        (lambda a: a + 1.0, [(4, 6)], 24),
        (lambda a: jnp.tanh(a), [(10,)], 200),
        (lambda a: jnp.sum(a), [(10,)], 10),
        (lambda a: a.reshape(2, 5).T, [(10,)], 0),
        (lambda a: jax.jit(lambda x: x * x)(a), [(10,)], 10),
        (lambda a: jax.lax.fori_loop(0, 7, lambda _, x: x * x, a), [(10,)], 7 * 11),
        (lambda a: jax.lax.cond(a[0] > 0, jnp.sin, lambda x: x * x, a), [(10,)], 201),
    ],
)
def test_operations_against_a_count_by_hand(function, shapes, expected):
    """Of a loop, a counter is added too: 11 for each turn; of a condition, a comparison."""
    assert counted(function, *shapes) == pytest.approx(expected, abs=1)


def rod(points, data=None):
    domain = pk.Interval(x=(0.0, 1.0))
    conditions = [
        pk.Condition("inside", lambda u, x: u.d("x", "x")(x) - 2.0, domain, points),
        pk.dirichlet("ends", domain.faces(), 0.0, 2),
    ]
    if data:
        places = np.linspace(0, 1, data)[:, None]
        conditions.append(pk.observations("data", domain, places, places[:, 0] ** 2))
    return pk.Problem("rod", domain, conditions)


def subject_of(problem, width=20, depth=2, training=ADAM, dtype="float32", draws=1):
    setup = Setup(problem, training, Network(width=width, depth=depth), dtype)
    with precision(dtype):
        starts = [setup.start(seed) for seed in range(draws)]
    made = [Draw(start.model, start.batch) for start in starts]
    with precision(dtype):
        return JaxSubject(problem, made, training, KEY)


def test_a_small_problem_is_seen_whole():
    found = effort_of(subject_of(rod(100)), 5, 2000)
    assert (found.draws, found.points, found.steps) == (5, None, 2000)
    assert found.operations < efforts.OPERATIONS
    assert effort_of(subject_of(rod(100)), 2, 300)[:3] == (2, None, 300)


def test_points_and_draws_go_before_steps():
    """Each is larger than the one before, until the steps are at their least."""
    found = [
        effort_of(subject_of(rod(points), width, 3), 5, 2000)
        for points, width in ((1000, 20), (4000, 50), (4000, 90), (4000, 150), (4000, 900))
    ]
    assert [f.draws for f in found] == sorted((f.draws for f in found), reverse=True)
    assert [f.steps for f in found] == sorted((f.steps for f in found), reverse=True)
    for effort in found:
        if effort.steps < 2000:
            assert (effort.draws, effort.points) == (efforts.FEWER_DRAWS, efforts.POINTS[-1])
    assert found[-1].steps == efforts.FEWEST_STEPS
    assert all(f.operations <= efforts.OPERATIONS for f in found[:-1])
    assert found[0].steps == 2000


def effort_in(dtype, problem, **options):
    subject = subject_of(problem, dtype=dtype, **options)
    with precision(dtype):
        return effort_of(subject, 5, 2000)


def test_the_effort_is_the_same_in_both_precisions():
    one, other = (effort_in(d, rod(4000), width=60, depth=3) for d in ("float32", "float64"))
    assert one == other
    assert one.points is not None


def test_a_second_order_step_costs_its_matrix():
    """P ≤ N: 2NP² for JᵀJ, P³/3 for its factor, beside two gradients."""
    each, counts = {"inside": 100.0}, {"inside": 1000}
    first = step_operations(ADAM, each, counts, 300)
    second = step_operations(Training(pk.NaturalGradient()), each, counts, 300)
    assert first == efforts.REVERSE * 1e5
    assert second == 2 * first + 2 * 1000 * 300**2 + 300**3 / 3
    natural = pk.natural_setup(rod(100))
    found = effort_in("float64", natural.problem, training=natural.training)
    assert found.steps == efforts.SECOND_ORDER_STEPS


# --- the short training ----------------------------------------------------------------------------


def test_fewer_points_are_trained_on_but_all_data():
    problem = rod(64, data=40)
    subject = subject_of(problem, 8, 1, draws=2)
    seen = run_baseline(subject, ADAM, 1, points=16)
    whole = run_baseline(subject, ADAM, 1)
    # Data are given: they are the same points, with the same loss, up to rounding.
    np.testing.assert_allclose(seen.losses["data"][0], whole.losses["data"][0], rtol=1e-5)
    assert not np.allclose(seen.losses["inside"][0], whole.losses["inside"][0], rtol=1e-5)
    assert (seen.points, whole.points) == (16, None)


def test_a_training_that_is_out_of_time_says_how_far_it_came():
    subject = subject_of(rod(16), 4, 1)
    late = run_baseline(subject, ADAM, 2000, deadline=time.perf_counter())
    assert (late.done, late.asked, late.told) == (0, 2000, False)
    assert run_baseline(subject, ADAM, 20).told


def test_a_large_model_of_one_s_own_is_counted():
    problem = rod(16)
    small, large = (
        JaxSubject(
            problem, [Draw(pk.MLP(1, width=w, depth=2, key=KEY), problem.sample(KEY))], ADAM, KEY
        )
        for w in (10, 100)
    )
    ratio = large.row_operations()["inside"] / small.row_operations()["inside"]
    assert 10 < ratio < 100  # its products grow by 100, its units by 10
