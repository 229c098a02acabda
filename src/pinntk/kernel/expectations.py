"""Gaussian expectations E[σ(u)σ(v)] and E[σ'(u)σ'(v)], the steps of the limit kernel's recursion.

(u, v) is normal with mean zero and covariance [[a, c], [c, b]]. All are smooth in a, b and c, at
c² = ab too, and can be differentiated as often as an operator asks.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float
from numpy.polynomial import Polynomial

from pinntk.errors import PinntkError

#: Correlations at which a rule is refined: the Gaussian is round, stretched, a line.
_CORRELATIONS = (0.0, 0.7, -0.95, 1.0)
#: Derivatives of σ up to this order enter the kernel of a second-order operator: one from the
#: recursion, two for each derivative of a or b and one for each of c (Price's theorem, below).
_HIGHEST = 7
#: Expectations are computed in tables of multiples of so many orders.
_TABLE = _HIGHEST + 1


class AbstractExpectation(abc.ABC):
    """An activation through its two Gaussian expectations."""

    @abc.abstractmethod
    def values(self, a: Array, b: Array, c: Array) -> Float[Array, ""]:
        """E[σ(u)σ(v)]."""

    @abc.abstractmethod
    def slopes(self, a: Array, b: Array, c: Array) -> Float[Array, ""]:
        """E[σ'(u)σ'(v)]."""

    def up_to(self, variance: float) -> AbstractExpectation:  # noqa: ARG002
        """The same, ready for variances a and b up to `variance`; closed forms always are."""
        return self


@dataclasses.dataclass(frozen=True)
class Erf(AbstractExpectation):
    """The error function: (2/π) asin(2c / √((1+2a)(1+2b))) (Williams, NIPS 1996, eq. 11)."""

    def values(self, a: Array, b: Array, c: Array) -> Array:
        return 2 / math.pi * jnp.arcsin(2 * c / jnp.sqrt((1 + 2 * a) * (1 + 2 * b)))

    def slopes(self, a: Array, b: Array, c: Array) -> Array:
        return 4 / math.pi / jnp.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * c**2)


@dataclasses.dataclass(frozen=True)
class Sine(AbstractExpectation):
    """The sine: e^(−(a+b)/2) sinh c, and with cosh for its derivative, the cosine."""

    def values(self, a: Array, b: Array, c: Array) -> Array:
        return jnp.exp(-(a + b) / 2) * jnp.sinh(c)

    def slopes(self, a: Array, b: Array, c: Array) -> Array:
        return jnp.exp(-(a + b) / 2) * jnp.cosh(c)


@dataclasses.dataclass(frozen=True, eq=False)
class Rule:
    """The trapezoidal rule for a standard normal: nodes and weights (m,), over [−`reach`, `reach`].

    For an analytic integrand its error falls like e^(−2πs/h), with h the distance of the nodes and s
    that of the nearest pole from the real line: π/(2√a) for tanh(√a z). `change` is what halving h
    would change, relative to E[σ⁽ⁱ⁾(u)²], at the variance that it was made for.
    """

    nodes: Float[np.ndarray, " m"]
    weights: Float[np.ndarray, " m"]
    change: float

    @staticmethod
    def of(count: int, reach: float, change: float = math.nan) -> Rule:
        """With so many nodes."""
        nodes = np.linspace(-reach, reach, count)
        weights = np.exp(-(nodes**2) / 2)
        return Rule(nodes, weights / weights.sum(), change)


@dataclasses.dataclass(frozen=True)
class Tanh(AbstractExpectation):
    """The hyperbolic tangent by quadrature, its derivatives by Price's theorem.

    `up_to` chooses `rule`: nodes are added until halving their distance changes no expectation by
    more than `tolerance`, relative to the largest that it can be.
    """

    tolerance: float = 1e-11
    rule: Rule | None = None

    def values(self, a: Array, b: Array, c: Array) -> Array:
        return _expectation(self._chosen(), 0, 0, a, b, c)

    def slopes(self, a: Array, b: Array, c: Array) -> Array:
        return _expectation(self._chosen(), 1, 1, a, b, c)

    def _chosen(self) -> Rule:
        return self.up_to(2.0).rule if self.rule is None else self.rule  # type: ignore[union-attr, return-value]

    def up_to(self, variance: float) -> Tanh:
        """With the rule for variances up to this one."""
        return dataclasses.replace(self, rule=_refined(self.tolerance, float(variance)))


@functools.cache
def _refined(tolerance: float, variance: float) -> Rule:
    if not 1e-14 <= tolerance < 1:
        raise PinntkError("tolerance", got=tolerance, expected="1e-14 or more, and less than 1")
    reach = math.sqrt(2 * math.log(1 / tolerance)) + 2.0  # the tails beyond hold less
    count, change = 0, math.inf
    for count in (round(33 * 1.25**n) for n in range(16)):
        if 2 * reach / (count - 1) * math.sqrt(variance) > 1.0:
            continue  # the nodes would step over the whole bend of tanh
        coarse, fine = (_samples(Rule.of(m, reach), variance) for m in (count, 2 * count))
        change = float(np.max(np.abs(fine - coarse) / np.abs(fine[-1])))
        if change <= tolerance:
            return Rule.of(count, reach, change)
    raise PinntkError(
        "tolerance",
        got=f"{tolerance:g}, not reached with {count} nodes for a variance of {variance:.3g}",
        expected=f"a rule that resolves it (the last one changes by {change:.1g})",
        fix="Scale the inputs to order one, or allow a larger tolerance.",
    )


def _samples(rule: Rule, variance: float) -> np.ndarray:
    """E[σ⁽ⁱ⁾(u)σ⁽ⁱ⁾(v)] at this variance for some correlations (rows; the last one is 1) and orders i."""
    z = rule.nodes
    rows = []
    for correlation in _CORRELATIONS:
        u = math.sqrt(variance) * z[:, None]
        v = correlation * u + math.sqrt(variance * (1 - correlation**2)) * z[None, :]
        weights = rule.weights[:, None] * rule.weights[None, :]
        pairs = [
            (_tanh_derivative(i, np.tanh(u)), _tanh_derivative(i, np.tanh(v)))
            for i in range(_HIGHEST + 1)
        ]
        rows.append([np.sum(weights * first * second) for first, second in pairs])
    return np.array(rows)


@functools.cache
def _polynomial(order: int) -> Polynomial:
    """The polynomial p with tanh⁽ⁿ⁾ = p(tanh): p₀ = t, p' (1 − t²) from one to the next."""
    if order == 0:
        return Polynomial([0.0, 1.0])
    return _polynomial(order - 1).deriv() * Polynomial([1.0, 0.0, -1.0])


def _tanh_derivative(order: int, t):
    """tanh⁽ⁿ⁾ at the points where tanh is t."""
    result = 0.0 * t
    for coefficient in _polynomial(order).coef[::-1]:
        result = result * t + coefficient
    return result


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _expectation(rule: Rule, i: int, j: int, a: Array, b: Array, c: Array) -> Array:
    """F_ij = E[σ⁽ⁱ⁾(u)σ⁽ʲ⁾(v)], out of a table that all i and j share."""
    size = _TABLE * (max(i, j) // _TABLE + 1)
    return _table(rule, size, a, b, c)[i, j]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _table(rule: Rule, size: int, a: Array, b: Array, c: Array) -> Float[Array, "size size"]:
    """F_ij for all i, j < size, with u = √a z₁ and v = (c/√a) z₁ + √(b − c²/a) z₂.

    The root is never differentiated, so that c² = ab is a point like any other.
    """
    z, weights = (jnp.asarray(values, a.dtype) for values in (rule.nodes, rule.weights))
    root = jnp.sqrt(a)
    spread = jnp.sqrt(jnp.maximum(b - c**2 / a, 0.0))
    u, v = jnp.tanh(root * z), jnp.tanh((c / root) * z[:, None] + spread * z[None, :])
    first = [weights * _tanh_derivative(i, u) for i in range(size)]
    second = [_tanh_derivative(j, v) @ weights for j in range(size)]
    return jnp.stack(first) @ jnp.stack(second).T


def _price(rule: Rule, i: int, j: int, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """dF_ij = ½ F_{i+2,j} da + ½ F_{i,j+2} db + F_{i+1,j+1} dc (Price, IRE Trans. 4 (1958) 69)."""
    total = jnp.zeros_like(primals[0])
    for tangent, up, factor in zip(
        tangents, ((2, 0), (0, 2), (1, 1)), (0.5, 0.5, 1.0), strict=True
    ):
        if not isinstance(tangent, SymbolicZero):
            total = total + factor * _expectation(rule, i + up[0], j + up[1], *primals) * tangent
    return _expectation(rule, i, j, *primals), total


_expectation.defjvp(_price, symbolic_zeros=True)
