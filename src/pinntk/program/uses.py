"""Where a traced residual uses a parameter as a matrix in a product, up to layout and scaling.

    y = a · (D_r W D_c)   or   y = a · (D_r W D_c)ᵀ,

with W a parameter, reshaped to a matrix, and D_r, D_c numbers or diagonal matrices that may
themselves depend on parameters (a constant factor: NTK parametrisation; a factor for each column:
random weight factorisation). All other uses of a parameter are reported with their primitive.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pinntk.program.interpreter import is_variable, live, pruned


class Scale(NamedTuple):
    """A factor on a matrix: a number (`axis` None), or one for every index along `axis` of W."""

    primitive: str
    atom: Any
    axis: int | None


@dataclasses.dataclass(frozen=True)
class View:
    """A parameter up to layout: reshaped to `shape`, then scaled, then perhaps transposed."""

    name: str
    shape: tuple[int, ...]
    transposed: bool = False
    scales: tuple[Scale, ...] = ()


@dataclasses.dataclass(frozen=True)
class Product:
    """Equation `number` multiplies `rows` vectors with a view of a parameter.

    The view stands at `side` of the product; axis `axis` of W is summed over, which is axis
    `contracted` of the other operand.
    """

    number: int
    view: View
    side: int
    axis: int
    contracted: int
    rows: int


class Uses(NamedTuple):
    """The products, and the first other use of a parameter by name."""

    products: tuple[Product, ...]
    other: Mapping[str, str]


def find_uses(jaxpr: Any, names: Sequence[str]) -> Uses:
    """How the first `len(names)` inputs of a jaxpr are used, by name."""
    numbers = live(jaxpr)
    producers = {
        variable: jaxpr.eqns[number]
        for number in numbers
        for variable in jaxpr.eqns[number].outvars
    }
    views: dict[Any, View] = {
        variable: View(name, variable.aval.shape)
        for variable, name in zip(jaxpr.invars, names, strict=False)
    }
    products: list[Product] = []
    other: dict[str, str] = {}
    for number in numbers:
        equation = jaxpr.eqns[number]
        sides = [i for i, atom in enumerate(equation.invars) if is_variable(atom) and atom in views]
        if not sides:
            continue
        # A parameter that scales a larger one is a factor as any other: it is in use otherwise.
        largest = max(sides, key=lambda side: equation.invars[side].aval.size)
        view = views[equation.invars[largest]]
        moved = _moved(equation, largest, view, producers)
        product = _product(number, equation, largest, view) if len(sides) == 1 else None
        if moved is not None:
            views[equation.outvars[0]] = moved
            sides.remove(largest)
        elif product is not None:
            products.append(product)
            sides.remove(largest)
        for side in sides:
            name = views[equation.invars[side]].name
            other.setdefault(name, f"used in {equation.primitive.name}")
    for atom in jaxpr.outvars:
        if is_variable(atom) and atom in views:
            other.setdefault(views[atom].name, "is the residual itself")
    shapes: dict[str, set] = {}
    for product in products:
        shapes.setdefault(product.view.name, set()).add(product.view.shape)
    for name, found in shapes.items():
        if len(found) > 1:
            other.setdefault(name, "used in several shapes")
    return Uses(tuple(products), other)


def with_plain_operands(jaxpr: Any, names: Sequence[str], products: Sequence[Product]) -> Any:
    """The same program, in which a product takes its vectors, the parameter itself, and its scales.

    What only prepared the matrix is no longer in it, nor anything else that the result does not need; so
    a product is found by its result, not by its number.
    """
    parameters = dict(zip(names, jaxpr.invars, strict=False))
    equations = list(jaxpr.eqns)
    for product in products:
        equation, view = equations[product.number], product.view
        operands = [equation.invars[1 - product.side], parameters[view.name]]
        operands += [scale.atom for scale in view.scales]
        equations[product.number] = equation.replace(invars=operands)
    return pruned(jaxpr.replace(eqns=equations))


def _moved(equation: Any, side: int, view: View, producers: Mapping[Any, Any]) -> View | None:
    """The view that comes out of a transpose, a reshape or a scaling; None for anything else."""
    name = equation.primitive.name
    if len(equation.outvars) != 1:  # none: a value is only shown, as by `jax.debug.print`
        return None
    shape = tuple(equation.outvars[0].aval.shape)
    if name == "copy":
        return view
    if name == "transpose" and tuple(equation.params["permutation"]) == (1, 0):
        return dataclasses.replace(view, transposed=not view.transposed)
    if name in ("reshape", "squeeze", "expand_dims"):
        plain = not view.transposed and all(scale.axis is None for scale in view.scales)
        return dataclasses.replace(view, shape=shape) if plain else None
    # A scaling that also repeats the matrix, as operands of size 1 allow, is not one.
    same = shape == tuple(equation.invars[side].aval.shape)
    if same and (name == "mul" or (name == "div" and side == 0)):
        scale = _scale(name, equation.invars[1 - side], view, producers)
        return scale and dataclasses.replace(view, scales=(*view.scales, scale))
    return None


def _scale(primitive: str, atom: Any, view: View, producers: Mapping[Any, Any]) -> Scale | None:
    """The other factor of a product with a matrix, when it is one number or constant along an axis."""
    source, axes = atom, range(len(atom.aval.shape))
    producer = producers.get(atom) if is_variable(atom) else None
    if producer is not None and producer.primitive.name == "broadcast_in_dim":
        source, axes = producer.invars[0], producer.params["broadcast_dimensions"]
    if source.aval.size == 1:
        return Scale(primitive, source, None)
    kept = [axis for axis, size in zip(axes, source.aval.shape, strict=True) if size > 1]
    if len(kept) != 1 or len(view.shape) != 2:
        return None
    return Scale(primitive, source, 1 - kept[0] if view.transposed else kept[0])


def _product(number: int, equation: Any, side: int, view: View) -> Product | None:
    if equation.primitive.name != "dot_general" or len(view.shape) != 2:
        return None
    contracting, batch = equation.params["dimension_numbers"]
    if batch[0] or len(contracting[side]) != 1:
        return None
    stored = contracting[side][0]
    axis = 1 - stored if view.transposed else stored
    out = equation.outvars[0].aval.shape
    rows = int(np.prod(out)) // view.shape[1 - axis]
    return Product(number, view, side, axis, contracting[1 - side][0], rows)
