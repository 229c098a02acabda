"""Residuals that are NaN or infinite: the operation that is named, and what makes them finite."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import mlp
from pinntk.cli.spelling import options_of
from pinntk.conditions import Condition, dirichlet, initial_value, observations
from pinntk.diagnosis import Severity
from pinntk.diagnosis.asked import field_sizes, values_asked
from pinntk.diagnosis.code import python_of
from pinntk.diagnosis.findings import HeldOutNotFinite, NotFinite
from pinntk.diagnosis.findings.not_finite import not_finite
from pinntk.diagnosis.output_remedy import positive_output
from pinntk.diagnosis.subject import Draw, JaxSubject, residuals_at
from pinntk.domain import Box, Interval, SpaceTime, UniformGrid
from pinntk.errors import PinntkError, PinntkWarning
from pinntk.nets import MLP, OutputTransform
from pinntk.optim import adam
from pinntk.problem import Problem, not_finite_residual
from pinntk.program import Trouble, cause_of
from pinntk.training import Given, Network, Outcome, Setup, Training, no_scaling, train
from pinntk.training.describe import describe
from test_judge import transport

pytestmark = pytest.mark.fast

KEY = jax.random.key(0)


# --- which operation ---------------------------------------------------------------------------


CAUSES = {
    "power": (lambda x: x**1.2, -0.37, Trouble.NEGATIVE, "(-0.37)^1.2"),
    "log": (jnp.log, -0.2, Trouble.NEGATIVE, "log(-0.2)"),
    "root": (jnp.sqrt, -0.3, Trouble.NEGATIVE, "sqrt(-0.3)"),
    "log of zero": (jnp.log, 0.0, Trouble.ZERO, "the logarithm of zero"),
    "division": (lambda x: 3.0 / x, 0.0, Trouble.ZERO, "a division by zero, 3/0"),
    "negative power": (lambda x: x**-2, 0.0, Trouble.ZERO, "0^-2"),
    "slope of a root": (jax.grad(jnp.sqrt), 0.0, Trouble.ZERO, "a division by zero"),
    "arcsin": (jnp.arcsin, 1.2, Trouble.OUTSIDE, "arcsin(1.2)"),
    "exp": (jnp.exp, 100.0, Trouble.OVERFLOW, "exp(100)"),
    "product": (lambda x: x * x, 1e30, Trouble.OVERFLOW, "1e30 * 1e30"),
    "constant": (lambda x: x + jnp.where(x > 0, jnp.nan, 0.0), 1.0, Trouble.GIVEN, "nan"),
    "slope of a dropped root": (
        jax.grad(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0)),
        -1.0,
        Trouble.NEGATIVE,
        "sqrt(-1)",
    ),
    "branch": (
        lambda x: jax.lax.cond(x > 0, lambda y: 1 / y, jnp.log, x),
        -2.0,
        Trouble.NEGATIVE,
        "log(-2)",
    ),
    "recomputed": (jax.checkpoint(lambda x: x / (x - x)), 1.0, Trouble.ZERO, "1/0"),
    "one entry": (lambda x: jnp.sqrt(jnp.stack([x, x - 4])), 1.0, Trouble.NEGATIVE, "sqrt(-3)"),
}


@each("name", CAUSES)
def test_the_operation_and_its_operands_are_named(name):
    function, x, trouble, words = CAUSES[name]
    cause = cause_of(function, jnp.float32(x))
    assert not np.isfinite(function(jnp.float32(x))).all()  # the oracle
    assert cause is not None
    assert cause.trouble is trouble
    assert words in cause.words


@each(
    ("function", "x"),
    [
        (lambda x: x**1.2, 0.37),
        (lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), -1.0),  # NaN, and dropped
        (lambda x: jnp.exp(-1 / x), 0.0),  # 1/0, whose exponential is zero
        (lambda x: x**2, -3.0),
    ],
)
def test_what_is_finite_has_no_cause(function, x):
    assert cause_of(function, jnp.float32(x)) is None


def test_the_cause_says_which_arguments_it_depends_on():
    function = lambda a, x: jnp.sqrt(a) + 1 / x
    assert cause_of(function, jnp.float32(-1.0), jnp.float32(2.0)).arguments == {0}
    assert cause_of(function, jnp.float32(1.0), jnp.float32(0.0)).arguments == {1}
    both = cause_of(lambda a, x: jnp.log(a * x), jnp.float32(1.0), jnp.float32(-1.0))
    assert both.arguments == {0, 1}


def test_of_a_power_and_its_derivatives_the_power_is_told():
    cause = cause_of(jax.grad(jax.grad(lambda x: x**1.2)), jnp.float32(-0.5))
    assert cause.words == "a power of a negative number, (-0.5)^1.2"


def test_the_line_is_the_users():
    def helper(x):
        return jnp.log(x)  # the line

    assert cause_of(lambda x: 1 + helper(x), jnp.float32(-1.0)).line.endswith(
        "return jnp.log(x) # the line"
    )


# --- problems ------------------------------------------------------------------------------------

M = 1.5
B = 1 / (M + 1)


def barenblatt(p):
    """Barenblatt's solution of u_t = (u^m)_xx in one dimension, where it is positive."""
    x, t = p
    inside = 1.0 - B * (M - 1) / (2 * M) * x**2 * t ** (-2 * B)
    return t**-B * inside ** (1 / (M - 1))


def porous_medium():
    domain = SpaceTime(x=(-1.0, 1.0), t=(1.0, 2.0))

    def residual(u, p):
        flux = u**M
        return u.d("t")(p) - flux.d("x", "x")(p)

    conditions = [
        Condition("porous", residual, domain, 24),
        dirichlet("walls", domain.walls(), barenblatt, 8),
        initial_value("start", domain, barenblatt, 8),
    ]
    return Problem("porous", domain, conditions, solution=barenblatt)


def gompertz():
    """u' = −u log u with u(0) = e⁻¹: u = exp(−e^(−t))."""
    domain = Interval(t=(0.0, 1.0))
    grow = lambda u, p: u.d("t")(p) + u(p) * jnp.log(u(p))
    exact = lambda p: jnp.exp(-jnp.exp(-p[0]))
    conditions = [Condition("grow", grow, domain, 16), initial_value("start", domain, exact, 1)]
    return Problem("gompertz", domain, conditions, solution=exact)


def tank():
    """Torricelli's h' = −sqrt(h), h(0) = 1: h = (1 − t/2)²; no solution is given."""
    domain = Interval(t=(0.0, 1.0))
    drain = lambda h, p: h.d("t")(p) + jnp.sqrt(h(p))
    conditions = [Condition("drain", drain, domain, 16), initial_value("full", domain, 1.0, 1)]
    return Problem("tank", domain, conditions)


def setup_of(problem, **network):
    shape = Network(width=6, depth=1, scaling=no_scaling, **network)
    return Setup(problem, Training(adam(1e-2), steps=5), shape)


def negative_model():
    return OutputTransform(MLP(1, width=6, depth=1, key=KEY), lambda value: -jnp.exp(value))


def subject_of(setup, draws=5):
    starts = [setup.start(seed) for seed in range(draws)]
    made = [Draw(start.model, start.batch) for start in starts]
    return JaxSubject(starts[0].problem, made, setup.training, KEY)


POSITIVE = {
    "porous": (porous_medium, "porous", "^1.5"),
    "log": (gompertz, "grow", "log("),
    "root": (tank, "drain", "sqrt("),
}


@each("problem", [porous_medium, gompertz])
def test_the_planted_solutions_solve_their_equations(problem, x64):
    found = problem().residuals(problem().solution, problem().sample(KEY))
    for name, residual in found.items():
        np.testing.assert_allclose(residual, 0.0, atol=1e-10, err_msg=name)


@each("name", POSITIVE)
def test_a_network_that_must_be_positive_is_found_and_made_so(name):
    problem, condition, operation = POSITIVE[name]
    setup = setup_of(problem())
    at = not_finite(subject_of(setup))
    assert at is not None
    assert at.first.condition == condition
    assert at.first.fields["u"] < 0
    found = at.found(setup)
    assert found.severity is Severity.SEVERE
    assert found.confidence == len(at.draws) / 5
    assert (
        f"In {len(at.draws)} of 5 draws the residual of '{condition}' is not finite"
        in found.sentence
    )
    assert operation in found.sentence
    assert "where u = -" in found.sentence
    assert "test_not_finite.py, line" in found.evidence["line of the residual"]
    remedy = found.remedies[0]
    assert remedy.code == "network.replace(output=jax.nn.softplus)"
    assert options_of(setup, remedy.setup) == "--output softplus"
    assert not_finite(subject_of(remedy.setup)) is None
    natural = found.remedies[1]
    assert natural.setup.network.output is jax.nn.softplus
    assert natural.code == "pk.natural_setup(problem, output=jax.nn.softplus)"


def test_draws_are_counted_against_the_residuals_themselves():
    setup = setup_of(porous_medium())
    subject = subject_of(setup)
    bad = [
        i
        for i, draw in enumerate(subject.draws)
        if not np.isfinite(subject.residuals(draw.model, draw.batch)["porous"]).all()
    ]
    assert not_finite(subject).draws == tuple(bad)


def test_healthy_problems_have_no_such_finding():
    domain = Interval(x=(0.0, 1.0))
    curved = Condition("curved", lambda u, p: u.d("x", "x")(p) + u(p) ** 2, domain, 8)
    healthy = Problem("healthy", domain, [curved, dirichlet("ends", domain.faces(), 0.0, 2)])
    assert not_finite(subject_of(setup_of(healthy), 2)) is None
    assert not_finite(subject_of(setup_of(porous_medium(), output=jnp.exp), 2)) is None


def test_what_the_points_decide_is_no_matter_of_the_network():
    domain = Interval(r=(0.0, 1.0))
    radial = lambda u, p: u.d("r", "r")(p) + u.d("r")(p) / p[0]
    problem = Problem("disc", domain, [Condition("radial", radial, domain, 5, UniformGrid())])
    setup = setup_of(problem)
    at = not_finite(subject_of(setup, 2))
    assert at.first.where == {"r": 0.0}
    assert at.first.bad == 1
    found = at.found(setup)
    assert found.confidence == 1.0
    assert [remedy.setup for remedy in found.remedies] == [None]
    assert "at r = 0" in found.sentence
    # u'(0)/0: the network stands above, and zero below.
    assert "a division by zero" in found.sentence
    alone = Condition("alone", lambda u, p: u(p) - jnp.log(p[0]), domain, 5, UniformGrid())
    at = not_finite(subject_of(setup_of(Problem("p", domain, [alone])), 1))
    assert not at.first.of_the_network
    assert "does not depend on the network" in at.first.fix


def test_a_positive_output_is_proposed_only_where_it_helps():
    domain = Interval(t=(0.0, 1.0))

    def problem(residual, start):
        return Problem(
            "p",
            domain,
            [Condition("inside", residual, domain, 16), initial_value("start", domain, start, 1)],
        )

    root = lambda u, p: u.d("t")(p) + jnp.sqrt(u(p))
    assert positive_output(setup_of(problem(root, 1.0))) is not None
    # A field that starts below zero is not positive.
    assert positive_output(setup_of(problem(root, -1.0))) is None
    # Nor does it help where what is negative is another number.
    assert positive_output(setup_of(problem(lambda u, p: u(p) + jnp.sqrt(-u(p)), 1.0))) is None
    assert positive_output(setup_of(tank(), output=jax.nn.softplus)) is None


def test_a_model_of_ones_own_is_made_positive_as_well():
    problem = tank()
    setup = Setup(problem, Training(adam(1e-2), steps=5), Given(negative_model()))
    assert not_finite(subject_of(setup, 1)) is not None
    proposal = positive_output(setup)
    assert proposal.code == "pk.OutputTransform(model, jax.nn.softplus)"
    assert not_finite(subject_of(proposal.setup, 1)) is None


# --- the transform -------------------------------------------------------------------------------


@each("function", [jax.nn.softplus, jnp.exp])
def test_an_output_is_applied_to_the_last_layer_before_hard_conditions(function):
    problem = porous_medium()
    plain, changed = (setup_of(problem, **o).start(0).model for o in ({}, {"output": function}))
    x = jnp.array([0.3, 1.5])
    assert isinstance(changed, OutputTransform)
    np.testing.assert_array_equal(changed(x), function(plain(x)))
    assert changed(x) > 0
    assert describe(setup_of(problem, output=function).network)["output"] == function.__name__
    assert python_of(function) in ("jax.nn.softplus", "jnp.exp")


def test_an_output_must_be_a_function():
    with pytest.raises(PinntkError, match=r"output: got 'softplus'.*output=jax\.nn\.softplus"):
        Network(output="softplus")


def test_a_positive_network_learns_what_a_plain_one_cannot_start():
    setup = setup_of(tank(), output=jax.nn.softplus)
    start = setup.start(0)
    plan = setup.training.replace(optimizer=adam(3e-2), steps=400)
    result = train(start.problem, start.model, plan, key=start.key, batch=start.batch)
    t = jnp.linspace(0.0, 1.0, 11)
    error = jax.vmap(result.model)(t[:, None]) - (1 - t / 2) ** 2
    assert jnp.abs(error).max() < 0.05


# --- messages --------------------------------------------------------------------------------------


def test_a_run_that_cannot_start_names_the_operation_and_the_fix():
    with pytest.warns(PinntkWarning, match="--output softplus"):
        result = train(tank(), negative_model(), Training(adam(1e-3), steps=5), key=KEY)
    assert result.outcome is Outcome.DIVERGED
    assert "the loss of condition 'drain' is nan at t = " in result.message
    assert "the square root of a negative number, sqrt(-" in result.message
    assert "test_not_finite.py, line" in result.message
    assert result.message.endswith("before any training")
    assert any("--output softplus" in note for note in result.notes)
    # The held-out loss is NaN too, which is not said a second time.
    assert len(result.notes) == 1


def test_a_run_that_loses_its_numbers_later_names_the_operation_as_well():
    """One long step takes u below zero."""
    domain = Interval(t=(0.0, 1.0))
    sink = Condition("sink", lambda u, p: jnp.sqrt(u(p)) + 2.0, domain, 8)
    problem = Problem("sink", domain, [sink])
    model = jax.tree.map(jnp.abs, mlp(KEY, 1))
    model = jax.tree.map(lambda a: a + 0.1, model)
    with pytest.warns(PinntkWarning, match="diverged at step"):
        result = train(problem, model, Training(adam(0.1), steps=100), key=KEY)
    assert result.steps > 0
    assert "sqrt(-" in result.message
    assert result.message.endswith("the last good state is kept")


# --- between the points --------------------------------------------------------------------------------


def between(redraw_every=None):
    """U = sqrt(1/100 + cos(20πx)), which exists at tenths and not between them."""
    domain = Interval(x=(0.0, 1.0))
    root = lambda u, p: u(p) - jnp.sqrt(0.01 + jnp.cos(20 * jnp.pi * p[0]))
    condition = Condition("tenths", root, domain, 11, UniformGrid(), redraw_every=redraw_every)
    return Problem("between", domain, [condition])


def evidence_of(setup):
    subject = subject_of(setup)
    baseline = dataclasses.replace(
        transport().baseline, models=tuple(draw.model for draw in subject.draws)
    )
    return dataclasses.replace(
        transport(),
        setup=setup,
        subject=subject,
        baseline=baseline,
        not_finite=not_finite(subject),
        _kept={},
    )


@each(("every", "severity"), [(None, Severity.MODERATE), (10, Severity.SEVERE)])
def test_a_residual_without_a_value_between_its_points_is_found(every, severity):
    evidence = evidence_of(setup_of(between(every)))
    assert NotFinite().judge(evidence) is None
    found = HeldOutNotFinite().judge(evidence)
    assert found is not None
    assert (found.severity, found.confidence) == (severity, 1.0)
    assert "'tenths' is finite at its points and not between them" in found.sentence
    assert "sqrt(-" in found.sentence
    # cos(20πx) < −1/100 holds for half of all x.
    bad = found.evidence["other points of 'tenths' that are not finite"]
    assert 0 < bad < 11


def test_no_such_finding_where_all_is_finite_or_nothing_is():
    domain = Interval(x=(0.0, 1.0))
    easy = Problem("easy", domain, [Condition("c", lambda u, p: u(p) - p[0], domain, 8)])
    assert HeldOutNotFinite().judge(evidence_of(setup_of(easy))) is None
    broken = evidence_of(setup_of(tank()))
    assert NotFinite().judge(broken) is not None
    assert HeldOutNotFinite().judge(broken) is None


# --- what conditions ask for ---------------------------------------------------------------------------


def two_fields():
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))
    conditions = [
        Condition("inside", lambda w, p: w["h"].d("t")(p) - w["q"].d("x")(p), domain, 8),
        Condition("start", lambda w, p: 300.0 + p[0] - w["h"](p), domain.initial(), 8),
        dirichlet("walls", domain.walls(), lambda p: jnp.array([300.0, -0.02]), 8),
        Condition("flux", lambda w, p: w["q"].d("x")(p) - 7.0, domain.walls(), 8),
        Condition("sum", lambda w, p: w["h"](p) + w["q"](p) - 5.0, domain.walls(), 8),
        Condition("root", lambda w, p: jnp.sqrt(w["q"](p) - 9.0), domain.walls(), 8),
    ]
    return Problem("two", domain, conditions, fields=("h", "q"))


def test_values_are_read_off_conditions_that_ask_for_them_and_off_no_others():
    problem = two_fields()
    batch = problem.sample(KEY)
    asked = values_asked(problem, batch)
    start = 300.0 + np.asarray(batch["start"].points)[:, 0]
    np.testing.assert_allclose(asked["h"], np.concatenate([start, np.full(8, 300.0)]), rtol=1e-5)
    np.testing.assert_allclose(asked["q"], np.full(8, -0.02), rtol=1e-4)
    sizes = field_sizes(problem, batch)
    assert sizes["h"] == pytest.approx(300, rel=0.01)
    assert sizes["q"] == pytest.approx(0.02, rel=1e-4)


def test_data_ask_for_values_too_and_the_solution_comes_first():
    domain = Box(x=(0.0, 1.0))
    data = observations("data", domain, np.array([[0.2], [0.7]]), np.array([4.0, -3.0]))
    problem = Problem("data", domain, [data])
    assert values_asked(problem, problem.sample(KEY))["u"].tolist() == [4.0, -3.0]
    known = dataclasses.replace(problem, solution=lambda p: 0 * p[0] + 20.0)
    assert field_sizes(known, known.sample(KEY)) == {"u": 20.0}
    nothing = functools.partial(Condition, "c", lambda u, p: u.d("x")(p), domain, 4)
    assert field_sizes(Problem("n", domain, [nothing()]), problem.sample(KEY)) == {}


def test_an_explanation_that_fails_hides_nothing():
    """A model that cannot be called at one point still has its residuals counted."""
    problem = tank()
    batch = problem.sample(KEY)
    nan = {"drain": np.full((16, 1), np.nan)}
    found = not_finite_residual(problem, object(), batch, nan)
    assert (found.condition, found.bad, found.cause) == ("drain", 16, None)
    assert "Look for" in found.fix
    assert residuals_at(problem, MLP(1, width=3, depth=1, key=KEY), batch)["drain"].shape == (16, 1)
