"""A region of one's own, of three methods and three attributes, wherever a box can stand."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pinntk as pk
from each import each
from pinntk.diagnosis import measures, views
from pinntk.diagnosis.contradiction import find_clash
from pinntk.diagnosis.subject import Draw, JaxSubject
from pinntk.domain import Instant, evenly, first_instant, lines, plane
from pinntk.errors import PinntkError
from pinntk.jacobian import cast
from pinntk.problem import subsample
from pinntk.report import write
from pinntk.training import (
    Network,
    ProgressivePoints,
    ResidualAdaptive,
    standard_scaling,
    unit_scaling,
)

KEY = jax.random.key(3)
INNER, OUTER = 1.0, 2.0
AREA = math.pi * (OUTER**2 - INNER**2)


class Annulus(pk.AbstractRegion):
    """inner ≤ r ≤ outer."""

    coordinates = ("x", "y")

    def __init__(self, inner=INNER, outer=OUTER):
        self.inner, self.outer = inner, outer
        self.lower, self.upper = (-outer, -outer), (outer, outer)

    def sample(self, sampler, n, key):
        unit = sampler.sample(key, n, 2)
        r = jnp.sqrt(self.inner**2 + (self.outer**2 - self.inner**2) * unit[:, 0])
        angle = 2 * jnp.pi * unit[:, 1]
        return jnp.stack([r * jnp.cos(angle), r * jnp.sin(angle)], axis=1)

    def contains(self, points):
        r = np.hypot(points[:, 0], points[:, 1])
        return (self.inner <= r) & (r <= self.outer)  # no allowance for rounding

    def normal(self, point):
        return point / jnp.linalg.norm(point)


class Circle(pk.AbstractRegion):
    """One rim of it; `inwards` is where its outward normal points."""

    coordinates = ("x", "y")

    def __init__(self, radius, inwards=False):
        self.radius, self.sign = radius, -1.0 if inwards else 1.0
        self.lower, self.upper = (-radius, -radius), (radius, radius)

    def sample(self, sampler, n, key):
        angle = 2 * jnp.pi * sampler.sample(key, n, 1)[:, 0]
        return self.radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)

    def contains(self, points):
        return np.abs(np.hypot(points[:, 0], points[:, 1]) - self.radius) <= 1e-6 * self.radius

    def normal(self, point):
        return self.sign * point / jnp.linalg.norm(point)


class InTime(pk.AbstractRegion):
    """A region of the plane at all times from 0 to 1."""

    coordinates = ("x", "y", "t")

    def __init__(self, space):
        self.space = space
        self.lower, self.upper = (*space.lower, 0.0), (*space.upper, 1.0)

    def sample(self, sampler, n, key):
        time = jax.random.uniform(jax.random.fold_in(key, 1), (n, 1))
        return jnp.concatenate([self.space.sample(sampler, n, key), time], axis=1)

    def contains(self, points):
        now = (points[:, 2] >= 0) & (points[:, 2] <= 1)
        return now & self.space.contains(points[:, :2])

    def normal(self, point):
        return jnp.append(self.space.normal(point[:2]), 0.0)


RING, INSIDE, OUTSIDE = Annulus(), Circle(INNER, inwards=True), Circle(OUTER)
RIMS = pk.Union([INSIDE, OUTSIDE])
ELL = pk.Union([pk.Box(x=(0, 1), y=(0, 2)), pk.Box(x=(0, 2), y=(0, 1))])
GENERATOR = np.random.default_rng(0)
CLOUD = pk.Points(GENERATOR.uniform((2, -1), (4, 1), (200, 2)), ("x", "y"))


def solution(x):
    """log r, which is harmonic: 0 and log 2 at the rims, with slopes 1/r."""
    return 0.5 * jnp.log(x[0] ** 2 + x[1] ** 2)


def equation(where=RING, points=128, **options):
    return pk.Condition("residual", lambda u, x: u.d("x", "x")(x) + u.d("y", "y")(x), where, points)


def ring_problem(**changes):
    conditions = [
        pk.dirichlet("inside", INSIDE, 0.0, 32),
        pk.neumann("outside", OUTSIDE, 1 / OUTER, 32),
        equation(),
    ]
    return pk.Problem("ring", RING, conditions, solution=solution, **changes)


def test_a_periodic_network_is_refused_on_it():
    problem = ring_problem(hard=pk.HardConstraints((), periodic=("x",)))
    setup = pk.Setup(problem, pk.Training(pk.adam(1e-3), steps=1), Network(hard=True))
    with pytest.raises(PinntkError, match="hard: got a network periodic in x on a Annulus"):
        setup.start(0)


# --- what a region answers ------------------------------------------------------------------------


def test_the_measure_of_an_annulus_is_its_area():
    assert RING.measure == pytest.approx(AREA, rel=1e-3)  # 2^16 points
    assert Annulus(1.9, 2.0).measure == pytest.approx(math.pi * (4 - 1.9**2), rel=5e-3)
    box = 4 * OUTER**2
    assert box != pytest.approx(AREA, rel=0.5)  # control: the bounding box is another thing


@each(
    ("region", "dimension", "measure"),
    [
        (pk.Box(x=(0, 2), y=(0, 3)), 2, 6.0),
        (pk.Box(x=(0, 2), y=(0, 3)).face(x=0), 1, 3.0),
        (pk.Box(x=(0, 2), y=(0, 3)).face(x=0, y=3), 0, 1.0),
        (pk.Box(x=(0, 2), y=(0, 3)).faces(), 1, 10.0),
        (pk.Interval(x=(0, 1)).faces(), 0, 2.0),
        (ELL, 2, 3.0),  # the corner square counts once
        (pk.Union([ELL, pk.Box(x=(0, 2), y=(0, 2)).face(x=2)]), 2, 3.0),
        (CLOUD, 0, 200.0),
        (pk.Union([CLOUD, CLOUD]), 0, 200.0),
    ],
)
def test_dimension_and_measure_of_boxes_and_unions_are_exact(region, dimension, measure):
    assert region.dimension == dimension
    assert region.measure == pytest.approx(measure, rel=1e-14)


def test_a_region_that_says_nothing_is_a_surface_where_steps_leave_it():
    assert (RING.dimension, Annulus(1.99, 2.0).dimension) == (2, 2)
    assert (OUTSIDE.dimension, RIMS.dimension) == (1, 1)
    assert (InTime(RING).dimension, InTime(OUTSIDE).dimension) == (3, 2)
    assert Instant(InTime(RING)).dimension == 2
    assert Instant(InTime(OUTSIDE)).dimension == 1
    assert OUTSIDE.measure is None  # points of the plane say nothing about a curve


def test_a_region_may_say_what_it_knows():
    class Known(Circle):
        facts = pk.Facts(dimension=1, measure=2 * math.pi * OUTER)

    assert (Known(OUTER).dimension, Known(OUTER).measure) == (1, 4 * math.pi)
    assert pk.Union([Known(OUTER), Known(OUTER)]).measure == 8 * math.pi  # as documented


def test_bounds_are_those_of_faces_points_and_unions():
    box = pk.Box(x=(0, 2), y=(-1, 3))
    assert box.face(x=2).bounds == {"x": (2.0, 2.0), "y": (-1.0, 3.0)}
    assert box.faces("x").bounds == box.bounds == {"x": (0.0, 2.0), "y": (-1.0, 3.0)}
    points = pk.Points(np.array([[0.0, 5.0], [2.0, 4.0], [1.0, 7.0]]), ("x", "y"))
    assert points.bounds == {"x": (0.0, 2.0), "y": (4.0, 7.0)}
    assert pk.Union([box, points]).upper == (2.0, 7.0)
    assert RING.bounds == {"x": (-2.0, 2.0), "y": (-2.0, 2.0)}


@each(
    ("where", "domain", "fills"),
    [
        (RING, RING, True),
        (Annulus(1.2, 1.5), RING, True),
        (OUTSIDE, RING, False),
        (RIMS, RING, False),
        (ELL, ELL, True),
        (ELL.parts[0], ELL, True),
        (ELL.parts[0].face(x=0), ELL, False),
        (CLOUD, CLOUD, False),  # no points of it can be drawn
        (pk.Box(x=(2, 4), y=(-1, 1)), CLOUD, True),
    ],
)
def test_what_fills_a_domain(where, domain, fills):
    assert where.fills(domain) is fills


def test_fills_can_be_asked_inside_jit():
    ring = Annulus(1.0, 3.0)  # whose dimension was not asked for before
    assert jax.jit(lambda x: x + ring.fills(ring))(0) == 1


def test_parts_of_parts_are_taken_apart_and_their_points_are_not():
    union = pk.Union([RIMS, CLOUD], shares=[3, 1])
    assert union.parts == (INSIDE, OUTSIDE, CLOUD)
    assert union.counts(8) == [6, 2]


def test_rounding_does_not_put_a_point_outside():
    points = np.asarray(OUTSIDE.sample(pk.Random(), 200, KEY), np.float64)
    assert not RING.contains(points).all()  # control: without an allowance half of them are
    assert RING.near(points).all()
    assert not RING.near(points * (1 + 1e-5)).any()


def test_uniform_points_are_uniform_whatever_sample_prefers():
    class Eager(Annulus):  # all its points near the inner rim
        def sample(self, sampler, n, key):
            points = super().sample(sampler, n, key)
            return points / jnp.linalg.norm(points, axis=1, keepdims=True) * 1.01

    share = (1.5**2 - 1) / (OUTER**2 - INNER**2)  # of the area that lies within r = 1.5
    inner = lambda points: np.mean(np.hypot(*points.T) < 1.5)
    found = Eager().uniform(4000)
    assert found.shape == (4000, 2)
    assert RING.contains(found).all()
    assert inner(found) == pytest.approx(share, abs=5e-3)
    drawn = np.asarray(Eager().sample(pk.Random(), 4000, KEY))
    assert inner(drawn) != pytest.approx(share, abs=0.1)  # control


def test_probes_of_a_box_are_its_corners_its_middle_and_points_that_no_symmetry_hits():
    box = pk.Box(x=(0, 1), y=(0, 2))
    probes = {tuple(point) for point in box.probes()}
    assert {(0, 0), (0, 2), (1, 0), (1, 2), (0.5, 1)} < probes
    assert box.contains(box.probes()).all()
    edge = box.face(x=1)
    assert edge.contains(edge.probes()).all()
    assert {tuple(point) for point in box.face(x=1, y=0).probes()} == {(1, 0)}
    assert {tuple(point) for point in CLOUD.probes()} <= {tuple(point) for point in CLOUD.points}
    assert RING.near(RING.probes()).all()


# --- a problem on it ------------------------------------------------------------------------------


def test_a_problem_on_a_ring_is_sampled_and_tested_inside_it():
    problem = ring_problem()
    batch = problem.sample(KEY)
    assert {name: len(sample.points) for name, sample in batch.items()} == {
        "inside": 32,
        "outside": 32,
        "residual": 128,
    }
    held = problem.held_out(KEY)
    tests = np.asarray(problem.test_points(), np.float64)
    assert tests.shape == (101**2, 2)
    for points in (batch["residual"].points, held["residual"].points, tests):
        assert RING.near(np.asarray(points)).all()
    mean = np.mean(np.hypot(*tests.T))
    assert mean == pytest.approx(2 * math.pi * (OUTER**3 - INNER**3) / 3 / AREA, rel=1e-3)


def test_a_harmonic_function_leaves_no_residual_on_the_ring():
    """Where it is 0 the normals, too, are right: the slope is 1/R outwards."""
    problem = ring_problem()
    residuals = problem.residuals(solution, problem.sample(KEY))
    for residual in residuals.values():
        np.testing.assert_allclose(residual, 0.0, atol=5e-6)  # float32, second derivatives
    wrong = problem.residuals(lambda x: x[0] ** 2, problem.sample(KEY))  # control
    assert all(jnp.max(jnp.abs(residual)) > 0.1 for residual in wrong.values())


def test_the_normal_of_a_union_of_ones_own_parts_is_that_of_the_part():
    both = pk.neumann("rims", RIMS, lambda x: jnp.where(jnp.sum(x**2) < 2, -1.0, 0.5), 16)
    problem = pk.Problem("p", RING, [both])
    batch = problem.sample(KEY)
    residual = jax.jit(lambda batch: problem.residuals(solution, batch))(batch)["rims"]
    np.testing.assert_allclose(residual, 0.0, atol=1e-5)
    normals = jax.vmap(RIMS.normal)(batch["rims"].points)
    outwards = jnp.sum(normals * batch["rims"].points, axis=1)
    np.testing.assert_allclose(outwards, [-1.0] * 8 + [2.0] * 8, rtol=1e-5)
    assert jnp.isnan(RIMS.normal(jnp.array([1.5, 0.0]))).all()


def test_a_condition_beyond_a_region_of_ones_own_is_refused():
    for where in (Circle(2.1), Annulus(0.5, 2.0), pk.Box(x=(-2, 2), y=(-2, 2))):
        with pytest.raises(PinntkError, match=r"'far': got .*, which reaches outside the domain"):
            pk.Problem("p", RING, [pk.dirichlet("far", where, 0.0, 8)])
    pk.Problem("p", RING, [pk.dirichlet("near", pk.Box(x=(-0.3, 0.3), y=(1.2, 1.8)), 0.0, 8)])
    with pytest.raises(PinntkError, match=r"got 1 of 2 outside the domain, first \[0.5, 0.0\]"):
        pk.Problem("p", RING, [pk.observations("o", RING, [[1.5, 0], [0.5, 0]], np.zeros(2))])


@each(
    ("change", "words"),
    [
        ({"lower": (1.0,)}, "lower of Ring: got (1.0,); expected 2 finite numbers, one for each of x, y"),
        ({"lower": (0.0, np.nan)}, "lower of Ring: got (0.0, nan); expected 2 finite numbers"),
        ({"upper": (-3.0, 0.0)}, "upper of Ring: got (-3.0, 0.0); expected no number below"),
        ({"coordinates": "xy"}, "coordinates of Ring: got xy; expected a tuple of names"),
        ({"contains": lambda points: True}, "contains of Ring: got an array of shape () and type bool"),
    ],
)  # fmt: skip
def test_a_region_that_lacks_something_is_told_what(change, words):
    class Ring(Annulus):
        pass

    region = Ring()
    for name, value in change.items():
        setattr(region, name, value)
    with pytest.raises(PinntkError) as error:
        equation(region)
    assert words in str(error.value)


def test_a_region_without_bounds_is_told_so():
    class Boundless(Annulus):
        def __init__(self):
            self.inner, self.outer = 1.0, 2.0

    with pytest.raises(PinntkError, match="lower of Boundless: got nothing; expected 2 finite"):
        equation(Boundless())
    with pytest.raises(PinntkError, match="where of condition 'residual': got 'x'; expected a reg"):
        equation("x")


# --- training -------------------------------------------------------------------------------------

DOMAINS = {
    "ring": (ring_problem(), (0.0, 0.0), (2.0, 2.0)),
    "ell": (pk.Problem("ell", ELL, [equation(ELL, 128)]), (1.0, 1.0), (1.0, 1.0)),
    "cloud": (
        pk.Problem("cloud", CLOUD, [equation(CLOUD, 200)]),
        tuple((CLOUD.points.max(0) + CLOUD.points.min(0)) / 2),
        tuple(np.ptp(CLOUD.points, axis=0) / 2),
    ),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_the_inputs_are_scaled_from_the_bounds(name):
    problem, centre, half = DOMAINS[name]
    scaling = built(problem, scaling=unit_scaling).scaling
    np.testing.assert_allclose((scaling.shift, scaling.scale), (centre, half))
    standard = built(problem, scaling=standard_scaling).scaling
    if name == "cloud":
        np.testing.assert_allclose(standard.scale, CLOUD.points.std(0))
    else:
        np.testing.assert_allclose(standard.scale, np.array(half) / math.sqrt(3))


PLAN = pk.Training(pk.adam(1e-3), steps=20, log_every=10)


def built(problem, dtype=jnp.float32, **shape):
    network = Network(width=8, depth=2, **shape)
    return cast(network.network(problem, problem.sample(KEY), KEY), dtype)


def subject(problem, model):
    return JaxSubject(problem, [Draw(model, problem.sample(KEY))], PLAN, KEY)


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("optimizer", [pk.adam(), pk.NaturalGradient()], ids=["adam", "natural"])
def test_training_lowers_the_loss(name, optimizer, x64):
    problem = DOMAINS[name][0]
    plan = PLAN.replace(optimizer=optimizer)
    result = pk.train(problem, built(problem, jnp.float64), plan, key=KEY)
    first, last = (sum(row.losses.values()) for row in (result.history[0], result.history[-1]))
    assert np.isfinite(last)
    assert last < first


@pytest.mark.parametrize("resampling", [ResidualAdaptive(every=2), ProgressivePoints(every=2)])
def test_points_of_the_equation_are_redrawn_and_those_of_rims_are_not(resampling):
    problem = ring_problem()
    batch = problem.sample(KEY)
    model = built(problem)
    step = jnp.asarray(2)
    fresh = jax.jit(lambda b: resampling.refresh(problem, model, b, step, KEY))(batch)
    counts = resampling.counts(problem, 0)
    assert "inside" not in counts  # they keep what they have
    assert "outside" not in counts
    np.testing.assert_array_equal(fresh["outside"].points, batch["outside"].points)
    if isinstance(resampling, ProgressivePoints):
        assert counts["residual"] == 32
    else:
        assert jnp.all(jnp.any(fresh["residual"].points != batch["residual"].points, axis=1))
        assert RING.near(np.asarray(fresh["residual"].points)).all()


def test_given_points_as_a_domain_are_not_redrawn():
    problem = DOMAINS["cloud"][0]
    batch = problem.sample(KEY)
    for resampling in (ResidualAdaptive(every=2), ProgressivePoints(every=2)):
        assert resampling.counts(problem, 0) == {}
        fresh = resampling.refresh(problem, built(problem), batch, jnp.asarray(2), KEY)
        np.testing.assert_array_equal(fresh["residual"].points, batch["residual"].points)


# --- subsamples -----------------------------------------------------------------------------------


def uneven():
    """u at a line near 0 and on one of slopes 1,000 times as large: rates of parts that differ by 1e6."""
    ends = pk.Box(x=(0, 1), y=(0, 1)).faces("x")
    condition = pk.Condition("rim", lambda u, x: u(x), ends, 64)
    return pk.Problem("p", pk.Box(x=(0, 1), y=(0, 1)), [condition])


def test_the_mean_over_subsamples_is_right_and_that_over_first_points_is_not():
    batch = uneven().sample(KEY)
    size = lambda few: jnp.mean(jnp.where(few["rim"].points[:, 0] > 0.5, 1e3, 1.0))
    true = float(size(batch))
    assert true == pytest.approx(500.5)
    keys = jax.random.split(KEY, 2000)
    means = jax.jit(jax.vmap(lambda key: size(subsample(batch, 8, key))))(keys)
    # One mean is off by 500/√8 at most, that of 2,000 by 4; five times that is allowed.
    assert float(jnp.mean(means)) == pytest.approx(true, abs=20)
    first = {"rim": jax.tree.map(lambda a: a[:8], batch["rim"])}
    assert float(size(first)) == 1.0  # control: the first part alone
    assert float(jnp.std(means)) > 0  # another key, other points


def test_a_subsample_keeps_targets_has_no_point_twice_and_leaves_few_alone():
    x = np.linspace(0, 1, 50)[:, None]
    line = pk.Interval(x=(0, 1))
    problem = pk.Problem("data", line, [pk.observations("data", line, x, x[:, 0])])
    batch = problem.sample(KEY)
    few = subsample(batch, 20, KEY)["data"]
    np.testing.assert_array_equal(few.points[:, 0], few.targets)
    assert len(np.unique(few.targets)) == 20
    assert subsample(batch, 50, KEY)["data"] is batch["data"]
    np.testing.assert_array_equal(few.points, subsample(batch, 20, KEY)["data"].points)


def test_weights_from_a_subsample_see_every_part():
    """A part with residuals of 1,000 u behind one of u: its rate is 10^6 times that of the other."""
    square = pk.Box(x=(0, 1), y=(0, 1))
    steep = pk.Condition(
        "rim", lambda u, x: jnp.where(x[0] > 0.5, 1e3, 1.0) * u(x), square.faces("x"), 64
    )
    plain = pk.Condition("residual", lambda u, x: u(x), square, 64)
    problem = pk.Problem("p", square, [steep, plain])
    model = built(problem)

    def weight(subsample):
        rule = pk.NTKWeights(every=100, subsample=subsample)
        plan = pk.Training(pk.adam(1e-6), steps=1, weighting=rule)
        result = pk.train(problem, model, plan, key=KEY)
        return result.history[-1].weights["residual"]

    # λ = 1 + c_rim/c_residual, some 5·10^5; with the first 16 points of the rim it would be near 2.
    assert weight(16) == pytest.approx(weight(None), rel=0.9)
    assert weight(16) > 1e4


# --- diagnosis ------------------------------------------------------------------------------------


def test_the_equation_on_a_union_or_a_ring_is_not_taken_for_the_boundary():
    """The boundary has more points, and was taken for the equation where the domain was no box."""
    ring = ring_problem().with_points({"outside": 500})
    assert measures.main_condition(ring) == "residual"
    rim = pk.dirichlet("rim", pk.Box(x=(0, 2), y=(0, 1)).faces("y"), 0.0, 500)
    assert measures.main_condition(pk.Problem("p", ELL, [rim, equation(ELL, 10)])) == "residual"


def test_data_are_observed_from_first_to_last():
    line = pk.Interval(x=(0, 1))
    x = np.linspace(0, 1, 1000)[:, None]
    problem = pk.Problem("data", line, [pk.observations("data", line, x, x[:, 0])])
    seen = np.asarray(measures.observed(problem, jnp.float32)["data"].points)
    assert len(seen) == measures.POINTS
    # The mean of 128 of them is 0.5 up to 5 times 0.29/√128; of the first 128 it is 0.064.
    assert np.mean(seen) == pytest.approx(0.5, abs=0.13)


def test_a_whole_diagnosis_of_a_ring_and_of_given_points():
    problem = ring_problem()
    found = pk.diagnose(problem, built(problem), PLAN, draws=1, key=KEY)
    record = found.as_dict()
    shown = np.array(record["maps"]["prediction"]["u"], float)
    axes = [np.array(axis["values"]) for axis in record["maps"]["axes"]]
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = RING.contains(mesh).reshape(shown.shape)
    np.testing.assert_array_equal(np.isfinite(shown), inside)
    assert 0.5 < inside.mean() < 0.65  # control: AREA/16 is 0.589
    for name in ("error", "residual"):
        table = np.array(next(iter(record["maps"][name].values())), float)
        np.testing.assert_array_equal(np.isfinite(table), inside)
    assert list(record["maps"]["residual"]) == ["residual"]
    cloud = DOMAINS["cloud"][0]
    record = pk.diagnose(cloud, built(cloud), PLAN, draws=1, key=KEY).as_dict()
    assert record["maps"] is None


def test_the_profile_in_time_and_the_waves_are_those_inside():
    """A residual t inside and NaN outside: the mean of t² over 8 bins, and waves of a sine."""
    tube = InTime(RING)

    def residual(u, x):
        inside = (jnp.hypot(x[0], x[1]) >= INNER) & (jnp.hypot(x[0], x[1]) <= OUTER)
        return jnp.where(inside, x[2], jnp.nan) + 0 * u(x)

    problem = pk.Problem("tube", tube, [pk.Condition("residual", residual, tube, 32)])
    model = built(problem)
    profile = measures._profile(subject(problem, model), model, "residual")
    edges = np.arange(9) / 8
    np.testing.assert_allclose(profile, np.diff(edges**3) / 3 * 8, rtol=0.02)

    def wave(u, x):
        return jnp.where(jnp.isnan(residual(u, x)), jnp.nan, jnp.sin(2 * jnp.pi * 8 * x[0] / 4))

    waves = dataclasses.replace(
        problem, conditions=[dataclasses.replace(problem.conditions[0], residual=wave)]
    )
    found = measures._waves(subject(waves, model), model, "residual")
    assert found["x"] == pytest.approx(8, rel=0.15)  # 8 waves over the extent 4
    assert found["t"] < 1e-3  # constant along t


def test_the_first_instant_of_a_tube_meets_its_wall():
    """A wall of 0 and a start of 1 ask for different values on the circle where they meet."""
    tube, wall = InTime(RING), InTime(OUTSIDE)
    start = first_instant(tube)
    assert start.contains(np.array([[1.5, 0, 0], [1.5, 0, 0.5], [0.5, 0, 0]])).tolist() == [
        True,
        False,
        False,
    ]

    def clash(value):
        conditions = [
            pk.initial_value("start", tube, value, 32),
            pk.dirichlet("wall", wall, 0.0, 32),
            pk.Condition("residual", lambda u, x: u.d("t")(x), tube, 32),
        ]
        problem = pk.Problem("tube", tube, conditions)
        with jax.enable_x64(True):
            return find_clash(subject(problem, built(problem, jnp.float64)))

    found = clash(1.0)
    assert {found.first, found.second} == {"start", "wall"}
    assert found.gap == pytest.approx(1.0)
    assert math.hypot(*found.point[:2]) == pytest.approx(OUTER, rel=1e-6)
    assert found.point[2] == 0.0
    calm = clash(lambda x: (OUTER - jnp.hypot(x[0], x[1])) ** 1)  # control: they agree there
    assert calm is None or calm.gap < 1e-5


def test_two_conditions_on_one_face_that_agree_at_its_corners_and_middle():
    square = pk.Box(x=(0, 1), y=(0, 1))
    wave = lambda x: jnp.sin(2 * jnp.pi * x[1])
    conditions = [
        pk.dirichlet("zero", square.face(x=0), 0.0, 8),
        pk.dirichlet("wave", square.face(x=0), wave, 8),
        equation(square, 16),
    ]
    problem = pk.Problem("p", square, conditions)
    with jax.enable_x64(True):
        found = find_clash(subject(problem, built(problem, jnp.float64)))
    assert found.gap > 0.1


# --- grids ----------------------------------------------------------------------------------------


class LastTwo(eqx.Module):
    """The sum of the coordinates that are held."""

    scale: jax.Array

    def __call__(self, x):
        return self.scale * (x[2] + x[3])


def test_one_plane_for_page_and_report():
    """Space after the second coordinate in its middle, time at its last value."""
    box = pk.Box(x=(0, 1), y=(0, 2), z=(0, 4), t=(0, 3))
    grid = plane(box, (5, 3))
    assert grid.title == "z = 2, t = 3"
    assert grid.points.shape == (9, 4)
    np.testing.assert_array_equal(grid.points[:2], [[0, 0, 2, 3], [0, 1, 2, 3]])
    assert grid.inside.all()
    condition = pk.Condition("residual", lambda u, x: u(x), box, 8)
    problem = pk.Problem("p", box, [condition], solution=lambda x: x[2] + x[3])
    model = LastTwo(jnp.asarray(1.0))
    found = views.maps(subject(problem, model), model)
    assert found["title"] == grid.title
    np.testing.assert_allclose(found["prediction"]["u"], 5.0)
    drawn = write._solution_figures(problem, model)["solution"].axes[0]
    assert drawn.get_title() == f"network ({grid.title})"
    np.testing.assert_allclose(drawn.collections[0].get_array(), 5.0)


def test_the_report_leaves_the_hole_blank():
    problem = ring_problem()
    drawn = write._solution_figures(problem, built(problem))["solution"].axes[0]
    image = np.ma.asarray(drawn.collections[0].get_array()).reshape(write.GRID, write.GRID)
    grid = plane(RING, (write.GRID, write.GRID))
    np.testing.assert_array_equal(np.ma.getmaskarray(image), ~grid.inside.T)
    assert write._solution_figures(DOMAINS["cloud"][0], built(DOMAINS["cloud"][0])) == {}


def test_lines_know_where_they_leave_the_region():
    found = lines(RING, "x", 64)
    assert found.inside.shape == (64, 16)
    points = found.points.reshape(64, 16, 2)
    np.testing.assert_array_equal(points[:, 3, 0], found.values)
    assert found.inside.any()
    assert not found.inside.all()
    assert lines(pk.Box(x=(0, 1), y=(0, 1)), "x", 64).inside.all()


def test_evenly_takes_first_and_last():
    np.testing.assert_array_equal(evenly(5, 3), [0, 2, 4])
    np.testing.assert_array_equal(evenly(3, 5), [0, 1, 2])


def test_the_first_instant_of_a_union_is_that_of_its_earliest_parts():
    early, late = pk.SpaceTime(x=(0, 1), t=(0, 1)), pk.SpaceTime(x=(0, 1), t=(1, 2))
    found = first_instant(pk.Union([early, late]))
    assert [part.fixed for part in found.parts] == [{"t": 0.0}]
    with pytest.raises(PinntkError, match=r"domain: got Points.*expected a region with an inside"):
        first_instant(pk.Points(np.zeros((3, 2)), ("x", "t")))
