"""The problem as it is stated, apart from any network: formulas in its conditions, and its operators.

What no training can repair is seen here: conditions that a given solution does not meet, that zero meets,
or that leave something open. All numbers are NumPy's float64.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinntk.calculus import Field, Point
from pinntk.diagnosis.measures import POINTS, observed
from pinntk.domain import evenly
from pinntk.jacobian import cast
from pinntk.nets import WithCoefficients
from pinntk.problem import Batch, Model, Problem, Sample

#: Derivatives up to this order are looked for where points have at most `FEW` coordinates: that of a beam
#: or a plate, the highest in common use. In more, where their number grows, up to the second.
ORDER, FEW, LOW = 4, 3, 2
#: Of the largest coefficient of a condition: below it is what rounding leaves. A wave of n periods has
#: 1/(2πn)² of it, 1e-8 for 1,600.
ABSENT = 1e-8

Index = tuple[int, ...]


class Zero(eqx.Module):
    """The field that is zero everywhere."""

    count: int = eqx.field(static=True)

    def __call__(self, x: Point) -> Array:
        """A number, or one for each of several fields."""
        return jnp.zeros((self.count,) if self.count > 1 else (), x.dtype)


def in_place(problem: Problem, function: Any, coefficients: Mapping[str, Any]) -> Model:
    """A formula or network with values of the coefficients, as a model of the problem."""
    if not problem.coefficients:
        return function
    with jax.enable_x64(True):
        return WithCoefficients(
            function, {name: coefficients[name] for name in problem.coefficients}
        )


def true_coefficients(problem: Problem) -> dict[str, Any] | None:
    """The declared true values by name, None where one is not known."""
    found = {name: unknown.true for name, unknown in problem.coefficients.items()}
    return None if any(value is None for value in found.values()) else found


def start_coefficients(model: Model) -> dict[str, Any]:
    """Those of a model: numbers, arrays and functions of one point."""
    if not isinstance(model, WithCoefficients):
        return {}
    return {name: model.coefficient(name) for name in model.coefficients}


def residuals_of(problem: Problem, model: Model, batch: Batch) -> dict[str, np.ndarray]:
    """r_k (n, components) of any function in float64.

    Conditions that it cannot be put into are left out, and points at which it is not finite are NaN: a
    formula may be a table, may be of one precision, may have no derivative where it is singular.
    """
    found = {}
    with jax.enable_x64(True):
        double = cast(batch, jnp.float64)
        for name, sample in double.items():
            try:
                values = np.asarray(_residuals(problem, model, {name: sample})[name], np.float64)
            except Exception:
                continue
            values = values.reshape(len(values), -1)
            found[name] = np.where(np.isfinite(values), values, np.nan)
    return found


@eqx.filter_jit
def _residuals(problem: Problem, model: Model, batch: Batch) -> dict[str, Array]:
    return problem.residuals(model, batch)


def values_of(problem: Problem, function: Any, points: np.ndarray) -> np.ndarray | None:
    """The fields (n, fields) of any function in float64, NaN where not finite; None where it has none."""
    with jax.enable_x64(True):
        try:
            values = np.asarray(_values(problem, function, jnp.asarray(points, jnp.float64)))
        except Exception:
            return None
    values = values.astype(np.float64).reshape(len(points), -1)
    return np.where(np.isfinite(values), values, np.nan)


@eqx.filter_jit
def _values(problem: Problem, function: Any, points: Array) -> Array:
    names = tuple(problem.fields) if len(problem.fields) > 1 else ()
    return jax.vmap(Field(function, problem.domain.coordinates, names))(points)


def looked_at(problem: Problem) -> Batch:
    """The points at which conditions are looked at, in float64."""
    with jax.enable_x64(True):
        return observed(problem, jnp.float64)


def at_points(points: np.ndarray) -> Sample:
    """Points (n, d) as a sample, in float64."""
    with jax.enable_x64(True):
        return Sample(jnp.asarray(points, jnp.float64))


def domain_points(problem: Problem) -> np.ndarray:
    """Some points of the domain, evenly: (n, d), or those that it consists of."""
    domain = problem.domain
    given = domain.given
    return np.asarray(
        domain.uniform(POINTS) if given is None else given[evenly(len(given), POINTS)]
    )


def extents(problem: Problem) -> np.ndarray:
    """The length of the domain along every coordinate; 1 along those that do not extend."""
    lengths = np.array([high - low for low, high in problem.domain.bounds.values()])
    return np.where(lengths > 0, lengths, 1.0)


def orders(d: int) -> tuple[Index, ...]:
    """The multi-indices α of all derivatives that are looked for, the value first."""
    most = ORDER if d <= FEW else LOW
    every = itertools.product(range(most + 1), repeat=d)
    return tuple(sorted((a for a in every if sum(a) <= most), key=lambda a: (sum(a), a)))


class _Locally(eqx.Module):
    """u + Σ_α c_α Π_i s_i^α_i / α_i!, with s = (x − x₀)/extents: at x₀ the slopes D^α u + c_α."""

    base: Any
    c: Float[Array, "a fields"]
    center: Array
    lengths: Array
    indices: tuple[Index, ...] = eqx.field(static=True)

    def __call__(self, x: Point) -> Array:
        s = (x - self.center) / self.lengths
        powers = [jnp.ones_like(s)]
        for k in range(1, max(map(max, self.indices)) + 1):
            powers.append(powers[-1] * s / k)
        stacked, chosen = jnp.stack(powers), np.array(self.indices).T
        added = math.prod(stacked[rows, i] for i, rows in enumerate(chosen)) @ self.c
        value = self.base(x)
        return value + added.reshape(jnp.shape(value))


@dataclasses.dataclass(frozen=True, eq=False)
class Operator:
    """The linearisation of a condition at a field u: δr = Σ_α,f b_αf(x) D^α δu_f.

    D is the derivative in units of the domain's extents, so that b's are comparable: D^α u is of the
    size of u for a field that varies over the domain once. `values` are b (n, components, indices,
    fields) at `points` (n, d).
    """

    indices: tuple[Index, ...]
    values: np.ndarray
    points: np.ndarray

    @functools.cached_property
    def sizes(self) -> np.ndarray:
        """The rms of b over the points: (components, indices, fields), 0 for what is not there."""
        found = np.sqrt(np.nanmean(self.values**2, axis=0))
        return np.where(found > ABSENT * np.max(found, initial=0.0), found, 0.0)

    @property
    def differentiates(self) -> bool:
        """Whether it asks for more than values."""
        return bool(np.any(self.sizes[:, 1:]))

    def at(self, index: Index) -> np.ndarray:
        """B of one derivative: (n, components, fields)."""
        return self.values[:, :, self.indices.index(index)]

    def present(self, share: float = 0.0) -> tuple[Index, ...]:
        """The derivatives that occur, with more than a share of the largest coefficient."""
        least = share * np.max(self.sizes, initial=0.0)
        return tuple(a for i, a in enumerate(self.indices) if np.any(self.sizes[:, i] > least))


def operator_of(problem: Problem, name: str, model: Model, sample: Sample) -> Operator | None:
    """b_αf = ∂r/∂c at c = 0 for u + Σ c_α (x − x₀)^α / (extents^α α!), exact for differential operators.

    None where the model cannot be put into the condition. A residual that looks at other points, such
    as a period or an integral, contributes what it sees there.
    """
    indices = orders(len(problem.domain.coordinates))
    with jax.enable_x64(True):
        double = cast(sample, jnp.float64)
        lengths = jnp.asarray(extents(problem))
        try:
            values = np.asarray(_operator(problem, name, model, double, lengths, indices))
        except Exception:
            return None
    values = values.reshape(len(values), -1, len(indices), len(problem.fields))
    return Operator(indices, values, np.asarray(sample.points, np.float64))


@eqx.filter_jit
def _operator(
    problem: Problem, name: str, model: Model, sample: Sample, lengths: Array, indices: Any
) -> Array:
    count = len(problem.fields)

    def at(row: Sample) -> Array:
        def residual(c: Array) -> Array:
            network = model.network if isinstance(model, WithCoefficients) else model
            local = _Locally(network, c, row.points, lengths, indices)
            whole = (
                WithCoefficients(local, start_coefficients(model))
                if isinstance(model, WithCoefficients)
                else WithCoefficients(local, {})
            )
            return jnp.atleast_1d(problem.residual_at(name, whole, row))

        _, slope = jax.linearize(residual, jnp.zeros((len(indices), count)))
        units = jnp.eye(len(indices) * count).reshape(-1, len(indices), count)
        return jnp.moveaxis(jax.vmap(slope)(units), 0, 1)

    return jax.vmap(at)(sample)


def derivatives_of(
    problem: Problem, function: Any, points: np.ndarray, indices: Sequence[Index]
) -> dict[Index, np.ndarray]:
    """D^α u of a formula at points (n, d), in units of the domain's extents: (n, fields) by α.

    Those that it does not have are left out.
    """
    lengths, coordinates = extents(problem), problem.domain.coordinates
    found = {}
    for index in indices:
        names = [name for name, k in zip(coordinates, index, strict=True) for _ in range(k)]
        factor = float(np.prod(lengths ** np.array(index)))
        values = values_of(problem, Field(function, coordinates).d(*names), points)
        if values is not None:
            found[index] = factor * values
    return found
