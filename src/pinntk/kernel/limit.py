"""The tangent kernel of an infinitely wide PINN, for linear operators.

With the NTK parametrisation (`pinntk.nets.NTK`) the kernel of the network converges to Θ(x, x') as
the width grows (Jacot, Gabriel, Hongler, NeurIPS 2018), and that of a PINN with linear operators L_k to

    K_kl(x, x') = L_k^x L_l^{x'} Θ(x, x'),

of which Theorem 4.1 of Wang, Yu, Perdikaris (2022) is the case of one hidden layer and L = d²/dx².
The operators are taken from the residuals of the problem as they are written.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinntk.arrays import AnyArray
from pinntk.calculus import Point
from pinntk.errors import PinntkError
from pinntk.jacobian import cast
from pinntk.kernel.expectations import AbstractExpectation
from pinntk.kernel.spectrum import spectrum
from pinntk.kernel.tangent import TangentKernel
from pinntk.problem import Batch, Problem, Sample

#: Pairs of points that are computed at once.
PAIRS = 32
#: A residual counts as linear when superposition holds to this share of its size: rounding of
#: derivatives in float64 leaves some 1e-12, any nonlinear term a share of order one.
LINEAR = 1e-8


@dataclasses.dataclass(frozen=True)
class LimitNetwork:
    """An MLP of infinite width: `depth` hidden layers; `scaling`, then `embedding`, act on x first."""

    depth: int
    activation: AbstractExpectation
    scaling: Callable[[Array], Array] | None = None
    embedding: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.depth, int) or self.depth < 1:
            raise PinntkError("depth", got=self.depth, expected="a whole number, 1 or more")

    def features(self, x: Point) -> Array:
        """What the first layer sees."""
        scaled = x if self.scaling is None else self.scaling(x)
        return scaled if self.embedding is None else self.embedding(scaled)

    def theta(self, x: Point, other: Point) -> Float[Array, ""]:
        """Θ(x, x'), all layers y = fan_in^(−1/2) xW + b with W and b drawn from N(0, 1) and trained.

        Σ¹ = Θ¹ = h·h'/d + 1; then Σ ← E[σσ] + 1 and Θ ← Σ + Θ·E[σ'σ'] for every hidden layer.
        """
        h, g = self.features(x), self.features(other)
        a, b, c = (jnp.dot(p, q) / h.size + 1.0 for p, q in ((h, h), (g, g), (h, g)))
        theta = c
        for layer in range(self.depth):
            covariance = self.activation.values(a, b, c) + 1.0
            theta = covariance + theta * self.activation.slopes(a, b, c)
            if layer + 1 < self.depth:
                a, b = (self.activation.values(v, v, v) + 1.0 for v in (a, b))
                c = covariance
        return theta

    def up_to(self, points: Float[np.ndarray, "n d"]) -> LimitNetwork:
        """With an activation that is ready for the variances at these points.

        Those of the first layer are h·h/d + 1; those of later ones at most 2 for |σ| ≤ 1.
        """
        h = np.asarray(jax.vmap(self.features)(jnp.asarray(points)))
        largest = max(2.0, float(np.max(np.sum(h**2, axis=1) / h.shape[1] + 1.0)))
        return dataclasses.replace(self, activation=self.activation.up_to(largest))


def limit_kernel(problem: Problem, network: LimitNetwork, batch: Batch) -> TangentKernel:
    """K of the infinitely wide network at the points of a batch, raw, in float64.

    **Raises** `PinntkError` for a condition that is not linear in u.
    """
    with jax.enable_x64(True):
        points = cast(batch, jnp.float64)
        check_linear(problem, points)
        network = network.up_to(_all_points(points))
        blocks = {
            (row, column): _block(problem, network, (row, points[row]), (column, points[column]))
            for row, column in itertools.combinations_with_replacement(problem.names, 2)
        }
    rows = {name: len(blocks[name, name]) for name in problem.names}
    order = {name: i for i, name in enumerate(problem.names)}
    matrix = np.block(
        [
            [blocks[k, m] if order[k] <= order[m] else blocks[m, k].T for m in problem.names]
            for k in problem.names
        ]
    )
    return TangentKernel(0.5 * (matrix + matrix.T), rows)


def limit_solution(
    problem: Problem, network: LimitNetwork, batch: Batch, points: Float[AnyArray, "m d"]
) -> Float[np.ndarray, " m"]:
    """The mean of what infinitely wide PINNs converge to: u(x) = K(x, X) K(X, X)⁺ y, shape (m,).

    y are the data of all conditions, minus their residuals at u = 0. Modes under the noise floor
    n·eps·λ_max are left out of the inverse. For problems with one unknown.
    """
    if len(problem.fields) != 1:
        raise PinntkError(
            "problem", got=f"the unknowns {', '.join(problem.fields)}", expected="one unknown"
        )
    kernel = limit_kernel(problem, network, batch)
    with jax.enable_x64(True):
        known = cast(batch, jnp.float64)
        where = Sample(jnp.asarray(points, jnp.float64))
        network = network.up_to(np.concatenate([_all_points(known), where.points]))
        cross = [_block(problem, network, (None, where), (k, known[k])) for k in problem.names]
        zero = problem.residuals(_zero(problem), known)
        data = np.concatenate([-np.asarray(zero[k]).ravel() for k in problem.names])
    modes = spectrum(kernel.matrix)
    kept = modes.eigenvalues > modes.noise_floor
    vectors = modes.eigenvectors[:, kept]
    return np.concatenate(cross, axis=1) @ (vectors @ (vectors.T @ data / modes.eigenvalues[kept]))


def check_linear(problem: Problem, batch: Batch) -> None:
    """Raise `PinntkError` for a condition without superposition at the points of a batch."""
    d, m = len(problem.domain.coordinates), len(problem.fields)
    draw = np.random.default_rng(0).normal(size=(2, m, d + 1))

    def field(directions: Any) -> Callable[[Point], Array]:
        values = lambda x: jnp.sin(directions[:, :d] @ x + directions[:, d])
        return lambda x: values(x) if m > 1 else values(x)[0]

    first, second = (field(jnp.asarray(directions)) for directions in draw)
    both = lambda x: 2.0 * first(x) - 3.0 * second(x)
    zero, one, two, sums = (
        problem.residuals(f, batch) for f in (_zero(problem), first, second, both)
    )
    for name in problem.names:
        expected = 2.0 * (one[name] - zero[name]) - 3.0 * (two[name] - zero[name])
        size = float(jnp.max(jnp.abs(one[name]) + jnp.abs(two[name]) + jnp.abs(zero[name])))
        if float(jnp.max(jnp.abs(sums[name] - zero[name] - expected))) > LINEAR * size:
            raise PinntkError(
                f"residual of condition {name!r}",
                got="one that is not linear in u",
                expected="a linear operator",
                fix="The kernel of a nonlinear residual depends on u and stays random at "
                "initialisation, however wide the network.",
            )


def _zero(problem: Problem) -> Callable[[Point], Array]:
    m = len(problem.fields)
    return lambda x: jnp.zeros((m,) if m > 1 else (), x.dtype)


def _all_points(batch: Batch) -> np.ndarray:
    return np.concatenate([np.asarray(sample.points) for sample in batch.values()])


def _unique(sample: Sample) -> tuple[Sample, np.ndarray]:
    """The different rows of a sample, and where each row is among them."""
    leaves = [np.asarray(leaf).reshape(len(sample.points), -1) for leaf in jax.tree.leaves(sample)]
    _, first, inverse = np.unique(
        np.concatenate(leaves, axis=1), axis=0, return_index=True, return_inverse=True
    )
    return jax.tree.map(lambda leaf: leaf[first], sample), inverse.ravel()


def _block(
    problem: Problem,
    network: LimitNetwork,
    row: tuple[str | None, Sample],
    column: tuple[str | None, Sample],
) -> np.ndarray:
    """K between two conditions (None: the field itself), points in order, then components."""
    (name, first), (other_name, second) = row, column
    (rows, row_of), (columns, column_of) = _unique(first), _unique(second)
    n, m = len(rows.points), len(columns.points)
    i, j = (index.ravel() for index in np.meshgrid(np.arange(n), np.arange(m), indexing="ij"))

    @jax.jit
    def compute(rows: Sample, columns: Sample) -> Array:
        def entry(pair: tuple[Array, Array]) -> Array:
            one = jax.tree.map(lambda leaf: leaf[pair[0]], rows)
            other = jax.tree.map(lambda leaf: leaf[pair[1]], columns)
            return _entry(problem, network, (name, one), (other_name, other))

        return jax.lax.map(entry, (jnp.asarray(i), jnp.asarray(j)), batch_size=PAIRS)

    entries = np.asarray(compute(rows, columns))
    p, q = entries.shape[1:]
    whole = entries.reshape(n, m, p, q)[row_of][:, column_of]
    return whole.transpose(0, 2, 1, 3).reshape(len(row_of) * p, len(column_of) * q)


def _entry(
    problem: Problem,
    network: LimitNetwork,
    row: tuple[str | None, Sample],
    column: tuple[str | None, Sample],
) -> Float[Array, "p q"]:
    """L_k^x L_l^{x'} Θ(x, x') for the components of both residuals, summed over the network's outputs.

    Outputs of an infinitely wide network are independent and have the same Θ.
    """
    outputs = len(problem.fields)
    total: Any = 0.0
    for output in range(outputs):
        unit = np.eye(outputs)[output]

        def as_field(value: Array, unit: np.ndarray = unit) -> Array:
            return value * unit if outputs > 1 else value

        def along_row(other: Point, as_field: Callable = as_field) -> Array:
            """L_k^x Θ(x, other), (p,)."""
            return _linear_part(problem, *row, lambda x: as_field(network.theta(x, other)))

        p = jax.eval_shape(along_row, column[1].points).size
        total = total + jnp.stack(
            [
                _linear_part(problem, *column, lambda x, c=c, f=as_field, g=along_row: f(g(x)[c]))
                for c in range(p)
            ]
        )
    return total


def _linear_part(
    problem: Problem, name: str | None, row: Sample, function: Callable[[Point], Array]
) -> Float[Array, " p"]:
    """L_k applied to a function, at one point: its residual without that of the zero function."""
    if name is None:
        return jnp.atleast_1d(function(row.points))
    found, constant = (problem.residual_at(name, f, row) for f in (function, _zero(problem)))
    return jnp.atleast_1d(found - constant)
