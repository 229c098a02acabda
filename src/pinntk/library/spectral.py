"""Periodic evolution equations in one dimension without a formula: a spectral reference solution.

Fourier series in x, de-aliased; steps in time by ETDRK4 (Cox and Matthews, J. Comput. Phys. 176
(2002) 430, in the stable form of Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214); kept as
Chebyshev series in t, panel by panel. So the solution at any point is a finite sum that can be
differentiated as often as wanted.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from pinntk.calculus import Point

#: All waves that are left out of a series have amplitudes that sum to less than this.
DROPPED = 1e-9
#: Points on the circle over which the coefficients of ETDRK4 are averaged.
CIRCLE = 32
#: Before this time the kink is taken as it was at the start; its error there is √(4dt/π) per slope.
SHORT = 1e-16


@dataclasses.dataclass(frozen=True)
class Kink:
    """A jump of the initial slope at the wall, which a Fourier series resolves only like 1/k².

    The part s − s²/L of the solution, s the distance to the nearest wall, is smooth but for a slope
    that jumps by 2 at the wall. Under u_t = d u_xx + r u it becomes

        e^(rt) (s erf(s/w) + w e^(−s²/w²)/√π − s²/L − 2dt/L),   w = √(4dt),

    up to images a period away, which are below 1e-15 until `last`.

    **Arguments:** `strength` times that function is split off from the solution; `rate` r is the
    slope of the reaction at the wall, so that the remainder starts with a jump of its third
    derivative alone; `diffusivity` d; `length` L of the period.
    """

    strength: float
    rate: float
    diffusivity: float
    length: float

    @property
    def last(self) -> float:
        """Until when the images can be left out: (L/2)² = 36 · 4dt."""
        return self.length**2 / (16 * 36 * self.diffusivity)

    def start(self, z: np.ndarray) -> np.ndarray:
        """The function at t = 0, z the distance to the lower wall."""
        s = np.minimum(z, self.length - z)
        return self.strength * (s - s**2 / self.length)

    def series(self, times: np.ndarray, waves: np.ndarray) -> np.ndarray:
        """Its Fourier coefficients (times, waves); `waves` are 2πk/L from k = 0 on."""
        start = np.append(self.length / 6, -2 / (self.length * waves[1:] ** 2))
        rates = self.rate - self.diffusivity * waves**2
        return self.strength * start * np.exp(np.outer(times, rates))

    def __call__(self, z: Array, t: Array) -> Array:
        """The function at one point, z the distance to the lower wall; zero after `last`."""
        s = jnp.minimum(z, self.length - z)
        early = t < SHORT
        w = jnp.sqrt(4 * self.diffusivity * jnp.where(early, SHORT, t))
        y = s / w
        spread = w * (jnp.exp(-(y**2)) / math.sqrt(math.pi) - y * jax.scipy.special.erfc(y))
        curve = (s**2 + 2 * self.diffusivity * t) / self.length
        value = s + jnp.where(early, 0.0, spread) - curve
        return jnp.where(t < self.last, self.strength * jnp.exp(self.rate * t) * value, 0.0)


@dataclasses.dataclass(frozen=True)
class Evolution:
    """An equation u_t = L u + M N(u) on a period, N a polynomial in u, L and M multipliers of e^(iωx).

    **Arguments:** `low`, `length`: the period; `initial(x)`; `linear(ω)` is L; `reaction(u)` is N, of
    degree `degree`; `multiplier(ω)` is M.
    """

    low: float
    length: float
    initial: Callable[[np.ndarray], np.ndarray]
    linear: Callable[[np.ndarray], np.ndarray]
    reaction: Callable[[np.ndarray], np.ndarray]
    degree: int
    multiplier: Callable[[np.ndarray], np.ndarray] = np.ones_like
    kink: Kink | None = None

    def waves(self, modes: int) -> Float[np.ndarray, " k"]:
        """ω = 2πk/L for k < modes."""
        return 2 * math.pi / self.length * np.arange(modes)

    def start(self, modes: int) -> Complex[np.ndarray, " k"]:
        """The Fourier coefficients of the initial value, of the kink by its formula."""
        count = 16 * modes
        z = self.length / count * np.arange(count)
        values = self.initial(self.low + z)
        if self.kink is None:
            return np.fft.rfft(values)[:modes] / count
        smooth = np.fft.rfft(values - self.kink.start(z))[:modes] / count
        return smooth + self.kink.series(np.zeros(1), self.waves(modes))[0]


@dataclasses.dataclass(frozen=True)
class Series:
    """Σ over waves of a cosine or a sine in x times a Chebyshev series in t, panel by panel."""

    low: float
    edges: Float[np.ndarray, " edges"]
    cosines: Float[np.ndarray, " cosines"]
    sines: Float[np.ndarray, " sines"]
    coefficients: Float[np.ndarray, "panels nodes waves"]
    kink: Kink | None

    def __call__(self, p: Point) -> Array:
        """The value at one point (x, t); for many points it is two products of matrices."""
        x, t = p
        constant = lambda a: jnp.asarray(a, x.dtype)
        z = x - self.low
        panel = jnp.sum(t >= constant(self.edges[1:-1]))
        low, high = constant(self.edges[:-1])[panel], constant(self.edges[1:])[panel]
        panels, count, _ = self.coefficients.shape
        powers = jnp.stack(_chebyshev((2 * t - low - high) / (high - low), count))
        rows = jnp.where(jnp.arange(panels)[:, None] == panel, powers[None, :], 0.0).reshape(-1)
        flat = constant(self.coefficients.reshape(panels * count, -1))
        # A GPU would otherwise multiply float32 with ten bits.
        amplitudes = jnp.dot(rows, flat, precision=jax.lax.Precision.HIGHEST)
        angles = [jnp.cos(constant(self.cosines) * z), jnp.sin(constant(self.sines) * z)]
        total = jnp.sum(amplitudes * jnp.concatenate(angles))
        return total if self.kink is None else total + self.kink(z, t)


def _chebyshev(tau: Array, count: int) -> list[Array]:
    """T_0 to T_(count−1) by their recurrence, a polynomial: smooth at ±1 as well."""
    values = [jnp.ones_like(tau), tau]
    while len(values) < count:
        values.append(2 * tau * values[-1] - values[-2])
    return values[:count]


def solve(
    evolution: Evolution, modes: int, panels: int, step: float, nodes: int = 12, halvings: int = 0
) -> Series:
    """The solution for t ∈ [0, 1] with waves k < `modes`, in steps of at most `step`.

    Time is cut into equal `panels`, the first of them again at its half, at the half of that, and
    so on, `halvings` times. A panel has nodes + 1 Chebyshev points, and a step ends on each of them.
    """
    ends = np.append(0.0, np.arange(1, panels + 1) / panels)
    ends = np.append(ends, ends[1] * 0.5 ** np.arange(1, halvings + 1))
    if evolution.kink is not None and evolution.kink.last < 1:
        ends = np.append(ends, evolution.kink.last)
    ends = np.unique(ends)
    unit = 0.5 - 0.5 * np.cos(math.pi * np.arange(nodes + 1) / nodes)
    stepper, state = _Stepper(evolution, modes), evolution.start(modes)
    waves, found = evolution.waves(modes), []
    for low, high in itertools.pairwise(ends):
        states = [state]
        for gap in np.diff(unit) * (high - low):
            count = math.ceil(gap / step)
            for _ in range(count):
                state = stepper(state, gap / count)
            states.append(state)
        panel = np.array(states)
        if evolution.kink is not None and high <= evolution.kink.last:
            panel = panel - evolution.kink.series(low + (high - low) * unit, waves)
        found.append(panel)
    return _compress(evolution, ends, np.array(found), unit)


def _compress(
    evolution: Evolution, edges: np.ndarray, states: np.ndarray, unit: np.ndarray
) -> Series:
    """Fourier coefficients (panels, nodes + 1, modes) as a series without the negligible waves."""
    waves = evolution.waves(states.shape[-1])
    columns = np.concatenate([2 * np.real(states), -2 * np.imag(states)], axis=-1)
    columns[..., 0] /= 2
    basis = np.polynomial.chebyshev.chebvander(2 * unit - 1, len(unit) - 1)
    coefficients = np.linalg.solve(basis, columns)
    largest = np.abs(columns).max(axis=(0, 1))
    order = np.argsort(largest)
    kept = np.sort(order[np.cumsum(largest[order]) > DROPPED])
    split = int(np.searchsorted(kept, len(waves)))
    cosines, sines = waves[kept[:split]], waves[kept[split:] - len(waves)]
    return Series(evolution.low, edges, cosines, sines, coefficients[..., kept], evolution.kink)


class _Stepper:
    """ETDRK4 for the Fourier coefficients; the coefficients for every size of step are kept."""

    def __init__(self, evolution: Evolution, modes: int):
        waves = evolution.waves(modes)
        self.evolution, self.modes = evolution, modes
        self.linear = evolution.linear(waves)
        self.multiplier = evolution.multiplier(waves)
        self.points = 2 * math.ceil((evolution.degree + 1) * modes / 2)  # no product is aliased
        self.known: dict[float, tuple[np.ndarray, ...]] = {}

    def rate(self, state: np.ndarray) -> np.ndarray:
        values = np.fft.irfft(state, self.points, norm="forward")
        transform = np.fft.rfft(self.evolution.reaction(values), norm="forward")
        return self.multiplier * transform[: self.modes]

    def coefficients(self, h: float) -> tuple[np.ndarray, ...]:
        """e^(hL), e^(hL/2), and the weights of the stages by averages over circles around hL."""
        key = float(f"{h:.12e}")
        if key not in self.known:
            circle = np.exp(2j * math.pi * (np.arange(CIRCLE) + 0.5) / CIRCLE)
            r = h * self.linear[:, None] + circle
            mean = lambda values: h * values.mean(axis=1)
            e = np.exp(r)
            self.known[key] = (
                np.exp(h * self.linear),
                np.exp(h * self.linear / 2),
                mean((np.exp(r / 2) - 1) / r),
                mean((-4 - r + e * (4 - 3 * r + r**2)) / r**3),
                mean(2 * (2 + r + e * (r - 2)) / r**3),
                mean((-4 - 3 * r - r**2 + e * (4 - r)) / r**3),
            )
        return self.known[key]

    def __call__(self, u: np.ndarray, h: float) -> np.ndarray:
        """The coefficients after one step of size h."""
        whole, half, q, first, middle, last = self.coefficients(h)
        n = self.rate(u)
        a = half * u + q * n
        at_a = self.rate(a)
        b = half * u + q * at_a
        at_b = self.rate(b)
        c = half * a + q * (2 * at_b - n)
        return whole * u + first * n + middle * (at_a + at_b) + last * self.rate(c)
