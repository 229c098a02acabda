"""Derivatives of a field at one point, by coordinate name, written as the equation reads.

>>> import jax.numpy as jnp
>>> from pinntk.calculus import Field
>>> u = Field(lambda p: p[0] ** 2 * p[1], ("x", "t"))
>>> point = jnp.array([3.0, 2.0])
>>> float(u.d("x", "x")(point))
4.0
>>> heat = u.d("t") - 0.5 * u.d("x", "x")  # an operator: evaluated in one pass
>>> float(heat(point))
7.0
"""

from __future__ import annotations

import abc
import operator
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Real

from pinntk.arrays import floating
from pinntk.calculus.taylor import second_order
from pinntk.errors import PinntkError, check_name

Point = Real[Array, " d"]
Index = tuple[int, ...]


class AbstractField(abc.ABC):
    """A function of one point with named coordinates, and perhaps named components.

    Calling it with a point of shape (d,) gives a scalar, or an array of shape (m,) for a field of m
    components. Everything else returns another field, so operators can be written before they are
    evaluated: `u.d("t", "t") - 4 * u.d("x", "x")` is a field that costs one pass.
    """

    coordinates: tuple[str, ...]
    components_named: tuple[str, ...]
    coefficients: Mapping[str, Any] = types.MappingProxyType({})
    __array_ufunc__ = None  # an array times a field is a field, not an array of fields

    @abc.abstractmethod
    def __call__(self, point: Point) -> Array:
        """The value at one point of shape (d,)."""

    @abc.abstractmethod
    def _terms(self) -> tuple[Callable[[Point], Array], dict[Index, Any]]:
        """A function and the linear combination of its derivatives that this field is."""

    def d(self, *names: str) -> Derivatives:
        """∂ⁿ/∂names: one name per differentiation, any order, pure or mixed; u.d() is u itself."""
        axes = tuple(self._axis(name) for name in names)
        base, terms = self._terms()
        shifted = {tuple(sorted(index + axes)): value for index, value in terms.items()}
        return Derivatives(base, shifted, self.coordinates, self.components_named)

    def laplacian(self, *names: str) -> Derivatives:
        """Σ ∂²/∂name² over the named coordinates, over all of them when none is named."""
        first, *rest = names or self.coordinates
        total = self.d(first, first)
        for name in rest:
            total = total + self.d(name, name)
        return total  # type: ignore[return-value]

    def gradient(self, *names: str) -> Field:
        """The vector (∂_name u) of a scalar field, all coordinates when none is named: shape (n,)."""
        parts = [self.d(name) for name in names or self.coordinates]
        return Field(lambda point: jnp.stack([part(point) for part in parts]), self.coordinates)

    def divergence(self, *names: str) -> AbstractField:
        """Σ_i ∂_{name_i} u_i: the i-th component along the i-th name (all coordinates by default)."""
        names = names or self.coordinates
        total: AbstractField = self[0].d(names[0])
        for i, name in enumerate(names[1:], start=1):
            total = total + self[i].d(name)
        return total

    def __getitem__(self, component: str | int) -> Field:
        """One component of a vector field, by name or by index."""
        if isinstance(component, str):
            check_name("component", component, self.components_named)
            index = self.components_named.index(component)
        else:
            index = component

        def entry(point: Point) -> Array:
            value = self(point)
            # JAX clamps an index that is out of range to the last entry, without a word.
            if jnp.ndim(value) == 0 or not -len(value) <= index < len(value):
                raise PinntkError(
                    "component",
                    got=repr(component),
                    expected=f"an entry of the field's value, whose shape is {jnp.shape(value)}",
                )
            return value[index]

        return Field(entry, self.coordinates)

    def __iter__(self) -> Iterator[Field]:
        """The components in order, so that `u, v, p = w` works."""
        if not self.components_named:
            raise TypeError("a field without named components cannot be unpacked")
        return iter(self.components())

    def components(self) -> tuple[Field, ...]:
        """All components in order, to be unpacked: `u, v, p = w.components()`."""
        return tuple(self[name] for name in self.components_named)

    def coefficient(self, name: str) -> Any:
        """An unknown coefficient of the equation: its value, or a field over the same coordinates.

        Only the field that a residual is given has them; its derivatives and components do not.
        """
        if not self.coefficients:
            raise PinntkError(
                "coefficient",
                got=repr(name),
                expected="a coefficient of a field that has some",
                fix="Declare it, Problem(coefficients={...}), and ask the residual's first argument.",
            )
        check_name("coefficient", name, self.coefficients)
        return self.coefficients[name]

    def _axis(self, name: str) -> int:
        check_name("coordinate", name, self.coordinates)
        return self.coordinates.index(name)

    def __add__(self, other: Any) -> AbstractField:
        return _sum(self, other, 1.0)

    def __radd__(self, other: Any) -> AbstractField:
        return _sum(self, other, 1.0)

    def __sub__(self, other: Any) -> AbstractField:
        return _sum(self, other, -1.0)

    def __rsub__(self, other: Any) -> AbstractField:
        return -self + other

    def __neg__(self) -> AbstractField:
        return -1.0 * self

    def __mul__(self, other: Any) -> AbstractField:
        if callable(other):
            return _pointwise(operator.mul, self, other)
        base, terms = self._terms()
        scaled = {index: _scalar(other) * value for index, value in terms.items()}
        return Derivatives(base, scaled, self.coordinates, self.components_named)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> AbstractField:
        return _pointwise(operator.truediv, self, other) if callable(other) else self * (1 / other)

    def __rtruediv__(self, other: Any) -> AbstractField:
        above = other if callable(other) else lambda _: _scalar(other)
        return _pointwise(lambda below, value: value / below, self, above)

    def __pow__(self, exponent: Any) -> AbstractField:
        above = exponent if callable(exponent) else lambda _: _scalar(exponent)
        return _pointwise(operator.pow, self, above)


class Field(AbstractField):
    """A field given by any function of one point of shape (d,): a network, a formula, an expression.

    `coefficients` maps names to values or to fields, for `u.coefficient(name)`.
    """

    def __init__(
        self,
        function: Callable[[Point], Array],
        coordinates: Sequence[str],
        components: Sequence[str] = (),
        coefficients: Mapping[str, Any] | None = None,
    ):
        self.function = function
        self.coordinates = tuple(coordinates)
        self.components_named = tuple(components)
        self.coefficients = dict(coefficients or {})

    def __call__(self, point: Point) -> Array:
        return self.function(floating(point))

    def _terms(self) -> tuple[Callable[[Point], Array], dict[Index, Any]]:
        return self.function, {(): 1.0}


class Derivatives(AbstractField):
    """Σ_α c_α ∂^α u: a linear combination of derivatives of one function, evaluated together.

    All terms of order two or less come from one collapsed Taylor pass (`pinntk.calculus.taylor`);
    a term of higher order differentiates the field of its first two derivatives again.
    """

    def __init__(
        self,
        base: Callable[[Point], Array],
        terms: Mapping[Index, Any],
        coordinates: tuple[str, ...],
        components: tuple[str, ...],
    ):
        self.base = base
        self.terms = dict(terms)
        self.coordinates = coordinates
        self.components_named = components

    def _terms(self) -> tuple[Callable[[Point], Array], dict[Index, Any]]:
        return self.base, self.terms

    def __call__(self, point: Point) -> Array:
        point = floating(point)
        low = {index: value for index, value in self.terms.items() if len(index) <= 2}
        total = self._low_order(point, low) if low else 0.0
        for index, value in self.terms.items():
            if len(index) > 2:
                pair, rest = index[:2], index[2:]
                inner = Derivatives(self.base, {pair: 1.0}, self.coordinates, ())
                outer = Derivatives(inner, {rest: 1.0}, self.coordinates, ())
                total = total + value * outer(point)
        return jnp.asarray(total)

    def _low_order(self, point: Point, terms: Mapping[Index, Any]) -> Array:
        first = [index[0] for index in terms if len(index) == 1]
        second = {(index[0], index[1]): c for index, c in terms.items() if len(index) == 2}
        if not first and not second:
            return terms[()] * self.base(point)
        value, tangents, combined = second_order(self.base, point, first, second)
        total = combined if second else 0.0
        for axis in first:
            total = total + terms[(axis,)] * tangents[axis]
        if () in terms:
            total = total + terms[()] * value
        return jnp.asarray(total)


def _scalar(value: Any) -> Any:
    """A coefficient without a dtype of its own where it is a plain number, so float32 stays float32."""
    return value.item() if isinstance(value, np.generic | np.ndarray) and value.ndim == 0 else value


def _sum(left: AbstractField, right: Any, sign: float) -> AbstractField:
    """Left + sign · right; derivatives of the same function are merged into one operator."""
    if isinstance(right, AbstractField):
        base, terms = left._terms()
        other_base, other_terms = right._terms()
        if base is other_base:
            merged = dict(terms)
            for index, value in other_terms.items():
                merged[index] = merged[index] + sign * value if index in merged else sign * value
            return Derivatives(base, merged, left.coordinates, left.components_named)
    if callable(right):
        return _pointwise(lambda a, b: a + sign * b, left, right)
    shift = sign * _scalar(right)
    return Field(lambda point: left(point) + shift, left.coordinates, left.components_named)


def _pointwise(
    combine: Callable[[Array, Array], Array],
    left: AbstractField,
    right: Callable[..., Any],
) -> Field:
    """Both at a point, combined; the components are those of the side that has some with names."""
    named = left.components_named or getattr(right, "components_named", ())
    return Field(lambda point: combine(left(point), right(point)), left.coordinates, named)
