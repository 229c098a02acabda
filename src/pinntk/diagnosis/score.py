"""The measures that trials of remedies are compared by: the same for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pinntk.diagnosis.diagnosis import Diagnosis
from pinntk.diagnosis.linearized import linearized
from pinntk.diagnosis.measures import observed
from pinntk.diagnosis.subject import Draw, JaxSubject, field_at, precision_of, residuals_at
from pinntk.jacobian import cast, model_dtype
from pinntk.problem import Batch, Model, relative_l2
from pinntk.training import precision
from pinntk.weighting import ntk_weights

#: The share of given points that is held out, where a condition has points enough.
SHARE = 5
ENOUGH = 10


class Gap(NamedTuple):
    """How far a model is from a better one: relative L2 over the domain, the worst place, the gap there."""

    relative_l2: float
    point: tuple[float, ...]
    largest: float


class Score:
    """One measure for all trials: Σ λ_k mean r_k² over held-out points of the problem as it was stated.

    λ are Algorithm 1's weights for the network that was diagnosed, before training: no condition drowns
    another. Conditions that a trial has built into its model count too; they are zero. Of points that are
    given, `split` says which rows are held out, by condition: no trial trains on them.
    """

    def __init__(self, diagnosis: Diagnosis):
        setup = diagnosis.setup
        self.problem, self.training = setup.problem, setup.training
        first = diagnosis.evidence.before[0]
        rates = {n: rate for n, rate in first.rates.items() if rate > 0}
        weights = ntk_weights(rates, dict.fromkeys(rates, 1)) if rates else {}
        least = min((float(w) for w in weights.values()), default=1.0)
        self.weights = {n: float(w) / least for n, w in weights.items()}
        with precision(setup.dtype):
            key = setup.start(diagnosis.seed).key
            self.points = self.problem.held_out(key)
            given = {n: s for n, s in self.problem.sample(key).items() if n not in self.points}
            self.split = {
                name: held_rows(len(sample.points))
                for name, sample in given.items()
                if len(sample.points) >= ENOUGH
            }
            rows = lambda name: self.split.get(name, np.arange(len(given[name].points)))
            self.points |= {n: jax.tree.map(lambda a, n=n: a[rows(n)], given[n]) for n in given}
            self.targets = self.problem.test_points()

    def __call__(self, model: Model) -> float:
        """Smaller is better; infinite where the model is not finite. Call it within its precision."""
        residuals = residuals_at(self.problem, model, cast(self.points, model_dtype(model)))
        total = self.total({name: float(np.mean(r**2)) for name, r in residuals.items()})
        return total if math.isfinite(total) else math.inf

    def total(self, losses: Mapping[str, float]) -> float:
        """Σ λ_k L_k."""
        return sum(self.weights.get(name, 1.0) * loss for name, loss in losses.items())

    @property
    def by_error(self) -> bool:
        """Whether the solution is known, so that trials are ranked by their error."""
        return self.problem.solution is not None

    def error(self, model: Model) -> float | None:
        """The relative L2 error, where the solution is known."""
        if self.problem.solution is None:
            return None
        points = self.targets.astype(model_dtype(model))
        found = field_at(self.problem, model, points)
        exact = field_at(self.problem, self.problem.solution, points)
        error = float(relative_l2(jnp.asarray(found), jnp.asarray(exact)))
        return error if math.isfinite(error) else math.inf

    def estimate(self, model: Model) -> float:
        """The relative error that the linearized problem estimates: no solution is needed."""
        dtype = model_dtype(model)
        seen = observed(self.problem, dtype)
        subject = JaxSubject(self.problem, [Draw(model, seen)], self.training, jax.random.key(0))
        kernel = subject.kernel(model, seen)
        residuals = {name: r.ravel() for name, r in subject.residuals(model, seen).items()}
        points = self.targets.astype(dtype)
        field = subject.field(model, points)
        found = linearized(subject, model, seen, kernel, residuals, points, field).error
        return found if math.isfinite(found) else math.inf

    def gap(self, model: Model, better: Model) -> Gap:
        """How far one model is from another that is taken for the solution."""
        found, exact = (self._field(each) for each in (model, better))
        error = float(relative_l2(jnp.asarray(found), jnp.asarray(exact)))
        distance = np.abs(found - exact).max(axis=1)
        worst = int(np.argmax(distance))
        point = np.asarray(self.targets[worst], np.float64)
        return Gap(error, tuple(point.tolist()), float(distance[worst]))

    def _field(self, model: Model) -> np.ndarray:
        with precision(precision_of(model)):
            return field_at(self.problem, model, self.targets.astype(model_dtype(model)))


def held_rows(count: int) -> np.ndarray:
    """A fifth of so many rows: the same ones whenever it is asked."""
    return np.sort(np.random.default_rng(count).permutation(count)[: count // SHARE])


def without(batch: Batch, held: Mapping[str, np.ndarray]) -> Batch:
    """A batch without the rows that are held out."""
    fewer = dict(batch)
    for name, rows in held.items():
        if name in batch:
            kept = np.setdiff1d(np.arange(len(batch[name].points)), rows)
            fewer[name] = jax.tree.map(lambda a, kept=kept: a[kept], batch[name])
    return fewer
