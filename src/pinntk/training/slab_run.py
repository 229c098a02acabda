"""The training of one slab of time, and what it leaves of the residual."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from pinntk import threads
from pinntk.jacobian import parameter_count, trainable
from pinntk.optim import Status
from pinntk.problem import Batch, Model
from pinntk.training.compiled import Chunk, compile_chunk, compile_look, initial_state
from pinntk.training.history import Outcome, Row
from pinntk.training.pace import Pace
from pinntk.training.plan import Training
from pinntk.training.resampling import resized
from pinntk.training.slab_model import Clock, moved
from pinntk.training.slab_problem import SlabProblem

#: How a slab ends that its optimizer ends.
ENDINGS = {
    Status.LOSS: Outcome.CONVERGED,
    Status.STEP: Outcome.CONVERGED,
    Status.GRADIENT: Outcome.CONVERGED,
    Status.STALLED: Outcome.STALLED,
}


class SlabRun:
    """A training in one slab that goes on in turns; all slabs share its compiled programs.

    **Attributes:** `outcome`: `COMPLETED` while it may go on; `first`: the losses before the first step.
    """

    def __init__(
        self,
        place: SlabProblem,
        network: Model,
        clock: Clock,
        targets: Mapping[str, Array],
        plan: Training,
        key: PRNGKeyArray,
        pace: Pace,
    ):
        self.place, self.clock, self.targets, self.plan = place, clock, targets, plan
        self.key, self.pace = key, pace
        model = place.model(network, clock)
        batch = self._sized(place.with_targets(place.batch, targets), 0)
        self.rest = trainable(model)[1]
        self.state = initial_state(place.problem, model, plan, batch)
        rows = sum(sample.points.shape[0] for sample in batch.values())
        run = compile_chunk(place.problem, self.rest, plan, key)
        self.run: Callable[..., Chunk] = threads.sized(run, min(parameter_count(model), rows))
        self.first: Mapping[str, float] | None = None
        self.outcome = Outcome.COMPLETED
        self.began = time.perf_counter()

    @property
    def step(self) -> int:
        """The steps that were taken."""
        return int(self.state.step)

    @property
    def network(self) -> Model:
        """The network as it is now."""
        return eqx.combine(self.state.parameters, self.rest).network

    @property
    def weights(self) -> dict[str, float]:
        """The loss weights in force."""
        return {name: float(value) for name, value in self.state.weights.items()}

    def go(
        self, steps: int, deadline: float | None, tell: Callable[[int, Row | None], None]
    ) -> None:
        """Train up to so many steps in all, to the deadline, or to whatever ends it before.

        `tell(step, row)` is called as it goes on, with a row of history where there is a new one.
        """
        try:
            while self.outcome is Outcome.COMPLETED and self.step < steps:
                row = self._visit(steps, deadline)
                tell(self.step, row)
                late = deadline is not None and time.perf_counter() > deadline
                if late and self.outcome is Outcome.COMPLETED:
                    self.outcome = Outcome.BUDGET
        except KeyboardInterrupt:
            self.outcome = Outcome.INTERRUPTED

    def _visit(self, steps: int, deadline: float | None) -> Row | None:
        """One chunk of steps; the row of history that it began with, if one was due."""
        step, every, rule = self.step, self.plan.log_every, self.plan.resampling
        start = self.state._replace(batch=self._sized(self.state.batch, step))
        stops = [steps, (step // every + 1) * every]
        change = rule.next_change(step)
        stops += [] if change is None else [change]
        shapes = tuple((name, sample.points.shape) for name, sample in start.batch.items())
        size = self.pace.size(min(stops) - step, deadline, shapes)
        with self.pace.timed(size, shapes):
            chunk = jax.block_until_ready(self.run(start, size))
        if not chunk.finite:
            self.outcome, self.state = Outcome.DIVERGED, start
            return None
        self.state = chunk.state
        self.outcome = ENDINGS.get(Status(int(chunk.state.status)), self.outcome)
        if step % every:
            return None
        row = self._row(step, chunk)
        self.first = row.losses if self.first is None else self.first
        return row

    def _row(self, step: int, chunk: Chunk) -> Row:
        plain = lambda numbers: {name: float(value) for name, value in numbers.items()}
        first = chunk.first
        seconds = time.perf_counter() - self.began
        losses, weights = plain(first.losses), plain(first.weights)
        return Row(step, losses, weights, plain(first.metrics), None, seconds, {})

    def _sized(self, batch: Batch, step: int) -> Batch:
        problem = self.place.problem
        return resized(problem, batch, self.plan.resampling.counts(problem, step), self.key)

    def left(self, floor: Callable[[float], float]) -> float:
        """The residual between the points over that of the solution held still, as root mean squares.

        `floor(loss)` is the least weighted loss that counts, of the largest one that was seen here.
        """
        still = moved(self.clock, self.clock.start, self.clock.end, still=True)
        held = trainable(self.place.model(self.network, still))[1]
        weights = self.weights
        pairs = []
        for points in (self.place.dense, self.place.graded):
            batch = self.place.with_targets(points, self.targets)
            losses = (self._look(rest, batch) for rest in (self.rest, held))
            pairs.append([sum(weights[n] * loss[n] for n in loss) for loss in losses])
        if not np.isfinite(pairs).all():
            return math.inf
        first = self.first or {}
        least = floor(max(pairs[0][1], sum(weights[n] * first[n] for n in first)))
        tiny = float(np.finfo(np.float64).tiny)
        return math.sqrt(max(now / max(before, least, tiny) for now, before in pairs))

    def _look(self, rest: Any, batch: Batch) -> dict[str, float]:
        found = compile_look(self.place.problem, rest)(self.state.parameters, batch)
        return {name: float(value) for name, value in found.items()}

    def end(self) -> dict[str, Array]:
        """What the carried conditions are at the end of the slab: the targets of the next one."""
        found = self.place.values(self.place.model(self.network, self.clock), self.place.at_end())
        targets = {}
        for name, value in found.items():
            starts = jnp.reshape(self.place.starts(name), (-1,) + (1,) * (value.ndim - 1))
            # The problem divides what is left of a residual and its target by the condition's scale.
            scale = np.asarray(self.place.problem.condition(name).scale, value.dtype)
            value = value * np.broadcast_to(scale, value.shape)
            targets[name] = jnp.where(starts, value, jnp.zeros_like(value))
        return targets
