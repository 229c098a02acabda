"""How the residuals of a problem respond to polynomials: its terms and their coefficients, at points."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinntk.arrays import AnyArray
from pinntk.conditions import Condition
from pinntk.domain import evenly
from pinntk.errors import brief
from pinntk.nets import InputScaling
from pinntk.problem.problem import Problem
from pinntk.problem.samples import Sample

#: Points of each condition: as many as show the range of a value that varies over its region to 5%.
POINTS = 64
#: The highest degrees that are tried for polynomials, first the one that describes a solution best. Four
#: is the order of the highest derivatives that are common, as in u'''' of a beam.
DEGREES = (8, 6, 4)
#: The most coefficients of all fields together: each is a tangent of a residual at all points.
MOST = 120
#: A program that runs once or twice is not worth optimizing.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


class Polynomial(eqx.Module):
    """u_j(x) = Σ_α c_jα Π_i (ξ_i − a_i)^α_i / α_i! with ξ = (x − shift)/scale, so that c_jα = ∂^α u_j(a).

    `coefficients` (fields, K) belong to the multi-indices `powers` (K, d); `about` (d,) is a, in ξ.
    """

    coefficients: Array
    about: Array
    scaling: InputScaling
    powers: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    def __call__(self, x: Float[AnyArray, " d"]) -> Array:
        """The fields at one point: shape (fields,)."""
        return self.coefficients @ _monomials(self.powers, self.scaling(x) - self.about, jnp)


def _monomials(powers: tuple[tuple[int, ...], ...], z: Any, numpy: Any) -> Any:
    """Π_i z_i^α_i / α_i! for every multi-index, of points z (..., d): shape (..., K)."""
    indices = np.array(powers)
    rows = [numpy.ones_like(z)]
    for order in range(1, indices.max(initial=0) + 1):
        rows.append(rows[-1] * z / order)
    table = numpy.stack(rows)
    found = table[indices[:, 0], ..., 0]
    for axis in range(1, indices.shape[1]):
        found = found * table[indices[:, axis], ..., axis]
    return numpy.moveaxis(found, 0, -1)


def multi_indices(d: int, fields: int) -> tuple[tuple[int, ...], ...]:
    """The multi-indices that are tried in d dimensions: all up to a degree, as high as `MOST` allows.

    Where there are too many of degree four: all up to two and the pure ones up to four, or the pure
    ones alone. With an index, all below it are there, so that the set is that of a polynomial's
    derivatives too.
    """
    for degree in DEGREES:
        if math.comb(d + degree, d) * fields <= MOST:
            return tuple(a for n in range(degree + 1) for a in _of_degree(d, n))
    lowest = tuple(a for n in range(3) for a in _of_degree(d, n)) if d <= 12 else ()
    pure = (tuple(n if i == axis else 0 for i in range(d)) for n in range(5) for axis in range(d))
    return tuple(dict.fromkeys((*lowest, *pure)))


def _of_degree(d: int, degree: int) -> list[tuple[int, ...]]:
    chosen = itertools.combinations_with_replacement(range(d), degree)
    return [tuple(axes.count(i) for i in range(d)) for axes in chosen]


class Response(NamedTuple):
    """A condition at a state: residuals r (n, m), and the part of ∂^α u_j in them, J (n, m, fields, K)."""

    residuals: np.ndarray
    terms: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A condition at its probe points. `at(coefficients, points)` gives its `Response` there.

    The state is one polynomial for each point, about that point: coefficients (n, fields, K).
    """

    condition: Condition
    points: np.ndarray
    at: Callable[[np.ndarray, np.ndarray], Response]


@dataclasses.dataclass(frozen=True, eq=False)
class Probes:
    """All conditions of a problem that could be probed; `refused` says why others could not, by name.

    `scaling` maps the bounding box of the domain to [−1, 1]^d.
    """

    probes: Mapping[str, Probe]
    refused: Mapping[str, str]
    scaling: InputScaling
    powers: tuple[tuple[int, ...], ...]
    fields: int

    def scaled(self, points: np.ndarray) -> np.ndarray:
        """Points (n, d) in dimensionless coordinates."""
        return (points - np.array(self.scaling.shift)) / np.array(self.scaling.scale)

    def moved(self, points: np.ndarray) -> np.ndarray:
        """The matrices (n, K, K) that turn coefficients about 0 into those about each point.

        (ξ^α/α!) has the β-derivative ξ^(α−β)/(α−β)! where β ≤ α, else none.
        """
        powers = np.array(self.powers)
        steps = powers[None, :] - powers[:, None]  # [β, α]
        valid = np.all(steps >= 0, axis=-1)
        held = np.where(valid[..., None], steps, 0)
        flat = tuple(map(tuple, held.reshape(-1, powers.shape[1]).tolist()))
        values = _monomials(flat, self.scaled(points), np)
        return values.reshape(len(points), *valid.shape) * valid

    def values(self, coefficients: np.ndarray, points: np.ndarray) -> np.ndarray:
        """The polynomial with coefficients (fields, K) about 0 at points (n, d): shape (n, fields)."""
        return _monomials(self.powers, self.scaled(points), np) @ coefficients.T


def probe(problem: Problem) -> Probes:
    """Probe every condition of a problem once, at zero; within 64-bit mode.

    The unknown coefficients of the equation are at their start. A condition that cannot be probed, since
    its residual is not traced, has no forward derivative or raises, is refused and named.
    """
    lower, upper = np.array(list(problem.domain.bounds.values())).T
    halves = np.where(upper > lower, (upper - lower) / 2, 1.0)
    scaling = InputScaling(tuple(((lower + upper) / 2).tolist()), tuple(halves.tolist()))
    powers = multi_indices(len(lower), len(problem.fields))
    plain = problem.scaled(dict.fromkeys(problem.names, 1.0))
    found: dict[str, Probe] = {}
    refused: dict[str, str] = {}
    for condition in plain.conditions:
        points, targets = _points(condition)
        at = _program(plain, condition.name, scaling, powers, targets)
        try:
            at(np.zeros((len(points), len(problem.fields), len(powers))), points)
        except Exception as error:  # whatever a user's residual does
            refused[condition.name] = brief(error)
            continue
        found[condition.name] = Probe(condition, points, at)
    return Probes(found, refused, scaling, powers, len(problem.fields))


def _points(condition: Condition) -> tuple[np.ndarray, np.ndarray | None]:
    if condition.where.given is None:
        return np.asarray(condition.where.uniform(POINTS), np.float64), None
    chosen = evenly(len(condition.where.given), POINTS)
    targets = None if condition.targets is None else np.asarray(condition.targets, float)[chosen]
    return np.asarray(condition.where.given, np.float64)[chosen], targets


def _program(
    problem: Problem,
    name: str,
    scaling: InputScaling,
    powers: tuple[tuple[int, ...], ...],
    targets: np.ndarray | None,
) -> Callable[[np.ndarray, np.ndarray], Response]:
    shape = (len(problem.fields), len(powers))
    directions = np.eye(shape[0] * shape[1]).reshape(-1, *shape)

    def at_one(coefficients: Array, row: Sample) -> tuple[Array, Array]:
        about = scaling(row.points)

        def residual(coefficients: Array) -> Array:
            model = Polynomial(coefficients, about, scaling, powers)
            whole = problem.with_coefficients(model, jax.random.key(0))
            return jnp.ravel(problem.residual_at(name, whole, row))

        along = lambda direction: jax.jvp(residual, (coefficients,), (direction,))
        return jax.vmap(along, out_axes=(None, 0))(jnp.asarray(directions))

    @functools.partial(jax.jit, compiler_options=QUICK)
    def program(coefficients: Array, points: Array, targets: Array | None) -> tuple[Array, Array]:
        return jax.vmap(at_one)(coefficients, Sample(points, targets))

    def at(coefficients: np.ndarray, points: np.ndarray) -> Response:
        residuals, terms = program(coefficients, points, targets)
        terms = np.moveaxis(np.asarray(terms), 1, 2)
        return Response(np.asarray(residuals), terms.reshape(*terms.shape[:2], *shape))

    return at
