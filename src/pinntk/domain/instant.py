"""The first instant of a region with a time."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.domain.box import Box
from pinntk.domain.region import ROUNDING, AbstractRegion
from pinntk.domain.samplers import AbstractSampler
from pinntk.domain.union import Union
from pinntk.errors import PinntkError, check_name


class Instant(AbstractRegion):
    """A region of space and time at its least `t`, for regions whose space is the same at all times."""

    def __init__(self, region: AbstractRegion):
        check_name("coordinate", "t", region.coordinates)
        self.region = region
        self.coordinates = region.coordinates
        self.axis = region.coordinates.index("t")
        self.time = region.bounds["t"][0]
        self.lower = tuple(low for low, _ in region.bounds.values())
        upper = {name: high for name, (_, high) in region.bounds.items()}
        self.upper = tuple({**upper, "t": self.time}.values())

    def __repr__(self) -> str:
        return f"Instant({self.region})"

    def sample(self, sampler: AbstractSampler, n: int, key: PRNGKeyArray) -> Float[Array, "n d"]:
        """Points of the region, moved to its first instant."""
        return self.region.sample(sampler, n, key).at[:, self.axis].set(self.time)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether each point (n, d) is of the first instant and of the region: shape (n,)."""
        low, high = self.region.bounds["t"]
        now = np.abs(points[:, self.axis] - self.time) <= ROUNDING * (high - low)
        there = np.array(points)
        there[:, self.axis] = self.time
        return now & self.region.contains(there)

    def normal(self, point: Float[Array, " d"]) -> Float[Array, " d"]:
        """Backwards in time."""
        return jnp.zeros_like(point).at[self.axis].set(-1.0)


def first_instant(domain: AbstractRegion) -> AbstractRegion:
    """The part of a domain at its least `t`: a face of a box, those of the first parts of a union."""
    check_name("coordinate", "t", domain.coordinates)
    if isinstance(domain, Box):
        return domain.initial()
    if domain.given is not None:
        raise PinntkError(
            "domain",
            got=domain,
            expected="a region with an inside, for its first instant",
            fix="Give those of your points that are of the first instant: Points(...).",
        )
    if isinstance(domain, Union):
        first = domain.bounds["t"][0]
        parts = [part for part in domain.parts if part.bounds["t"][0] == first]
        return Union([first_instant(part) for part in parts])
    return Instant(domain)
