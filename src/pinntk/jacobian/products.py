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
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from pinntk.jacobian.model import parameters_by_name
from pinntk.problem import Model, Problem, Sample, trainable
from pinntk.program import (
    INLINED,
    RECOMPUTED,
    Multiple,
    Product,
    Scale,
    bind,
    evaluate,
    explained,
    find_uses,
    interpret,
    merge_equal,
    scaled,
    with_plain_operands,
)

Scales = Sequence[tuple[Scale, Any]]  # an array, perhaps one that the program holds as a literal
Pair = tuple[Multiple, Multiple]


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A parameter that is kept as factors: its shape as a matrix and the number K of its products."""

    shape: tuple[int, int]
    count: int


@dataclasses.dataclass(frozen=True)
class FactorPlan:
    """How the residual of one condition is differentiated, by name of the parameter.

    `plain` gives the reason why a parameter is not factored; `unused` ones do not enter the residual.
    `components` is m.
    """

    factored: Mapping[str, Matrix]
    plain: Mapping[str, str]
    unused: tuple[str, ...]
    components: int


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


def axis_of_points(leaf: Any) -> int:
    """The same by the leaf: factors, and they alone, have four axes then."""
    return 1 if leaf.ndim == 4 else 0


def traced(problem: Problem, name: str, model: Model, row: Sample) -> Any:
    """The residual (m,) as a closed jaxpr of the parameters, in their order, and the row."""
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
    problem: Problem, name: str, model: Model, plan: FactorPlan
) -> Callable[[Sample], Gradients]:
    """The residual and its gradients at one point, by one vector-Jacobian product per component."""
    names, values = (tuple(items) for items in zip(*parameters_by_name(model).items(), strict=True))

    def at(row: Sample) -> Gradients:
        closed = traced(problem, name, model, row)
        uses = find_uses(closed.jaxpr, names)
        products = [product for product in uses.products if product.view.name in plan.factored]
        program = closed.replace(jaxpr=with_plain_operands(closed.jaxpr, names, products))
        by_result = {closed.jaxpr.eqns[p.number].outvars[0]: p for p in products}

        def everything(values: tuple[Array, ...], row: Sample) -> tuple:
            leaves = dict(zip(names, values, strict=True))
            others = {n: leaves[n] for n in plan.plain}

            def residual(zeros: dict[int, Array], others: dict[str, Array]) -> tuple[Array, dict]:
                arguments = [*{**leaves, **others}.values(), *jax.tree.leaves(row)]
                return _with_zeros(program, arguments, by_result, zeros)

            zeros = {p.number: _zero(closed.jaxpr, p) for p in products}
            value, pull, inputs = jax.vjp(residual, zeros, others, has_aux=True)
            if len(value) == 1:
                pulled = jax.tree.map(lambda a: a[None], pull(jnp.ones_like(value)))
            else:
                pulled = jax.vmap(pull)(jnp.eye(len(value), dtype=value.dtype))
            cotangents, slopes = pulled
            plain = {n: slope.reshape(len(value), -1) for n, slope in slopes.items()}
            return value, plain, [_factors(p, inputs, cotangents) for p in products]

        with explained(f"residual of condition {name!r}"):
            whole, shapes = jax.make_jaxpr(everything, return_shape=True)(values, row)
            outputs = evaluate(whole, jax.tree.leaves((values, row)))
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


def _with_zeros(
    program: Any,
    arguments: list[Any],
    by_result: Mapping[Any, Product],
    zeros: Mapping[int, Array],
) -> tuple[Array, dict[int, Array]]:
    """The residual with a zero added to every product, and the vectors a that were multiplied.

    `program` is that of `with_plain_operands`; a product is known by the variable of its result.
    """
    inputs: dict[int, Array] = {}

    def rule(equation: Any, values: list[Any]) -> list[Any]:
        product = by_result.get(equation.outvars[0]) if equation.outvars else None
        if product is None:
            return bind(equation, values)
        other, parameter, *factors = values
        matrix = parameter.reshape(product.view.shape)
        scales = list(zip(product.view.scales, factors, strict=True))
        output, inputs[product.number] = _multiply(
            equation, product, matrix, other, scales, zeros[product.number]
        )
        return [output]

    return interpret(program.jaxpr, program.consts, arguments, rule)[0], inputs


def _multiply(
    equation: Any,
    product: Product,
    matrix: Array,
    other: Any,  # an array, perhaps one that the program holds as a literal
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
