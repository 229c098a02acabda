"""The problem as it is stated: operators, null spaces, periods against closed forms; and the findings."""

from __future__ import annotations

import dataclasses
import math
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clinic import equations
from each import each
from helpers import mlp
from pinntk.cli.summary import coefficient_lines
from pinntk.conditions import Condition, dirichlet, neumann, observations
from pinntk.diagnosis import Severity
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.findings import (
    Coefficients,
    Contradiction,
    Contrast,
    GivenSolution,
    ManyPeriods,
    SurplusPoints,
    Undetermined,
    ZeroSolves,
    contradiction,
    dead,
)
from pinntk.diagnosis.findings.coefficients import combinations
from pinntk.diagnosis.freedom import freedom
from pinntk.diagnosis.periods import of_equation, of_field, points_needed
from pinntk.diagnosis.stated import (
    Zero,
    in_place,
    looked_at,
    operator_of,
    residuals_of,
    true_coefficients,
)
from pinntk.diagnosis.subject import Draw
from pinntk.domain import Interval, Points
from pinntk.nets import Unknown
from pinntk.optim import adam
from pinntk.problem import Problem
from pinntk.training import Drawn, Network, Setup, Training, start_run

PI = math.pi
LINE = Interval(x=(0.0, 1.0))
UNIT = Interval(t=(0.0, 1.0))


class Looked(Evidence):
    """What findings about the statement read of the evidence; nothing is trained."""

    def __init__(self, problem, network=None, stuck=True, learnable=1.0):
        setup = Setup(problem, Training(adam(1e-3), steps=10), network or Network(8, 1))
        starts = [setup.start(seed) for seed in range(2)]
        problem = starts[0].problem
        draws = [Draw(start.model, start.batch) for start in starts]
        residuals = residuals_of(problem, draws[0].model, looked_at(problem))
        rms = {name: float(np.sqrt(np.mean(r**2))) for name, r in residuals.items()}
        reach = types.SimpleNamespace(learnable=dict.fromkeys(problem.names, learnable))
        losses = {"all": np.array([[100.0], [1.0]])}
        values = {
            "setup": setup,
            "subject": types.SimpleNamespace(draws=draws, problem=problem, training=setup.training),
            "before": [types.SimpleNamespace(residual_rms=rms, reach=reach)] * 2,
            "baseline": types.SimpleNamespace(models=[draws[1].model] * 2, losses=losses),
            "alternatives": {},
            "_stuck": stuck,
            "_kept": {},
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def stuck(self, draw):
        return ["all"] if self._stuck else []


def without(problem, *names, **changes):
    kept = [c for c in problem.conditions if c.name not in names]
    return dataclasses.replace(problem, conditions=kept, hard=None, **changes)


# --- operators -------------------------------------------------------------------------------------


def test_the_coefficients_of_a_nonlinear_operator_are_those_of_its_derivative():
    """u_t + u u_x − ν u_xx at u*: δu_t + u* δu_x + u*_x δu − ν δu_xx, in units of extents 2 and 1."""
    problem = equations.burgers(0.1)
    sample = looked_at(problem)["residual"]
    found = operator_of(problem, "residual", problem.solution, sample)
    assert found is not None
    points = np.asarray(sample.points)
    slope = np.tanh((points[:, 0] - 0.5 * points[:, 1]) / 0.4)
    assert found.present() == ((0, 0), (0, 1), (1, 0), (2, 0))
    np.testing.assert_allclose(found.at((1, 0))[:, 0, 0], (0.5 - 0.5 * slope) / 2, atol=1e-12)
    np.testing.assert_allclose(found.at((0, 0))[:, 0, 0], -0.5 * (1 - slope**2) / 0.4, atol=1e-12)
    np.testing.assert_allclose(found.at((0, 1))[:, 0, 0], 1.0)
    np.testing.assert_allclose(found.at((2, 0))[:, 0, 0], -0.1 / 4)
    # At another field it is another operator: the control.
    zero = operator_of(problem, "residual", Zero(1), sample)
    assert zero is not None
    assert (1, 0) not in zero.present()


# --- the given solution ----------------------------------------------------------------------------


def table(p):
    nodes = jnp.linspace(0, 1, 40)
    return jnp.interp(p[0], nodes, jnp.sin(2 * PI * nodes))


def noisy(problem, noise, shift):
    places = np.linspace(0.05, 0.95, 30)[:, None]
    error = noise * np.random.default_rng(0).standard_normal(30) + shift
    data = observations("data", LINE, places, np.sin(2 * PI * places[:, 0]) + error)
    return dataclasses.replace(problem, conditions=[*problem.conditions, data])


@each(
    ("problem", "condition"),
    [
        (lambda: dataclasses.replace(equations.poisson(2.0), solution=lambda p: p[0]), "residual"),
        (lambda: equations.heat(walls=0.3), "boundary"),
        (lambda: noisy(equations.poisson(2.0), 0.1, 0.3), None),  # a contradiction
        (lambda: equations.poisson(2.0), None),
        (lambda: equations.burgers(), None),
        (lambda: noisy(equations.poisson(2.0), 0.3, 0.0), None),
        # Piecewise linear: u'' is zero, and the solution right.
        (lambda: dataclasses.replace(equations.poisson(2.0), solution=table), None),
    ],
)
def test_a_solution_of_another_problem_is_named_with_the_condition(problem, condition):
    found = GivenSolution().judge(Looked(problem()))
    assert (found and found.evidence["condition"]) == condition
    if found is not None:
        assert found.severity is Severity.SEVERE
        assert found.remedies


@each(
    ("problem", "told"),
    [
        (lambda: noisy(equations.poisson(2.0), 0.1, 0.3), True),
        (lambda: noisy(equations.poisson(2.0), 0.3, 0.0), False),
        (lambda: equations.heat(walls=0.3), False),  # no data: the formula is what is wrong
        (
            lambda: dataclasses.replace(
                noisy(equations.poisson(2.0), 0.0, 0.3), solution=lambda p: p[0]
            ),
            False,
        ),
    ],
)
def test_data_of_another_solution_contradict_the_equation(monkeypatch, problem, told):
    monkeypatch.setattr(contradiction, "_clash", lambda evidence: None)
    found = Contradiction().judge(Looked(problem()))
    assert (found is not None) is told
    if found is not None:
        assert found.severity is Severity.SEVERE
        assert "'data' is off by 0." in found.sentence
        assert found.evidence["gap over size"] == pytest.approx(0.3 * math.sqrt(2), rel=0.2)


def test_the_size_and_place_of_a_violation():
    """u = x asked to be 1 at x = 0: off by 1, and the rms of x is 1/√3."""
    slope = Condition("slope", lambda u, x: u.d("x")(x) - 1.0, LINE, 16)
    left = dirichlet("left", LINE.face(x=0), 1.0, 1)
    found = GivenSolution().judge(
        Looked(Problem("broken", LINE, [slope, left], solution=lambda p: p[0]))
    )
    assert found is not None
    assert found.evidence["largest residual"] == 1.0
    assert found.evidence["residual over size"] == pytest.approx(math.sqrt(3), rel=0.02)
    assert found.evidence["point"] == "(0)"


# --- zero ------------------------------------------------------------------------------------------


def string(end=0.0, solution=lambda p: jnp.sin(PI * p[0])):
    equation = Condition("string", lambda u, x: (u.d("x", "x") + PI**2 * u)(x), LINE, 32)
    return Problem(
        "string", LINE, [equation, dirichlet("ends", LINE.faces(), end, 2)], solution=solution
    )


def test_zero_meets_homogeneous_conditions():
    judge = lambda problem, network=None: ZeroSolves().judge(Looked(problem, network))
    found = judge(string())
    assert found is not None
    assert found.severity is Severity.SEVERE
    without_solution = judge(string(solution=None))
    assert without_solution is not None
    assert without_solution.severity is Severity.MODERATE
    assert judge(string(end=1e-3)) is None
    assert judge(string(solution=lambda p: 0 * p[0])) is None


def test_a_network_that_cannot_be_zero_is_not_accused():
    class Lifted(eqx.Module):
        inner: eqx.Module

        def __call__(self, x):
            return 1 + x[0] * self.inner(x)

    equation = Condition("growth", lambda u, x: (u.d("x") - u)(x), LINE, 16)
    problem = Problem("growth", LINE, [equation], solution=lambda p: jnp.exp(p[0]))
    # A point of the domain that is looked at must be where the network is held: x = 0.
    held = dataclasses.replace(
        problem,
        domain=Points(np.array([[0.0], [0.5], [1.0]]), ("x",)),
        conditions=[
            Condition("growth", equation.residual, Points(np.array([[0.0], [0.5]]), ("x",)), 2)
        ],
    )
    assert ZeroSolves().judge(Looked(held, Drawn(lambda key: Lifted(mlp(key, 1))))) is None
    assert ZeroSolves().judge(Looked(held)) is not None


# --- what is left open -----------------------------------------------------------------------------


@each(
    ("problem", "free"),
    [
        (lambda: without(equations.oscillator(), "velocity"), "∂u/∂t at t = 0 is free"),
        (lambda: without(equations.wave(), "velocity"), "∂u/∂t at t = 0 is free"),
        (
            lambda: Problem(
                "neumann",
                LINE,
                [
                    Condition("e", lambda u, p: u.d("x", "x")(p) - jnp.cos(PI * p[0]), LINE, 32),
                    neumann("ends", LINE.faces(), 0.0, 2),
                ],
            ),
            "a constant may be added to u",
        ),
        (lambda: equations.oscillator(), None),
        (lambda: equations.wave(), None),
        (lambda: equations.poisson(4.0), None),
        (lambda: equations.logistic(), None),
        (lambda: equations.relaxation(equations.waves((2, 1.0)), 1e3), None),
        # What grows by e^12 from a value that is given is no null field.
        (
            lambda: Problem(
                "growth",
                LINE,
                [
                    Condition("e", lambda u, p: (u.d("x") - 12 * u)(p) + 1, LINE, 32),
                    dirichlet("left", LINE.face(x=0), 1.0, 1),
                ],
            ),
            None,
        ),
    ],
)
def test_what_no_condition_asks_for_is_named(problem, free):
    found = Undetermined().judge(Looked(problem()))
    assert (found and found.evidence["free"]) == free
    if found is not None:
        assert found.severity is Severity.SEVERE


def test_what_the_network_has_by_construction_is_not_free():
    class Still(eqx.Module):
        inner: eqx.Module

        def __call__(self, x):
            return 1 + x[0] ** 2 * self.inner(x)

    problem = without(equations.oscillator(), "velocity", "initial")
    assert Undetermined().judge(Looked(problem, Drawn(lambda key: Still(mlp(key, 1))))) is None
    found = Undetermined().judge(Looked(problem))
    assert found is None  # zero solves it, which is told instead
    assert ZeroSolves().judge(Looked(problem)) is not None


def test_the_null_field_of_an_oscillator_is_its_sine():
    problem = without(equations.oscillator(5.0), "velocity")
    found = freedom(problem, problem.solution)
    assert found is not None
    assert found.null.shape[1] == 1
    # rms of sin 5t on [0, 1]
    rms = math.sqrt(0.5 - math.sin(10) / 20)
    ends = found.seen(0, np.array([[1.0]]), (0,))
    assert ends == pytest.approx(abs(math.sin(5)) / rms, rel=1e-2)
    assert found.seen(0, np.array([[0.0]]), (1,)) == pytest.approx(5 / rms, rel=1e-2)


# --- coefficients ----------------------------------------------------------------------------------


def growth(residual, **unknown):
    places = np.linspace(0, 1, 20)[:, None]
    conditions = [
        Condition("growth", residual, UNIT, 32),
        observations("data", UNIT, places, np.exp(places[:, 0])),
    ]
    start = {name: Unknown(first, true) for name, (first, true) in unknown.items()}
    return Problem("growth", UNIT, conditions, solution=lambda p: jnp.exp(p[0]), coefficients=start)


def only_sum():
    rate = lambda u: u.coefficient("a") + 2 * u.coefficient("b")
    return growth(lambda u, p: (u.d("t") - rate(u) * u)(p), a=(0.1, 0.6), b=(0.1, 0.2))


def test_of_a_sum_only_the_sum_is_known():
    found = Coefficients().judge(Looked(only_sum()))
    assert found is not None
    assert found.severity is Severity.SEVERE
    assert "a and b, of which only b + 0.5·a is known" in found.sentence


@each(("start", "found"), [(0.5, False), (1e-3, True)])
def test_one_coefficient_is_determined_and_may_start_orders_off(start, found):
    problem = growth(lambda u, p: (u.d("t") - u.coefficient("a") * u)(p), a=(start, 1.0))
    evidence = Looked(problem)
    moved = in_place(problem, evidence.subject.draws[0].model.network, {"a": 0.7})
    evidence.baseline.models[:] = [moved] * 2
    judged = Coefficients().judge(evidence)
    assert (judged is not None) is found
    if judged is not None:
        assert judged.severity is Severity.MODERATE
        assert "order of magnitude" in judged.sentence


def test_a_coefficient_that_stays_orders_off_is_severe():
    problem = growth(lambda u, p: (u.d("t") - u.coefficient("a") * u)(p), a=(1e3, 1.0))
    evidence = Looked(problem)
    moved = in_place(problem, evidence.subject.draws[0].model.network, {"a": 900.0})
    evidence.baseline.models[:] = [moved] * 2
    judged = Coefficients().judge(evidence)
    assert judged is not None
    assert judged.severity is Severity.SEVERE


def test_a_coefficient_that_did_not_move_is_told():
    problem = growth(lambda u, p: (u.d("t") - u.coefficient("a") * u)(p), a=(0.5, 1.0))
    found = Coefficients().judge(Looked(problem))
    assert found is not None
    assert "did not move" in found.sentence
    assert true_coefficients(problem) == {"a": 1.0}


def test_combinations_in_words():
    one = combinations(("a", "b"), np.array([[1.0], [0.0]]), np.array([[2.0], [0.0]]))
    assert one == ["a"]
    both = combinations(("a", "b"), np.eye(2), np.eye(2))
    assert both == ["a", "b"]
    (pair,) = combinations(("a", "c"), np.array([[0.5], [0.5]]), np.array([[1.0], [9.87]]))
    assert pair == "a and c, of which only c − 9.87·a is known"


# --- periods ---------------------------------------------------------------------------------------


def free_wave(length, points=64, solution=None):
    line = Interval(x=(0.0, length))
    conditions = [
        Condition("wave", lambda u, p: (0.5 * u.d("x", "x") + u)(p), line, points),
        dirichlet("value", line.face(x=0), 1.0, 1),
        Condition("slope", lambda u, p: u.d("x")(p), line.face(x=0), 1),
    ]
    return Problem("free", line, conditions, solution=solution)


def test_periods_of_an_equation_and_of_its_solution_are_the_same():
    for length in (10.0, 300.0):
        expected = math.sqrt(2) * length / (2 * PI)
        problem = free_wave(length)
        models = [mlp(jax.random.key(i), 1) for i in range(2)]
        assert of_equation(problem, models)["x"] == pytest.approx(expected, rel=1e-9)
        seen = of_field(problem, lambda p: jnp.cos(math.sqrt(2) * p[0]))["x"]
        assert seen == pytest.approx(expected, abs=0.5)
    # A system of the first order: u' = 7v, v' = −7u.
    pair = Problem(
        "pair",
        UNIT,
        [
            Condition(
                "turn",
                lambda w, p: jnp.stack(
                    [w["u"].d("t")(p) - 7 * w["v"](p), w["v"].d("t")(p) + 7 * w["u"](p)]
                ),
                UNIT,
                16,
            )
        ],
        fields=("u", "v"),
    )
    assert of_equation(pair, [Zero(2)])["t"] == pytest.approx(7 / (2 * PI), rel=1e-9)
    plane = equations.helmholtz(k=20.0)
    assert of_equation(plane, [Zero(1)])["y"] == pytest.approx(20 / (2 * PI), rel=1e-9)
    # Decay does not turn, and what depends on u is no one equation.
    assert of_equation(equations.relaxation(equations.waves((2, 1.0)), 50.0), [Zero(1)]) == {"t": 0}
    assert of_equation(equations.logistic(), [Zero(1), lambda p: p[0]]) == {}


def test_many_periods_are_severe_where_points_or_networks_do_not_carry_them():
    judge = lambda problem, **options: ManyPeriods().judge(Looked(problem, **options))
    aliased = judge(free_wave(60.0, points=16))  # 13.5 periods, which take 27 points
    assert aliased is not None
    assert aliased.severity is Severity.SEVERE
    assert any("points" in proposal.code for proposal in aliased.remedies)
    assert judge(free_wave(60.0, points=64)) is None
    heavy = judge(free_wave(300.0, points=1000))  # 67.5
    assert heavy is not None
    assert heavy.severity is Severity.SEVERE
    assert judge(free_wave(300.0, points=1000), stuck=False) is None
    assert judge(equations.poisson(4.0)) is None
    assert judge(free_wave(20.0, points=6)) is None  # 4.5: more points are all that it takes


def test_fewer_points_are_never_advised_where_waves_need_them():
    judge = lambda problem, **options: SurplusPoints().judge(Looked(problem, **options))
    assert judge(free_wave(60.0, points=100), stuck=False) is None  # 25 are below 2.5 · 13.5
    note = judge(free_wave(60.0, points=200), stuck=False)
    assert note is not None
    assert note.severity is Severity.NOTE
    assert judge(free_wave(60.0, points=200), stuck=True) is None
    assert judge(free_wave(60.0, points=200), stuck=False, learnable=10.0) is None
    assert SurplusPoints.last
    assert points_needed({"x": 10.0, "t": 0.2}, 2.5) == 25.0


# --- contrast --------------------------------------------------------------------------------------


def slabs(ratio, *, meet=False, sharp=1e-9):
    step = lambda x: 1 + (ratio - 1) * jax.nn.sigmoid((x[0] - 0.5) / sharp)
    heat = Condition("heat", lambda u, x: step(x) * u.d("x", "x")(x), LINE, 32)
    conditions = [heat, dirichlet("ends", LINE.faces(), lambda x: x[0], 2)]
    if meet:
        middle = Points(np.array([[0.5]]), ("x",))
        conditions.append(Condition("meet", lambda u, x: u.d("x")(x) - 1, middle, 1))
    return Problem("slabs", LINE, conditions)


def test_a_jump_of_the_coefficient_that_no_condition_joins():
    found = Contrast().judge(Looked(slabs(300.0)))
    assert found is not None
    assert found.severity is Severity.MODERATE
    assert found.evidence["jump"] == pytest.approx(300.0, rel=1e-3)
    assert found.evidence["place"] == "x = 0.5"
    assert Contrast().judge(Looked(slabs(30.0))) is None
    assert Contrast().judge(Looked(slabs(300.0, meet=True))) is None
    assert Contrast().judge(Looked(slabs(300.0, sharp=0.1))) is None  # resolved


# --- a network without curvature -------------------------------------------------------------------


def test_a_network_of_straight_pieces_has_no_second_derivative():
    straight = lambda problem, activation: dead._straight(
        Looked(problem, Network(8, 2, activation=activation))
    )
    assert straight(equations.heat(), jax.nn.relu) == "u_xx"
    assert straight(equations.heat(), jnp.tanh) is None
    # One derivative is enough for transport.
    assert straight(equations.relaxation(equations.waves((2, 1.0))), jax.nn.relu) is None


# --- what `train` prints ---------------------------------------------------------------------------


def test_train_says_how_well_coefficients_are_known():
    rate = lambda u, p: (u.d("t") - u.coefficient("a") * u)(p)
    lines = {}
    for name, problem, width in [
        ("sum", only_sum(), 6),
        ("one", growth(rate, a=(0.5, 1.0)), 6),
        ("wide", growth(rate, a=(0.5, 1.0)), 60),
    ]:
        setup = Setup(problem, Training(adam(1e-2), steps=5), Network(width, 2))
        lines[name] = coefficient_lines(setup, 0, start_run(setup, 0))
    assert all("not identifiable" in line for line in lines["sum"])
    assert "±" in lines["one"][0]
    assert lines["wide"][-1].startswith("No error bars: the model has 3,8")
    plain = Setup(string(), Training(adam(1e-2), steps=1), Network(4, 1))
    assert coefficient_lines(plain, 0, start_run(plain, 0)) == []
