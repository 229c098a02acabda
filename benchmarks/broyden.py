"""Self-scaled Broyden methods for the residual losses of PINNs, and L-BFGS with the same line search.

Urbán, Stefanou and Pons, "Unveiling the optimization process of physics informed neural networks:
how accurate and competitive can PINNs be?", J. Comput. Phys. 523 (2025) 113656 (arXiv 2405.04230),
after Al-Baali's self-scaled Broyden family (Comput. Optim. Appl. 9 (1998) 191). Written from the
formulas; where the paper leaves a choice, that of the authors' published script is taken (their
variant SSBroyden2), except for the forms that avoid cancellation.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from pinntk.optim import AbstractOptimizer, Adaptive, Step
from pinntk.optim.optimizer import Gradient, Parameters, State, running
from wolfe import Found, search


class Seen(NamedTuple):
    """What is known at the parameters: the weighted loss, the losses by name, the gradient."""

    value: Array
    losses: dict[str, Array]
    gradient: Array


class Scalars(NamedTuple):
    """The numbers that the self-scaled update rests on: with B = H⁻¹ and n = s·y,

    b = s·Bs / n, h = y·Hy / n, a = bh − 1 ≥ 0 by Cauchy and Schwarz.
    """

    b: Array
    h: Array
    a: Array


def theta_broyden(k: Scalars) -> Array:
    """θ = max(θ⁻, min(θ⁺, (1 − b)/b)), the switching of SSBroyden.

    θ⁻ = (ρ⁻ − 1)/a, θ⁺ = 1/ρ⁻, ρ⁻ = min(1, h(1 − c)), c = √(a/(1 + a)). As 1 − c² = 1/(bh), h(1 − c)
    is 1/(b(1 + c)), which does not cancel for large a. For a = 0, where H y and s are parallel, every
    θ gives the same H; 0 is taken.
    """
    c = jnp.sqrt(k.a / (1 + k.a))
    rho = jnp.minimum(1, 1 / (k.b * (1 + c)))
    lower = jnp.where(k.a > 0, (rho - 1) / jnp.where(k.a > 0, k.a, 1), 0)
    return jnp.maximum(lower, jnp.minimum(1 / rho, (1 - k.b) / k.b))


def tau_self_scaled(k: Scalars, theta: Array, size: int) -> Array:
    """τ = ρ min(σ^(1/(1−P)), 1/θ), and min(ρ σ^(1/(1−P)), σ) for θ ≤ 0; ρ = min(1, 1/b), σ = 1 + aθ.

    For θ = 0 it is min(1, 1/b), Al-Baali's scaling of BFGS.
    """
    rho, sigma = jnp.minimum(1, 1 / k.b), 1 + k.a * theta
    power = jnp.abs(sigma) ** (1 / (1 - size)) if size > 1 else jnp.ones_like(sigma)
    positive = rho * jnp.minimum(power, 1 / jnp.where(theta > 0, theta, 1))
    return jnp.where(theta > 0, positive, jnp.minimum(rho * power, sigma))


def updated(
    inverse: Array, s: Array, hy: Array, n: Array, yhy: Array, phi: Array, tau: Array
) -> Array:
    """H⁺ = (H − H y yᵀH/(y·Hy) + φ (y·Hy) v vᵀ)/τ + s sᵀ/n, v = s/n − Hy/(y·Hy), n = s·y.

    φ = (1 − θ)/(1 + aθ): BFGS for θ = 0, DFP for θ = 1. H⁺y = s for every φ and τ, and H⁺ is positive
    definite where H is, n > 0, τ > 0 and θ > −1/a. `hy` is H y and `yhy` is y·Hy.
    """
    v = s / n - hy / yhy

    def square(vector: Array, factor: Array) -> Array:
        # The root on both sides keeps H symmetric to the last bit.
        scaled = jnp.sqrt(jnp.abs(factor)) * vector
        return jnp.sign(factor) * jnp.outer(scaled, scaled)

    down, between = square(hy, 1 / (yhy * tau)), square(v, phi * yhy / tau)
    return (1 / tau) * inverse - down + between + square(s, 1 / n)


class BroydenState(NamedTuple):
    """H, what is known at the parameters, the direction −H g, and whether H is still the identity.

    `known` is False before the first step only, which evaluates and does not move.
    `evaluations` counts those of loss and gradient.
    """

    inverse: Array
    seen: Seen
    direction: Array
    known: Array
    unscaled: Array
    evaluations: Array


@dataclasses.dataclass(frozen=True)
class SelfScaledBroyden(AbstractOptimizer):
    """Dense quasi-Newton steps: θ ← θ + t p, p = −H g, t by `wolfe.search`, H by the update above.

    `names` are those of the losses. `broyden` switches θ as SSBroyden does, otherwise θ = 0;
    `scaled` chooses τ, otherwise τ = 1. Both: SSBroyden; `scaled` alone: SSBFGS; neither: BFGS.

    The first H is the identity and is scaled once by τ = h/(1 + aθ), which for BFGS is the usual
    (s·y)/(y·y). Where the curvature s·y is not positive, H is kept; where the line search finds
    nothing, the parameters are kept and H becomes the identity. `curvature` is that of the search;
    a small one makes it nearly exact. The loss must not change between
    steps: what is known at the parameters is not computed again.
    """

    names: tuple[str, ...]
    broyden: bool = True
    scaled: bool = True
    curvature: float = 0.9

    @property
    def kind(self) -> Adaptive:
        return Adaptive()

    def init(self, parameters: Parameters) -> State:
        flat, _ = ravel_pytree(parameters)
        identity = jnp.eye(flat.size, dtype=flat.dtype)
        return BroydenState(
            identity,
            _nothing_seen(flat, self.names),
            jnp.zeros_like(flat),
            jnp.asarray(False),
            jnp.asarray(True),
            jnp.zeros((), int),
        )

    def step(self, parameters: Parameters, state: State, objective: Gradient) -> Step:
        x, unravel = ravel_pytree(parameters)
        seen = state.seen
        found = _search(x, state, state.direction, unravel, objective, self.curvature)
        after, s = found.rest, found.step * state.direction
        inverse, unscaled = self._inverse(state, s, after.gradient - seen.gradient, found)
        new = BroydenState(
            inverse,
            after,
            -(inverse @ after.gradient),
            jnp.asarray(True),
            unscaled,
            state.evaluations + found.evaluations,
        )
        losses = _losses(state.known, seen, after)
        return Step(unravel(x + s), new, losses, {}, running())

    def _inverse(
        self, state: BroydenState, s: Array, y: Array, found: Found
    ) -> tuple[Array, Array]:
        """The next H, and whether it is the identity."""
        n = s @ y
        use = found.success & (n > jnp.finfo(n.dtype).eps * jnp.linalg.norm(s) * jnp.linalg.norm(y))
        n = jnp.where(use, n, 1)
        hy = state.inverse @ y
        yhy = jnp.where(use, y @ hy, 1)
        # s = −t H g, so that s·Bs = −t s·g.
        b, h = jnp.where(use, -found.step * (s @ state.seen.gradient) / n, 1), yhy / n
        k = Scalars(b, h, jnp.maximum(b * h - 1, 0))
        theta = theta_broyden(k) if self.broyden else jnp.zeros_like(b)
        tau = tau_self_scaled(k, theta, s.size) if self.scaled else jnp.ones_like(b)
        tau = jnp.where(state.unscaled, h / (1 + k.a * theta), tau)
        fresh = updated(state.inverse, s, hy, n, yhy, (1 - theta) / (1 + k.a * theta), tau)
        # Selected entry by entry, so that the compiler passes over the matrix once.
        kept = jnp.where(found.success, state.inverse, jnp.eye(s.size, dtype=s.dtype))
        return jnp.where(use, fresh, kept), ~use & (state.unscaled | ~found.success)


class LimitedState(NamedTuple):
    """Optax's memory of past steps, and the rest as in `BroydenState`."""

    memory: Any
    seen: Seen
    known: Array
    unscaled: Array
    evaluations: Array


@dataclasses.dataclass(frozen=True)
class LimitedMemory(AbstractOptimizer):
    """L-BFGS: directions by `optax.scale_by_lbfgs`, step lengths by `wolfe.search`.

    `memory` pairs are kept. Where the line search finds nothing, they are forgotten.
    """

    names: tuple[str, ...]
    memory: int = 50

    @property
    def kind(self) -> Adaptive:
        return Adaptive()

    def _lbfgs(self) -> optax.GradientTransformation:
        return optax.scale_by_lbfgs(memory_size=self.memory)

    def init(self, parameters: Parameters) -> State:
        flat, _ = ravel_pytree(parameters)
        return LimitedState(
            self._lbfgs().init(flat),
            _nothing_seen(flat, self.names),
            jnp.asarray(False),
            jnp.asarray(True),
            jnp.zeros((), int),
        )

    def step(self, parameters: Parameters, state: State, objective: Gradient) -> Step:
        x, unravel = ravel_pytree(parameters)
        seen, empty = state.seen, self._lbfgs().init(x)
        scaled, memory = self._lbfgs().update(seen.gradient, state.memory, x)
        direction = -jnp.asarray(scaled)
        found = _search(x, state, direction, unravel, objective)
        memory = jax.tree.map(lambda new, old: jnp.where(found.success, new, old), memory, empty)
        new = LimitedState(
            memory,
            found.rest,
            jnp.asarray(True),
            ~found.success,
            state.evaluations + found.evaluations,
        )
        losses = _losses(state.known, seen, found.rest)
        return Step(unravel(x + found.step * direction), new, losses, {}, running())


def _nothing_seen(flat: Array, names: tuple[str, ...]) -> Seen:
    zero = jnp.zeros((), flat.dtype)
    return Seen(zero, dict.fromkeys(names, zero), jnp.zeros_like(flat))


def _losses(known: Array, before: Seen, after: Seen) -> dict[str, Array]:
    """The losses at the parameters that came in; the first step only looks at them."""
    return jax.tree.map(lambda b, a: jnp.where(known, b, a), before.losses, after.losses)


def _search(
    x: Array,
    state: BroydenState | LimitedState,
    direction: Array,
    unravel: Any,
    objective: Gradient,
    curvature: float = 0.9,
) -> Found:
    """The line search from x. A direction of gradient descent is first tried with length 1 at most."""

    def evaluate(t: Array) -> tuple[Array, Array, Seen]:
        (value, losses), gradient = objective(unravel(x + t * direction))
        flat = ravel_pytree(gradient)[0]
        return value, flat @ direction, Seen(value, dict(losses), flat)

    seen = state.seen
    start = seen.value, seen.gradient @ direction, seen
    first = jnp.where(state.unscaled, jnp.minimum(1, 1 / jnp.linalg.norm(direction)), 1)
    first = jnp.where(state.known, first, 0).astype(x.dtype)
    return search(evaluate, start, first, curvature=curvature)
