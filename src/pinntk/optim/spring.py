"""SPRING: a natural gradient from few points at a time, with momentum, for networks of any width."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from pinntk.errors import PinntkError
from pinntk.optim.linear import residual_space
from pinntk.optim.natural_gradient import solver_notes
from pinntk.optim.objective import Objective
from pinntk.optim.optimizer import AbstractOptimizer, Parameters, SecondOrder, Step, running
from pinntk.optim.solvers import Cholesky, plan

#: The lengths that are tried along a direction, as factors: 1, 1/2, ... 2⁻¹⁴.
LENGTHS = 15


class SPRINGState(NamedTuple):
    """`direction`: the step before this one, flat and not yet shortened; `steps` taken."""

    direction: Float[Array, " parameters"]
    steps: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class SPRING(AbstractOptimizer):
    """Natural gradient on minibatches: Kaczmarz-like, with the previous step projected into this one.

    φ = βφ₋ + J̃ᵀ(J̃J̃ᵀ + μI)⁻¹(−r̃ − βJ̃φ₋), the vector nearest to βφ₋ that solves today's linear problem,
    regularised; then θ ← θ + sφ. Goldshlager, Abrahamsen, Lin, J. Comput. Phys. 516 (2024) 113351,
    algorithm 1; for PINNs Guzmán-Cordero, Dangel, Goldshlager, Zeinhofer, arXiv 2505.12149. K of the
    points at hand, N × N, is all that is factorised, so P may be large: the Jacobian stays in factors.
    Give every condition new points at every step (`redraw_every=1`), otherwise the minibatch never changes.

    **Arguments:** `damping`: μ in units of the mean eigenvalue of K; `momentum` β in [0, 1);
    `step_length` s: a number, or None for the best of 1, 1/2, ..., 2⁻¹⁴ on the points of the step (0
    where none lowers their loss).
    """

    damping: float = 1e-3
    momentum: float = 0.9
    step_length: float | None = None

    def __post_init__(self) -> None:
        for name in ("damping", "momentum"):
            if not isinstance(getattr(self, name), int | float):
                raise PinntkError(name, got=getattr(self, name), expected="a number")
        if not (math.isfinite(self.damping) and self.damping > 0):
            raise PinntkError("damping", got=self.damping, expected="a positive finite number")
        if not 0 <= self.momentum < 1:
            raise PinntkError("momentum", got=self.momentum, expected="a number from 0 to below 1")
        if self.step_length is not None and not (
            math.isfinite(self.step_length) and self.step_length > 0
        ):
            raise PinntkError("step_length", got=self.step_length, expected="positive, or None")

    @property
    def kind(self) -> SecondOrder:
        return SecondOrder(self._notes)

    def init(self, parameters: Parameters) -> SPRINGState:
        return SPRINGState(jnp.zeros_like(ravel_pytree(parameters)[0]), jnp.zeros((), int))

    def step(self, parameters: Parameters, state: SPRINGState, objective: Objective) -> Step:
        theta, unravel = ravel_pytree(parameters)
        rows = objective.rows(parameters)
        linear = residual_space(objective, parameters, rows)
        residuals_at = lambda flat: objective.residuals(unravel(flat))
        carried = self.momentum * state.direction
        pushed = jax.jvp(residuals_at, (theta,), (carried,))[1]
        solve = linear.factorize(self.damping * linear.mean)
        direction = carried + solve(-linear.residual - pushed)
        length = self._length(residuals_at, theta, direction, linear.residual)
        losses = objective.losses(linear.residual, rows)
        after = SPRINGState(direction, state.steps + 1)
        metrics = {"damping": self.damping * linear.mean, "step_length": length}
        return Step(unravel(theta + length * direction), after, losses, metrics, running())

    def _length(
        self,
        residuals_at: Callable[[Array], Array],
        theta: Array,
        direction: Array,
        residual: Array,
    ) -> Array:
        if self.step_length is not None:
            return jnp.asarray(self.step_length, theta.dtype)
        lengths = jnp.append(0.5 ** jnp.arange(LENGTHS), 0.0).astype(theta.dtype)
        loss_at = lambda s: jnp.sum(residuals_at(theta + s * direction) ** 2)
        losses = jax.lax.map(loss_at, lengths[:-1])
        losses = jnp.append(jnp.where(jnp.isfinite(losses), losses, jnp.inf), jnp.sum(residual**2))
        return lengths[jnp.argmin(losses)]

    def _notes(self, objective: Objective, parameters: Parameters) -> tuple[str, ...]:
        found = plan(Cholesky("residuals"), objective, parameters)
        # Few residuals are the point of minibatches: they are not the whole problem.
        return tuple(
            note for note in solver_notes(found, parameters) if "residuals for" not in note
        )
