"""A network per slab of time as one function of a point, and the map between slabs and the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from pinntk.arrays import AnyArray
from pinntk.calculus import Point
from pinntk.problem import Model


class Clock(eqx.Module):
    """Where a slab lies: the affine map between its times and those of the whole extent.

    Its ends are whole numbers of ticks, `ticks` of which are the extent. Integers are data that no
    optimizer changes, so that all slabs share a compiled program. While `still`, all times are mapped
    to the first: a network then gives what it has at the start of the slab.

    **Arguments:** `span`: the first and last time of the whole; `axis`: which of `size` coordinates is t.
    """

    start: Int[Array, ""]
    end: Int[Array, ""]
    still: Bool[Array, ""]
    ticks: int = eqx.field(static=True)
    span: tuple[float, float] = eqx.field(static=True)
    axis: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def __call__(self, x: Point) -> Point:
        """`to_slab`: residuals read the clock as a coefficient that is a function of a point."""
        return self.to_slab(x)

    def to_slab(self, x: Point) -> Point:
        """A point of the whole, at the same share of the slab's time."""
        factor, low = self._factor(x.dtype)
        return self._moved(x, factor, low - factor * self.span[0])

    def to_whole(self, x: Point) -> Point:
        """A point of the slab, at the same share of the whole time."""
        factor, low = self._factor(x.dtype)
        rate = jnp.where(self.still, 0.0, 1 / factor).astype(x.dtype)
        return self._moved(x, rate, self.span[0] - rate * low)

    def _factor(self, dtype: Any) -> tuple[Array, Array]:
        """The slab's length over that of the whole, and its first time."""
        first, last = self.span
        start, end = (tick.astype(dtype) for tick in (self.start, self.end))
        return (end - start) / self.ticks, first + (last - first) * (start / self.ticks)

    def _moved(self, x: Point, factor: Array, shift: Array) -> Point:
        here = np.arange(self.size) == self.axis
        return x * jnp.where(here, factor, 1) + jnp.where(here, shift, 0)


class SlabModel(eqx.Module):
    """The solution over all slabs as one model: the network of the slab that a point's t lies in.

    Also a time on the edge of two slabs has one value: that of the later one. After the last solved
    slab, where a march ended early, the solution is held still.

    **Attributes:** `networks`: the networks' arrays, stacked; `edges`: the n + 1 ends of n slabs in
    ticks; `times` the same as times.
    """

    networks: Any
    edges: Int[Array, " edges"]
    clock: Clock

    @staticmethod
    def of(networks: Sequence[Model], edges: Sequence[int], clock: Clock) -> SlabModel:
        """One model of the networks of slabs between `edges`, in ticks of `clock`."""
        stack = lambda *leaves: jnp.stack(leaves) if eqx.is_array(leaves[0]) else leaves[0]
        return SlabModel(jax.tree.map(stack, *networks), jnp.asarray(edges, jnp.int32), clock)

    @property
    def times(self) -> Float[np.ndarray, " edges"]:
        """The ends of the slabs, one more than there are slabs."""
        first, last = self.clock.span
        return first + (last - first) * np.asarray(self.edges) / self.clock.ticks

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __call__(self, x: Float[AnyArray, " d"]) -> Array:
        """The value at one point of the whole domain."""
        point = jnp.asarray(x)
        if not jnp.issubdtype(point.dtype, jnp.floating):
            point = point.astype(float)
        (first, last), axis = self.clock.span, self.clock.axis
        shares = self.edges.astype(point.dtype) / self.clock.ticks
        times = first + (last - first) * shares
        time = jax.lax.stop_gradient(point[axis])
        slab = jnp.searchsorted(times[1:-1], time, side="right")
        # Past the end of what was solved; the last edge itself is still in the slab.
        past = (self.edges[-1] < self.clock.ticks) & (time > times[-1])
        here = np.arange(self.clock.size) == axis
        point = jnp.where(here & past, times[-1], point)
        arrays, rest = eqx.partition(self.networks, eqx.is_array)
        network = eqx.combine(jax.tree.map(lambda leaf: leaf[slab], arrays), rest)
        return network(moved(self.clock, self.edges[slab], self.edges[slab + 1]).to_whole(point))


def moved(clock: Clock, start: Any, end: Any, still: bool = False) -> Clock:
    """The clock of another slab of the same whole."""
    whole = lambda tick: jnp.asarray(tick, jnp.int32)
    return Clock(
        start=whole(start),
        end=whole(end),
        still=jnp.asarray(still),
        ticks=clock.ticks,
        span=clock.span,
        axis=clock.axis,
        size=clock.size,
    )
