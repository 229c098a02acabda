"""Which form of the Jacobian to take, from counted operations and bytes, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pinntk.errors import check_name
from pinntk.jacobian.dense import dense
from pinntk.jacobian.factored import factored, point_bytes
from pinntk.jacobian.implicit import implicit
from pinntk.jacobian.machine import available_memory
from pinntk.jacobian.memory import CHUNK_BYTES
from pinntk.jacobian.model import model_dtype, parameter_count, parameters_by_name
from pinntk.jacobian.operator import AbstractJacobian
from pinntk.jacobian.plans import Use, make_plans, multiplications, rows_of
from pinntk.jacobian.products import FactorPlan
from pinntk.problem import Batch, Model, Problem, row_shapes

#: The forms by name.
FORMS: Mapping[str, Callable[..., AbstractJacobian]] = {
    "dense": lambda problem, model, batch, use: dense(problem, model, batch),  # noqa: ARG005
    "factored": factored,
    "implicit": lambda problem, model, batch, use: implicit(problem, model, batch),  # noqa: ARG005
}
#: Operations that take as long as one byte of memory traffic: some 100 GFLOP/s against 10 GB/s on one
#: core. Only the ratio enters the choice.
OPERATIONS_PER_BYTE = 10.0


class Cost(NamedTuple):
    """What a form takes: floating-point operations, bytes written, and bytes of J that are held."""

    operations: float
    traffic: float
    held: float

    @property
    def effort(self) -> float:
        """Operations, with memory traffic in the same currency."""
        return self.operations + OPERATIONS_PER_BYTE * self.traffic


@dataclasses.dataclass(frozen=True)
class Choice:
    """The chosen form and what it was chosen from. `print` of it gives the reasons."""

    form: str
    use: Use
    costs: Mapping[str, Cost]
    plans: Mapping[str, FactorPlan]

    def __str__(self) -> str:
        lines = [f"{self.form} Jacobian, for {self.use.value}"]
        for form, cost in self.costs.items():
            lines.append(
                f"  {form}: {cost.operations / 1e9:.3g} GFLOP, {cost.traffic / 1e6:.3g} MB written, "
                f"{cost.held / 1e6:.3g} MB held"
            )
        for name, plan in self.plans.items():
            for parameter, matrix in plan.factored.items():
                lines.append(f"  {name}: {parameter} factored, {matrix.count} products")
            for parameter, reason in plan.plain.items():
                lines.append(f"  {name}: {parameter} plain, {reason}")
            for parameter in plan.unused:
                lines.append(f"  {name}: {parameter} does not enter")
        return "\n".join(lines)


def choose(
    problem: Problem,
    model: Model,
    batch: Batch,
    use: Use = Use.GRAM,
    memory_limit: float | None = None,
) -> Choice:
    """The form of least effort among those whose J fits `memory_limit` bytes.

    | wanted | form |
    |---|---|
    | K, the usual case | factored: products of factors where they are smaller than the gradients |
    | K of a narrow network | dense: no matrix has factors that are smaller than its gradient |
    | K, where J does not fit | implicit: a jvp and a vjp for every residual |
    | the diagonal alone | implicit: the gradients of some points at a time, none kept |

    The limit is 60% of the memory at hand unless given.
    """
    limit = 0.6 * available_memory() if memory_limit is None else memory_limit
    plans, _ = make_plans(problem, model, batch, use)
    costs = _costs(problem, model, batch, use, plans)
    wanted = ("dense", "factored") if use is Use.GRAM else tuple(costs)
    if not any(plan.factored for plan in plans.values()):
        # The factored form would be the dense one with more steps.
        wanted = tuple(form for form in wanted if form != "factored")
    fitting = [form for form in wanted if costs[form].held <= limit]
    form = min(fitting, key=lambda f: costs[f].effort) if fitting else "implicit"
    return Choice(form, use, costs, plans)


def jacobian(
    problem: Problem,
    model: Model,
    batch: Batch,
    use: Use = Use.GRAM,
    *,
    form: str | None = None,
    memory_limit: float | None = None,
) -> AbstractJacobian:
    """J of a model at the points of a batch, in the form that `choose` finds, or in a given one."""
    if form is None:
        form = choose(problem, model, batch, use, memory_limit).form
    check_name("form", form, FORMS)
    return FORMS[form](problem, model, batch, use)


def _costs(
    problem: Problem, model: Model, batch: Batch, use: Use, plans: Mapping[str, FactorPlan]
) -> dict[str, Cost]:
    itemsize = model_dtype(model).itemsize
    parameters = parameter_count(model)
    rows = rows_of(plans, batch)
    n = sum(rows.values())
    once = passes = outer = held = 0.0
    for name, plan in plans.items():
        one = row_shapes(batch[name])
        points = len(batch[name].points)
        forward = 2.0 * points * multiplications(problem, name, model, one)
        once += forward
        passes += forward * (1 + plan.components)
        # A plain gradient takes an outer product for every product of the forward pass.
        outer += forward * plan.components
        held += points * point_bytes(model, plan)
    j_bytes = float(n * parameters * itemsize)
    k_bytes = float(n * n * itemsize) if use is Use.GRAM else 0.0
    costs = {}
    if use is Use.GRAM:
        entries = _entry_multiplications(model, plans, rows)
        costs["dense"] = Cost(
            passes + outer + 2.0 * n**2 * parameters, 2 * j_bytes + k_bytes, j_bytes
        )
        costs["factored"] = Cost(passes + entries, 2 * held + k_bytes, held)
        costs["implicit"] = Cost(3.0 * n * once, n * parameters * itemsize + k_bytes, CHUNK_BYTES)
    else:
        costs["dense"] = Cost(passes + outer + 2.0 * n * parameters, 2 * j_bytes, j_bytes)
        costs["factored"] = Cost(passes, 2 * held, held)
        costs["implicit"] = Cost(passes, held, float(CHUNK_BYTES))
    return costs


def _entry_multiplications(
    model: Model, plans: Mapping[str, FactorPlan], rows: Mapping[str, int]
) -> float:
    """Operations of all entries of K by factors, of which symmetry leaves half."""
    total = 0.0
    for name, plan in plans.items():
        for other, second in plans.items():
            pairs = float(rows[name] * rows[other])
            for parameter, matrix in plan.factored.items():
                if parameter in second.factored:
                    both = matrix.count * second.factored[parameter].count
                    total += pairs * both * sum(matrix.shape)
            total += pairs * _plain_numbers(model, plan)
    return total


def _plain_numbers(model: Model, plan: FactorPlan) -> int:
    leaves = parameters_by_name(model)
    return sum(leaves[name].size for name in plan.plain)
