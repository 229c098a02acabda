"""Time slabs against integrators and closed forms, where one piece fails; and what is refused."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from each import each
from helpers import mlp
from pinntk.conditions import Condition, dirichlet, initial_value, initial_velocity, periodic
from pinntk.diagnosis.slab_remedy import time_slabs
from pinntk.domain import Box, Interval, Points, SpaceTime, Union
from pinntk.errors import PinntkError
from pinntk.nets import Constrained
from pinntk.optim import adam
from pinntk.problem import Problem
from pinntk.training import (
    Drawn,
    Network,
    Observer,
    Outcome,
    Resumption,
    Setup,
    SlabModel,
    TimeSlabs,
    Training,
    check_marchable,
    natural_setup,
    precision,
    start_run,
    train,
)
from pinntk.training.pace import Pace
from pinntk.training.slab_model import moved
from pinntk.training.slab_problem import SlabProblem
from pinntk.training.slab_run import SlabRun

COMPILED = []  # seconds of every compilation, as JAX reports them
jax.monitoring.register_event_duration_secs_listener(
    lambda name, seconds, **_: COMPILED.append(seconds) if "backend_compile" in name else None
)


def solved(problem, slabs, steps, observers=(), **network):
    """A natural-gradient run in slabs, in one piece for None."""
    setup = natural_setup(problem, steps=steps, **network)
    setup = setup.replace(training=setup.training.replace(slabs=slabs))
    return start_run(setup, observers=observers)


def values(model, points):
    """The model at points (n, d), in float64."""
    with precision("float64"):
        return np.asarray(jax.vmap(model)(jnp.asarray(points, float)))


def jumps(model):
    """The largest jump of a model of one coordinate at the inner edges of its slabs."""
    edges = model.times[1:-1, None]
    return np.abs(values(model, edges - 1e-9) - values(model, edges)).max()


#: Notes of the natural gradient that is no subject here.
quiet = pytest.mark.filterwarnings("ignore:.*residuals for:pinntk.PinntkWarning")


def lotka_volterra(end, points):
    """Hares and lynxes from 100 and 15, and their solution by DOP853 at 1e-11 on a grid."""
    time = Interval(t=(0.0, end))
    rates = lambda r, q: (2.0 * r - 0.04 * r * q, 0.02 * r * q - 1.06 * q)
    first = [100.0, 15.0]
    system = lambda w, p: w.d("t")(p) - jnp.stack(rates(*w(p)))
    conditions = [
        Condition("system", system, time, points),
        initial_value("start", time, lambda p: jnp.asarray(first, p.dtype), points=1),
    ]
    grid = np.linspace(0, end, 1001)
    found = solve_ivp(
        lambda t, y: rates(*y), (0, end), first, "DOP853", grid, rtol=1e-11, atol=1e-10
    )
    problem = Problem("lotka", time, conditions, fields=("prey", "predator"))
    return problem, grid[:, None], found.y.T


def off(model, grid, exact):
    """The relative error on a grid."""
    return np.linalg.norm(values(model, grid) - exact) / np.linalg.norm(exact)


@quiet
def test_lotka_volterra_against_an_integrator():
    problem, grid, exact = lotka_volterra(10.0, 100)
    result = solved(problem, TimeSlabs(), 200, width=15)
    assert result.outcome is Outcome.CONVERGED, result.message
    assert off(result.model, grid, exact) < 1e-3
    assert jumps(result.model) < 1e-3


@quiet
@pytest.mark.slow
def test_lotka_volterra_where_the_same_steps_in_one_piece_fail():
    """Over 25 units, with three times the points for the one piece."""
    problem, grid, exact = lotka_volterra(25.0, 100)
    result = solved(problem, TimeSlabs(), 200, width=15)
    assert off(result.model, grid, exact) < 1e-3
    problem, *_ = lotka_volterra(25.0, 300)
    whole = solved(problem, None, result.steps, width=15)
    assert off(whole.model, grid, exact) > 0.1


def oscillator(periods, points):
    """u'' + u = cos 1.3 t from rest at 1, with its closed form."""
    time = Interval(t=(0.0, 2 * math.pi * periods))
    force = 1.3
    solution = lambda p: jnp.cos(p[0]) + (jnp.cos(force * p[0]) - jnp.cos(p[0])) / (1 - force**2)
    ode = lambda u, p: (u.d("t", "t") + u)(p) - jnp.cos(force * p[0])
    conditions = [
        Condition("ode", ode, time, points),
        initial_value("start", time, 1.0, 1),
        initial_velocity("speed", time, 0.0, 1),
    ]
    return Problem("oscillator", time, conditions, solution=solution)


@pytest.fixture(scope="module")
def long_run():
    """Twenty periods in adaptive slabs, and how much had been compiled when each attempt began."""
    seen = []
    observer = Observer(stage=lambda words: seen.append((words, len(COMPILED))))
    rows, moves = [], []
    watch = Observer(row=rows.append, progress=lambda *now: moves.append(now))
    with pytest.warns(UserWarning, match="residuals for"):
        result = solved(oscillator(20, 80), TimeSlabs(), 150, (observer, watch), width=12)
    return result, seen, rows, moves


def test_twenty_periods_against_the_closed_form(long_run):
    result, *_ = long_run
    assert result.outcome is Outcome.CONVERGED
    assert result.relative_l2 < 3e-3
    assert isinstance(result.model, SlabModel)
    assert len(result.model) >= 4
    assert jumps(result.model) < 1e-4
    assert result.model.times[0] == 0
    assert result.model.times[-1] == 40 * math.pi


@quiet
def test_control_the_same_steps_in_one_piece_fail(long_run):
    """With the same points. Five times as many get to 5e-4 in one piece, now that scales are right."""
    whole = solved(oscillator(20, 80), None, long_run[0].steps, width=12)
    assert whole.relative_l2 > 0.3


def test_one_program_serves_all_slabs(long_run):
    """Nothing is compiled from the third attempt on: by then a slab was solved and another begun."""
    result, seen, *_ = long_run
    done = [i for i, (words, _) in enumerate(seen) if words.startswith("slab 3")]
    counts = [count for _, count in seen[done[0] :]]
    assert len(counts) > 3
    assert len(set(counts)) == 1
    assert counts[0] > 0  # the listener counts
    assert len(result.model) > 3


def test_history_and_progress_go_on_from_slab_to_slab(long_run):
    result, seen, rows, moves = long_run
    assert [row.step for row in rows] == [row.step for row in result.history]
    steps = [row.step for row in rows]
    assert steps == sorted(steps)
    assert rows[-1].step == result.steps == moves[-1][0]
    assert rows[-1].relative_l2 == result.relative_l2
    assert rows[-1].losses == result.losses
    assert seen[0][0] == "slab 1, t = 0 to 3.927"


@quiet
def test_heat_in_three_slabs_against_the_closed_form():
    """u = exp(−π²κt) sin πx, with walls that are redrawn; losses and error of the problem as stated."""
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 2.0))
    solution = lambda p: jnp.exp(-(math.pi**2) * 0.1 * p[1]) * jnp.sin(math.pi * p[0])
    problem = Problem(
        "heat",
        domain,
        [
            Condition("heat", lambda u, p: (u.d("t") - 0.1 * u.d("x", "x"))(p), domain, 100),
            dirichlet("walls", domain.walls(), 0.0, 20),
            initial_value("start", domain, lambda p: jnp.sin(math.pi * p[0]), 20),
        ],
        solution=solution,
    )
    result = solved(problem, TimeSlabs(3), 40, width=10)
    np.testing.assert_allclose(result.model.times, [0, 2 / 3, 4 / 3, 2])
    assert result.relative_l2 < 1e-3
    assert all(loss < 1e-5 for loss in [*result.losses.values(), *result.held_out.values()])
    assert time_slabs(natural_setup(problem)).setup.training.slabs == TimeSlabs()


@quiet
def test_a_wave_goes_on_with_its_value_and_its_velocity():
    """u = cos πt sin πx: with the value alone a later slab could begin at rest."""
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.5))
    solution = lambda p: jnp.cos(math.pi * p[1]) * jnp.sin(math.pi * p[0])
    conditions = [
        Condition("wave", lambda u, p: (u.d("t", "t") - u.d("x", "x"))(p), domain, 100),
        dirichlet("walls", domain.walls(), 0.0, 20),
        initial_value("start", domain, lambda p: jnp.sin(math.pi * p[0]), 20),
        initial_velocity("speed", domain, 0.0, 20),
    ]
    problem = Problem("wave", domain, conditions, solution=solution)
    result = solved(problem, TimeSlabs(3), 40, width=10)
    assert result.relative_l2 < 5e-3
    edges = result.model.times[1:-1]
    with precision("float64"):
        points = jnp.stack(jnp.meshgrid(jnp.linspace(0, 1, 21), edges), -1).reshape(-1, 2)
        velocity = jax.vmap(lambda p: jax.grad(result.model)(p)[1])
        before, after = velocity(points.at[:, 1].add(-1e-9)), velocity(points)
        rest = velocity(points.at[:, 1].set(0.0))
    np.testing.assert_allclose(before, after, atol=0.05)
    assert np.abs(after - rest).max() > 1  # control: at rest it would not match


def decay(points=30, **options):
    time = Interval(t=(0.0, 2.0))
    ode = Condition("ode", lambda u, p: (u.d("t") + u)(p), time, points, **options)
    start = initial_value("start", time, 1.0, 1)
    return Problem("decay", time, [ode, start], solution=lambda p: jnp.exp(-p[0]))


def test_adam_in_float32_with_points_that_are_redrawn():
    setup = Setup(
        decay(redraw_every=5),
        Training(adam(5e-3), steps=400, slabs=TimeSlabs(2)),
        Network(width=8, depth=1),
    )
    result = start_run(setup)
    assert result.model.networks.layers[0].weight.dtype == jnp.float32
    assert result.relative_l2 < 0.03
    assert result.outcome in (Outcome.COMPLETED, Outcome.CONVERGED)
    if result.outcome is Outcome.COMPLETED:
        assert "Slab" in result.notes[0]


def test_a_march_that_gives_up_says_where_and_keeps_what_it_has():
    setup = Setup(
        decay(), Training(adam(1e-5), steps=8, slabs=TimeSlabs(halvings=2)), Network(width=4)
    )
    result = start_run(setup)
    assert result.outcome is Outcome.STALLED
    assert "solved up to t = 0 of 2, and the shortest slab leaves" in result.message
    assert result.model.times.tolist() == [0.0, 0.5]
    # It is held still from there on.
    np.testing.assert_array_equal(result.model(jnp.array([0.5])), result.model(jnp.array([1.9])))


def test_losses_that_are_not_finite_end_it():
    time = Interval(t=(0.0, 1.0))
    root = Condition("root", lambda u, p: u.d("t")(p) + jnp.sqrt(u(p) - 100.0), time, 10)
    problem = Problem("root", time, [root, initial_value("start", time, 1.0, 1)])
    result = start_run(
        Setup(problem, Training(adam(), steps=5, slabs=TimeSlabs(2)), Network(width=4))
    )
    assert result.outcome is Outcome.DIVERGED
    assert "solved up to t = 0 of 1" in result.message


def test_a_budget_ends_it_and_it_goes_on_from_there():
    problem = decay()
    setup = natural_setup(problem, steps=60, width=8)
    plan = setup.training.replace(slabs=TimeSlabs())
    kept = []
    observer = Observer(checkpoint=lambda state, seconds: kept.append((state, seconds)))
    with precision("float64"):
        start = setup.start(0)
        go = functools.partial(
            train,
            problem,
            start.model,
            plan,
            key=start.key,
            batch=start.batch,
            observers=[observer],
        )
        with pytest.warns(UserWarning, match="residuals for"):
            first = go(budget=1e-3)
        assert first.outcome is Outcome.BUDGET
        assert first.steps == 1
        state, seconds = kept[-1]
        again = go(resume=Resumption(state, first.history, seconds))
    assert again.outcome is Outcome.CONVERGED
    assert again.relative_l2 < 1e-4
    assert again.seconds > first.seconds
    steps = [row.step for row in again.history]
    assert steps == sorted(steps)
    with pytest.raises(PinntkError, match="expected a MarchState"):
        go(resume=Resumption(start.batch, (), 0.0))


def test_ctrl_c_ends_it():
    def stop(step, steps, row):
        if step > 3:
            raise KeyboardInterrupt

    plan = Training(adam(), steps=50, log_every=1, slabs=TimeSlabs(2))
    setup = Setup(decay(), plan, Network(width=4, depth=1))
    result = start_run(setup, observers=[Observer(progress=stop)])
    assert result.outcome is Outcome.INTERRUPTED
    assert result.steps == 4


def place_of(problem, ticks=8):
    model = mlp(jax.random.key(0), 1)
    batch = problem.sample(jax.random.key(1), jnp.float32)
    return SlabProblem.of(problem, model, batch, jax.random.key(2), ticks)


class Ready(eqx.Module):
    """A fixed function of the whole time, with a parameter that does nothing."""

    function: object = eqx.field(static=True)
    parameter: jax.Array

    def __call__(self, x):
        return self.function(x) + 0 * self.parameter


@each(
    "case",
    [
        ("solved", lambda x: jnp.exp(-x[0] / 8), 0.0, 1e-3),
        ("still", lambda x: 1.0 + 0 * x[0], 1.0, 1e-5),
        # u falls to what solves the equation between the start and the first point: all losses are 0.
        ("jump", lambda x: jnp.exp(-1e4 * x[0]), 1e3, np.inf),
    ],
)
def test_what_a_slab_leaves_of_the_residual(case):
    """u' = −u on [0, 1/4] of [0, 2]; a network sees t of the slab eight times as large."""
    _, function, least, most = case
    place = place_of(decay())
    clock = moved(place.clock, 0, 1)
    network = Ready(function, jnp.zeros(()))
    targets = {name: place.batch[name].targets for name in place.carried}
    plan = Training(adam(), steps=10)
    run = SlabRun(place, network, clock, targets, plan, jax.random.key(0), Pace())
    found = run.left(lambda loss: 0.0)
    assert least * (1 - 1e-5) <= found <= max(most, least * (1 + 1e-5))
    if case[0] == "jump":
        losses = place.problem.losses(place.model(network, clock), place.batch)
        assert all(loss < 1e-12 for loss in losses.values())


def test_the_clock_goes_to_the_slab_and_back(x64):
    """Against the affine map by hand, on [−1, 3] in 8 ticks; while still, all is the first instant."""
    domain = Box(x=(0.0, 1.0), t=(-1.0, 3.0))
    value = initial_value("start", domain, 0.0, 2)
    problem = Problem("p", domain, [value, Condition("r", lambda u, p: u.d("t")(p), domain, 2)])
    place = SlabProblem.of(
        problem, mlp(jax.random.key(0)), problem.sample(jax.random.key(0)), jax.random.key(0), 8
    )
    clock = moved(place.clock, 2, 3)  # from 0 to 1/2
    points = jnp.array([[0.3, -1.0], [0.7, 1.0], [0.1, 3.0]])
    inside = jax.vmap(clock.to_slab)(points)
    np.testing.assert_allclose(inside, [[0.3, 0.0], [0.7, 0.25], [0.1, 0.5]], atol=1e-15)
    np.testing.assert_allclose(jax.vmap(clock.to_whole)(inside), points, atol=1e-14)
    still = moved(place.clock, 2, 3, still=True)
    np.testing.assert_allclose(jax.vmap(still.to_whole)(inside)[:, 1], -1.0)
    assert not any(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves(clock))


def test_a_slab_model_takes_the_slab_that_a_time_lies_in(x64):
    """Three constant networks; an edge belongs to the later slab, the last time to the last."""
    domain = Interval(t=(0.0, 2.0))
    problem = Problem("p", domain, [initial_value("start", domain, 0.0, 1)])
    place = place_of(problem)
    nothing = jax.tree.map(lambda leaf: 0 * leaf, mlp(jax.random.key(0), 1))
    last = lambda network: network.layers[-1].bias
    networks = [eqx.tree_at(last, nothing, value + last(nothing)) for value in (1.0, 2.0, 3.0)]
    model = SlabModel.of(networks, (0, 1, 4, 8), place.clock)
    times = jnp.array([[0.0], [0.2], [0.25], [0.9], [1.0], [2.0]])
    np.testing.assert_array_equal(jax.vmap(model)(times), [1, 1, 2, 2, 3, 3])
    assert model.times.tolist() == [0.0, 0.25, 1.0, 2.0]


box = SpaceTime(x=(0.0, 1.0), t=(0.0, 2.0))
first = initial_value("start", box, 0.0, 4)
ode = Condition("pde", lambda u, p: u.d("t")(p), box, 10)
line = Interval(x=(-3.0, 3.0))
end = box.face(t=2.0)
late = Box(x=(0.0, 1.0), t=(1.0, 2.0))
REFUSED = {
    "t that has an extent": (line, [dirichlet("middle", Points([[0.0]], ("x",)), 1.0, 1)]),
    "'last'.*at t = 2 alone": (box, [first, ode, dirichlet("last", end, 0.0, 4)]),
    "'both'.*at t = 2 alone": (box, [ode, dirichlet("both", box.faces("t"), 0.0, 4)]),
    "'heater'.*only from t = 1 to 2": (box, [first, ode, dirichlet("heater", late, 0.0, 4)]),
    "'seen'.*given points": (
        box,
        [first, ode, dirichlet("seen", Points([[0.5, 0.5]], ("x", "t")), 0.0, 1)],
    ),
    "'cycle'.*other times": (box, [ode, periodic("cycle", box, "t", 4)]),
    "'delay'.*other times": (
        box,
        [first, Condition("delay", lambda u, p: u.d("t")(p) - u(p - 0.1), box, 4)],
    ),
    "without a condition at the first instant": (box, [ode]),
}


@each("words", REFUSED)
def test_what_cannot_march_is_refused_by_name(words):
    domain, conditions = REFUSED[words]
    problem = Problem("refused", domain, conditions)
    setup = natural_setup(problem, steps=5, width=4)
    setup = setup.replace(training=setup.training.replace(slabs=TimeSlabs(2)))
    with pytest.raises(PinntkError, match=words):
        start_run(setup)
    assert time_slabs(setup.replace(training=Training(adam()))) is None


def test_coefficients_models_and_files_that_cannot_march_are_refused(tmp_path):
    problem = Problem("p", box, [first, ode], coefficients={"a": 1.0})
    with pytest.raises(PinntkError, match="unknown coefficients"):
        check_marchable(problem)
    problem = Problem("p", box, [first, ode])
    for ansatz, fits in ((lambda x, v: x[1] * v, False), (lambda x, v: x[0] * v, True)):
        model = Constrained(mlp(jax.random.key(0)), ansatz)
        if fits:
            check_marchable(problem, model)
            continue
        with pytest.raises(PinntkError, match="ansatz depends on t"):
            check_marchable(problem, model)
    plan = Training(adam(), steps=5, slabs=TimeSlabs(2))
    with pytest.raises(PinntkError, match="out: got"):
        start_run(Setup(problem, plan), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_walls_and_start_as_one_condition_are_carried_where_it_starts():
    """Only the points of the first instant ask for the slab before."""
    both = dirichlet("both", Union([box.initial(), box.walls()]), 0.0, 6)
    problem = Problem("p", box, [ode, both])
    model = Drawn(lambda key: mlp(key)).draw(jax.random.key(0))
    batch = problem.sample(jax.random.key(1), jnp.float32)
    place = SlabProblem.of(problem, model, batch, jax.random.key(2), 4)
    assert place.carried == ("both",)
    clock = moved(place.clock, 0, 1)
    plan = Training(adam(), steps=10)
    targets = {"both": place.batch["both"].targets}
    run = SlabRun(place, model, clock, targets, plan, jax.random.key(0), Pace())
    starts = np.asarray(batch["both"].points[:, 1] == 0)
    assert starts.sum() == 3
    expected = jax.vmap(model)(batch["both"].points.at[:, 1].set(2.0))  # the end, for the network
    np.testing.assert_allclose(run.end()["both"], np.where(starts, expected, 0), rtol=1e-5)


@each("arguments", [{"count": 0}, {"count": 2.0}, {"tolerance": 0.0}, {"halvings": 21}])
def test_numbers_that_mean_nothing_are_refused(arguments):
    with pytest.raises(PinntkError, match=next(iter(arguments))):
        TimeSlabs(**arguments)


def test_slabs_that_are_no_object_are_refused():
    with pytest.raises(PinntkError, match=r"write pk.TimeSlabs\(8\)"):
        Training(adam(), slabs=8)
