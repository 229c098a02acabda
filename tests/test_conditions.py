"""The ready-made conditions: zero on the function they describe, not zero on another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import sample
from pinntk.conditions import (
    Condition,
    dirichlet,
    initial_value,
    initial_velocity,
    neumann,
    observations,
    periodic,
    robin,
)
from pinntk.domain import Box, Interval, Points, Random, Sobol, SpaceTime
from pinntk.errors import PinntkError, ResidualError
from pinntk.problem import Problem

pytestmark = pytest.mark.fast

SQUARE = Box(x=(0.0, 1.0), y=(0.0, 2.0))
DOMAIN = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))
RING = Box(x=(-1.0, 1.0), y=(0.0, 1.0))
SEEN = np.array([[0.1, 0.4], [0.9, 1.5], [0.5, 0.0]])


def paraboloid(x):
    return x[0] ** 2 + 3 * x[0] * x[1]


def outward_slope(x):
    """∂u/∂n of the paraboloid on the rim of the square, from the side that the point lies on."""
    across = jnp.where(x[0] == 0.0, -1.0, jnp.where(x[0] == 1.0, 1.0, 0.0))
    along = jnp.where(across != 0.0, 0.0, jnp.where(x[1] == 0.0, -1.0, 1.0))
    return across * (2 * x[0] + 3 * x[1]) + along * 3 * x[0]


def standing_wave(x):
    return jnp.sin(jnp.pi * x[0]) * (jnp.cos(2 * x[1]) + jnp.sin(x[1]))


def swirl(x):
    return jnp.stack([x[0] * x[1], x[0] - 2 * x[1]])


def around(x):
    return jnp.sin(jnp.pi * x[0]) * x[1] + jnp.cos(2 * jnp.pi * x[0])


#: name: condition, its domain, names of the components, a function that fulfils it, one that does not
CASES = {
    "dirichlet_number": (
        dirichlet("c", SQUARE.face(x=0.0), 0.0, 5),
        SQUARE,
        ("u",),
        paraboloid,
        lambda x: paraboloid(x) + 0.1,
    ),
    "dirichlet_function": (
        dirichlet("c", SQUARE.faces(), paraboloid, 8),
        SQUARE,
        ("u",),
        paraboloid,
        lambda x: paraboloid(x) + 0.1 * x[0],
    ),
    "dirichlet_vector": (
        dirichlet("c", SQUARE.faces(), swirl, 8),
        SQUARE,
        ("u", "v"),
        swirl,
        lambda x: swirl(x) * jnp.array([1.0, 1.1]),
    ),
    "neumann": (
        neumann("c", SQUARE.faces(), outward_slope, 8),
        SQUARE,
        ("u",),
        lambda x: paraboloid(x) + 5.0,
        lambda x: -paraboloid(x),  # a normal that points inwards
    ),
    "robin": (
        robin(
            "c", SQUARE.faces(), 2.0, 0.5, lambda x: 2 * paraboloid(x) + 0.5 * outward_slope(x), 8
        ),
        SQUARE,
        ("u",),
        paraboloid,
        lambda x: paraboloid(x) + 1.0,
    ),
    "robin_of_functions": (
        robin(
            "c",
            SQUARE.faces("x"),
            lambda x: x[1],
            lambda x: 1 + x[1],
            lambda x: x[1] * paraboloid(x) + (1 + x[1]) * outward_slope(x),
            8,
        ),
        SQUARE,
        ("u",),
        paraboloid,
        lambda x: 1.1 * paraboloid(x),
    ),
    "periodic": (
        periodic("c", RING, "x", 6),
        RING,
        ("u",),
        around,
        lambda x: x[0] ** 2,  # the values agree, the slopes do not
    ),
    "periodic_vector": (
        periodic("c", RING, "x", 6),
        RING,
        ("u", "v"),
        lambda x: jnp.stack([around(x), x[1]]),
        lambda x: jnp.stack([around(x), x[0]]),
    ),
    "initial_value": (
        initial_value("c", DOMAIN, lambda x: jnp.sin(jnp.pi * x[0]), 5),
        DOMAIN,
        ("u",),
        standing_wave,
        lambda x: 2 * standing_wave(x),
    ),
    "initial_velocity": (
        initial_velocity("c", DOMAIN, lambda x: jnp.sin(jnp.pi * x[0]), 5),
        DOMAIN,
        ("u",),
        standing_wave,
        lambda x: jnp.sin(jnp.pi * x[0]) * jnp.cos(2 * x[1]),
    ),
    "observations": (
        observations("c", SQUARE, SEEN, SEEN[:, 0] ** 2 + 3 * SEEN[:, 0] * SEEN[:, 1]),
        SQUARE,
        ("u",),
        paraboloid,
        lambda x: paraboloid(x) + x[0],
    ),
    "observations_of_a_column": (
        observations("c", SQUARE, SEEN, (SEEN[:, 0] ** 2 + 3 * SEEN[:, 0] * SEEN[:, 1])[:, None]),
        SQUARE,
        ("u",),
        paraboloid,
        lambda x: paraboloid(x) + x[0],
    ),
    "observations_of_a_component": (
        observations("c", SQUARE, SEEN, SEEN[:, 0] - 2 * SEEN[:, 1], lambda w, x: w["v"](x)),
        SQUARE,
        ("u", "v"),
        swirl,
        lambda x: swirl(x)[::-1],
    ),
    "observations_of_a_slope": (
        observations("c", SQUARE, SEEN, 3 * SEEN[:, 0], lambda u, x: u.d("y")(x)),
        SQUARE,
        ("u",),
        lambda x: paraboloid(x) + 7.0,
        lambda x: x[0] ** 2,
    ),
}


@each("case", CASES)
def test_the_residual_vanishes_on_its_function_and_not_on_another(case, x64):
    condition, domain, fields, right, wrong = CASES[case]
    problem = Problem("p", domain, [condition], fields)
    good, bad = jax.jit(
        lambda batch: [problem.residuals(function, batch)["c"] for function in (right, wrong)]
    )(sample(problem))
    assert len(good) == condition.points
    # The numbers are of order one and the Sobol points those of float32: rounding is 1e-15, and
    # the fixed coordinate is exact, so that sides are told apart.
    np.testing.assert_allclose(good, 0.0, atol=1e-12)
    assert np.max(np.abs(bad)) > 1e-2


@each(("order", "components", "rows"), [(0, 1, 1), (1, 1, 2), (2, 1, 3), (1, 2, 4)])
def test_a_periodic_condition_has_a_row_for_each_derivative_and_component(order, components, rows):
    fields = ("u", "v")[:components]
    problem = Problem("p", RING, [periodic("c", RING, "x", 3, order=order)], fields)
    model = around if components == 1 else lambda x: jnp.stack([around(x), x[0]])
    assert problem.rows(model, sample(problem)) == {"c": 3 * rows}


def test_a_periodic_condition_sees_only_the_derivatives_up_to_its_order(x64):
    """x⁴ − 2x² has equal values and slopes at ±1, and odd third derivatives that differ."""
    even = lambda x: x[0] ** 4 - 2 * x[0] ** 2
    for order, vanishes in [(2, True), (3, False)]:
        problem = Problem("p", RING, [periodic("c", RING, "x", 2, order=order)])
        residual = problem.residuals(even, sample(problem))["c"]
        assert (np.max(np.abs(residual)) < 1e-12) == vanishes


def test_options_reach_the_condition():
    sampler = Random()
    options = {"sampler": sampler, "redraw_every": 10}
    for condition in (
        dirichlet("c", SQUARE.faces(), 0.0, 8, **options),
        neumann("c", SQUARE.faces(), 0.0, 8, **options),
        robin("c", SQUARE.faces(), 1.0, 1.0, 0.0, 8, **options),
        periodic("c", RING, "x", 8, **options),
        initial_value("c", DOMAIN, 0.0, 8, **options),
        initial_velocity("c", DOMAIN, 0.0, 8, **options),
    ):
        assert (condition.points, condition.sampler, condition.redraw_every) == (8, sampler, 10)
    assert isinstance(dirichlet("c", SQUARE.faces(), 0.0, 8).sampler, Sobol)


# Bad input


@each("name", ["", "a b", "a-b", "r/1", "_"])
def test_a_bad_name_is_refused(name):
    with pytest.raises(PinntkError) as error:
        dirichlet(name, SQUARE, 0.0, 3)
    assert str(error.value) == f"name: got {name}; expected letters, digits and underscores."


@each("points", [0, -3, 2.0, True, "10", None])
def test_a_bad_count_names_the_condition(points):
    with pytest.raises(
        PinntkError, match=r"points of condition 'wall': got .*a whole number, 1 or more"
    ):
        dirichlet("wall", SQUARE, 0.0, points)


@pytest.mark.parametrize("every", [0, -1, 1.5])
def test_a_bad_redraw_names_the_condition(every):
    with pytest.raises(PinntkError, match=r"redraw_every of condition 'wall': got"):
        dirichlet("wall", SQUARE, 0.0, 3, redraw_every=every)


def test_a_count_may_come_from_numpy():
    assert dirichlet("wall", SQUARE, 0.0, np.int64(3)).points == 3


def test_a_residual_is_a_function():
    with pytest.raises(PinntkError) as error:
        Condition("wall", 3.0, SQUARE, 3)
    assert str(error.value) == "residual of condition 'wall': got 3.0; expected a function (u, x)."


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_that_are_not_finite_are_counted_and_located(bad):
    values = np.array([1.0, bad, bad])
    with pytest.raises(PinntkError) as error:
        observations("probe", SQUARE, SEEN, values)
    assert str(error.value) == (
        "values of condition 'probe': got 2 rows with NaN or infinity, the first at row 1; "
        "expected finite numbers. Drop those rows from points and values."
    )
    with pytest.raises(PinntkError, match=r"got 1 rows with NaN or infinity, the first at row 2"):
        observations("probe", SQUARE, SEEN, np.array([[1.0, 2.0], [0.0, 0.0], [3.0, bad]]))


@pytest.mark.parametrize("shape", [(2,), (4, 1), ()])
def test_data_need_a_row_for_each_point(shape):
    with pytest.raises(PinntkError) as error:
        observations("probe", SQUARE, SEEN, np.zeros(shape))
    assert str(error.value) == (
        f"values: got shape {shape}; expected one row for each of the 3 points."
    )


@pytest.mark.parametrize(("fields", "columns", "seen"), [(("u",), 2, 1), (("u", "v"), 1, 2)])
def test_data_of_the_wrong_width_are_not_broadcast(fields, columns, seen):
    values = np.zeros((3, columns) if columns > 1 else 3)
    problem = Problem("p", SQUARE, [observations("probe", SQUARE, SEEN, values)], fields)
    model = paraboloid if seen == 1 else swirl
    with pytest.raises(
        ResidualError, match=f"got {columns} for each point; expected {seen}, as many"
    ):
        problem.check(model, sample(problem))


def test_points_outside_the_domain_are_counted_and_shown():
    points = np.array([[0.1, 0.4], [1.5, 0.2], [0.5, -1.0]])
    condition = observations("probe", SQUARE, points, np.zeros(3))
    with pytest.raises(PinntkError) as error:
        Problem("p", SQUARE, [condition])
    assert str(error.value) == (
        "points of condition 'probe': got 2 of 3 outside the domain, first [1.5, 0.2]; "
        "expected points of Box(x=(0.0, 1.0), y=(0.0, 2.0))."
    )


def test_points_of_the_wrong_dimension_are_refused():
    with pytest.raises(
        PinntkError, match=r"points: got an array of shape \(3, 2\); .*shape \(n, 1\)"
    ):
        observations("probe", Interval(x=(0, 1)), SEEN, np.zeros(3))


def test_two_conditions_of_one_name_are_refused():
    condition = dirichlet("wall", SQUARE, 0.0, 3)
    with pytest.raises(PinntkError) as error:
        Problem("p", SQUARE, [condition, condition])
    assert str(error.value) == "conditions: got two named 'wall'; expected distinct names."


def test_conditions_on_time_need_a_time():
    for helper in (initial_value, initial_velocity):
        with pytest.raises(PinntkError, match=r"coordinate: got 't'; expected one of x, y"):
            helper("start", SQUARE, 0.0, 3)


def test_a_periodic_coordinate_is_one_of_the_domain():
    with pytest.raises(PinntkError, match=r"coordinate: got 'z'; expected one of x, y"):
        periodic("around", RING, "z", 3)


def test_given_points_set_the_number_of_points():
    condition = observations("probe", SQUARE, SEEN, np.zeros(3))
    assert condition.points == 3
    wrong = Condition("probe", condition.residual, Points(SEEN, ("x", "y")), 5)
    with pytest.raises(PinntkError, match=r"points: got 5; expected 3, as many as were given"):
        Problem("p", SQUARE, [wrong]).sample(jax.random.key(0))
