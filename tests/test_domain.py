"""Regions and samplers: where the points lie, how evenly, and what bad input says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import qmc

from each import each
from pinntk.domain import (
    Box,
    Interval,
    LatinHypercube,
    Points,
    Random,
    Sobol,
    SpaceTime,
    UniformGrid,
    Union,
)
from pinntk.errors import PinntkError

pytestmark = pytest.mark.fast

KEY = jax.random.key(7)
SAMPLERS = {
    "random": Random(),
    "latin_hypercube": LatinHypercube(),
    "sobol": Sobol(),
    "uniform_grid": UniformGrid((4, 2, 2)),
}


def message(error):
    return str(error.value)


def draw(region, sampler, n):
    """Points of a region, by one compiled program."""
    return jax.jit(lambda key: region.sample(sampler, n, key))(KEY)


# Samplers


@each("name", SAMPLERS)
def test_a_sampler_fills_the_unit_cube_and_repeats_itself(name):
    sampler = SAMPLERS[name]
    points = sampler.sample(KEY, 16, 3)
    assert points.shape == (16, 3)
    assert points.dtype == jnp.float32
    assert jnp.all((points >= 0) & (points <= 1))
    np.testing.assert_array_equal(points, sampler.sample(KEY, 16, 3))
    jitted = jax.jit(lambda key: sampler.sample(key, 16, 3))(KEY)
    np.testing.assert_array_equal(points, jitted)


@pytest.mark.parametrize("name", ["random", "latin_hypercube", "sobol"])
def test_another_key_gives_other_points(name):
    first, second = (SAMPLERS[name].sample(jax.random.key(i), 16, 3) for i in (0, 1))
    assert not np.any(np.asarray(first) == np.asarray(second))


@pytest.mark.parametrize("name", ["random", "sobol"])
def test_random_samplers_give_float64_under_x64(name, x64):
    assert SAMPLERS[name].sample(KEY, 16, 3).dtype == jnp.float64


def test_sobol_points_do_not_depend_on_the_precision():
    single = Sobol().sample(KEY, 64, 2)
    with jax.enable_x64(True):
        double = Sobol().sample(KEY, 64, 2)
    np.testing.assert_array_equal(np.asarray(single, np.float64), double)


def in_dyadic_boxes(points, n):
    """How many points fall in each of the n equal slices of the first, and halves of the second."""
    columns = np.floor(np.asarray(points) * [n // 2, 2]).astype(int)
    return np.bincount(columns[:, 0] * 2 + columns[:, 1], minlength=n)


def test_sobol_is_balanced_where_random_is_not():
    """64 points, 64 boxes: a (0, m, 2)-net has exactly one in each, whatever the digital shift."""
    for seed in range(3):
        assert np.all(in_dyadic_boxes(Sobol().sample(jax.random.key(seed), 64, 2), 64) == 1)
    assert np.max(in_dyadic_boxes(Random().sample(KEY, 64, 2), 64)) > 1


def test_sobol_has_a_lower_discrepancy_than_random():
    def mean_discrepancy(sampler):
        draws = jax.jit(jax.vmap(lambda key: sampler.sample(key, 64, 2)))(jax.random.split(KEY, 5))
        return np.mean([qmc.discrepancy(points) for points in np.asarray(draws)])

    assert mean_discrepancy(Sobol()) < 0.3 * mean_discrepancy(Random())


@pytest.mark.parametrize("bits", [0, 2**32 - 1])
def test_no_sobol_point_lies_on_a_wall(bits, monkeypatch):
    """Also for the shift that maps the first point, the origin, to the far corner."""
    monkeypatch.setattr(jax.random, "bits", lambda key, shape, dtype: jnp.full(shape, bits, dtype))
    points = Sobol().sample(KEY, 4, 2)
    assert jnp.all((points > 0) & (points < 1))


def test_latin_hypercube_has_one_point_in_each_slice_where_random_has_not():
    def slices(sampler):
        return np.sort(np.floor(np.asarray(sampler.sample(KEY, 16, 3)) * 16), axis=0)

    expected = np.tile(np.arange(16.0)[:, None], (1, 3))
    np.testing.assert_array_equal(slices(LatinHypercube()), expected)
    assert np.any(slices(Random()) != expected)


def test_latin_hypercube_shuffles_coordinates_independently():
    points = np.asarray(LatinHypercube().sample(KEY, 16, 3))
    assert np.any(np.argsort(points[:, 0]) != np.argsort(points[:, 1]))


def test_a_uniform_grid_includes_both_ends():
    line = UniformGrid().sample(KEY, 5, 1)
    np.testing.assert_array_equal(line, [[0.0], [0.25], [0.5], [0.75], [1.0]])
    square = UniformGrid().sample(KEY, 9, 2)
    np.testing.assert_array_equal(square[:4], [[0, 0], [0, 0.5], [0, 1], [0.5, 0]])
    table = UniformGrid((3, 2)).sample(KEY, 6, 2)
    np.testing.assert_array_equal(table, [[0, 0], [0, 1], [0.5, 0], [0.5, 1], [1, 0], [1, 1]])
    assert UniformGrid().sample(KEY, 125, 3).shape == (125, 3)


def test_a_uniform_grid_of_the_wrong_count_names_the_right_ones():
    with pytest.raises(PinntkError) as error:
        UniformGrid().sample(KEY, 10, 2)
    assert message(error) == (
        "points: got 10; expected m**2 points for a uniform grid in 2 dimensions. "
        "Use 9 or 16, or UniformGrid(shape=(...))."
    )


@pytest.mark.parametrize(("shape", "n", "d"), [((3, 3), 10, 2), ((3, 3), 9, 1), ((9,), 9, 2)])
def test_a_grid_shape_that_does_not_fit_is_refused(shape, n, d):
    with pytest.raises(
        PinntkError, match=rf"UniformGrid.shape: got .*expected {d} counts.*{n} points"
    ):
        UniformGrid(shape).sample(KEY, n, d)


# Boxes


def test_a_box_scales_the_unit_cube():
    box = Box(x=(-1.0, 3.0), y=(10.0, 11.0))
    assert box.coordinates == box.free == ("x", "y")
    assert (box.lower, box.upper) == ((-1.0, 10.0), (3.0, 11.0))
    corners = draw(box, UniformGrid(), 4)
    np.testing.assert_array_equal(corners, [[-1, 10], [-1, 11], [3, 10], [3, 11]])


@pytest.mark.parametrize("name", ["random", "sobol"])
def test_samples_of_a_region_lie_in_it(name):
    box = SpaceTime(x=(-1.0, 3.0), y=(10.0, 11.0), t=(0.0, 0.1))
    rim = Union([box.initial(), box.walls()])
    inside, on_rim, on_face = (
        np.asarray(draw(region, SAMPLERS[name], 24)) for region in (box, rim, box.face(y=11.0))
    )
    assert inside.shape == on_rim.shape == on_face.shape == (24, 3)
    assert box.contains(inside).all()
    assert rim.contains(on_rim).all()
    assert box.face(y=11.0).contains(on_face).all()
    assert not rim.contains(inside).any()


def test_a_region_is_sampled_alike_inside_jit():
    rim = Box(x=(0.0, 2.0), y=(0.0, 1.0)).faces("x")
    sample = lambda key: rim.sample(Sobol(), 10, key)
    np.testing.assert_array_equal(sample(KEY), jax.jit(sample)(KEY))


def test_contains_has_only_the_slack_of_rounding():
    box = Box(x=(0.0, 1.0), y=(0.0, 100.0))
    points = np.array([[0.5, 50], [0, 0], [1, 100], [1 + 1e-7, 50], [1.001, 50], [0.5, -0.1]])
    np.testing.assert_array_equal(box.contains(points), [True] * 4 + [False] * 2)
    np.testing.assert_array_equal(
        box.face(x=1.0).contains(points), [False] * 2 + [True] * 2 + [False] * 2
    )


def test_a_face_holds_its_coordinate():
    face = Box(x=(0.0, 2.0), y=(0.0, 1.0)).face(x=2)
    assert face.free == ("y",)
    points = draw(face, Sobol(), 8)
    assert jnp.all(points[:, 0] == 2.0)
    assert len(np.unique(points[:, 1])) == 8
    edge = face.face(y=0.0)
    np.testing.assert_array_equal(draw(edge, Sobol(), 3), [[2.0, 0.0]] * 3)


def test_the_end_of_an_interval_is_one_point():
    for sampler in (Random(), LatinHypercube(), Sobol(), UniformGrid()):
        ends = draw(Interval(x=(0.0, 1.0)).faces(), sampler, 4)
        np.testing.assert_array_equal(ends, [[0.0], [0.0], [1.0], [1.0]])


def test_faces_are_both_ends_of_the_named_or_free_coordinates():
    box = Box(x=(0.0, 2.0), y=(0.0, 1.0))
    fixed = lambda union: [part.fixed for part in union.parts]
    assert fixed(box.faces()) == [{"x": 0.0}, {"x": 2.0}, {"y": 0.0}, {"y": 1.0}]
    assert fixed(box.faces("y")) == [{"y": 0.0}, {"y": 1.0}]
    assert fixed(box.face(x=0.0).faces()) == [{"x": 0.0, "y": 0.0}, {"x": 0.0, "y": 1.0}]


def test_a_space_time_has_a_first_instant_and_walls():
    domain = SpaceTime(x=(0.0, 2.0), t=(1.0, 3.0))
    assert domain.initial().fixed == {"t": 1.0}
    assert [part.fixed for part in domain.walls().parts] == [{"x": 0.0}, {"x": 2.0}]
    volume = SpaceTime(x=(0.0, 1.0), y=(0.0, 1.0), t=(0.0, 1.0))
    assert len(volume.walls().parts) == 4
    assert [part.fixed for part in volume.walls("y").parts] == [{"y": 0.0}, {"y": 1.0}]


@each(
    ("face", "normal"),
    [({"x": 0}, [-1, 0]), ({"x": 2}, [1, 0]), ({"y": 0}, [0, -1]), ({"y": 1}, [0, 1])],
)
def test_the_normal_points_out_of_the_box(face, normal):
    box = Box(x=(0.0, 2.0), y=(0.0, 1.0))
    point = draw(box.face(**face), Sobol(), 1)[0]
    np.testing.assert_array_equal(box.face(**face).normal(point), normal)
    np.testing.assert_array_equal(box.faces().normal(point), normal)


def test_the_normal_of_a_union_under_vmap_is_that_of_each_part():
    walls = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0)).walls()
    points = draw(walls, Sobol(), 4)
    normals = jax.jit(jax.vmap(walls.normal))(points)
    np.testing.assert_array_equal(normals, [[-1, 0], [-1, 0], [1, 0], [1, 0]])


def test_a_corner_takes_the_normal_of_the_first_part_and_a_point_inside_none():
    faces = Box(x=(0.0, 1.0), y=(0.0, 1.0)).faces()
    np.testing.assert_array_equal(faces.normal(jnp.array([1.0, 1.0])), [1, 0])
    assert jnp.all(jnp.isnan(faces.normal(jnp.array([0.5, 0.5]))))


# Unions


@each(
    ("n", "shares", "counts"),
    [
        (6, None, [2, 2, 2]),
        (7, None, [3, 2, 2]),
        (8, None, [3, 3, 2]),
        (8, [2, 1, 1], [4, 2, 2]),
        (9, [1, 1, 2], [3, 2, 4]),
        (128, [1, 1, 1000], [1, 1, 126]),  # a small share is one point, not none
    ],
)
def test_a_union_shares_its_points_out(n, shares, counts):
    box = Box(x=(0.0, 1.0), y=(0.0, 1.0))
    union = Union([box.face(x=0.0), box.face(x=1.0), box.face(y=0.0)], shares)
    assert union.counts(n) == counts


def test_points_of_a_union_come_part_after_part():
    box = Box(x=(0.0, 1.0), y=(0.0, 1.0))
    union = Union([box.face(x=0.0), box.face(x=1.0), box.face(y=0.0)], [1, 1, 2])
    points = np.asarray(draw(union, Sobol(), 9))
    assert points.shape == (9, 2)
    assert np.all(points[:3, 0] == 0.0)
    assert np.all(points[3:5, 0] == 1.0)
    assert np.all(points[5:, 1] == 0.0)


def test_parts_of_a_union_are_drawn_independently():
    points = draw(Box(x=(0.0, 1.0), y=(0.0, 1.0)).faces("x"), Random(), 8)
    assert not np.any(np.asarray(points[:4, 1]) == np.asarray(points[4:, 1]))


def test_a_union_contains_what_any_part_contains():
    union = Box(x=(0.0, 1.0), y=(0.0, 1.0)).faces("x")
    points = np.array([[0.0, 0.5], [1.0, 0.5], [0.5, 0.0], [0.0, 2.0]])
    np.testing.assert_array_equal(union.contains(points), [True, True, False, False])


# Given points


def test_given_points_are_sampled_as_they_are():
    values = np.array([[0.0, 1.0], [2.0, 3.0]])
    region = Points(values, ("x", "t"))
    np.testing.assert_array_equal(draw(region, Random(), 2), values)
    assert draw(region, Random(), 2).dtype == jnp.float32
    asked = np.array([[2.0, 3.0], [2.0, 3.1], [0.0, 1.0]])
    np.testing.assert_array_equal(region.contains(asked), [True, False, True])
    assert repr(region) == "Points(2 points of x, t)"


def test_the_number_of_given_points_cannot_be_changed():
    with pytest.raises(PinntkError) as error:
        draw(Points(np.zeros((3, 1)), ("x",)), Random(), 5)
    assert message(error) == "points: got 5; expected 3, as many as were given."


@each("shape", [(4,), (4, 3), (0, 2), (2, 2, 2)])
def test_points_of_the_wrong_shape_are_refused(shape):
    with pytest.raises(PinntkError) as error:
        Points(np.zeros(shape), ("x", "t"))
    assert message(error) == (
        f"points: got an array of shape {shape}; "
        "expected shape (n, 2), one column for each of x, t, n ≥ 1."
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_are_counted(bad):
    values = np.zeros((5, 2))
    values[2, 1] = values[4, 0] = bad
    with pytest.raises(PinntkError) as error:
        Points(values, ("x", "t"))
    assert message(error) == (
        "points: got 2 rows with NaN or infinity, the first at row 2; expected finite numbers."
    )


# Bad input


@each("pair", [(1.0, 0.0), (1.0, 1.0), (0.0, np.inf), (np.nan, 1.0), (0.0,), 3.0, "ab", None])
def test_bad_bounds_are_named(pair):
    with pytest.raises(PinntkError) as error:
        Box(x=(0.0, 1.0), y=pair)
    shown = pair if isinstance(pair, str) else repr(pair)
    assert message(error) == f"y: got {shown}; expected (low, high) with finite low < high."


def test_a_box_needs_a_coordinate():
    with pytest.raises(PinntkError, match=r"Box: got no coordinate; expected at least one"):
        Box()


def test_an_interval_has_one_coordinate():
    with pytest.raises(PinntkError, match=r"Interval: got \('x', 'y'\); expected exactly one"):
        Interval(x=(0, 1), y=(0, 1))


def test_a_space_time_needs_a_time():
    with pytest.raises(PinntkError, match=r"SpaceTime: got 't'; expected one of x, tau"):
        SpaceTime(x=(0, 1), tau=(0, 1))


def test_a_space_time_without_space_has_no_walls():
    with pytest.raises(PinntkError, match=r"walls: got Box\(t=\(0.0, 1.0\)\)"):
        SpaceTime(t=(0, 1)).walls()


def test_a_face_sits_at_an_end():
    with pytest.raises(PinntkError) as error:
        Box(x=(0, 1)).face(x=0.5)
    assert message(error) == "face(x=...): got 0.5; expected an end of (0.0, 1.0)."


@pytest.mark.parametrize("method", ["face", "faces"])
def test_an_unknown_coordinate_gets_a_suggestion(method):
    box = Box(space=(0, 1), height=(0, 1))
    with pytest.raises(PinntkError, match=r"coordinate: got 'spac'.*Did you mean 'space'"):
        box.face(spac=0) if method == "face" else box.faces("spac")


def test_an_edge_or_the_inside_has_no_normal():
    box = Box(x=(0, 1), y=(0, 1))
    for region in (box, box.face(x=0, y=0), box.face(x=0).faces()):
        with pytest.raises(PinntkError, match=r"normal: .*exactly one fixed coordinate"):
            region.normal(jnp.zeros(2))


def test_given_points_have_no_normal():
    region = Points(np.zeros((3, 1)), ("x",))
    with pytest.raises(PinntkError, match=r"normal: got Points.*expected a face of a box"):
        region.normal(jnp.zeros(1))
    with pytest.raises(PinntkError, match=r"normal: got Points.*a union of faces of a box"):
        Union([region]).normal(jnp.zeros(1))


def test_a_union_needs_parts_of_the_same_coordinates():
    with pytest.raises(PinntkError, match=r"Union: got no part; expected at least one region"):
        Union([])
    with pytest.raises(PinntkError, match=r"Union: .*the same coordinates in the same order"):
        Union([Box(x=(0, 1), y=(0, 1)), Box(y=(0, 1), x=(0, 1))])


@each("shares", [[1], [1, 0], [1, -2], [1, 2, 3], [1.5, 1], [True, 1], ["a", "b"], 3])
def test_bad_shares_are_refused(shares):
    with pytest.raises(PinntkError, match=r"shares: got .*expected 2 positive numbers"):
        Union([Box(x=(0, 1)), Box(x=(1, 2))], shares)


def test_too_few_points_for_a_union_are_refused():
    with pytest.raises(PinntkError) as error:
        draw(Box(x=(0, 1), y=(0, 1)).faces(), Sobol(), 3)
    assert message(error) == "points: got 3; expected at least 4, one for every part."


def test_regions_show_what_they_are():
    box = SpaceTime(x=(0, 1), t=(0, 2))
    assert repr(box) == "Box(x=(0.0, 1.0), t=(0.0, 2.0))"
    assert repr(box.walls()) == "Union([Box(x=0.0, t=(0.0, 2.0)), Box(x=1.0, t=(0.0, 2.0))])"
