"""Several networks of one setup at the same points, and their trainings at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from pinntk.errors import PinntkError
from pinntk.problem import Batch, Model
from pinntk.training import Look, Member, Network, Setup, train_ensemble


class Drawn(NamedTuple):
    """The networks of several seeds at the same points."""

    models: Sequence[Model]
    batch: Batch


def with_network(setup: Setup, **changes: Any) -> Setup:
    """The setup with a network of another width, depth or parametrization."""
    assert isinstance(setup.network, Network)
    return setup.replace(network=setup.network.replace(**changes))


def draw_models(setup: Setup, seeds: Sequence[int]) -> Drawn:
    """Networks as `pinntk train --seed` draws them, one per seed, and points drawn with the first seed."""
    starts = [setup.start(seed) for seed in seeds]
    return Drawn([start.model for start in starts], starts[0].batch)


def first_points(batch: Batch, count: int) -> Batch:
    """The first `count` points of every condition."""
    return {name: jax.tree.map(lambda a: a[:count], sample) for name, sample in batch.items()}


def train_many(
    setup: Setup,
    models: Sequence[Model],
    batch: Batch,
    at: Sequence[int],
    weights: Sequence[Mapping[str, float]] | None = None,
) -> Iterator[Look]:
    """Train all models at once on the points of `batch`; yields them at every step of `at`, in order.

    `weights` are the first loss weights of each, those of the setup's rule if None. **Raises**
    `PinntkError` where one of them has no finite loss any more.
    """
    given = [None] * len(models) if weights is None else weights
    members = [Member(model, batch, own) for model, own in zip(models, given, strict=True)]
    looks = train_ensemble(setup.problem, members, setup.training, key=jax.random.key(0), at=at)
    for look in looks:
        if not look.finite.all():
            raise PinntkError(
                "optimizer",
                got=f"losses that are not finite at step {look.step}",
                expected="a learning rate that is stable",
            )
        yield look
