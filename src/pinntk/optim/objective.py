"""The objective of training as a sum of squares: the loss, its residuals, and their Jacobian."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinntk.optim.optimizer import Gradient, Parameters
from pinntk.problem import Batch, Model, Problem


@dataclasses.dataclass(frozen=True)
class Objective:
    """L(θ) = Σ_k λ_k mean_i r_{k,i}² = ‖r̃‖² with r̃_k = √(λ_k/N_k) r_k.

    `weights` are the λ_k by name; `rest` is the part of the model that is not trained. Calling it is
    a `Gradient`: by reverse mode, or by `gradient` where something cheaper is known.
    """

    problem: Problem
    rest: Any
    weights: Mapping[str, Array]
    batch: Batch
    gradient: Gradient | None = None

    def __call__(self, parameters: Parameters) -> tuple[tuple[Array, dict[str, Array]], Parameters]:
        """((L, unweighted losses by name), ∇L)."""
        if self.gradient is not None:
            return self.gradient(parameters)

        def loss(parameters: Parameters) -> tuple[Array, dict[str, Array]]:
            losses = self.problem.losses(self.model(parameters), self.batch)
            return weighted_sum(self.weights, losses), losses

        return jax.value_and_grad(loss, has_aux=True)(parameters)

    def model(self, parameters: Parameters) -> Model:
        """The whole model at these parameters."""
        return eqx.combine(parameters, self.rest)

    def rows(self, parameters: Parameters) -> dict[str, int]:
        """N_k by condition, in the order of the problem."""
        return self.problem.rows(self.model(parameters), self.batch)

    def scales(self, rows: dict[str, int]) -> dict[str, Array]:
        """√(λ_k/N_k) by condition."""
        return {name: jnp.sqrt(self.weights[name] / count) for name, count in rows.items()}

    def residuals(self, parameters: Parameters) -> Float[Array, " rows"]:
        """r̃ of all conditions, stacked in the order of the problem."""
        return self.stack(self.problem.residuals(self.model(parameters), self.batch))

    def stack(self, residuals: dict[str, Array]) -> Float[Array, " rows"]:
        """r̃ from the plain residuals by condition."""
        scales = self.scales({name: r.size for name, r in residuals.items()})
        names = [name for name in self.problem.names if name in residuals]
        return jnp.concatenate([scales[name] * residuals[name].ravel() for name in names])

    def losses(
        self, stacked: Float[Array, " rows"], rows: dict[str, int]
    ) -> dict[str, Float[Array, ""]]:
        """The unweighted losses by name, from r̃."""
        parts = split(stacked, rows)
        return {name: jnp.sum(part**2) / self.weights[name] for name, part in parts.items()}


def split(stacked: Float[Array, " rows"], rows: dict[str, int]) -> dict[str, Float[Array, " part"]]:
    """A stacked vector by condition."""
    found, start = {}, 0
    for name, count in rows.items():
        found[name] = stacked[start : start + count]
        start += count
    return found


def weighted_sum(weights: Mapping[str, Array], losses: Mapping[str, Array]) -> Float[Array, ""]:
    """Σ λ_k L_k."""
    return jnp.sum(jnp.stack([weights[name] * losses[name] for name in losses]))
