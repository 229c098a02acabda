"""Several regions as one."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.domain.region import ROUNDING, AbstractRegion, Facts, check_region
from pinntk.domain.samplers import AbstractSampler
from pinntk.errors import PinntkError


class Union(AbstractRegion):
    """Several regions of the same coordinates; n points are split evenly, the first get the remainder.

    `shares` gives other proportions: `Union([initial, walls], shares=[1, 2])`.
    """

    def __init__(self, parts: Sequence[AbstractRegion], shares: Sequence[int] | None = None):
        regions = tuple(parts)
        if not regions:
            raise PinntkError("Union", got="no part", expected="at least one region")
        for part in regions:
            check_region("Union", part)
        if len({part.coordinates for part in regions}) != 1:
            raise PinntkError(
                "Union",
                got=[part.coordinates for part in regions],
                expected="parts with the same coordinates in the same order",
            )
        self.facts = Facts(parts=regions)
        self.shares = _checked_shares(shares, len(regions))
        self.coordinates = regions[0].coordinates
        ends = np.array([list(part.bounds.values()) for part in regions])
        self.lower = tuple(ends[:, :, 0].min(axis=0).tolist())
        self.upper = tuple(ends[:, :, 1].max(axis=0).tolist())

    def __repr__(self) -> str:
        return f"Union({list(self.facts.parts)})"

    def counts(self, n: int) -> list[int]:
        """How many of n points each part gets: one at least."""
        if n < len(self.shares):
            raise PinntkError(
                "points", got=n, expected=f"at least {len(self.shares)}, one for every part"
            )
        total = sum(self.shares)
        counts = [n * share // total for share in self.shares]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
        while min(counts) == 0:
            counts[counts.index(max(counts))] -= 1
            counts[counts.index(0)] += 1
        return counts

    def sample(self, sampler: AbstractSampler, n: int, key: PRNGKeyArray) -> Float[Array, "n d"]:
        """`n` points, part after part."""
        regions = self.facts.parts
        keys = jax.random.split(key, len(regions))
        drawn = [
            part.sample(sampler, count, part_key)
            for part, count, part_key in zip(regions, self.counts(n), keys, strict=True)
        ]
        return jnp.concatenate(drawn)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether each point (n, d) lies in any part: shape (n,)."""
        return np.any([part.contains(points) for part in self.facts.parts], axis=0)

    def normal(self, point: Float[Array, " d"]) -> Float[Array, " d"]:
        """The outward normal of the part that the point lies on; at a corner, of the first such part."""
        result = jnp.full_like(point, jnp.nan)
        for part in reversed(self.parts):
            result = jnp.where(self._lies_on(part, point), part.normal(point), result)
        return result

    def _lies_on(self, part: AbstractRegion, point: Float[Array, " d"]) -> Array:
        if part.given is not None:
            raise PinntkError("normal", got=part, expected="a union of faces of a box")
        if not part.is_box:  # what a region of one's own contains is known to the host alone
            shape = jax.ShapeDtypeStruct((), bool)
            near = lambda x: part.near(np.asarray(x).reshape(-1, len(point))).reshape(x.shape[:-1])
            return jax.pure_callback(near, shape, point, vmap_method="expand_dims")
        (low, high), (first, last) = (
            np.array(list(region.bounds.values())).T for region in (part, self)
        )
        size = np.maximum(np.abs(low), np.abs(high))
        slack = ROUNDING * (last - first) + 4 * float(jnp.finfo(point.dtype).eps) * size
        low, high = (jnp.asarray(end, point.dtype) for end in (low - slack, high + slack))
        return jnp.all((point >= low) & (point <= high))


def _checked_shares(shares: Sequence[int] | None, parts: int) -> tuple[int, ...]:
    if shares is None:
        return (1,) * parts
    whole = lambda share: isinstance(share, int | np.integer) and not isinstance(share, bool)
    try:
        good = len(shares) == parts and all(whole(share) and share > 0 for share in shares)
    except TypeError:
        good = False
    if not good:
        raise PinntkError(
            "shares",
            got=shares,
            expected=f"{parts} positive numbers, one whole number for every part",
            fix="For halves write shares=[1, 1], for a third and two thirds shares=[1, 2].",
        )
    return tuple(int(share) for share in shares)
