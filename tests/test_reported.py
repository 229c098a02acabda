"""Reported problems: all can be stated, their solutions meet their conditions, and old faults stay away."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pinntk as pk
from clinic.reported import ASKED, REPORTED, SMALLEST
from clinic.reported.report import cubic, integral, quadrature
from each import each
from pinntk.diagnosis import FINDINGS
from pinntk.jacobian import cast

#: Failure modes that a report may name before there is a rule for them.
TO_COME = {
    *("zero solves it", "given solution", "coefficients", "not finite"),
    *("many periods", "spurious solution", "contrast"),
}


@pytest.mark.fast
def test_the_collection_is_complete():
    sources = {report.source for report in ASKED.values()}
    assert len(sources) == 16
    assert all(source.startswith("https://") for source in sources)
    assert len(SMALLEST) == 9
    for source in sources:
        same = [report for report in ASKED.values() if report.source == source]
        assert sum(report.judged for report in same) == 1, source
        assert sum(report.counts for report in same) == 1, source
    known = {finding.name for finding in FINDINGS} | {"healthy", "unexplained"} | TO_COME
    for report in REPORTED.values():
        assert report.first <= known, report.name
        assert report.first or report.refused, report.name


@pytest.mark.fast
@each("name", [name for name, report in REPORTED.items() if not report.refused])
def test_every_report_can_be_started(name):
    setup = REPORTED[name].setup()
    with pk.precision(setup.dtype):
        start = setup.start(0)
    assert len(start.batch) == len(setup.problem.conditions)


def worst(setup, function):
    """The largest residual of a function by condition, relative to how far a slight change moves it."""
    problem = setup.problem
    with pk.precision("float64"):
        batch = cast(problem.sample(jax.random.key(3), jnp.float64), jnp.float64)
        # Sixty points of each condition, from all parts of its region.
        batch = jax.tree.map(lambda rows: rows[:: 1 + len(rows) // 60], batch)
        points = problem.test_points(jnp.float64)[::101]
        size = float(jnp.max(jnp.abs(jax.vmap(function)(points))))
        other = lambda p: function(p) + 0.1 * size * jnp.sin(1 + jnp.sum(jnp.sin(9 * p + 3 * p**2)))
        both = [
            {name: np.asarray(r) for name, r in problem.residuals(f, batch).items()}
            for f in (function, other)
        ]
    found, moved = both
    return {
        name: np.abs(found[name]).max() / np.abs(moved[name] - found[name]).max()
        for name in problem.names
    }


WITH_SOLUTION = [
    name
    for name, report in REPORTED.items()
    if name != "cavity" and name != "cloud" and not report.refused
]


@each("name", WITH_SOLUTION)
def test_a_given_solution_meets_the_conditions_but_those_that_it_is_known_not_to(name):
    report = REPORTED[name]
    setup = report.setup()
    found = worst(setup, setup.problem.solution)
    for condition, residual in found.items():
        assert (residual > report.exact) == (condition in report.unmet), (condition, residual)


@pytest.mark.fast
def test_control_a_wrong_solution_meets_none():
    setup = REPORTED["soliton"].setup()
    right = setup.problem.solution
    found = worst(setup, lambda p: 1.01 * right(p))
    assert found["schroedinger"] > REPORTED["soliton"].exact
    assert found["start"] > REPORTED["soliton"].exact


@pytest.mark.fast
def test_the_references_of_a_report_against_what_is_known_by_hand():
    curve = cubic(2.0, np.linspace(0, 2, 9)[:, None] ** 3, 3 * np.linspace(0, 2, 9)[:, None] ** 2)
    assert curve(jnp.float32(1.3))[0] == pytest.approx(1.3**3, rel=1e-6)
    rule = quadrature(-1, 2, 5)
    assert integral(lambda p: p[0], rule, jnp.float32, 2) == pytest.approx(3.0, rel=1e-6)
    # On the whole line the two-soliton state has |h(0, π/4)| = 4; the period adds about e^(−5).
    with pk.precision("float64"):
        h = np.asarray(REPORTED["soliton"].setup().problem.solution(jnp.array([0.0, np.pi / 4])))
    assert np.hypot(*h) == pytest.approx(4.0, rel=2e-2)
    # Everybody is in one group.
    with pk.precision("float64"):
        groups = np.asarray(REPORTED["epidemic"].setup().problem.solution(jnp.array([77.7])))
    assert groups.sum() == pytest.approx(1000.0, rel=1e-9)


# --- the smallest inputs --------------------------------------------------------------------------


def started(name, seed=0):
    setup = SMALLEST[name].setup()
    with pk.precision(setup.dtype):
        return setup.start(seed)


@pytest.mark.fast
@pytest.mark.usefixtures("untyped")
def test_an_integer_point_is_the_same_point():
    model = started("integer_point").model
    assert float(model(jnp.array([7]))) == pytest.approx(float(model(jnp.array([7.0]))), rel=1e-6)


@pytest.mark.fast
def test_the_name_of_an_activation_is_refused_where_it_is_given():
    """The residual is not to blame."""
    with pytest.raises(pk.PinntkError, match="activation"):
        pk.MLP(1, width=8, depth=1, activation="sin", key=jax.random.key(0))


def test_the_natural_gradient_trains_on_a_union():
    problem = SMALLEST["two_boxes"].setup().problem
    result = pk.start_run(pk.natural_setup(problem, steps=60, width=12, depth=1))
    assert result.relative_l2 < 0.05
