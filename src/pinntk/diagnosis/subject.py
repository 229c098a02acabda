"""The subject of a diagnosis, behind one interface: a problem, several draws of a model, a training."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from pinntk.diagnosis.units import Units, hidden_units
from pinntk.jacobian import cast, implicit, model_dtype, trainable, vjp
from pinntk.kernel import TangentKernel, tangent_kernel
from pinntk.problem import Batch, Model, Problem, row_shapes, subsample
from pinntk.program import operations
from pinntk.training import Look, Member, Training, check_sensitivity, member_model, train_ensemble

#: Vectors over the residuals, flat, by condition: (n_k,), or (m, n_k) where there are several.
ByCondition = Mapping[str, np.ndarray]


class Draw(NamedTuple):
    """One network and the points it is trained on."""

    model: Model
    batch: Batch


class AbstractSubject(abc.ABC):
    """What the examination asks of a model: numbers in NumPy's float64, whatever the model is made of.

    `problem` says what is solved: domain, regions and names of conditions, the solution where one is
    known. `training` is what is planned; `draws` are models and their points; `dtype` is the precision
    that they are trained in. A model is a handle that only the subject looks into.
    """

    problem: Problem
    training: Training
    draws: Sequence[Draw]
    dtype: Any

    @abc.abstractmethod
    def residuals(self, model: Model, batch: Batch, *, exact: bool = False) -> ByCondition:
        """r_k at the points of a batch: (n, components), computed in `dtype`, or in float64 if `exact`."""

    @abc.abstractmethod
    def kernel(self, model: Model, batch: Batch) -> TangentKernel:
        """K = J Jᵀ at the points of a batch, in float64."""

    @abc.abstractmethod
    def field(self, model: Model, points: Array) -> Float[np.ndarray, "n fields"]:
        """The fields at points (n, d)."""

    @abc.abstractmethod
    def moves(
        self, model: Model, batch: Batch, vectors: ByCondition, points: Array
    ) -> Float[np.ndarray, "m n fields"]:
        """−J_u Jᵀ v at points (n, d) for m vectors v, (m, n_k) by condition: how Δθ = −Jᵀv moves u."""

    @abc.abstractmethod
    def moved(self, model: Model, batch: Batch, vector: ByCondition) -> Model:
        """The model at θ − Jᵀ v, in float64."""

    @abc.abstractmethod
    def units(self, model: Model, points: Array) -> Units:
        """What the network's first layer and its hidden units see over the points."""

    @abc.abstractmethod
    def parameters(self, model: Model) -> Float[np.ndarray, " parameters"]:
        """All trainable numbers."""

    @abc.abstractmethod
    def row_operations(self) -> dict[str, float]:
        """Floating-point operations of the residual at one point, by condition."""

    @abc.abstractmethod
    def train(
        self, training: Training, at: Sequence[int], points: int | None = None
    ) -> Iterator[Look]:
        """Train all draws at once; yield them at every step of `at`, in order.

        `points` are the most that a condition is trained on, drawn from its own; all of them if None.
        """

    @abc.abstractmethod
    def chosen(self, draws: Sequence[int]) -> AbstractSubject:
        """The same with some of its draws only."""

    @abc.abstractmethod
    def member(self, look: Look, draw: int) -> Model:
        """The model of one draw at a look."""

    @abc.abstractmethod
    def product_error(self) -> float:
        """The relative error of a matrix product in `dtype` on this device, against float64."""


class JaxSubject(AbstractSubject):
    """A problem whose models are callable pytrees in JAX.

    `key` draws the points of the short training, those that are held out and those that are redrawn.
    """

    def __init__(
        self, problem: Problem, draws: Sequence[Draw], training: Training, key: PRNGKeyArray
    ):
        self.problem, self.draws, self.training = problem, tuple(draws), training
        self.dtype = model_dtype(draws[0].model)
        self._key = key
        problem.check(draws[0].model, draws[0].batch)

    def residuals(self, model: Model, batch: Batch, *, exact: bool = False) -> ByCondition:
        return residuals_at(self.problem, model, batch, exact=exact)

    def kernel(self, model: Model, batch: Batch) -> TangentKernel:
        dtype = model_dtype(model)
        with jax.enable_x64(dtype == jnp.float64):
            return tangent_kernel(self.problem, model, cast(batch, dtype))

    def field(self, model: Model, points: Array) -> Float[np.ndarray, "n fields"]:
        return field_at(self.problem, model, points)

    def moves(
        self, model: Model, batch: Batch, vectors: ByCondition, points: Array
    ) -> Float[np.ndarray, "m n fields"]:
        with jax.enable_x64(True):
            model, batch, points = cast((model, batch, points), jnp.float64)
            given = {name: jnp.asarray(vector) for name, vector in vectors.items()}
            found = np.asarray(_moves(self.problem, model, batch, given, points))
        return found.reshape(*found.shape[:2], -1)

    def moved(self, model: Model, batch: Batch, vector: ByCondition) -> Model:
        with jax.enable_x64(True):
            model, batch = cast((model, batch), jnp.float64)
            given = {name: jnp.asarray(values) for name, values in vector.items()}
            return _moved(self.problem, model, batch, given)

    def units(self, model: Model, points: Array) -> Units:
        return hidden_units(model, points)

    def parameters(self, model: Model) -> Float[np.ndarray, " parameters"]:
        return np.asarray(ravel_pytree(trainable(model)[0])[0], np.float64)

    def row_operations(self) -> dict[str, float]:
        model, batch = self.draws[0]

        def counted(name: str) -> float:
            residual = functools.partial(self.problem.residual_at, name, model)
            return operations(jax.make_jaxpr(residual)(row_shapes(batch[name])).jaxpr)

        return {name: counted(name) for name in self.problem.names}

    def train(
        self, training: Training, at: Sequence[int], points: int | None = None
    ) -> Iterator[Look]:
        problem, batches = self.problem, [draw.batch for draw in self.draws]
        if points is not None:
            fewer = {
                c.name: points
                for c in problem.conditions
                if c.where.given is None and c.points > points
            }
            problem = problem.with_points(fewer)
            batches = [
                {**batch, **subsample({name: batch[name] for name in fewer}, points, self._key)}
                for batch in batches
            ]
        members = [
            Member(draw.model, batch) for draw, batch in zip(self.draws, batches, strict=True)
        ]
        return train_ensemble(problem, members, training, key=self._key, at=at)

    def chosen(self, draws: Sequence[int]) -> JaxSubject:
        kept = [self.draws[i] for i in draws]
        return JaxSubject(self.problem, kept, self.training, self._key)

    def member(self, look: Look, draw: int) -> Model:
        return member_model(look.parameters, self.draws[0].model, draw)

    def product_error(self) -> float:
        return product_error(self.dtype)

    def check_sensitivity(self, batch: Batch) -> None:
        """Raise `ResidualError` where a residual does not depend on the first draw's parameters."""
        check_sensitivity(self.problem, self.draws[0].model, batch)


def residuals_at(
    problem: Problem, model: Model, batch: Batch, *, exact: bool = False
) -> dict[str, np.ndarray]:
    """r_k (n, components) in float64 arrays, computed in the model's precision or, `exact`, in float64."""
    if exact and model_dtype(model) != jnp.float64:
        with jax.enable_x64(True):
            return residuals_at(problem, cast(model, jnp.float64), cast(batch, jnp.float64))
    found = _residuals(problem, model, batch)
    return {name: np.asarray(r, np.float64).reshape(len(r), -1) for name, r in found.items()}


def field_at(problem: Problem, function: Callable[..., Any], points: Array) -> np.ndarray:
    """The fields of a model or a formula at points (n, d): (n, fields) in float64 arrays."""
    values = np.asarray(_field(problem, function, points), np.float64)
    return values.reshape(len(points), -1)


def precision_of(model: Model) -> str:
    """The precision that a model is looked at and trained in: "float64" or "float32"."""
    return "float64" if model_dtype(model) == jnp.float64 else "float32"


def product_error(dtype: Any, product: Callable[[Array, Array], Array] = jnp.matmul) -> float:
    """The relative error of a matrix product as the device computes it in `dtype`, against float64.

    Flags say what was asked for; this is what was done. 1e-7 or so is float32; 5e-4 are the 10 bits of
    TF32, 4e-3 the 7 of bfloat16, which accelerators may use for float32 products.
    """
    random = np.random.default_rng(0)
    left, right = random.standard_normal((2, 128, 128))
    factors = (jnp.asarray(left, dtype), jnp.asarray(right, dtype))
    exact = np.asarray(factors[0], np.float64) @ np.asarray(factors[1], np.float64)
    found = np.asarray(jax.jit(product)(*factors), np.float64)
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


@eqx.filter_jit
def _residuals(problem: Problem, model: Model, batch: Batch) -> dict[str, Array]:
    return problem.residuals(model, batch)


@eqx.filter_jit
def _field(problem: Problem, function: Callable[..., Any], points: Array) -> Array:
    return jax.vmap(problem.field(function))(points)


@eqx.filter_jit
def _moves(problem: Problem, model: Model, batch: Batch, vectors: Any, points: Array) -> Array:
    parameters, rest = trainable(model)
    jacobian = implicit(problem, model, batch)
    field = lambda p: jax.vmap(problem.field(eqx.combine(p, rest)))(points)
    _, push = jax.linearize(field, parameters)
    return jax.vmap(lambda v: -push(vjp(jacobian, v)))(vectors)


@eqx.filter_jit
def _moved(problem: Problem, model: Model, batch: Batch, vector: Any) -> Model:
    parameters, rest = trainable(model)
    step = vjp(implicit(problem, model, batch), vector)
    return eqx.combine(jax.tree.map(lambda p, d: p - d, parameters, step), rest)
