"""Problems: residuals against a loop over points, losses, redraws, and what a bad residual says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import CASES, assert_close, double_case, mlp, poisson, sample
from pinntk.calculus import Field
from pinntk.conditions import Condition, dirichlet, observations
from pinntk.domain import Box, Interval, Points, Random, SpaceTime
from pinntk.errors import PinntkError, ResidualError
from pinntk.problem import Problem, Sample, condition_key, field_errors, relative_l2

pytestmark = pytest.mark.fast

KEY = jax.random.key(5)
LINE = Interval(x=(0.0, 1.0))
SQUARE = Box(x=(0.0, 1.0), y=(0.0, 1.0))


@each("name", CASES)
def test_residuals_and_losses_are_those_of_a_loop_over_points(name, x64):
    case, batch = double_case(name)

    def loop(name, model):
        return jax.lax.map(lambda row: case.plain[name](model, *row), batch[name])

    residuals, losses, plain = jax.jit(
        lambda model: (
            case.problem.residuals(model, batch),
            case.problem.losses(model, batch),
            {name: loop(name, model) for name in case.plain},
        )
    )(case.model)
    assert set(residuals) == set(losses) == set(plain)  # jit sorts the names of a dictionary
    for name, rows in plain.items():
        assert len(rows) == case.points[name]
        assert_close(residuals[name], rows)
        assert_close(losses[name], np.mean(rows**2))


@each("name", CASES)
def test_rows_count_points_times_components(name, x64):
    case, batch = double_case(name)
    assert case.problem.rows(case.model, batch) == case.rows
    assert tuple(case.problem.rows(case.model, batch)) == case.problem.names
    case.problem.check(case.model, batch)


@each("name", CASES)
def test_the_exact_solution_has_no_residual(name, x64):
    case, batch = double_case(name)
    problem = case.problem
    losses = jax.jit(lambda batch: problem.losses(problem.solution, batch))(batch)
    for name, loss in losses.items():
        assert loss < 1e-24, name  # squares of rounding errors, of numbers of order ten


def test_a_batch_of_some_conditions_gives_those():
    problem, model = poisson(), mlp(KEY, 1)
    batch = {"residual": Sample(jnp.ones((2, 1)))}
    assert tuple(jax.jit(problem.losses)(model, batch)) == ("residual",)


def test_residuals_keep_float32_with_numbers_of_numpy_in_them():
    problem = Problem(
        "p", LINE, [Condition("r", lambda u, x: np.float32(2.0) * u(x) - 3 * u.d("x")(x), LINE, 3)]
    )
    batch = {"r": Sample(jnp.ones((3, 1)))}
    assert jax.eval_shape(problem.residuals, mlp(KEY, 1), batch)["r"].dtype == jnp.float32


# Sampling


def test_a_batch_has_the_points_of_every_condition():
    problem = poisson()
    batch = sample(problem)
    assert {name: drawn.points.shape for name, drawn in batch.items()} == {
        "boundary": (4, 1),
        "residual": (7, 1),
    }
    for name, drawn in sample(problem).items():
        np.testing.assert_array_equal(drawn.points, batch[name].points)
        assert drawn.targets is None
        assert drawn.points.dtype == jnp.float32
    other = sample(problem, jax.random.key(6))["residual"].points
    assert not np.any(np.asarray(other) == np.asarray(batch["residual"].points))


def test_the_dtype_of_a_batch_can_be_chosen(x64):
    data = observations("data", LINE, np.array([[0.5]]), np.array([2.0]))
    problem = Problem("p", LINE, [data, *poisson().conditions])
    batch = sample(problem, KEY, jnp.float32)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(batch))
    batch = sample(problem)
    assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(batch))
    assert batch["data"].targets[0] == 2.0


def test_adding_a_condition_leaves_the_points_of_the_others():
    few = poisson()
    more = Problem("p", LINE, [*few.conditions, dirichlet("extra", LINE, 0.0, 3)])
    a, b = sample(few), sample(more)
    for name in few.names:
        np.testing.assert_array_equal(a[name].points, b[name].points)


def test_only_conditions_that_ask_are_redrawn_and_only_at_their_steps():
    zero = lambda u, x: u(x)
    values = np.array([[0.2, 0.3], [0.4, 0.5]])
    problem = Problem(
        "p",
        SQUARE,
        [
            Condition("fixed", zero, SQUARE, 3),
            Condition("often", zero, SQUARE, 3, Random(), redraw_every=2),
            Condition("rarely", zero, SQUARE, 3, redraw_every=3),
            Condition("data", lambda u, x, y: u(x) - y, Points(values, ("x", "y")), 2,
                      redraw_every=1, targets=np.ones(2)),
        ],
    )  # fmt: skip
    batch = sample(problem)
    redraw = jax.jit(lambda batch, step: problem.redraw(batch, step, KEY))
    changed, seen = {}, {name: [np.asarray(s.points)] for name, s in batch.items()}
    for step in range(7):
        new = redraw(batch, step)
        changed[step] = {
            name for name in batch if np.any(np.asarray(new[name].points != batch[name].points))
        }
        assert all(new[name].points.dtype == batch[name].points.dtype for name in batch)
        for name in changed[step]:
            seen[name].append(np.asarray(new[name].points))
        batch = new
    assert changed == {
        0: set(), 1: set(), 2: {"often"}, 3: {"rarely"}, 4: {"often"}, 5: set(),
        6: {"often", "rarely"},
    }  # fmt: skip
    assert len(np.unique(np.concatenate(seen["often"]), axis=0)) == 4 * 3  # new ones every time
    np.testing.assert_array_equal(batch["data"].targets, np.ones(2))


def test_a_redraw_depends_on_the_step_and_the_key_alone():
    condition = Condition("r", lambda u, x: u(x), LINE, 3, redraw_every=2)
    problem = Problem("p", LINE, [condition])
    first = problem.redraw(sample(problem, jax.random.key(0)), 4, KEY)["r"].points
    again = problem.redraw(sample(problem, jax.random.key(1)), 4, KEY)["r"].points
    np.testing.assert_array_equal(first, again)


def test_keys_of_conditions_differ():
    keys = [jax.random.key_data(condition_key(KEY, i)).tolist() for i in range(5)]
    assert len(set(map(tuple, keys))) == 5


# Names and regions


def test_a_condition_is_found_by_name():
    problem = poisson()
    assert problem.condition("boundary") is problem.conditions[0]
    with pytest.raises(PinntkError, match=r"condition: got 'boundry'.*Did you mean 'boundary'"):
        problem.condition("boundry")


def test_a_problem_needs_a_condition():
    with pytest.raises(PinntkError, match=r"conditions: got none; expected at least one"):
        Problem("p", LINE, [])


def test_a_region_of_other_coordinates_is_refused():
    with pytest.raises(PinntkError) as error:
        Problem("p", SQUARE, [dirichlet("wall", Box(y=(0, 1), x=(0, 1)), 0.0, 3)])
    assert str(error.value) == (
        "where of condition 'wall': got coordinates ('y', 'x'); "
        "expected the domain's coordinates ('x', 'y'), in that order."
    )


def test_a_field_has_the_names_of_the_problem():
    problem = CASES["cauchy_riemann"]().problem
    field = problem.field(problem.solution)
    assert field.coordinates == ("x", "y")
    assert [component.coordinates for component in field.components()] == [("x", "y")] * 2
    with pytest.raises(PinntkError, match=r"component: got 'w'; expected one of u, v"):
        field["w"]


def test_a_model_with_an_output_of_shape_one_is_a_scalar_field():
    problem = poisson()
    assert problem.field(mlp(KEY, 1, 1))(jnp.array([0.3])).shape == ()


# check()


def checked(residual, where=LINE):
    problem = Problem(
        "p", where, [dirichlet("good", where, 0.0, 2), Condition("bad", residual, where, 2)]
    )
    model = Field(lambda x: jnp.sum(x**2), where.coordinates)
    points = Sample(jnp.ones((2, len(where.coordinates))))
    with pytest.raises(ResidualError) as error:
        problem.check(model, {"good": points, "bad": points})
    text = str(error.value)
    assert text.startswith("residual of condition 'bad': got ")
    return text


def fails(u, x):
    raise RuntimeError("no such table\nsecond line")


@each(
    ("residual", "words"),
    [
        (fails, "RuntimeError: no such table; expected a function (u, x)"),
        (lambda u: u, "TypeError: "),
        (lambda u, x: None, "ValueError: None"),
        (lambda u, x: (u(x), u(x), x), "expected a function (u, x) that returns a number"),
        (lambda u, x: x[:, 0], "IndexError: "),
        (lambda u, x: jnp.ones((2, 3)) * u(x), "shape (2, 3) at one point; expected a scalar ()"),
        (lambda u, x: jnp.zeros((0,)), "shape (0,) at one point"),
        (lambda u, x: jnp.asarray(x[0], int), "dtype int32; expected a floating-point residual"),
        (lambda u, x: u(x) > 0, "dtype bool; expected"),
        (lambda u, x: u(x) * 1j, "dtype complex64; expected"),
        (lambda u, x: u.d("z")(x), "an error: coordinate: got 'z'; expected one of x."),
        (lambda u, x: u["p"](x), "an error: component: got 'p'"),
    ],
)  # fmt: skip
def test_a_bad_residual_is_named(residual, words):
    assert words in checked(residual)


def test_a_shape_error_says_that_batching_is_not_the_residuals_job():
    text = checked(lambda u, x: jnp.ones((2, 3)) * u(x))
    assert text.endswith("Write it for one point; pinntk does the batching.")


def test_an_unknown_coordinate_keeps_its_suggestion():
    where = SpaceTime(space=(0, 1), t=(0, 1))
    assert "Did you mean 'space'?" in checked(lambda u, x: u.d("spce")(x), where=where)


@pytest.mark.parametrize(
    ("fields", "out", "words"),
    [
        (("u",), 2, "got a value of shape (2,) at one point; expected 1 number, for u."),
        (("u", "v"), 3, "got a value of shape (3,) at one point; expected 2 numbers, for u, v."),
        (("u", "v"), None, "got a value of shape () at one point; expected 2 numbers, for u, v."),
    ],
)
def test_a_model_of_the_wrong_size_is_named(fields, out, words):
    problem = Problem("p", LINE, [dirichlet("wall", LINE, 0.0, 2)], fields)
    with pytest.raises(ResidualError) as error:
        problem.check(mlp(KEY, 1, out), {"wall": Sample(jnp.ones((2, 1)))})
    assert words in str(error.value)


def test_check_accepts_a_vector_residual():
    condition = Condition("r", lambda u, x: jnp.stack([u(x), u.d("x")(x)]), LINE, 2)
    problem = Problem("p", LINE, [condition])
    problem.check(mlp(KEY, 1), {"r": Sample(jnp.ones((2, 1)))})


# Errors against a solution


def test_relative_l2_by_hand():
    exact = jnp.array([3.0, 4.0])
    assert relative_l2(exact, exact) == 0.0
    assert_close(relative_l2(jnp.array([3.0, 4.5]), exact), np.float32(0.1))
    vector = jnp.array([[3.0, 0.0], [0.0, 4.0]])
    assert_close(relative_l2(jnp.zeros((2, 2)), vector), np.float32(1.0))


def test_relative_l2_counts_each_field_alike():
    """A height of 0.03 beside a velocity of 1, h wrong by a third and u right."""
    exact = jnp.array([[0.03, 1.0], [0.03, -1.0]])
    found = jnp.array([[0.04, 1.0], [0.04, -1.0]])
    assert_close(field_errors(found, exact), np.float32([1 / 3, 0.0]))
    assert_close(relative_l2(found, exact), np.float32(1 / 3 / np.sqrt(2)))
    pooled = jnp.linalg.norm(found - exact) / jnp.linalg.norm(exact)
    assert pooled < 0.05 * relative_l2(found, exact)  # as if nothing were wrong


def test_field_that_is_zero_is_measured_against_all_fields():
    exact = jnp.array([[3.0, 0.0], [4.0, 0.0]])
    found = jnp.array([[3.0, 0.3], [4.0, 0.4]])
    # ‖exact‖ is 5 and 0, their root mean square 5/√2.
    assert_close(field_errors(found, exact), np.float32([0.0, 0.5 / (5 / np.sqrt(2))]))


def test_relative_l2_does_not_broadcast_a_column_against_a_row():
    with pytest.raises(PinntkError, match=r"prediction: got shape \(3, 1\); .*\(3,\)"):
        relative_l2(jnp.zeros((3, 1)), jnp.ones(3))


@pytest.mark.parametrize(
    ("domain", "shape"),
    [
        (LINE, (1001, 1)),
        (SQUARE, (101**2, 2)),
        (Box(x=(0, 1), y=(0, 1), z=(0, 1)), (21**3, 3)),
    ],
)
def test_test_points_are_a_grid_over_the_domain(domain, shape):
    problem = Problem("p", domain, [dirichlet("wall", domain, 0.0, 8)])
    points = problem.test_points()
    assert points.shape == shape
    np.testing.assert_array_equal(points[0], domain.lower)
    np.testing.assert_array_equal(points[-1], domain.upper)


def test_test_points_in_many_dimensions_lie_inside():
    """Of a uniform grid of 6 points along each of 5 coordinates, 87% would lie on the boundary."""
    box = Box(**dict.fromkeys("abcde", (-1.0, 1.0)))
    problem = Problem("p", box, [dirichlet("wall", box, 0.0, 8)])
    points = np.asarray(problem.test_points())
    assert points.shape == (10_000, 5)
    assert (np.abs(points) < 1).all()
    # Equidistribution: mean 0 and variance 1/3, here to 1e-3, at random to 1e-2.
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose((points**2).mean(axis=0), 1 / 3, atol=1e-3)
    np.testing.assert_array_equal(points, problem.test_points())
    grid = np.asarray(problem.test_points(per_side=3))
    assert grid.shape == (3**5, 5)
    assert (np.abs(grid) == 1).any(axis=1).sum() == 3**5 - 1


def test_test_points_can_be_fewer_and_of_another_dtype():
    problem = poisson()
    points = problem.test_points(jnp.float16, per_side=3)
    assert points.dtype == jnp.float16
    np.testing.assert_array_equal(points[:, 0], [0.0, 0.5, 1.0])


def test_test_points_of_given_points_are_those_points():
    where = Points(np.array([[0.1], [0.7]]), ("x",))
    problem = Problem("p", where, [dirichlet("wall", where, 0.0, 2)])
    np.testing.assert_allclose(problem.test_points(), [[0.1], [0.7]], rtol=1e-6)


def test_a_condition_beyond_the_domain_is_refused():
    domain, wide = Interval(x=(0, 1)), Interval(x=(0, 2))
    with pytest.raises(PinntkError, match=r"'far': got Box.*, which reaches outside the domain"):
        Problem("p", domain, [dirichlet("far", wide, 0.0, 4)])
    with pytest.raises(PinntkError, match=r"'far': got Box.*, which reaches outside the domain"):
        Problem("p", domain, [dirichlet("far", wide.faces(), 0.0, 4)])
    Problem("p", wide, [dirichlet("near", domain, 0.0, 4)])


@each(
    ("fields", "words"),
    [
        ("uv", "fields: got 'uv'; expected a tuple with a name for each component of the unknown. "
               "Write fields=('uv',) for one component."),
        (("u", "u"), "fields: got two named 'u'; expected distinct names."),
        (None, "fields: got None; expected a tuple"),
        ((), "fields: got (); expected a tuple"),
        (("u", 1), "fields: got ('u', 1); expected a tuple"),
    ],
)  # fmt: skip
def test_fields_are_names(fields, words):
    with pytest.raises(PinntkError) as error:
        Problem("p", LINE, [dirichlet("wall", LINE, 0.0, 2)], fields)
    assert words in str(error.value)


def test_a_list_of_fields_is_a_tuple_of_fields():
    assert Problem("p", LINE, [dirichlet("wall", LINE, 0.0, 2)], ["u", "v"]).fields == ("u", "v")


def test_a_sampler_is_an_object():
    with pytest.raises(PinntkError, match="sampler of condition 'wall': got 'sobol'; expected a s"):
        dirichlet("wall", LINE, 0.0, 2, sampler="sobol")
