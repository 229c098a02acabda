"""The kernel natural gradient: Levenberg–Marquardt on the residuals, with geodesic acceleration."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from pinntk.errors import PinntkError
from pinntk.jacobian import trainable
from pinntk.optim.objective import Objective
from pinntk.optim.optimizer import AbstractOptimizer, Parameters, SecondOrder, Status, Step
from pinntk.optim.solvers import ASKED, AbstractKernelSolver, ConjugateGradients, Plan, plan
from pinntk.problem import Batch, Model, Problem

#: Accept the acceleration only where it bends the path little: Transtrum and Sethna (2012) use 0.75.
BEND = 0.75
#: A step whose prediction was right divides the damping by this at most; Nielsen (1999) takes 3.
RELAX = 5.0
#: Trial steps from one linearisation. With the factors 2, 4, 8, ... of a row of rejections the damping
#: grows by 2^66 in 12 trials: there is no step that it has not tried.
TRIALS = 12


class NaturalGradientState(NamedTuple):
    """`damping` μ for the next step (0 before the first), and the number of `steps` taken."""

    damping: Float[Array, ""]
    steps: Int[Array, ""]


class _Trial(NamedTuple):
    accepted: Array
    theta: Array
    loss: Array
    length: Array
    damping: Array
    growth: Array
    trials: Array


@dataclasses.dataclass(frozen=True)
class NaturalGradient(AbstractOptimizer):
    """Steps d = −J̃ᵀ(J̃J̃ᵀ + μI)⁻¹ r̃ on L = ‖r̃‖², under which all modes of the kernel decay at one rate.

    Gradient descent reduces the mode of eigenvalue λ by the factor 1 − 2ηλ; this step by μ/(λ + μ),
    which is near 0 for every λ above μ. (J̃J̃ᵀ + μI)⁻¹ is applied in residual space, or in parameter
    space as (J̃ᵀJ̃ + μI)⁻¹J̃ᵀ, whichever is smaller. A step is taken only if it lowers the loss, so a
    trial point with NaN is refused like any other that does not. μ follows the ratio of the actual to
    the predicted decrease (Nielsen, Damping parameter in Marquardt's method, 1999). The second-order
    correction a = −½ J̃ᵀ(J̃J̃ᵀ + μI)⁻¹ r̃''[d, d] of Transtrum and Sethna (arXiv 1201.5885) is added
    where 2‖a‖ ≤ 0.75‖d‖ and it is better.

    Needs float64 for small errors: in float32 JᵀJ is exact to 1e-7 of its trace, and the damping cannot
    be less (the library's Helmholtz problem ends at 7e-4 in float32, at 2e-8 in float64).

    **Arguments:**

    - `damping`: the first μ, in units of the mean eigenvalue of the matrix that is solved with.
    - `acceleration`: whether to use the second-order correction.
    - `solver`: `Cholesky(...)` or `ConjugateGradients(...)`; None chooses by size (`plan`).
    - `loss_tolerance`, `step_tolerance`, `gradient_tolerance`: the run has converged where L after the
      step, the step's length over that of θ, or ‖J̃ᵀr̃‖/(‖r̃‖·√λ̄) before it (λ̄ the mean eigenvalue) is
      at or below.
    """

    damping: float = 1e-2
    acceleration: bool = True
    solver: AbstractKernelSolver | None = None
    loss_tolerance: float = 1e-30
    step_tolerance: float = 1e-14
    gradient_tolerance: float = 1e-14

    def __post_init__(self) -> None:
        for name in ("damping", "loss_tolerance", "step_tolerance", "gradient_tolerance"):
            value = getattr(self, name)
            good = isinstance(value, int | float) and math.isfinite(value) and value >= 0
            if not good or (name == "damping" and value == 0):
                expected = "a positive finite number" if name == "damping" else "0 or more, finite"
                raise PinntkError(name, got=value, expected=expected)
        if self.solver is not None and not isinstance(self.solver, AbstractKernelSolver):
            raise PinntkError(
                "solver",
                got=self.solver,
                expected="Cholesky(...), ConjugateGradients(...), or None to choose by size",
            )

    @property
    def kind(self) -> SecondOrder:
        return SecondOrder(self._notes)

    def init(self, parameters: Parameters) -> NaturalGradientState:
        dtype = ravel_pytree(parameters)[0].dtype
        return NaturalGradientState(jnp.zeros((), dtype), jnp.zeros((), int))

    def step(
        self, parameters: Parameters, state: NaturalGradientState, objective: Objective
    ) -> Step:
        theta, unravel = ravel_pytree(parameters)
        residuals_at = lambda flat: objective.residuals(unravel(flat))
        solver = plan(self.solver, objective, parameters).solver
        linear = solver.linearize(objective, parameters, state.steps)
        loss = jnp.sum(linear.residual**2)

        def trial(last: _Trial) -> _Trial:
            mu = last.damping
            solve = linear.factorize(mu)
            step = -solve(linear.residual)
            if self.acceleration:
                slope = lambda flat: jax.jvp(residuals_at, (flat,), (step,))[1]
                bend = -0.5 * solve(jax.jvp(slope, (theta,), (step,))[1])
                small = 2 * jnp.linalg.norm(bend) <= BEND * jnp.linalg.norm(step)
                points = jnp.stack([theta + step, theta + step + jnp.where(small, bend, 0)])
                # fmin passes over NaN, and so does the comparison.
                straight, bent = jnp.sum(jax.vmap(residuals_at)(points) ** 2, axis=1)
                better = jnp.fmin(straight, bent)
                new = jnp.where((bent < straight) | jnp.isnan(straight), points[1], points[0])
            else:
                new = theta + step
                better = jnp.sum(residuals_at(new) ** 2)
            # What the linear model promised: ‖r̃‖² − ‖r̃ + J̃d‖² = −d·J̃ᵀr̃ + μ‖d‖².
            promised = mu * jnp.sum(step**2) - jnp.sum(step * linear.gradient)
            gain = (loss - better) / promised
            accepted = better < loss  # false for NaN
            relaxed = mu * jnp.clip(1 - (2 * gain - 1) ** 3, 1 / RELAX, 2.0)
            return _Trial(
                accepted,
                jnp.where(accepted, new, theta),
                jnp.where(accepted, better, loss),
                jnp.linalg.norm(new - theta),
                jnp.where(accepted, relaxed, mu * last.growth),
                jnp.where(accepted, 2.0, 2 * last.growth).astype(mu.dtype),
                last.trials + 1,
            )

        # Rounding in the matrix is up to its trace times the precision: no damping below that is one.
        smaller = min(len(linear.residual), theta.size)
        floor = jnp.finfo(loss.dtype).eps * smaller * linear.mean
        first = jnp.where(state.damping == 0, self.damping * linear.mean, state.damping)
        first = jnp.maximum(first, floor)
        growth = jnp.full_like(first, 2.0)
        start = _Trial(
            jnp.asarray(False), theta, loss, jnp.zeros_like(loss), first, growth, state.steps * 0
        )
        wanted = lambda last: ~last.accepted & (last.trials < TRIALS) & jnp.isfinite(loss)
        last = jax.lax.while_loop(wanted, trial, start)
        # The gradient and the loss of one point: before the step.
        slope = jnp.linalg.norm(linear.gradient) / jnp.sqrt(linear.mean * jnp.maximum(loss, 1e-300))
        status = self._status(last, slope, theta)
        after = NaturalGradientState(last.damping, state.steps + 1)
        losses = objective.losses(linear.residual, objective.rows(parameters))
        return Step(unravel(last.theta), after, losses, {"damping": first}, status)

    def _status(self, last: _Trial, slope: Array, theta: Array) -> Array:
        small = last.length <= self.step_tolerance * jnp.linalg.norm(theta)
        reasons = [
            (last.loss <= self.loss_tolerance, Status.LOSS),
            (slope <= self.gradient_tolerance, Status.GRADIENT),
            (last.accepted & small, Status.STEP),
            (~last.accepted, Status.STALLED),
        ]
        conditions, values = zip(*reasons, strict=True)
        choices = [jnp.asarray(int(value)) for value in values]
        return jnp.select(list(conditions), choices, int(Status.RUNNING)).astype(jnp.int32)

    def plan(self, problem: Problem, model: Model, batch: Batch) -> Plan:
        """Which matrix is solved with and how, with the reason and the memory it takes."""
        parameters, rest = trainable(model)
        weights = {name: jnp.ones(()) for name in problem.names}
        return plan(self.solver, Objective(problem, rest, weights, batch), parameters)

    def _notes(self, objective: Objective, parameters: Parameters) -> tuple[str, ...]:
        return solver_notes(plan(self.solver, objective, parameters), parameters)


def solver_notes(found: Plan, parameters: Parameters) -> tuple[str, ...]:
    """What a user should know of a second-order run before it starts."""
    notes = []
    if ravel_pytree(parameters)[0].dtype == jnp.float32:
        notes.append(
            "The model is in float32, in which modes of the kernel below 1e-7 of its trace are out of "
            "reach. That ends most runs at relative errors near 1e-3, and stiff ones far earlier; float64 "
            "(--dtype float64) goes on from there."
        )
    if isinstance(found.solver, ConjugateGradients) and found.reason != ASKED:
        notes.append(f"Solved by conjugate gradients, without a matrix: {found.reason}.")
    if found.residuals < found.parameters:
        notes.append(
            f"{found.residuals:,} residuals for {found.parameters:,} parameters: the network can fit "
            "them all and be wrong between the points; watch the held-out losses, or use more points."
        )
    return tuple(notes)
