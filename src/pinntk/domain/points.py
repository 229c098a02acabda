"""Points that are given, for data and for any geometry."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.arrays import Rows
from pinntk.domain.region import AbstractRegion, Facts
from pinntk.domain.samplers import AbstractSampler
from pinntk.errors import PinntkError


class Points(AbstractRegion):
    """Given points, an array of shape (n, d): `Points(array, ("x", "t"))`. Samplers do not move them."""

    def __init__(self, points: Rows, coordinates: Sequence[str]):
        values = np.asarray(points)
        self.coordinates = tuple(coordinates)
        if values.ndim != 2 or values.shape[1] != len(self.coordinates) or len(values) == 0:
            raise PinntkError(
                "points",
                got=f"an array of shape {values.shape}",
                expected=f"shape (n, {len(self.coordinates)}), one column for each of "
                f"{', '.join(self.coordinates)}, n ≥ 1",
            )
        bad = ~np.isfinite(values.astype(float)).all(axis=1)
        if bad.any():
            raise PinntkError(
                "points",
                got=f"{int(bad.sum())} rows with NaN or infinity, the first at row {bad.argmax()}",
                expected="finite numbers",
            )
        self.points = values.astype(float)
        self.facts = Facts(points=self.points)
        self.lower = tuple(self.points.min(axis=0).tolist())
        self.upper = tuple(self.points.max(axis=0).tolist())

    def __repr__(self) -> str:
        return f"Points({len(self.points)} points of {', '.join(self.coordinates)})"

    def sample(self, sampler: AbstractSampler, n: int, key: PRNGKeyArray) -> Float[Array, "n d"]:  # noqa: ARG002
        """The points themselves; n must be their number."""
        if n != len(self.points):
            raise PinntkError(
                "points", got=n, expected=f"{len(self.points)}, as many as were given"
            )
        return jnp.asarray(self.points, dtype=float)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether each point (n, d) is one of the given ones: shape (n,)."""
        distance = np.abs(points[:, None, :] - self.points[None]).max(axis=2).min(axis=1)
        return distance <= 1e-6 * max(1.0, float(np.abs(self.points).max()))

    def normal(self, point: Float[Array, " d"]) -> Float[Array, " d"]:
        """Points have no normal; always an error."""
        del point
        raise PinntkError("normal", got=self, expected="a face of a box")
