"""Ranges of initial value problems: by closed forms, another solver, and where none can be integrated."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import pinntk as pk
from each import each
from pinntk.problem.initial_values import EVALUATIONS, ranges_from_the_start
from pinntk.problem.probing import probe

pytestmark = pytest.mark.fast


def ranges(problem):
    with jax.enable_x64(True):
        return ranges_from_the_start(problem, probe(problem))


def starting(rates, start, end, fields=("u",), more=(), **options):
    """u' = rates(u, t) on [0, end] from `start`."""
    time = pk.Interval(t=(0, end))
    ode = pk.Condition("ode", lambda u, p: u.d("t")(p) - rates(u(p), p), time, 20)
    first = pk.initial_value("start", time, lambda p: jnp.asarray(start, p.dtype), 1)
    return pk.Problem("p", time, [ode, first, *more], fields=fields, **options)


def test_growth_that_saturates_has_the_size_that_it_reaches():
    growth = starting(lambda u, p: u * (1 - u), 0.01, 12.0)
    assert ranges(growth)[0] == pytest.approx((0.01, 1 / (1 + 99 * np.exp(-12))), rel=1e-3)
    found = pk.scales(growth).fields["u"]
    assert found.scale == pytest.approx(0.5, rel=0.05)
    # Its value at the start alone would say a hundredth.
    assert found.scale > 20 * 0.01


def epidemic(people=1000.0):
    def rates(groups, p):
        susceptible, exposed, infectious, _ = groups
        new = 0.5 * susceptible * infectious / people
        ill, well = 0.2 * exposed, 0.1 * infectious
        return jnp.stack([-new, new - ill, ill - well, well])

    start = [people - 1, 1.0, 0.0, 0.0]
    return starting(rates, start, 150.0, ("s", "e", "i", "r")), rates, start


def test_an_epidemic_as_another_solver_has_it():
    problem, rates, start = epidemic()
    found = solve_ivp(
        lambda t, y: np.asarray(rates(y, t)), (0, 150), start, "DOP853", np.linspace(0, 150, 999)
    )
    low, high = np.array(ranges(problem)).T
    np.testing.assert_allclose(high, found.y.max(axis=1), rtol=0.02)
    np.testing.assert_allclose(low, found.y.min(axis=1), atol=2.0)
    assert high[1] > 100 * start[1]


def test_second_order_from_value_and_velocity():
    time = pk.Interval(t=(0, 3))
    problem = pk.Problem(
        "spring",
        time,
        [
            pk.Condition("newton", lambda u, p: 2.0 * u.d("t", "t")(p) + 50.0 * u(p), time, 20),
            pk.initial_value("start", time, 0.3, 1),
            pk.initial_velocity("speed", time, -2.0, 1),
        ],
    )
    amplitude = np.hypot(0.3, 2.0 / 5.0)
    assert ranges(problem)[0] == pytest.approx((-amplitude, amplitude), rel=5e-3)


def test_a_stiff_decay_is_integrated():
    stiff = starting(lambda u, p: -1e5 * (u - jnp.cos(p[0])), 3.0, 3.0)
    assert ranges(stiff)[0] == pytest.approx((np.cos(3.0), 3.0), rel=1e-2)


line = pk.Interval(t=(0, 2))
value = pk.initial_value("start", line, 1.0, 1)
slope = pk.Condition("slope", lambda u, p: u.d("t")(p) + u(p), line, 5)
second = pk.Condition("second", lambda u, p: u.d("t", "t")(p) + u(p), line, 5)
OTHERS = {
    "two ends": pk.Problem("p", line, [second, pk.dirichlet("ends", line.faces(), 0.0, 2)]),
    "no velocity": pk.Problem("p", line, [second, value]),
    "no start": pk.Problem("p", line, [slope]),
    "no equation": pk.Problem("p", line, [value]),
    "contradiction": pk.Problem("p", line, [slope, value, pk.initial_value("two", line, 2.0, 1)]),
    "not solved for u'": pk.Problem(
        "p",
        line,
        [pk.Condition("square", lambda u, p: u.d("t")(p) ** 2 - u(p), line, 5), value],
    ),
    "algebraic": pk.Problem(
        "p",
        line,
        [
            pk.Condition("both", lambda w, p: jnp.stack([w.d("t")(p)[0], w(p)[1]]), line, 5),
            pk.initial_value("start", line, lambda p: jnp.ones(2), 1),
        ],
        fields=("a", "b"),
    ),
    "unknown coefficient": pk.Problem("p", line, [slope, value], coefficients={"k": 1.0}),
    "blows up": starting(lambda u, p: u**2, 1.0, 2.0),
    "in space too": pk.Problem(
        "p",
        pk.SpaceTime(x=(0, 1), t=(0, 1)),
        [
            pk.Condition("r", lambda u, p: u.d("t")(p), pk.SpaceTime(x=(0, 1), t=(0, 1)), 5),
            pk.initial_value("start", pk.SpaceTime(x=(0, 1), t=(0, 1)), 1.0, 5),
        ],
    ),
}


@each("name", OTHERS)
def test_nothing_is_integrated_where_there_is_no_start_or_no_way_on(name, capfd):
    assert ranges(OTHERS[name]) is None
    assert capfd.readouterr() == ("", "")
    pk.scales(OTHERS[name])  # goes on without


def test_what_takes_too_long_is_given_up(monkeypatch):
    assert EVALUATIONS >= 1000
    fast = starting(lambda u, p: jnp.stack([u[1], -(1e5**2) * u[0]]), [1.0, 0.0], 1.0, ("a", "b"))
    monkeypatch.setattr("pinntk.problem.initial_values.EVALUATIONS", 200)
    assert ranges(fast) is None
