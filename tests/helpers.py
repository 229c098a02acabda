"""What the tests share: activations, networks, small problems with their residuals by hand, tolerances."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from pinntk.conditions import Condition, dirichlet, initial_velocity, observations
from pinntk.domain import Box, Interval, SpaceTime, UniformGrid, Union
from pinntk.jacobian import dense, trainable
from pinntk.nets import MLP, FourierFeatures, InputScaling, ModifiedMLP, NTKParametrization
from pinntk.problem import Problem
from pinntk.training import AsConditioned, Result, Training, train
from pinntk.weighting import Fixed

ACTIVATIONS = {
    "tanh": jnp.tanh,
    "sin": jnp.sin,
    "swish": jax.nn.swish,
    "gelu": jax.nn.gelu,
    "gelu_exact": functools.partial(jax.nn.gelu, approximate=False),
    "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid,
}


def tolerance(dtype: Any, roundings: float = 2000.0) -> float:
    """Relative tolerance: derivatives of small networks sum some hundred products, each rounded."""
    return roundings * float(jnp.finfo(dtype).eps)


def assert_close(actual: Any, expected: Any, roundings: float = 2000.0) -> None:
    """Equal within `tolerance` of the coarser dtype, relative to the largest expected number."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    dtype = max(actual.dtype, expected.dtype, key=lambda d: jnp.finfo(d).eps)
    scale = max(1e-30, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance(dtype, roundings) * scale)


def nested(function: Callable, *axes: int) -> Callable:
    """∂ⁿf/∂axes by plain nested reverse mode: the slow, obvious oracle of every derivative."""
    for axis in axes:
        function = lambda x, f=function, i=axis: jax.grad(f)(x)[i]
    return function


def mlp(key, d=2, out=None, activation=jnp.tanh):
    return MLP(d, out, width=5, depth=2, activation=activation, key=key)


def ntk_mlp(key, d=2, out=None, activation=jnp.tanh):
    return MLP(
        d,
        out,
        width=5,
        depth=2,
        activation=activation,
        parametrization=NTKParametrization(),
        key=key,
    )


def modified_mlp(key, d=2, out=None, activation=jnp.tanh):
    return ModifiedMLP(d, out, width=5, depth=2, activation=activation, key=key)


def fourier_mlp(key, d=2, out=None, activation=jnp.tanh):
    embedding = FourierFeatures(d, 6, scale=0.5, key=jax.random.fold_in(key, 1))
    scaling = InputScaling.to_unit((-1.0,) * d, (2.0,) * d)
    return MLP(
        d,
        out,
        width=5,
        depth=1,
        activation=activation,
        scaling=scaling,
        embedding=embedding,
        embedding_size=6,
        key=key,
    )


NETWORKS = {
    "mlp": mlp,
    "ntk_mlp": ntk_mlp,
    "modified_mlp": modified_mlp,
    "fourier_mlp": fourier_mlp,
}


def sample(problem, key=None, dtype=None):
    """A batch in the order of the conditions, drawn by one compiled program."""
    key = jax.random.key(5) if key is None else key
    batch = jax.jit(lambda key: problem.sample(key, dtype))(key)
    return {name: batch[name] for name in problem.names}


def train_with(
    problem,
    model,
    *,
    optimizer,
    steps,
    weighting=Fixed(),
    resampling=AsConditioned(),
    log_every=100,
    **options,
) -> Result:
    """`train` with the parts of its `Training` named in the call."""
    training = Training(
        optimizer, steps=steps, weighting=weighting, resampling=resampling, log_every=log_every
    )
    return train(problem, model, training, **options)


class LinearModel(eqx.Module):
    """Σ_j c_j sin((j + 1)πx/2 + j): linear in its parameters, so its tangent kernel is constant."""

    coefficients: jax.Array

    def __call__(self, x):
        waves = np.arange(1, self.coefficients.shape[0] + 1) * np.pi / 2
        phases = np.arange(self.coefficients.shape[0])
        return jnp.dot(self.coefficients, jnp.sin(x[0] * waves + phases))


@dataclasses.dataclass(frozen=True)
class Case:
    """A problem, a model for it, and the residual of every condition written again without pinntk.

    `plain[name](u, x, y)` takes the bare model, one point and its target row (None without data).
    """

    problem: Problem
    model: Any
    plain: dict[str, Callable]
    points: dict[str, int]

    @property
    def rows(self) -> dict[str, int]:
        x = jnp.full((len(self.problem.domain.coordinates),), 0.3)
        shapes = {
            name: jax.eval_shape(lambda f=f: f(self.model, x, 0.0)).shape
            for name, f in self.plain.items()
        }
        return {name: count * math.prod(shapes[name]) for name, count in self.points.items()}


def poisson() -> Problem:
    """u'' = −π² sin πx with u = 0 at both ends; 4 points there and 7 inside."""
    domain = Interval(x=(0.0, 1.0))
    interior = Condition(
        "residual",
        lambda u, x: u.d("x", "x")(x) + jnp.pi**2 * jnp.sin(jnp.pi * x[0]),
        domain,
        7,
    )
    return Problem(
        "poisson",
        domain,
        [dirichlet("boundary", domain.faces(), 0.0, 4), interior],
        solution=lambda x: jnp.sin(jnp.pi * x[0]),
    )


def poisson_case() -> Case:
    return Case(
        poisson(),
        mlp(jax.random.key(1), 1),
        {
            "boundary": lambda u, x, y: u(x),
            "residual": lambda u, x, y: (
                jax.hessian(u)(x)[0, 0] + jnp.pi**2 * jnp.sin(jnp.pi * x[0])
            ),
        },
        {"boundary": 4, "residual": 7},
    )


def wave() -> Problem:
    """u_tt = 4 u_xx with u given at the start and on the walls, u_t given at the start."""
    domain = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))
    exact = lambda x: jnp.sin(jnp.pi * x[0]) * jnp.cos(2 * jnp.pi * x[1])
    rim = Union([domain.initial(), domain.walls()])
    return Problem(
        "wave",
        domain,
        [
            dirichlet("u", rim, exact, 6),
            initial_velocity("ut", domain, 0.0, 3),
            Condition("residual", lambda u, x: (u.d("t", "t") - 4 * u.d("x", "x"))(x), domain, 5),
        ],
        solution=exact,
    )


def wave_case() -> Case:
    def operator(u, x, y):
        second = jax.hessian(u)(x)
        return second[1, 1] - 4 * second[0, 0]

    return Case(
        wave(),
        modified_mlp(jax.random.key(2)),
        {
            "u": lambda u, x, y: u(x) - jnp.sin(jnp.pi * x[0]) * jnp.cos(2 * jnp.pi * x[1]),
            "ut": lambda u, x, y: jax.grad(u)(x)[1],
            "residual": operator,
        },
        {"u": 6, "ut": 3, "residual": 5},
    )


def cauchy_riemann() -> Problem:
    """u_x = v_y, u_y = −v_x on the unit square, (u, v) = (x² − y², 2xy) on its rim: two components."""
    domain = Box(x=(0.0, 1.0), y=(0.0, 1.0))
    exact = lambda x: jnp.stack([x[0] ** 2 - x[1] ** 2, 2 * x[0] * x[1]])

    def system(w, x):
        u, v = w.components()
        return jnp.stack([(u.d("x") - v.d("y"))(x), (u.d("y") + v.d("x"))(x)])

    return Problem(
        "cauchy_riemann",
        domain,
        [
            dirichlet("rim", domain.faces(), exact, 4),
            Condition("system", system, domain, 6, UniformGrid((3, 2))),
        ],
        fields=("u", "v"),
        solution=exact,
    )


def cauchy_riemann_case() -> Case:
    def system(w, x, y):
        slopes = jax.jacfwd(w)(x)
        return jnp.stack([slopes[0, 0] - slopes[1, 1], slopes[0, 1] + slopes[1, 0]])

    return Case(
        cauchy_riemann(),
        mlp(jax.random.key(3), 2, 2, jnp.sin),
        {
            "rim": lambda w, x, y: w(x) - jnp.stack([x[0] ** 2 - x[1] ** 2, 2 * x[0] * x[1]]),
            "system": system,
        },
        {"rim": 4, "system": 6},
    )


def measured() -> Problem:
    """u' = u on [0, 1] and three measured values of u: a term on data."""
    domain = Interval(x=(0.0, 1.0))
    points = np.array([[0.0], [0.5], [1.0]])
    return Problem(
        "measured",
        domain,
        [
            Condition("growth", lambda u, x: u.d("x")(x) - u(x), domain, 5),
            observations("data", domain, points, np.exp(points[:, 0])),
        ],
        solution=lambda x: jnp.exp(x[0]),
    )


def measured_case() -> Case:
    return Case(
        measured(),
        fourier_mlp(jax.random.key(4), 1),
        {
            "growth": lambda u, x, y: jax.grad(u)(x)[0] - u(x),
            "data": lambda u, x, y: u(x) - y,
        },
        {"growth": 5, "data": 3},
    )


CASES = {
    "poisson": poisson_case,
    "wave": wave_case,
    "cauchy_riemann": cauchy_riemann_case,
    "measured": measured_case,
}


@functools.cache
def double_case(name: str) -> tuple[Case, dict]:
    """A case and a batch of it, both in float64; use them under x64 only."""
    with jax.enable_x64(True):
        case = CASES[name]()
        return case, sample(case.problem)


@functools.cache
def double_jacobian(name: str) -> dict:
    """The dense Jacobian of that case and batch, by condition."""
    case, batch = double_case(name)
    with jax.enable_x64(True):
        blocks = dense(case.problem, case.model, batch).blocks
        return {name: blocks[name] for name in case.problem.names}


def frozen(model: Any) -> np.ndarray:
    """Which of the numbers of a model are frequencies, through which no gradient flows."""
    marks = jax.tree.map(np.zeros_like, trainable(model)[0])
    if hasattr(getattr(model, "embedding", None), "frequencies"):
        marks = eqx.tree_at(lambda m: m.embedding.frequencies, marks, replace_fn=np.ones_like)
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(marks)]) == 1
