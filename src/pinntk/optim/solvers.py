"""The solvers for the linear problem of a natural-gradient step, and how one is chosen by size."""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any

import jax
from jaxtyping import Array

from pinntk.errors import MemoryLimitError, PinntkError, check_name
from pinntk.jacobian import model_dtype, parameter_count, total_memory
from pinntk.optim.linear import (
    Linearization,
    implicit_space,
    parameter_space,
    residual_form,
    residual_space,
)
from pinntk.optim.objective import Objective

#: Above this size of the matrix a Cholesky factorisation takes more than a minute on one core.
LARGEST = 15_000
#: The share of the machine's memory that a step may take. Not of what is free now: a run that is resumed
#: must take the same way.
SHARE = 0.5
#: The reason of a plan that was not chosen here.
ASKED = "asked for"


class AbstractKernelSolver(abc.ABC):
    """How the linear problem of a step is solved."""

    @abc.abstractmethod
    def linearize(self, objective: Objective, parameters: Any, count: Array) -> Linearization:
        """r̃ and J̃ at some parameters, in the form that the solver needs; `count` seeds its draws."""


@dataclasses.dataclass(frozen=True)
class Cholesky(AbstractKernelSolver):
    """A direct solve, with the matrix in `space`: "residuals", "parameters", or the smaller (None)."""

    space: str | None = None

    def __post_init__(self) -> None:
        if self.space is not None:
            check_name("space", self.space, ("residuals", "parameters"))

    def linearize(self, objective: Objective, parameters: Any, count: Array) -> Linearization:
        del count
        rows = objective.rows(parameters)
        smaller = parameter_count(objective.model(parameters)) <= sum(rows.values())
        space = self.space or ("parameters" if smaller else "residuals")
        form = parameter_space if space == "parameters" else residual_space
        return form(objective, parameters, rows)


@dataclasses.dataclass(frozen=True)
class ConjugateGradients(AbstractKernelSolver):
    """An iterative solve that never forms J or K, preconditioned by a Nyström approximation.

    **Arguments:** `rank` of the preconditioner (so many more products with J and Jᵀ a step);
    `iterations` at most; `tolerance` on the relative residual of the linear problem.
    """

    rank: int = 200
    iterations: int = 200
    tolerance: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("rank", "iterations"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise PinntkError(name, got=value, expected="a whole number, 1 or more")
        if not 0 < self.tolerance < 1:
            raise PinntkError("tolerance", got=self.tolerance, expected="a number between 0 and 1")

    def linearize(self, objective: Objective, parameters: Any, count: Array) -> Linearization:
        return implicit_space(
            objective,
            parameters,
            objective.rows(parameters),
            rank=self.rank,
            iterations=self.iterations,
            tolerance=self.tolerance,
            key=jax.random.fold_in(jax.random.key(0), count),
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """The solver for a problem's sizes. `print` of it gives the reasons.

    `bytes` is what a step holds at once: J, in factors where residual space takes it so, its matrix and
    the factor of it.
    """

    solver: AbstractKernelSolver
    residuals: int
    parameters: int
    bytes: float
    reason: str

    def __str__(self) -> str:
        sizes = f"{self.residuals:,} residuals, {self.parameters:,} parameters"
        return f"{self.solver} for {sizes}: {self.reason} ({self.bytes / 1e9:.2g} GB a step)"


def plan(
    solver: AbstractKernelSolver | None,
    objective: Objective,
    parameters: Any,
    memory_limit: float | None = None,
) -> Plan:
    """Which way to solve.

    | sizes | solver |
    |---|---|
    | P ≤ N, and J, JᵀJ fit | Cholesky in parameter space |
    | N < P, and J, JJᵀ fit | Cholesky in residual space |
    | the smaller of N and P above 15,000, or no memory | conjugate gradients |

    **Raises** `MemoryLimitError` where Cholesky was asked for and does not fit `memory_limit` bytes
    (half of the machine's memory unless given).
    """
    limit = SHARE * total_memory() if memory_limit is None else memory_limit
    model = objective.model(parameters)
    n, p = sum(objective.rows(parameters).values()), parameter_count(model)
    item = model_dtype(model).itemsize
    if solver is not None and not isinstance(solver, Cholesky | ConjugateGradients):
        return Plan(solver, n, p, math.nan, ASKED)
    implicit = solver if isinstance(solver, ConjugateGradients) else ConjugateGradients()
    iterative = Plan(implicit, n, p, item * (3.0 * implicit.rank * min(n, p) + 10 * p), "")
    if isinstance(solver, ConjugateGradients):
        return dataclasses.replace(iterative, reason=ASKED)
    asked = None if solver is None else solver.space
    space = asked or ("parameters" if p <= n else "residuals")
    size = p if space == "parameters" else n
    if solver is None and size > LARGEST:
        return dataclasses.replace(iterative, reason=f"a matrix of {size:,} rows is too slow")
    held = float(item * n * p)
    if space == "residuals":
        choice = residual_form(objective, parameters)
        if choice.form == "factored":
            held = choice.costs["factored"].held
    direct = Plan(
        Cholesky(space),
        n,
        p,
        2.0 * held + 4.0 * item * size**2,
        ASKED if asked else f"the smaller matrix is {size:,} × {size:,}",
    )
    if direct.bytes <= limit:
        return direct
    if solver is None:
        reason = f"a direct solve takes {direct.bytes / 1e9:.3g} GB"
        return dataclasses.replace(iterative, reason=reason)
    raise MemoryLimitError(
        "solver",
        got=f"{n:,} residuals of {p:,} parameters, which take {direct.bytes / 1e9:.3g} GB",
        expected=f"at most {limit / 1e9:.3g} GB",
        fix="Use NaturalGradient(solver=ConjugateGradients()), --solver cg, which forms no matrix.",
    )
