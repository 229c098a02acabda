"""Per-point gradients as sums of outer products, for any network and any derivative mode.

A product y = a·W inside the one-point residual r contributes a ⊗ δ to ∂r/∂W, with δ = ∂r/∂y. So a
matrix that is used in K products has the gradient Σ_k a_k ⊗ δ_k, which is kept as its factors and
never formed: K(rows + columns) numbers in place of rows · columns.

The products are found in the jaxpr of the residual, where equal sub-expressions are merged and dead
ones dropped. A zero is added to every y, and one vector-Jacobian product with respect to those zeros
gives all δ. A parameter that is used in any other way (biases, convolutions, `scan`, ...) gets its
plain per-point gradient, and the plan names it with the reason.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.extend as jex
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pinntk.jacobian.model import parameters_by_name, trainable
from pinntk.jacobian.multiples import Multiple, evaluate, scaled
from pinntk.jacobian.structure import once_per_structure
from pinntk.jacobian.uses import Product, Scale, find_uses
from pinntk.problem import Batch, Model, Problem, Sample
from pinntk.tracing import INLINED, RECOMPUTED, bind, merge_equal

#: What a number of a plain gradient costs in numbers of its factors: it is summed over the products
#: and laid out anew, where factors are used as they come out of the residual. Measured on one core,
#: 1 in place of this takes a step of Algorithm 1 at width 100 from 1.17 to 1.42 plain steps, 6 is as good.
PLAIN_EFFORT = 4

Scales = Sequence[tuple[Scale, Array]]
Pair = tuple[Multiple, Multiple]


class Use(enum.Enum):
    """What a Jacobian is wanted for; it decides which matrices are worth factoring."""

    GRAM = "all entries of J Jᵀ"
    DIAGONAL = "the diagonal of J Jᵀ and Jᵀ v"


class Factors(NamedTuple):
    """What one product adds to ∂r/∂W, Σ_k left_k ⊗ right_k: (k, m, rows), (k, m, columns) at a point.

    m counts the components of the residual; it is 1 in the factor that is the same for all of them.
    k is 1 unless the residual multiplies W by a matrix. A gradient has as many of these as W has
    products; they are not stacked, which would copy them.
    """

    left: Array
    right: Array


class Gradients(NamedTuple):
    """The gradients at one point: residual (m,), factors by parameter, plain ones (m, size)."""

    residual: Array
    factored: dict[str, tuple[Factors, ...]]
    plain: dict[str, Array]


#: The axis of the points where gradients of many are stacked: factors keep k in front.
POINT_AXES: Any = Gradients(0, 1, 0)  # pyright: ignore[reportArgumentType]


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A parameter that is kept as factors: its shape as a matrix and the number K of its products."""

    shape: tuple[int, int]
    count: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the residual of one condition is differentiated, by name of the parameter.

    `plain` gives the reason why a parameter is not factored; `unused` ones do not enter the residual.
    `components` is m.
    """

    factored: Mapping[str, Matrix]
    plain: Mapping[str, str]
    unused: tuple[str, ...]
    components: int


def make_plans(
    problem: Problem, model: Model, batch: Batch, use: Use
) -> tuple[dict[str, Plan], frozenset[str]]:
    """The plan of every condition, and the parameters that are plain in one and so in all of them.

    Cross blocks of the kernel need a parameter in the same form in both conditions.
    """
    plans = {}
    for name in problem.names:
        if name in batch:
            row = jax.eval_shape(lambda s: jax.tree.map(lambda a: a[0], s), batch[name])
            plans[name] = _plan(problem, name, model, row, use)
    plain = frozenset(parameter for plan in plans.values() for parameter in plan.plain)
    plain |= _in_several_shapes(plans)
    return {name: _without(plan, plain) for name, plan in plans.items()}, plain


def rows_of(plans: Mapping[str, Plan], batch: Batch) -> dict[str, int]:
    """N_k: how many residuals each condition has, points times components."""
    return {name: len(batch[name].points) * plan.components for name, plan in plans.items()}


def _in_several_shapes(plans: Mapping[str, Plan]) -> frozenset[str]:
    shapes: dict[str, set] = {}
    for plan in plans.values():
        for parameter, matrix in plan.factored.items():
            shapes.setdefault(parameter, set()).add(matrix.shape)
    return frozenset(parameter for parameter, found in shapes.items() if len(found) > 1)


def _without(plan: Plan, plain: frozenset[str]) -> Plan:
    moved = {
        n: "plain or of another shape in another condition" for n in plan.factored if n in plain
    }
    kept = {n: matrix for n, matrix in plan.factored.items() if n not in plain}
    return dataclasses.replace(plan, factored=kept, plain={**plan.plain, **moved})


def _plan(problem: Problem, name: str, model: Model, row: Sample, use: Use) -> Plan:
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
def _all_factored(problem: Problem, name: str, model: Model, row: Sample) -> Plan:
    """The plan in which all that can be factored is."""
    names = tuple(parameters_by_name(model))
    closed = _trace(problem, name, model, row)
    uses = find_uses(closed.jaxpr, names)
    plain = dict(uses.other)
    shapes: dict[str, Any] = {product.view.name: product.view.shape for product in uses.products}
    plan = Plan(
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


def _trace(problem: Problem, name: str, model: Model, row: Sample) -> Any:
    leaves = list(parameters_by_name(model).values())
    return jax.make_jaxpr(_flat_residual(problem, name, model))(leaves, row)


def _flat_residual(problem: Problem, name: str, model: Model) -> Callable[[list, Sample], Array]:
    parameters, rest = trainable(model)
    structure = jax.tree.structure(parameters)

    def residual(leaves: list[Array], row: Sample) -> Array:
        whole = eqx.combine(jax.tree.unflatten(structure, leaves), rest)
        return jnp.atleast_1d(problem.residual_at(name, whole, row))

    return merge_equal(residual, INLINED | RECOMPUTED)


def gradients_at(
    problem: Problem, name: str, model: Model, plan: Plan
) -> Callable[[Sample], Gradients]:
    """The residual and its gradients at one point, by one vector-Jacobian product per component."""
    names, values = (tuple(items) for items in zip(*parameters_by_name(model).items(), strict=True))

    def at(row: Sample) -> Gradients:
        closed = _trace(problem, name, model, row)
        uses = find_uses(closed.jaxpr, names)
        products = [product for product in uses.products if product.view.name in plan.factored]
        # What only prepares a factored matrix for its products is not evaluated.
        skipped = {number for number, owner in uses.moves.items() if owner in plan.factored}
        numbers = sorted(uses.live - skipped)

        def everything(values: tuple[Array, ...], row: Sample) -> tuple:
            leaves = dict(zip(names, values, strict=True))
            others = {n: leaves[n] for n in plan.plain}

            def residual(zeros: dict[int, Array], others: dict[str, Array]) -> tuple[Array, dict]:
                given = {**leaves, **others}
                arguments = [*given.values(), *jax.tree.leaves(row)]
                return _evaluate(closed, arguments, numbers, products, given, zeros)

            zeros = {p.number: _zero(closed.jaxpr, p) for p in products}
            value, pull, inputs = jax.vjp(residual, zeros, others, has_aux=True)
            if len(value) == 1:
                pulled = jax.tree.map(lambda a: a[None], pull(jnp.ones_like(value)))
            else:
                pulled = jax.vmap(pull)(jnp.eye(len(value), dtype=value.dtype))
            cotangents, slopes = pulled
            plain = {n: slope.reshape(len(value), -1) for n, slope in slopes.items()}
            return value, plain, [_factors(p, inputs, cotangents) for p in products]

        program, shapes = jax.make_jaxpr(everything, return_shape=True)(values, row)
        outputs = evaluate(program, jax.tree.leaves((values, row)))
        structure = jax.tree.structure(shapes)
        value, plain, _ = jax.tree.unflatten(structure, [scaled(x) for x in outputs])
        # The factors come last, two outputs each.
        sides = outputs[len(outputs) - 2 * len(products) :]
        pairs: dict[str, list[Pair]] = {}
        for number, product in enumerate(products):
            pair = (sides[2 * number], sides[2 * number + 1])
            pairs.setdefault(product.view.name, []).append(pair)
        return Gradients(value, {n: _merged(found) for n, found in pairs.items()}, plain)

    return at


def _factors(
    product: Product, inputs: Mapping[int, Array], cotangents: Mapping[int, Array]
) -> Factors:
    a = inputs[product.number][:, None]
    delta = jnp.swapaxes(cotangents[product.number], 0, 1)
    return Factors(a, delta) if product.axis == 0 else Factors(delta, a)


def _merged(pairs: list[Pair]) -> tuple[Factors, ...]:
    """Fewer pairs: c a ⊗ δ + d b ⊗ δ = (c a + d b) ⊗ δ, and the same from the other side."""
    for side in (1, 0):
        groups: dict[Any, list[Pair]] = {}
        for pair in pairs:
            key = (id(pair[side].base), jnp.shape(pair[1 - side].base))
            groups.setdefault(key, []).append(pair)
        pairs = [_one_pair(group, side) for group in groups.values()]
    return tuple(Factors(scaled(left), scaled(right)) for left, right in pairs)


def _one_pair(group: list[Pair], side: int) -> Pair:
    if len(group) == 1:
        return group[0]
    terms = [
        scaled(Multiple(pair[side].coefficient * pair[1 - side].coefficient, pair[1 - side].base))
        for pair in group
    ]
    total = Multiple(1.0, functools.reduce(jnp.add, terms))
    common = Multiple(1.0, group[0][side].base)
    return (total, common) if side == 1 else (common, total)


def _zero(jaxpr: Any, product: Product) -> Array:
    free = product.view.shape[1 - product.axis]
    return jnp.zeros((product.rows, free), jaxpr.eqns[product.number].outvars[0].aval.dtype)


def _evaluate(
    closed: Any,
    arguments: list[Any],
    numbers: list[int],
    products: list[Product],
    leaves: Mapping[str, Array],
    zeros: Mapping[int, Array],
) -> tuple[Array, dict[int, Array]]:
    """The residual with a zero added to every product, and the vectors a that were multiplied."""
    jaxpr = closed.jaxpr
    environment: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    environment.update(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, jex.core.Literal) else environment[atom]

    by_number = {product.number: product for product in products}
    inputs: dict[int, Array] = {}
    for number in numbers:
        equation = jaxpr.eqns[number]
        product = by_number.get(number)
        if product is None:
            outputs = bind(equation, [read(atom) for atom in equation.invars])
        else:
            scales = [(scale, read(scale.atom)) for scale in product.view.scales]
            other = read(equation.invars[1 - product.side])
            matrix = leaves[product.view.name].reshape(product.view.shape)
            output, inputs[number] = _multiply(
                equation, product, matrix, other, scales, zeros[number]
            )
            outputs = [output]
        environment.update(zip(equation.outvars, outputs, strict=True))
    return read(jaxpr.outvars[0]), inputs


def _multiply(
    equation: Any,
    product: Product,
    matrix: Array,
    other: Array,
    scales: Scales,
    zero: Array,
) -> tuple[Array, Array]:
    """((a D_r)·W + zero) D_c in the shape of the equation's result, and a D_r."""
    moved = jnp.moveaxis(other, product.contracted, -1)
    rows = _scaled(moved.reshape(-1, moved.shape[-1]), scales, product.axis)
    y = jax.lax.dot_general(
        rows,
        matrix,
        (((1,), (product.axis,)), ((), ())),
        precision=equation.params["precision"],
        preferred_element_type=equation.params["preferred_element_type"],
    )
    y = _scaled(_scaled(y + zero, scales, 1 - product.axis), scales, None)
    y = y.reshape(*moved.shape[:-1], y.shape[-1])
    return (y if product.side == 1 else jnp.moveaxis(y, -1, 0)), rows


def _scaled(rows: Array, scales: Scales, axis: int | None) -> Array:
    for scale, value in scales:
        if scale.axis == axis:
            flat = jnp.reshape(value, () if axis is None else (1, rows.shape[-1]))
            rows = rows * flat if scale.primitive == "mul" else rows / flat
    return rows


@once_per_structure
def multiplications(problem: Problem, name: str, model: Model, row: Sample) -> int:
    """How many multiplications the matrix products of one residual take at one point."""
    jaxpr = _trace(problem, name, model, row).jaxpr
    total = 0
    for number in find_uses(jaxpr, ()).live:
        equation = jaxpr.eqns[number]
        if equation.primitive.name == "dot_general":
            contracting, _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            summed = int(np.prod([left[axis] for axis in contracting[0]]))
            total += summed * int(np.prod(equation.outvars[0].aval.shape))
    return total
