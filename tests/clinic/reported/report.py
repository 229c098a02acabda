"""A problem that somebody asked about in public: where, and what the first finding should be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.integrate import solve_ivp

from pinntk.optim import adam
from pinntk.problem import Problem
from pinntk.training import Network, Setup, Training, no_scaling

#: What is kept of a reference: so many even instants. A cubic through them is exact to about 1e-10.
INSTANTS = 4001


@dataclasses.dataclass(frozen=True)
class Report:
    """A reported problem, stated anew.

    `first` are the failure modes of which the first finding should be one, and `why` says so in a
    sentence. `judged` says that this variant counts for the first finding, `curable` that settings can
    bring its error to 5%, `counts` that it stands for its thread in the count of cures. `unmet` are
    conditions that the given solution does not meet, and `exact` how closely it meets the others.
    `refused` is the argument that should be refused.
    """

    name: str
    source: str
    setup: Callable[[], Setup]
    first: frozenset[str]
    why: str
    curable: bool
    judged: bool = True
    counts: bool = True
    unmet: tuple[str, ...] = ()
    exact: float = 1e-5
    refused: str = ""


def as_asked(
    problem: Problem, width: int, depth: int, steps: int, rate: float = 1e-3, **network: Any
) -> Setup:
    """Adam, equal weights and inputs as they are: how nearly all of them were asked."""
    shape = {"scaling": no_scaling, **network}
    plan = Training(adam(rate), steps=steps)
    return Setup(problem, plan, Network(width=width, depth=depth, **shape))


def cubic(end: float, values: np.ndarray, slopes: np.ndarray) -> Callable[[Array], Array]:
    """Piecewise cubic in t through values (n, ...) with their slopes, at n even instants of [0, end]."""
    step = end / (len(values) - 1)
    rise = slopes * step

    def at(t: Array) -> Array:
        place = jnp.clip(jnp.floor(t / step), 0, len(values) - 2)
        i, q = place.astype(int), t / step - place
        pick = lambda table, j: jnp.asarray(table, t.dtype)[j]
        a, b, c, d = pick(values, i), pick(values, i + 1), pick(rise, i), pick(rise, i + 1)
        return a + q * (c + q * (3 * (b - a) - 2 * c - d + q * (2 * (a - b) + c + d)))

    return at


def integrated(
    rates: Callable[[Any], Any], start: list[float], end: float
) -> Callable[[Array], Array]:
    """The solution of y' = rates(y), y(0) = start, to a relative 1e-11, as a function of the point (t,)."""
    instants = np.linspace(0, end, INSTANTS)
    found = solve_ivp(
        lambda t, y: rates(y),
        (0, end),
        start,
        method="DOP853",
        t_eval=instants,
        rtol=1e-11,
        atol=1e-11,
    )
    values = found.y.T
    curve = cubic(end, values, np.stack([np.asarray(rates(row)) for row in values]))
    return lambda p: curve(p[0])


def quadrature(low: float, high: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss and Legendre's points (n, 1) on an interval, and their weights."""
    points, weights = np.polynomial.legendre.leggauss(count)
    half = (high - low) / 2
    return (low + half * (points + 1))[:, None], half * weights


def integral(
    u: Callable[[Array], Array], rule: tuple[np.ndarray, np.ndarray], dtype: Any, power: int = 1
) -> Array:
    """∫ uᵏ dx by a quadrature rule, for a residual at one point."""
    points, weights = (jnp.asarray(part, dtype) for part in rule)
    return jnp.dot(weights, jax.vmap(u)(points) ** power)
