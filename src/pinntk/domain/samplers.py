"""Samplers: each maps (key, n, d) to n points of the unit cube, inside jit or out."""

from __future__ import annotations

import abc
import dataclasses
import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from pinntk.errors import PinntkError


class AbstractSampler(abc.ABC):
    """Points of the unit cube. `sample(key, n, d)` has shape (n, d); the same key gives the same points."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, n: int, d: int) -> Float[Array, "n d"]:
        """`n` points in [0, 1]^d, in JAX's default float dtype."""


@dataclasses.dataclass(frozen=True)
class Random(AbstractSampler):
    """Independent uniform points."""

    def sample(self, key: PRNGKeyArray, n: int, d: int) -> Float[Array, "n d"]:
        return jax.random.uniform(key, (n, d))


@dataclasses.dataclass(frozen=True)
class LatinHypercube(AbstractSampler):
    """One point in each of n equal slices of every coordinate (McKay, Beckman, Conover 1979)."""

    def sample(self, key: PRNGKeyArray, n: int, d: int) -> Float[Array, "n d"]:
        order_key, jitter_key = jax.random.split(key)
        slices = jnp.tile(jnp.arange(n)[:, None], (1, d))
        shuffled = jax.random.permutation(order_key, slices, axis=0, independent=True)
        return (shuffled + jax.random.uniform(jitter_key, (n, d))) / n


@dataclasses.dataclass(frozen=True)
class Sobol(AbstractSampler):
    """The Sobol sequence under a random digital shift: a low-discrepancy set, a new one for every key.

    The shift flips the same random bits in every point, which keeps the net's balance and can be
    redrawn inside a jitted loop. Balance is best when n is a power of two.
    """

    def sample(self, key: PRNGKeyArray, n: int, d: int) -> Float[Array, "n d"]:
        if d == 0:
            return jnp.zeros((n, 0))
        return _shifted(jnp.asarray(_sobol_bits(n, d)), key)


@jax.jit
def _shifted(bits: UInt32[Array, "n d"], key: PRNGKeyArray) -> Float[Array, "n d"]:
    shift = jax.random.bits(key, bits.shape[1:], jnp.uint32)
    # With half a unit added, 23 bits are what float32 can hold: no point lies on a wall.
    return (((bits ^ shift[None, :]) >> 9).astype(float) + 0.5) / 2**23


@functools.lru_cache(maxsize=64)
def _sobol_bits(n: int, d: int) -> UInt32[np.ndarray, "n d"]:
    from scipy.stats import qmc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # balance for n other than powers of two
        points = qmc.Sobol(d, scramble=False, bits=32).random(n)
    return np.asarray(points * 2.0**32, dtype=np.uint32)


def unit_points(n: int, d: int) -> Float[np.ndarray, "n d"]:
    """The first `n` points of the Sobol sequence in the unit cube, none on its walls; on the host."""
    if d == 0:
        return np.zeros((n, 0))
    return ((_sobol_bits(n, d) >> 9) + 0.5) / 2.0**23  # see Sobol


@dataclasses.dataclass(frozen=True)
class UniformGrid(AbstractSampler):
    """Equally spaced points with both ends included; `shape` gives the points per coordinate.

    Without `shape`, n must be the d-th power of a whole number. The key is not used.
    """

    shape: tuple[int, ...] | None = None

    def sample(self, key: PRNGKeyArray, n: int, d: int) -> Float[Array, "n d"]:  # noqa: ARG002
        if d == 0:
            return jnp.zeros((n, 0))
        axes = [jnp.linspace(0.0, 1.0, count) for count in self._counts(n, d)]
        return jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1).reshape(n, d)

    def _counts(self, n: int, d: int) -> tuple[int, ...]:
        if self.shape is not None:
            if len(self.shape) != d or int(np.prod(self.shape)) != n:
                raise PinntkError(
                    "UniformGrid.shape",
                    got=self.shape,
                    expected=f"{d} counts whose product is the {n} points asked for",
                )
            return self.shape
        side = round(n ** (1 / d))
        if side**d != n:
            lower = int(n ** (1 / d))
            raise PinntkError(
                "points",
                got=n,
                expected=f"m**{d} points for a uniform grid in {d} dimensions",
                fix=f"Use {lower**d} or {(lower + 1) ** d}, or UniformGrid(shape=(...)).",
            )
        return (side,) * d
