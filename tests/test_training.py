"""The training loop against a loop written out by hand, and every way in which a run can end."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from each import each
from helpers import LinearModel, train_with
from pinntk.conditions import Condition, dirichlet, initial_value, observations
from pinntk.domain import Interval, Random
from pinntk.errors import PinntkError, PinntkWarning, ResidualError
from pinntk.jacobian import model_dtype
from pinntk.nets import MLP
from pinntk.optim import FirstOrder, Step, adam, gradient_descent, running
from pinntk.problem import Problem, subsample
from pinntk.training import (
    Network,
    Observer,
    Outcome,
    Resumption,
    Setup,
    Training,
    check_sensitivity,
    describe_row,
    pace,
    precision,
    progress_bar,
    train,
)
from pinntk.training.information import SUBSAMPLES
from pinntk.weighting import (
    AbstractWeighting,
    Fixed,
    GradientNorms,
    Losses,
    NTKWeights,
    Traces,
    WeightingState,
)
from programs import always_factored

KEY = jax.random.key(5)
STEPS, LOG, REDRAW = 23, 5, 3
LOGGED = [0, 5, 10, 15, 20, 23]


def decay_problem(redraw_every=REDRAW):
    """u' + u = 0 on [0, 2], u(0) = 1: two copies of the start, six random points that are redrawn."""
    domain = Interval(x=(0.0, 2.0))
    residual = Condition(
        "residual",
        lambda u, x: u.d("x")(x) + u(x),
        domain,
        6,
        sampler=Random(),
        redraw_every=redraw_every,
    )
    start = dirichlet("start", domain.face(x=0.0), 1.0, 2)
    return Problem("decay", domain, [start, residual], solution=lambda x: jnp.exp(-x[0]))


class Recorder:
    """Keeps what its observer is told, and may press Ctrl-C at a step."""

    def __init__(self, interrupt_at=None):
        self.rows, self.steps, self.states = [], [], []
        self.interrupt_at = interrupt_at
        self.observer = Observer(self.rows.append, self.progress, self.checkpoint)

    def progress(self, step, steps, row):
        self.steps.append(step)
        if step == self.interrupt_at:
            raise KeyboardInterrupt

    def checkpoint(self, state, seconds):
        self.states.append((int(state.step), state, seconds))


# --- the same training written out: nothing of pinntk but the network's initial numbers ---------


def network(leaves, x):
    """The one-hidden-layer tanh network, from its four arrays."""
    inner, inner_bias, outer, outer_bias = leaves
    return (jnp.tanh(x @ inner + inner_bias) @ outer + outer_bias)[0]


def residuals_by_hand(leaves, points):
    slope = lambda x: jax.grad(network, argnums=1)(leaves, x)[0]
    return {
        "start": jax.vmap(lambda x: network(leaves, x) - 1.0)(points["start"]),
        "residual": jax.vmap(lambda x: slope(x) + network(leaves, x))(points["residual"]),
    }


@jax.jit
def losses_by_hand(leaves, points):
    return {k: jnp.mean(r**2) for k, r in residuals_by_hand(leaves, points).items()}


def points_by_hand(step, redraw_every=REDRAW):
    """The points in force at a step: uniform ones, new whenever the step is a multiple."""
    drawn_at = 0 if redraw_every is None else step - step % redraw_every
    key = jax.random.fold_in(KEY, 1)  # the second condition
    key = key if drawn_at == 0 else jax.random.fold_in(key, drawn_at)
    return {"start": jnp.zeros((2, 1)), "residual": 2.0 * jax.random.uniform(key, (6, 1))}


@jax.jit
def rates_by_hand(leaves, points):
    jacobian = jax.jacobian(residuals_by_hand)(leaves, points)
    traces = {k: sum(jnp.sum(leaf**2) for leaf in jacobian[k]) for k in jacobian}
    return {k: traces[k] / len(points[k]) for k in traces}


def error_by_hand(leaves):
    x = np.linspace(0.0, 2.0, 1001)
    inner, inner_bias, outer, outer_bias = (np.asarray(leaf) for leaf in leaves)
    u = (np.tanh(x[:, None] @ inner + inner_bias) @ outer + outer_bias)[:, 0]
    return np.linalg.norm(u - np.exp(-x)) / np.linalg.norm(np.exp(-x))


def subsample_by_hand(points, count, step):
    """`count` random points of each condition; all of them for None, the first ones for "first"."""
    if count is None or count == "first":
        return {k: p[: 3 if count else None] for k, p in points.items()}
    key = jax.random.fold_in(jax.random.fold_in(KEY, SUBSAMPLES), step)
    found = {}
    for i, name in enumerate(sorted(points)):
        rows = jax.random.permutation(jax.random.fold_in(key, i), len(points[name]))
        found[name] = points[name][rows[:count]]
    return found


def train_by_hand(leaves, update, *, every, keep=0.0, subsample=None, redraw_every=REDRAW):
    """23 steps: redraw, then weights, then the update with ∇ Σ λ_k L_k. Rows by step, final numbers."""
    weights = {"start": 1.0, "residual": 1.0}

    @jax.jit
    def gradient(leaves, points, weights):
        total = lambda p: sum(weights[k] * v for k, v in losses_by_hand(p, points).items())
        return jax.grad(total)(leaves)

    rows, points = {}, None
    for step in range(STEPS):
        points = points_by_hand(step, redraw_every)
        if step % every == 0:
            rates = rates_by_hand(leaves, subsample_by_hand(points, subsample, step))
            fresh = {k: sum(rates.values()) / rates[k] for k in rates}
            weights = {k: keep * weights[k] + (1 - keep) * fresh[k] for k in weights}
        if step in LOGGED:
            rows[step] = (losses_by_hand(leaves, points), weights, error_by_hand(leaves))
        leaves = update(step, leaves, gradient(leaves, points, weights))
    rows[STEPS] = (losses_by_hand(leaves, points), weights, error_by_hand(leaves))
    return rows, leaves


def descent_by_hand(step, leaves, gradient):
    return [leaf - 0.02 * g for leaf, g in zip(leaves, gradient, strict=True)]


class AdamByHand:
    """Optax's Adam, stepped outside any loop."""

    def __init__(self, leaves):
        self.transformation = optax.adam(lambda step: 0.01 * 0.5 ** (step / 10))
        self.state = self.transformation.init(leaves)

    def __call__(self, step, leaves, gradient):
        updates, self.state = self.transformation.update(gradient, self.state)
        return optax.apply_updates(leaves, updates)


# --- runs that several tests look at -------------------------------------------------------------


@dataclasses.dataclass
class Ran:
    result: object
    recorder: Recorder
    leaves: list


def initial_model():
    return MLP(1, width=4, depth=1, key=jax.random.key(2))


def trained(observer=None, visit=None, **changes):
    recorder = observer or Recorder()
    settings = {
        "optimizer": gradient_descent(0.02),
        "weighting": NTKWeights(every=4, moving_average=0.25, subsample=3),
        "steps": STEPS,
        "key": KEY,
        "log_every": LOG,
        "checkpoint_every": 7,
        "observers": [recorder.observer],
        **changes,
    }
    with pytest.MonkeyPatch.context() as patch, jax.enable_x64(True):
        if visit is not None:
            patch.setattr(pace, "SECONDS_PER_VISIT", visit)
        result = train_with(decay_problem(), initial_model(), **settings)
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(result.model)]
    return Ran(result, recorder, leaves)


@pytest.fixture(scope="module")
def descent():
    return trained()


@pytest.fixture(scope="module")
def step_by_step():
    """The same run with one step per visit of the host, stopped by Ctrl-C after step 11."""
    return trained(Recorder(interrupt_at=11), visit=0.0)


def by_hand(**options):
    with jax.enable_x64(True):
        leaves = jax.tree.leaves(initial_model())
        update = options.pop("update", None) or AdamByHand(leaves)
        return train_by_hand(leaves, update, **options)


def assert_same_training(ran, expected, rtol=1e-10):
    """Sums of a few products in float64, over 23 steps: far below 1e-10."""
    rows, leaves = expected
    assert [row.step for row in ran.result.history] == LOGGED
    for row in ran.result.history:
        losses, weights, error = rows[row.step]
        for name in ("start", "residual"):
            np.testing.assert_allclose(row.losses[name], losses[name], rtol=rtol)
            np.testing.assert_allclose(row.weights[name], weights[name], rtol=rtol)
        np.testing.assert_allclose(row.relative_l2, error, rtol=rtol)
    for actual, wanted in zip(ran.leaves, leaves, strict=True):
        assert actual.dtype == np.float64
        np.testing.assert_allclose(actual, wanted, rtol=rtol, atol=rtol)


DESCENT = {"update": descent_by_hand, "every": 4, "keep": 0.25, "subsample": 3}


def test_gradient_descent_equals_the_loop_by_hand(descent):
    assert_same_training(descent, by_hand(**DESCENT))


@each(
    "wrong",
    [
        {"every": 5},
        {"keep": 0.0},
        {"subsample": None},
        {"subsample": "first"},
        {"redraw_every": None},
    ],
)
def test_control_another_rule_by_hand_is_told_apart(descent, wrong):
    with pytest.raises(AssertionError, match="Not equal"):
        assert_same_training(descent, by_hand(**{**DESCENT, **wrong}), rtol=1e-6)


def test_adam_with_a_schedule_equals_optax_stepped_by_hand():
    optimizer = adam(0.01, decay_rate=0.5, decay_steps=10)
    ran = trained(optimizer=optimizer, weighting=NTKWeights(every=5))
    assert_same_training(ran, by_hand(every=5), rtol=1e-5)  # Optax's schedules are float32
    for row in ran.result.history:
        step = min(row.step, STEPS - 1)  # the last row has the metrics of the last step taken
        assert row.metrics["learning_rate"] == pytest.approx(0.01 * 0.5 ** (step / 10), rel=1e-6)


@pytest.mark.parametrize("factor", [True, False])
def test_weights_and_gradient_from_one_backward_pass(factor):
    """Every step: Jᵀv of the Jacobian whose traces give the weights, with and without factors."""
    with always_factored() if factor else contextlib.nullcontext():
        ran = trained(weighting=NTKWeights(every=1))
    assert_same_training(ran, by_hand(update=descent_by_hand, every=1))


class Heun(FirstOrder):
    """θ − η (g(θ) + g(θ − η g(θ))) / 2: it wants the gradient at other parameters as well."""

    def step(self, parameters, state, objective):
        (_, losses), first = objective(parameters)
        ahead = jax.tree.map(lambda p, g: p - 0.02 * g, parameters, first)
        second = objective(ahead)[1]
        move = lambda p, g, h: p - 0.01 * (g + h)
        after = jax.tree.map(move, parameters, first, second)
        return Step(after, state, losses, {}, running())


def test_an_optimizer_may_look_elsewhere_under_the_same_weights():
    sgd = optax.sgd(0.02)
    ran = trained(optimizer=Heun(sgd), weighting=NTKWeights(every=1))
    leaves = jax.tree.leaves(ran.result.model)
    with pytest.raises(AssertionError):
        assert_same_training(ran, by_hand(update=descent_by_hand, every=1))
    again = trained(optimizer=Heun(sgd), weighting=NTKWeights(every=1, subsample=1000))
    for mine, other in zip(leaves, jax.tree.leaves(again.result.model), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10)


def test_a_constant_learning_rate_is_reported(descent):
    assert {row.metrics["learning_rate"] for row in descent.result.history} == {0.02}


def test_the_result_belongs_to_the_last_row(descent):
    result, last = descent.result, descent.result.history[-1]
    assert result.outcome is Outcome.COMPLETED
    assert result.message == "completed 23 steps"
    assert (result.steps, result.losses, result.weights) == (STEPS, last.losses, last.weights)
    assert result.relative_l2 == last.relative_l2
    assert result.errors == {"u": result.relative_l2}
    seconds = [row.seconds for row in result.history]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_observers_hear_rows_progress_and_checkpoints(descent):
    recorder = descent.recorder
    assert recorder.rows == list(descent.result.history)
    assert recorder.steps == sorted(set(recorder.steps))
    assert recorder.steps[-1] == STEPS
    assert [step for step, *_ in recorder.states] == [7, 14, 21, 23]


def test_ctrl_c_ends_the_run_with_its_state(step_by_step):
    result, recorder = step_by_step.result, step_by_step.recorder
    assert result.outcome is Outcome.INTERRUPTED
    assert result.message == "interrupted after 11 of 23 steps"
    assert result.steps == 11
    assert [row.step for row in result.history] == [0, 5, 10]
    assert [step for step, *_ in recorder.states] == [7, 11]
    assert recorder.steps == list(range(1, 12))  # one step each


def without_seconds(rows):
    return [dataclasses.replace(row, seconds=0.0) for row in rows]


def test_resuming_and_other_chunk_sizes_change_no_bit(descent, step_by_step):
    first = step_by_step.result
    _, state, seconds = step_by_step.recorder.states[-1]
    resumption = Resumption(state, first.history, seconds + 1000.0)
    rest = trained(visit=1e-3, resume=resumption, checkpoint_every=2, budget=600.0)
    for actual, expected in zip(rest.leaves, descent.leaves, strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert without_seconds(rest.result.history) == without_seconds(descent.result.history)
    assert rest.result.outcome is Outcome.COMPLETED  # the budget is that of the second call
    assert seconds + 1000.0 < rest.result.history[-1].seconds <= rest.result.seconds


# --- a model that is linear in its parameters: cheap to compile, known by hand ------------------


def linear_problem(scale=1.0, targets=None, **options):
    """u = 0 at the ends and scale·u = 1 inside."""
    domain = Interval(x=(0.0, 1.0))
    inside = Condition("inside", lambda u, x: scale * u(x) - 1.0, domain, 5)
    return Problem("linear", domain, [dirichlet("ends", domain.faces(), 0.0, 2), inside], **options)


def linear_model():
    return LinearModel(jnp.array([0.3, -0.2, 0.1]))


def run_linear(problem=None, **changes):
    settings = {"optimizer": gradient_descent(0.05), "steps": 10, "key": KEY, "log_every": 5}
    return train_with(problem or linear_problem(), linear_model(), **{**settings, **changes})


def test_the_last_step_is_logged_once_and_no_solution_means_no_error():
    result = run_linear(steps=10)
    assert [row.step for row in result.history] == [0, 5, 10]
    assert [row.relative_l2 for row in result.history] == [None] * 3
    assert result.history[0].weights == {"ends": 1.0, "inside": 1.0}
    assert describe_row(result.history[0]).startswith("ends ")


def test_fixed_weights_act_on_the_gradient_and_losses_stay_unweighted():
    weighted = run_linear(weighting=Fixed({"ends": 3.0}), steps=1)
    batch = linear_problem().sample(KEY)
    basis = lambda x: np.sin(np.arange(1, 4) * np.pi / 2 * x + np.arange(3))
    rows = {
        name: np.array([basis(x) for x in sample.points[:, 0]]) for name, sample in batch.items()
    }
    c = np.array([0.3, -0.2, 0.1])
    r = {"ends": rows["ends"] @ c, "inside": rows["inside"] @ c - 1}
    gradient = sum(
        w * 2 / len(r[k]) * rows[k].T @ r[k] for k, w in (("ends", 3.0), ("inside", 1.0))
    )
    first = weighted.history[0]
    # float32 sums of five terms
    assert first.losses == pytest.approx({k: np.mean(v**2) for k, v in r.items()}, rel=1e-5)
    assert first.weights == {"ends": 3.0, "inside": 1.0}
    np.testing.assert_allclose(weighted.model.coefficients, c - 0.05 * gradient, rtol=1e-5)


def test_a_time_budget_ends_the_run_and_keeps_its_state():
    recorder = Recorder()
    result = run_linear(budget=1e-9, observers=[recorder.observer], steps=1000)
    assert result.outcome is Outcome.BUDGET
    assert result.steps == 1  # the first chunk is one step, which compiles
    assert result.message == "stopped after 1 of 1000 steps, when 1e-09 s were used"
    assert [row.step for row in result.history] == [0]
    assert recorder.states[-1][0] == 1


def test_optimizers_without_a_schedule_have_no_learning_rate():
    result = run_linear(optimizer=FirstOrder(optax.sgd(0.05)), steps=1)
    assert result.history[0].metrics == {}


@each(
    ("setting", "value"),
    [
        ("steps", 0),
        ("steps", True),
        ("steps", 2.5),
        ("log_every", -1),
        ("checkpoint_every", 0),
        ("budget", 0.0),
        ("budget", float("nan")),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting, value):
    with pytest.raises(PinntkError, match=rf"^{setting}: got {value}"):
        run_linear(**{setting: value})


class Rule(AbstractWeighting):
    """A rule that keeps the weights and what it was told."""

    every = 1
    subsample = None

    def __init__(self, *needs):
        self.needs = needs

    def init(self, names):
        return WeightingState(dict.fromkeys(names, 1.0), dict.fromkeys(names, 0.0))

    def update(self, state, information):
        return state


def test_a_rule_that_wants_what_training_does_not_know_is_refused():
    with pytest.raises(PinntkError, match=r"^needs: got str; expected some of Losses, Gradient"):
        run_linear(weighting=Rule(str))


@pytest.mark.parametrize("every", [1, 2])
def test_every_kind_of_information_is_what_it_says(every):
    """By hand in NumPy from the rows of the linear model: losses, gradients, traces at step 0."""
    told = {}

    class Told(Rule):
        def update(self, state, information):
            norms = information[GradientNorms]
            seen = {
                "losses": information[Losses].values,
                "traces": information[Traces].values,
                "euclidean": norms.euclidean,
                "largest": norms.largest,
                "mean": norms.mean,
            }
            jax.debug.callback(lambda values: told.update(values), seen)
            return state

    rule = Told(Losses, Traces, GradientNorms)
    rule.every = every
    problem = linear_problem()
    run_linear(problem, weighting=rule, steps=1)
    jax.effects_barrier()
    basis = lambda x: np.sin(np.arange(1, 4) * np.pi / 2 * x + np.arange(3))
    c, aims = np.array([0.3, -0.2, 0.1]), {"ends": 0.0, "inside": 1.0}
    for name, points in problem.sample(KEY).items():
        rows = np.array([basis(x) for x in np.asarray(points.points)[:, 0]])
        r = rows @ c - aims[name]
        gradient = 2 / len(r) * rows.T @ r
        expected = {
            "losses": np.mean(r**2),
            "traces": np.sum(rows**2),
            "euclidean": np.linalg.norm(gradient),
            "largest": np.abs(gradient).max(),
            "mean": np.abs(gradient).mean(),
        }
        for kind, value in expected.items():  # float32 sums of five terms
            np.testing.assert_allclose(told[kind][name], value, rtol=1e-5)


def test_a_rule_may_remember():
    """λ = 1 + the number of updates before: what is remembered goes from step to step."""

    class Counting(Rule):
        def update(self, state, information):
            memory = {name: value + 1 for name, value in state.memory.items()}
            return WeightingState(memory, memory)

    result = run_linear(weighting=Counting(Losses), steps=4, log_every=1)
    seen = [row.weights["ends"] for row in result.history]
    assert seen == [1.0, 2.0, 3.0, 4.0, 4.0]


COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compilations():
    """How many programs XLA compiles from here on."""
    count = []
    hear = lambda name, seconds, **_: count.append(name) if name == COMPILED else None
    jax.monitoring.register_event_duration_secs_listener(hear)
    yield count
    jax.monitoring.unregister_event_duration_listener(hear)


def test_a_second_training_of_the_same_shapes_compiles_nothing(compilations):
    """Other objects of equal content, another key and another network; a control compiles anew."""
    problem = linear_problem(solution=lambda x: x[0])

    def go(rate, key, weight=2.0):
        training = Training(
            adam(rate), steps=6, weighting=NTKWeights(every=2, factors={"ends": weight})
        )
        model = LinearModel(jax.random.normal(jax.random.key(key), (3,)))
        train(problem, model, training, key=jax.random.key(key))

    go(0.01, 0)
    assert compilations
    compilations.clear()
    go(0.01, 1)
    assert compilations == []
    go(0.01, 1, weight=3.0)
    assert len(compilations) >= 1


def test_a_terminal_sees_a_bar_and_a_pipe_sees_nothing():
    shown = {}
    for terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=terminal, width=200)
        with progress_bar(10, console) as bar:
            run_linear(observers=[bar])
        shown[terminal] = stream.getvalue()
    assert "10/10" in shown[True]
    assert "ends " in shown[True]
    assert shown[False] == ""


# --- divergence -------------------------------------------------------------------------------


def blow_up_by_hand(steps, rate=1e-4):
    """Descent on `linear_problem(1e3)` in float64 with a step far too large, one state per step."""
    problem = linear_problem(1e3)
    basis = lambda x: np.sin(np.arange(1, 4) * np.pi / 2 * x + np.arange(3))
    batch = problem.sample(KEY, np.float64)
    rows = {
        name: np.array([basis(x) for x in np.asarray(s.points)[:, 0]]) for name, s in batch.items()
    }
    states, losses = [np.array([0.3, -0.2, 0.1])], []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            r = {"ends": rows["ends"] @ states[-1], "inside": 1e3 * rows["inside"] @ states[-1] - 1}
            losses.append({k: np.mean(v**2) for k, v in r.items()})
            gradient = rows["ends"].T @ r["ends"] + 2e3 / 5 * rows["inside"].T @ r["inside"]
            states.append(states[-1] - rate * gradient)
    return states, losses


@pytest.mark.parametrize(
    ("case", "settings", "visit"),
    [
        ("inside a chunk", {"log_every": 100, "steps": 100, "checkpoint_every": 9}, 10.0),
        ("at the start of a chunk", {"log_every": 2, "steps": 100, "checkpoint_every": 1}, 0.0),
        ("at the last step", {"log_every": 3, "steps": None, "checkpoint_every": 50}, None),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_divergence_names_condition_and_step_and_keeps_the_last_good_state(
    case, settings, visit, x64, monkeypatch
):
    if visit is not None:
        monkeypatch.setattr(pace, "SECONDS_PER_VISIT", visit)
    states, losses = blow_up_by_hand(100)
    bad = next(i for i, now in enumerate(losses) if not np.isfinite(list(now.values())).all())
    assert np.isfinite(losses[bad]["ends"])  # so the name is not simply the first
    settings = {**settings, "steps": settings["steps"] or bad}
    recorder = Recorder()
    with pytest.warns(PinntkWarning, match="diverged at step"):
        result = run_linear(
            linear_problem(1e3),
            optimizer=gradient_descent(1e-4),
            observers=[recorder.observer],
            **settings,
        )
    assert result.outcome is Outcome.DIVERGED
    assert result.message == (
        f"diverged at step {bad}: the loss of condition 'inside' is inf; the last good state is kept"
    )
    assert result.steps == bad - 1
    np.testing.assert_allclose(result.model.coefficients, states[bad - 1], rtol=1e-10)
    for name, value in result.losses.items():
        np.testing.assert_allclose(value, losses[bad - 1][name], rtol=1e-9)
    assert all(row.step < bad for row in result.history)
    last_step, last_state, _ = recorder.states[-1]
    assert last_step == bad - 1
    np.testing.assert_array_equal(last_state.parameters.coefficients, result.model.coefficients)
    assert all(step < bad for step, *_ in recorder.states)  # only good states are worth keeping


def nan_condition(name="broken", **options):
    domain = Interval(x=(0.0, 1.0))
    broken = Condition(name, lambda u, x: u(x) + jnp.where(x[0] > 0.5, jnp.nan, 0.0), domain, 5)
    return Problem("nan", domain, [dirichlet("ends", domain.faces(), 0.0, 2), broken], **options)


def test_a_run_that_is_not_finite_at_the_start_says_so_and_trains_nothing():
    with pytest.warns(PinntkWarning, match="not finite at step 0"):
        result = run_linear(nan_condition(), weighting=NTKWeights(every=1))
    assert result.outcome is Outcome.DIVERGED
    said = r"not finite at step 0: the loss of condition 'broken' is nan at x = 0\.\d+ "
    why = r"\(a constant that is given as nan\), before any training"
    assert re.fullmatch(said + why, result.message)
    assert result.steps == 0
    assert result.history == ()
    assert eqx.tree_equal(result.model, linear_model())


def test_weights_that_are_not_finite_end_the_run():
    def residual(u, x):  # finite, but the derivative of the root at zero is not
        return u(x) + jnp.sqrt(u(x) - u(x))

    domain = Interval(x=(0.0, 1.0))
    problem = Problem("root", domain, [Condition("root", residual, domain, 3)])
    with pytest.warns(PinntkWarning, match="not finite at step 0"):
        result = run_linear(problem, weighting=NTKWeights())
    assert result.outcome is Outcome.DIVERGED
    assert "the weight of condition 'root' is nan" in result.message
    assert np.isfinite(list(result.losses.values())).all()


@each("dtype", ["float32", "float64"])
def test_arrays_of_numbers_in_a_residual_train_in_either_precision(dtype):
    """Numbers of Python, NumPy and JAX beside u, as pages show them; NumPy's are float64."""
    domain = Interval(t=(0.0, 1.0))
    ones = np.array([1.0, 1.0])

    def turn(w, p):
        return w.d("t")(p) - ones * w(p)[::-1] * np.float64(1.0)

    conditions = [
        Condition("turn", turn, domain, 8),
        initial_value("start", domain, lambda p: jnp.array([1.0, 0.0]), 1),
    ]
    problem = Problem("turn", domain, conditions, fields=("a", "b"))
    setup = Setup(problem, Training(adam(1e-3), steps=3), Network(width=4, depth=1), dtype)
    # The other precision may be on for the process.
    with jax.enable_x64(True), precision(dtype):
        start = setup.start(0)
        result = train(start.problem, start.model, setup.training, key=start.key)
    assert result.outcome is Outcome.COMPLETED
    assert str(model_dtype(result.model)) == dtype
    assert result.losses["turn"] > 0


# --- what the loop asks before it starts ------------------------------------------------------


def test_a_residual_without_influence_is_named():
    domain = Interval(x=(0.0, 1.0))
    stopped = Condition("stopped", lambda u, x: jax.lax.stop_gradient(u(x)), domain, 5)
    problem = Problem("stop", domain, [dirichlet("ends", domain.faces(), 0.0, 2), stopped])
    with pytest.raises(ResidualError, match=r"'stopped'.*zeros.*stop_gradient"):
        run_linear(problem)


def test_influence_at_one_late_point_is_enough():
    domain = Interval(x=(0.0, 1.0))
    late = Condition("late", lambda u, x: jnp.where(x[0] > 0.9, u(x), 0.0), domain, 16)
    problem = Problem("late", domain, [late])
    batch = problem.sample(KEY)
    order = jnp.argsort(batch["late"].points[:, 0])
    batch = {"late": batch["late"]._replace(points=batch["late"].points[order])}
    assert float(batch["late"].points[3, 0]) < 0.9 < float(batch["late"].points[-1, 0])
    check_sensitivity(problem, linear_model(), batch)


def test_a_subsample_keeps_points_with_their_targets():
    domain, x = Interval(x=(0.0, 1.0)), np.linspace(0, 1, 4)[:, None]
    problem = Problem("data", domain, [observations("data", domain, x, x[:, 0])])
    few = subsample(problem.sample(KEY), 3, KEY)["data"]
    np.testing.assert_array_equal(few.points[:, 0], few.targets)
    assert len(few.points) == 3


@pytest.mark.parametrize(
    ("solution", "text"),
    [
        (lambda x: {}["missing"], "KeyError"),
        (lambda x: jnp.stack([x[0], x[0]]), "shape"),
    ],
)
def test_a_solution_that_does_not_work_is_named(solution, text):
    with pytest.raises(PinntkError, match=f"^solution.*{text}"):
        run_linear(linear_problem(solution=solution))
