"""How collocation points change during training: per condition, by residual, or in growing numbers."""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from pinntk.arrays import StepNumber
from pinntk.conditions import Condition
from pinntk.domain import Random, UniformGrid
from pinntk.errors import PinntkError, check_name
from pinntk.problem import Batch, Model, Problem, Sample, condition_key, draw


class AbstractResampling(abc.ABC):
    """How the points of a run change: by keys and steps alone, so that a run can be resumed."""

    @abc.abstractmethod
    def counts(self, problem: Problem, step: int) -> dict[str, int]:
        """How many points conditions have from this step on, by name; the others keep what they have."""

    @abc.abstractmethod
    def refresh(
        self, problem: Problem, model: Model, batch: Batch, step: StepNumber, key: PRNGKeyArray
    ) -> Batch:
        """The points for a step, as many as there are. Works inside jit."""

    @abc.abstractmethod
    def next_change(self, step: int) -> int | None:
        """The next step after this one where counts may differ, None for never."""


def _over_domain(problem: Problem, condition: Condition) -> bool:
    """Whether a condition's points fill the domain: neither a part of its rim nor given points."""
    return condition.where.fills(problem.domain) and condition.targets is None


class _AbstractRedrawing(AbstractResampling):
    """The points of a step are those that the conditions ask for."""

    def refresh(
        self,
        problem: Problem,
        model: Model,
        batch: Batch,
        step: StepNumber,
        key: PRNGKeyArray,
    ) -> Batch:
        del model
        return problem.redraw(batch, step, key)


@dataclasses.dataclass(frozen=True)
class AsConditioned(_AbstractRedrawing):
    """As each condition says: fixed points, or new ones every `redraw_every` steps."""

    def counts(self, problem: Problem, step: int) -> dict[str, int]:
        del problem, step
        return {}

    def next_change(self, step: int) -> int | None:
        del step
        return None


@dataclasses.dataclass(frozen=True)
class ResidualAdaptive(AbstractResampling):
    """Residual-adaptive points (RAD): new ones every so many steps, denser where the residual is large.

    Of `candidates` times as many uniform points, points are drawn without replacement with a
    probability in proportion to |r|^k / mean |r|^k + c: Wu, Zhu, Tan, Kartha, Lu, Comput. Methods
    Appl. Mech. Engrg. 403 (2023) 115671, equation (2); k = 1 and c = 1 are its defaults. Conditions
    on data and on single points keep theirs.

    **Arguments:** `every`: steps between two draws; `exponent` k; `floor` c; `candidates`; `names`:
    the conditions it is for, None for those over the whole domain.
    """

    every: int = 50
    exponent: float = 1.0
    floor: float = 1.0
    candidates: int = 8
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("every", "candidates"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise PinntkError(name, got=value, expected="a whole number, 1 or more")
        for name in ("exponent", "floor"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise PinntkError(name, got=value, expected="a finite number, 0 or more")

    def counts(self, problem: Problem, step: int) -> dict[str, int]:
        del problem, step
        return {}

    def next_change(self, step: int) -> int | None:
        del step
        return None

    def refresh(
        self, problem: Problem, model: Model, batch: Batch, step: StepNumber, key: PRNGKeyArray
    ) -> Batch:
        for name in self.names or ():
            check_name("condition", name, problem.names)
        fresh = dict(batch)
        due = (step % self.every == 0) & (step > 0)
        for index, condition in enumerate(problem.conditions):
            name = condition.name
            if not (_over_domain(problem, condition) if self.names is None else name in self.names):
                continue
            drawn = jax.random.fold_in(condition_key(key, index), step)
            new = lambda n=name, i=index, k=drawn: self._draw(problem, model, n, i, batch[n], k)
            fresh[name] = jax.lax.cond(due, new, lambda n=name: batch[n])
        return fresh

    def _draw(
        self,
        problem: Problem,
        model: Model,
        name: str,
        index: int,
        old: Sample,
        key: PRNGKeyArray,
    ) -> Sample:
        count, dtype = len(old.points), old.points.dtype
        place_key, choice_key = jax.random.split(key)
        wide = dataclasses.replace(
            problem.conditions[index], points=self.candidates * count, sampler=Random()
        )
        candidates = draw(wide, place_key, dtype)
        residuals = problem.residuals(model, {name: candidates})[name]
        size = jnp.sqrt(jnp.sum(residuals.reshape(len(residuals), -1) ** 2, axis=1))
        power = jnp.where(jnp.isfinite(size), size, 0) ** self.exponent
        density = power / jnp.maximum(jnp.mean(power), jnp.finfo(dtype).tiny) + self.floor
        # The largest of log p + Gumbel noise are a draw without replacement.
        noise = jax.random.gumbel(choice_key, density.shape, dtype)
        _, chosen = jax.lax.top_k(jnp.log(density) + noise, count)
        return Sample(candidates.points[chosen], old.targets)


@dataclasses.dataclass(frozen=True)
class ProgressivePoints(_AbstractRedrawing):
    """Few points first, then twice as many every so many steps, up to the counts of the conditions.

    For conditions over the domain. Sobol points are kept when others join them. Early steps, which
    need no accuracy, are cheap.

    **Arguments:** `every`: steps between two doublings; `start`: the share of the points to begin with.
    """

    every: int = 100
    start: float = 0.25

    def __post_init__(self) -> None:
        if not isinstance(self.every, int) or self.every < 1:
            raise PinntkError("every", got=self.every, expected="a whole number, 1 or more")
        if not 0 < self.start <= 1:
            raise PinntkError("start", got=self.start, expected="a share above 0, 1 at most")

    def _share(self, step: int) -> float:
        """The share of the points that is in use at a step."""
        return min(1.0, self.start * 2.0 ** min(step // self.every, 60))

    def counts(self, problem: Problem, step: int) -> dict[str, int]:
        share = self._share(step)
        found = {}
        for condition in problem.conditions:
            if _over_domain(problem, condition) and not isinstance(condition.sampler, UniformGrid):
                found[condition.name] = math.ceil(share * condition.points)
        return found

    def next_change(self, step: int) -> int | None:
        if self._share(step) == 1:
            return None
        return (step // self.every + 1) * self.every


def resized(problem: Problem, batch: Batch, counts: dict[str, int], key: PRNGKeyArray) -> Batch:
    """The batch with other numbers of points where they differ, drawn with the run's key."""
    changed = dict(batch)
    for index, condition in enumerate(problem.conditions):
        old: Any = batch[condition.name]
        count = counts.get(condition.name, len(old.points))
        if len(old.points) != count:
            other = dataclasses.replace(condition, points=count)
            changed[condition.name] = draw(other, condition_key(key, index), old.points.dtype)
    return changed
