"""Marching: a problem solved slab after slab of time, each from the end of the one before."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from pinntk.errors import PinntkError, PinntkWarning
from pinntk.jacobian import model_dtype, trainable
from pinntk.optim import Objective, SecondOrder
from pinntk.problem import Batch, Model, Problem, relative_l2
from pinntk.training.compiled import Resumption, check_sensitivity, initial_state
from pinntk.training.history import Outcome, Result, Row
from pinntk.training.observer import Observer
from pinntk.training.pace import Pace
from pinntk.training.plan import Training
from pinntk.training.slab_model import SlabModel, moved
from pinntk.training.slab_problem import SlabProblem
from pinntk.training.slab_run import SlabRun
from pinntk.training.slabs import TimeSlabs
from pinntk.words import number, percent

#: A slab is looked at first after 1/64 of the planned steps, then whenever they have doubled.
LOOKS = 6
#: Errors of slabs add up: each is trained to a tenth of the tolerance where an eighth of the steps do it.
AIM, EARLY = 0.1, 8
#: While a doubling of the steps gains a decimal order, training goes on below that: it is cheap, and
#: later slabs start from what it gains.
GAIN = 10.0
#: The next slab is twice as long after one that was solved early. Where that failed, twice as many in a
#: row are waited for, up to so many: an attempt that fails costs as much as some that do not.
PATIENCE = 16
#: A residual is not told from zero below so many roundings of the largest one of the march.
ROUNDINGS = 100.0
#: Outcomes that end a march in the middle of a slab.
STOPPED = (Outcome.BUDGET, Outcome.INTERRUPTED)
#: The most slabs that a note tells of.
NOTED = 3
#: Points at which the error is computed at once: each has its own copy of a slab's parameters.
AT_ONCE = 512


class Solved(NamedTuple):
    """A slab that is done: its network, its last tick, the share of the residual that it leaves."""

    network: Model
    end: int
    left: float


@dataclasses.dataclass
class MarchState:
    """Where a march stands. It is kept in memory, and goes on with `Resumption(state, rows, seconds)`.

    `length` is that of the next slab in ticks, `early` how many slabs in a row were solved early, `wait`
    how many are to be before the length doubles, `grown` whether it just has; `refused` is how many slabs
    were too long, `largest` the largest loss of a solution that is held still.
    """

    place: SlabProblem
    targets: dict[str, Array]
    length: int
    pace: Pace
    notes: tuple[str, ...]
    slabs: list[Solved] = dataclasses.field(default_factory=list)
    rows: list[Row] = dataclasses.field(default_factory=list)
    step: int = 0
    early: int = 0
    wait: int = 1
    grown: bool = False
    refused: int = 0
    attempts: int = 0
    largest: float = 0.0
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def position(self) -> int:
        """The tick up to which the problem is solved."""
        return self.slabs[-1].end if self.slabs else 0


def march(
    problem: Problem,
    model: Model,
    training: Training,
    *,
    key: PRNGKeyArray,
    batch: Batch | None,
    budget: float | None,
    observers: Sequence[Observer],
    resume: Resumption | None,
) -> Result:
    """`train` for a training with slabs.

    The budget is kept to within a step. Observers are offered the state once, at the end; history has
    the losses of the slabs, and in its last row those of the whole.
    """
    began = time.perf_counter()
    batch = problem.sample(key, model_dtype(model)) if batch is None else batch
    if resume is None:
        state = _first_state(problem, model, training, batch, key)
    elif isinstance(resume.state, MarchState):
        state, began = resume.state, began - resume.seconds
    else:
        raise PinntkError(
            "resume", got=type(resume.state).__name__, expected="a MarchState, kept in memory"
        )
    run = _March(problem, model, training, key, observers, state, began)
    run.go(None if budget is None else time.perf_counter() + budget)
    return run.result(batch)


def _first_state(
    problem: Problem, model: Model, training: Training, batch: Batch, key: PRNGKeyArray
) -> MarchState:
    """Where a march begins; the problem is checked, and notes are warnings, once for all slabs."""
    assert training.slabs is not None
    place = SlabProblem.of(problem, model, batch, key, training.slabs.ticks)
    targets = {name: jnp.asarray(place.batch[name].targets) for name in place.carried}  # zeros
    length = training.slabs.first
    first = place.model(model, moved(place.clock, 0, length))
    place.problem.check(first, place.batch)
    check_sensitivity(place.problem, first, place.batch)
    kind, notes = training.optimizer.kind, ()
    if isinstance(kind, SecondOrder):
        state = initial_state(place.problem, first, training, place.batch)
        whole = Objective(place.problem, trainable(first)[1], state.weights, place.batch)
        notes = kind.notes(whole, state.parameters)
    for note in notes:
        warnings.warn(note, PinntkWarning, stacklevel=5)
    return MarchState(place, targets, length, Pace(), notes)


class _March:
    """One march: its state, and what it does with it."""

    def __init__(
        self,
        problem: Problem,
        model: Model,
        training: Training,
        key: PRNGKeyArray,
        observers: Sequence[Observer],
        state: MarchState,
        began: float,
    ):
        assert training.slabs is not None
        self.problem, self.fresh, self.key = problem, model, key
        self.rule: TimeSlabs = training.slabs
        self.plan = training.replace(slabs=None)
        self.observers, self.state, self.began = observers, state, began
        self.deadline: float | None = None
        self.outcome, self.message = Outcome.COMPLETED, ""
        self.tail: Solved | None = None
        rounding = ROUNDINGS * float(jnp.finfo(model_dtype(model)).eps) / self.rule.tolerance
        self.rounding = rounding**2  # of a loss

    def go(self, deadline: float | None) -> None:
        """Solve slab after slab, up to the last or to whatever ends the march before."""
        self.deadline = deadline
        try:
            while self.state.position < self.rule.ticks and self._next():
                late = deadline is not None and time.perf_counter() > deadline
                if late and self.state.position < self.rule.ticks:
                    self._stop(Outcome.BUDGET, "when its time was used")
                    return
        except KeyboardInterrupt:
            self._stop(Outcome.INTERRUPTED)
        if self.outcome is Outcome.COMPLETED:
            self._complete()

    def _next(self) -> bool:
        """Try the next slab; whether the march goes on."""
        state, rule = self.state, self.rule
        start = state.position
        end = min(start + state.length, rule.ticks)
        run, left, early = self._attempt(start, end)
        done = Solved(run.network, end, left)
        if run.outcome in STOPPED:
            self.tail = done
            self._stop(run.outcome, "when its time was used" if self.deadline else "")
            return False
        diverged = run.outcome is Outcome.DIVERGED
        if not diverged and (left <= rule.tolerance or not rule.adapts):
            state.slabs.append(done)
            state.targets = run.end()
            self._lengthen(early)
            return True
        if rule.adapts and end - start > 1:
            state.wait = min(2 * state.wait, PATIENCE) if state.grown else state.wait
            state.length, state.grown = (end - start) // 2, False
            state.early, state.refused = 0, state.refused + 1
            return True
        self.tail = done
        if diverged:
            self._stop(Outcome.DIVERGED, f"and the slab to {self._time(end)} diverged")
        else:
            self._stop(Outcome.STALLED, f"and the shortest slab leaves {number(left)} after that")
        return False

    def _lengthen(self, early: bool) -> None:
        """Double the length of the next slab after enough that were solved early."""
        state = self.state
        if not self.rule.adapts:
            return
        state.wait = 1 if state.grown else state.wait
        state.early = state.early + 1 if early else 0
        state.grown = state.early >= state.wait
        if state.grown:
            state.length, state.early = min(2 * state.length, self.rule.ticks), 0

    def _attempt(self, start: int, end: int) -> tuple[SlabRun, float, bool]:
        """Train a network in the slab between two ticks: what it leaves, and whether that was early."""
        state = self.state
        network = state.slabs[-1].network if state.slabs else self.fresh
        clock = moved(state.place.clock, start, end)
        key = jax.random.fold_in(self.key, state.attempts)
        state.attempts += 1
        self._say(f"slab {len(state.slabs) + 1}, {self._time(start)} to {self._time(end)[4:]}")
        run = SlabRun(state.place, network, clock, state.targets, self.plan, key, state.pace)
        left, early, offset = math.inf, False, state.step

        def tell(step: int, row: Row | None) -> None:
            state.step = offset + step
            if row is not None:
                self._log(dataclasses.replace(row, step=offset + row.step, seconds=self._seconds()))
            newest = state.rows[-1] if state.rows else None
            for observer in self.observers:
                if observer.progress is not None:
                    observer.progress(state.step, offset + self.plan.steps, newest)

        aim = AIM * self.rule.tolerance
        for steps in sorted({max(1, self.plan.steps >> shift) for shift in range(LOOKS + 1)}):
            run.go(steps, self.deadline, tell)
            state.weights = run.weights
            before, left = left, run.left(self._floor)
            soon, met = steps <= self.plan.steps / EARLY, left <= self.rule.tolerance
            early = soon and left <= aim
            good = left <= aim if soon else met
            if run.outcome is not Outcome.COMPLETED or (good and before < GAIN * left):
                break
            judged = self.rule.adapts and not met and steps >= self.plan.steps / EARLY
            if judged and not self._hopeful(before, left, math.log2(self.plan.steps / steps)):
                break
        return run, left, early

    def _hopeful(self, before: float, left: float, doublings: float) -> bool:
        """Whether a residual reaches the tolerance if every doubling of the steps gains as the last did."""
        if not math.isfinite(left) or not before > left:
            return False
        needed = math.log(left / self.rule.tolerance)
        return not math.isfinite(before) or math.log(before / left) * doublings >= needed

    def _floor(self, loss: float) -> float:
        """The least loss that is told from rounding, of this one and the largest so far."""
        if math.isfinite(loss):
            self.state.largest = max(self.state.largest, loss)
        return self.rounding * self.state.largest

    def _seconds(self) -> float:
        return time.perf_counter() - self.began

    def _time(self, tick: int) -> str:
        first, last = self.state.place.clock.span
        return f"t = {first + (last - first) * tick / self.rule.ticks:.4g}"

    def _say(self, words: str) -> None:
        for observer in self.observers:
            if observer.stage is not None:
                observer.stage(words)

    def _log(self, row: Row) -> None:
        self.state.rows.append(row)
        for observer in self.observers:
            if observer.row is not None:
                observer.row(row)

    def _stop(self, outcome: Outcome, why: str = "") -> None:
        solved = self._time(self.state.position)
        last = self.state.place.clock.span[1]
        self.outcome = outcome
        self.message = f"{outcome} after {self.state.step} steps: solved up to {solved} of {last:g}"
        self.message += f", {why}" if why else ""

    def _complete(self) -> None:
        slabs, refused = self.state.slabs, self.state.refused
        words = f"{len(slabs)} slab{'s' * (len(slabs) != 1)} of time"
        if refused:
            words += f", after {refused} that were too long"
        worst = max(slab.left for slab in slabs)
        if worst <= self.rule.tolerance:
            self.outcome = Outcome.CONVERGED
        self.message = (
            f"{self.outcome} after {self.state.step} steps: {words}; each leaves at most "
            f"{number(worst)} of the residual"
        )

    def result(self, batch: Batch) -> Result:
        """What came of it, measured on the problem as it was stated."""
        state = self.state
        slabs = [*state.slabs, *([] if self.tail is None else [self.tail])]
        slabs = slabs or [Solved(self.fresh, self.rule.ticks, math.inf)]
        edges = [0, *(slab.end for slab in slabs)]
        model = SlabModel.of([slab.network for slab in slabs], edges, state.place.clock)
        look = eqx.filter_jit(self.problem.losses)
        other = self.problem.held_out(self.key, model_dtype(model))
        losses, held_out = (
            {name: float(found[name]) for name in self.problem.names if name in found}
            for found in (look(model, batch), look(model, other))
        )
        weights = {name: float(state.weights.get(name, 1.0)) for name in self.problem.names}
        metrics = state.rows[-1].metrics if state.rows else {}
        error = solution_error(self.problem, model)
        final = Row(state.step, losses, weights, metrics, error, self._seconds(), held_out)
        before = tuple(state.rows)
        self._log(final)
        state.rows.pop()  # the march may go on
        for observer in self.observers:
            if observer.checkpoint is not None:
                observer.checkpoint(state, final.seconds)
        notes = [self._poor(slabs, i) for i in range(len(slabs)) if self._is_poor(slabs[i])]
        return Result(
            model=model,
            outcome=self.outcome,
            message=self.message,
            steps=state.step,
            seconds=final.seconds,
            losses=losses,
            weights=weights,
            relative_l2=error,
            history=(*before, final),
            held_out=held_out,
            notes=(*state.notes, *notes[:NOTED]),
            compilation=state.pace.compilation,
        )

    def _is_poor(self, slab: Solved) -> bool:
        return not slab.left <= self.rule.tolerance

    def _poor(self, slabs: Sequence[Solved], index: int) -> str:
        start = slabs[index - 1].end if index else 0
        return (
            f"Slab {index + 1}, {self._time(start)} to {self._time(slabs[index].end)[4:]}, leaves "
            f"{percent(slabs[index].left)} of the residual; later ones rely on less than "
            f"{percent(self.rule.tolerance)}. Use shorter slabs, more points or more steps."
        )


def solution_error(problem: Problem, model: Model) -> float | None:
    """The relative L2 error of a model of slabs, None without a solution."""
    if problem.solution is None:
        return None
    points = problem.test_points(model_dtype(model))

    @eqx.filter_jit
    def values(model: Model, points: Array) -> Array:
        return jax.lax.map(problem.field(model), points, batch_size=AT_ONCE)

    exact = jax.vmap(problem.field(problem.solution))(points)
    return float(relative_l2(values(model, points), exact))
