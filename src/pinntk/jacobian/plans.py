"""What is kept as factors in the gradients of a condition, what is not, and why."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pinntk.jacobian.model import parameters_by_name
from pinntk.jacobian.products import FactorPlan, Matrix, gradients_at, traced
from pinntk.problem import Batch, Model, Problem, Sample, row_shapes
from pinntk.problem.structure import once_per_structure
from pinntk.program import find_uses, live

#: What a number of a plain gradient costs in numbers of its factors: it is summed over the products
#: and laid out anew, where factors are used as they come out of the residual. Measured on one core,
#: 1 in place of this takes a step of Algorithm 1 at width 100 from 1.17 to 1.42 plain steps, 6 is as good.
PLAIN_EFFORT = 4


class Use(enum.Enum):
    """What a Jacobian is wanted for; it decides which matrices are worth factoring."""

    GRAM = "all entries of J Jᵀ"
    DIAGONAL = "the diagonal of J Jᵀ and Jᵀ v"


def make_plans(
    problem: Problem, model: Model, batch: Batch, use: Use
) -> tuple[dict[str, FactorPlan], frozenset[str]]:
    """The plan of every condition, and the parameters that are plain in one and so in all of them.

    Cross blocks of the kernel need a parameter in the same form in both conditions.
    """
    plans = {}
    for name in problem.names:
        if name in batch:
            row = row_shapes(batch[name])
            plans[name] = _plan(problem, name, model, row, use)
    plain = frozenset(parameter for plan in plans.values() for parameter in plan.plain)
    plain |= _in_several_shapes(plans)
    return {name: _without(plan, plain) for name, plan in plans.items()}, plain


def rows_of(plans: Mapping[str, FactorPlan], batch: Batch) -> dict[str, int]:
    """N_k: how many residuals each condition has, points times components."""
    return {name: len(batch[name].points) * plan.components for name, plan in plans.items()}


def _in_several_shapes(plans: Mapping[str, FactorPlan]) -> frozenset[str]:
    shapes: dict[str, set] = {}
    for plan in plans.values():
        for parameter, matrix in plan.factored.items():
            shapes.setdefault(parameter, set()).add(matrix.shape)
    return frozenset(parameter for parameter, found in shapes.items() if len(found) > 1)


def _without(plan: FactorPlan, plain: frozenset[str]) -> FactorPlan:
    moved = {
        n: "plain or of another shape in another condition" for n in plan.factored if n in plain
    }
    kept = {n: matrix for n, matrix in plan.factored.items() if n not in plain}
    return dataclasses.replace(plan, factored=kept, plain={**plan.plain, **moved})


def _plan(problem: Problem, name: str, model: Model, row: Sample, use: Use) -> FactorPlan:
    plan = _all_factored(problem, name, model, row)
    reasons = {
        n: f"{matrix.count} products of a {matrix.shape[0]}×{matrix.shape[1]} matrix"
        for n, matrix in plan.factored.items()
        if not _pays(matrix, use)
    }
    return dataclasses.replace(
        plan,
        factored={n: matrix for n, matrix in plan.factored.items() if n not in reasons},
        plain=_in_order(model, {**plan.plain, **reasons}),
    )


def _in_order(model: Model, found: Mapping[str, str]) -> dict[str, str]:
    return {name: found[name] for name in parameters_by_name(model) if name in found}


@once_per_structure
def _all_factored(problem: Problem, name: str, model: Model, row: Sample) -> FactorPlan:
    """The plan in which all that can be factored is."""
    names = tuple(parameters_by_name(model))
    closed = traced(problem, name, model, row)
    uses = find_uses(closed.jaxpr, names)
    plain = dict(uses.other)
    shapes: dict[str, Any] = {product.view.name: product.view.shape for product in uses.products}
    plan = FactorPlan(
        factored={n: Matrix(shapes[n], 0) for n in names if n in shapes and n not in plain},
        plain=_in_order(model, plain),
        unused=tuple(n for n in names if n not in shapes and n not in plain),
        components=closed.jaxpr.outvars[0].aval.shape[0],
    )
    # How many outer products are left when equal ones are merged.
    found = jax.eval_shape(gradients_at(problem, name, model, plan), row).factored
    counted = {n: Matrix(shapes[n], sum(len(f.left) for f in found[n])) for n in plan.factored}
    return dataclasses.replace(plan, factored=counted)


def _pays(matrix: Matrix, use: Use) -> bool:
    """Whether the factors of a gradient are cheaper to work with than the gradient itself.

    An entry of the kernel takes K²(rows + columns) multiplications by factors and rows · columns
    without. For the diagonal what counts is the numbers that are made, K(rows + columns) or that.
    """
    k, (rows, columns) = matrix.count, matrix.shape
    share = k * (rows + columns)
    if use is Use.GRAM:
        return k * share < rows * columns
    return share < PLAIN_EFFORT * rows * columns


@once_per_structure
def multiplications(problem: Problem, name: str, model: Model, row: Sample) -> int:
    """How many multiplications the matrix products of one residual take at one point."""
    jaxpr = traced(problem, name, model, row).jaxpr
    total = 0
    for number in live(jaxpr):
        equation = jaxpr.eqns[number]
        if equation.primitive.name == "dot_general":
            contracting, _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            summed = int(np.prod([left[axis] for axis in contracting[0]]))
            total += summed * int(np.prod(equation.outvars[0].aval.shape))
    return total
