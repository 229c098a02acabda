"""The tangent kernel K = J Jᵀ of a PINN in named blocks (Lemma 3.1 of Wang, Yu, Perdikaris 2022)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinntk.errors import PinntkError, check_name
from pinntk.jacobian import FORMS, Use, cast, check_memory, choose, gram, parameter_count, rows_of
from pinntk.problem import Batch, Model, Problem


@dataclasses.dataclass(frozen=True)
class TangentKernel:
    """K over all residuals, float64, raw as in the paper: no weights, no 1/N_k.

    `matrix` has shape (n, n) with n the sum of `rows`; condition k owns rows `slice_of(k)`, points in
    order, then components.
    """

    matrix: Float[np.ndarray, "n n"]
    rows: Mapping[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions, in the order of the blocks."""
        return tuple(self.rows)

    def slice_of(self, name: str) -> slice:
        """Where the rows of a condition stand in the matrix."""
        check_name("condition", name, self.names)
        start = 0
        for other, count in self.rows.items():
            if other == name:
                break
            start += count
        return slice(start, start + self.rows[name])

    def block(self, row: str, column: str | None = None) -> Float[np.ndarray, "a b"]:
        """K_kl = J_k J_lᵀ; the diagonal block K_kk when only one name is given."""
        return self.matrix[self.slice_of(row), self.slice_of(column or row)]

    def traces(self) -> dict[str, float]:
        """Tr K_kk of every condition."""
        return {name: float(np.trace(self.block(name))) for name in self.names}

    def rates(self) -> dict[str, float]:
        """The average convergence rate tr(K_kk) / N_k of every condition (paper, Definition 4.1)."""
        return average_rates(self.traces(), self.rows)

    def weighted(self, weights: Mapping[str, float]) -> Float[np.ndarray, "n n"]:
        """Λ^½ K Λ^½ with Λ = λ_k / N_k: the kernel of gradient descent on Σ λ_k mean r_k².

        One step η multiplies the residual's share in a mode of eigenvalue μ by 1 − 2ημ.
        """
        root = self.root_weights(weights)
        return root[:, None] * self.matrix * root[None, :]

    def root_weights(self, weights: Mapping[str, float]) -> Float[np.ndarray, " n"]:
        """√(λ_k / N_k) for every row. Every condition needs its weight."""
        for name in self.names:
            check_name("weights", name, weights)
        parts = [np.full(n, np.sqrt(weights[name] / n)) for name, n in self.rows.items()]
        return np.concatenate(parts)


def average_rates(traces: Mapping[str, float], rows: Mapping[str, int]) -> dict[str, float]:
    """tr(K_kk) / N_k by name."""
    return {name: trace / rows[name] for name, trace in traces.items()}


def tangent_kernel(
    problem: Problem, model: Model, batch: Batch, memory_limit: float | None = None
) -> TangentKernel:
    """K of a model at the points of a batch, computed in float64 whatever the model's dtype.

    **Raises:** `MemoryLimitError` when it would not fit; `PinntkError` when it is not finite.
    """
    problem.check(model, batch)
    with jax.enable_x64(True):
        double, points = cast(model, jnp.float64), cast(batch, jnp.float64)
        choice = choose(problem, double, points, Use.GRAM, memory_limit)
        rows = rows_of(choice.plans, points)
        check_memory(rows, parameter_count(model), choice.costs[choice.form].held, memory_limit)
        matrix = np.asarray(_gram(problem, double, points, choice.form))
    kernel = TangentKernel(matrix, rows)
    for name, count in rows.items():
        finite = np.isfinite(np.diag(kernel.block(name)))
        if not finite.all():
            raise PinntkError(
                f"kernel of condition {name!r}",
                got=f"NaN or infinity at {int((~finite).sum())} of {count} residuals",
                expected="finite derivatives with respect to the parameters",
            )
    return kernel


@eqx.filter_jit
def _gram(problem: Problem, model: Model, batch: Batch, form: str) -> Array:
    """J Jᵀ in one program, so that J is gone when it ends; compiled once for a problem and its shapes."""
    return gram(FORMS[form](problem, model, batch, Use.GRAM)).matrix
