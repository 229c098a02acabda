"""From a recipe (plain data, names as strings) to objects: the edge where strings become behaviour."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from pinntk.errors import PinntkError, check_name
from pinntk.jacobian import cast
from pinntk.nets import (
    MLP,
    NTK,
    AbstractParametrization,
    Constrained,
    FourierFeatures,
    InputScaling,
    ModifiedMLP,
    PeriodicFeatures,
    Standard,
    glorot,
    lecun,
)
from pinntk.optim import (
    AbstractOptimizer,
    Cholesky,
    ConjugateGradients,
    NaturalGradient,
    adam,
    gradient_descent,
)
from pinntk.problem import Batch, Model, Problem
from pinntk.recipe import Recipe
from pinntk.training.resampling import AbstractResampling, AsConditioned, ByResidual, Growing
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights

ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "sin": jnp.sin,
    "swish": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid,
}
NETWORKS = {"mlp": MLP, "modified-mlp": ModifiedMLP}
INITIALIZERS = {"glorot": glorot, "lecun": lecun}
PARAMETRIZATIONS = ("standard", "ntk")
SCALINGS = ("unit", "standard", "points", "none")
OPTIMIZERS = {"sgd": gradient_descent, "adam": adam}
NATURAL = "natural-gradient"
SOLVERS = {"auto": None, "cholesky": Cholesky(), "cg": ConjugateGradients()}
RESAMPLINGS: Mapping[str, Callable[[int], AbstractResampling]] = {
    "conditions": lambda every: AsConditioned(),  # noqa: ARG005
    "residual": lambda every: ByResidual(every=every),
    "growing": lambda every: Growing(every=every),
}
WEIGHTINGS = ("fixed", "ntk")
#: What is folded into a key for coefficient fields, so that the network's draw does not depend on them.
COEFFICIENT_STREAM = 0x636F6566
DTYPES = {"float32": jnp.float32, "float64": jnp.float64}


def build_dtype(recipe: Recipe) -> Any:
    """The floating-point type of a run; float64 needs JAX's 64-bit mode."""
    check_name("dtype", recipe.dtype, DTYPES)
    if recipe.dtype == "float64" and jax.dtypes.canonicalize_dtype(float) != "float64":
        raise PinntkError(
            "dtype",
            got="float64 while JAX is in 32-bit mode",
            expected="64-bit mode",
            fix='Call jax.config.update("jax_enable_x64", True) first.',
        )
    return DTYPES[recipe.dtype]


def build_model(recipe: Recipe, problem: Problem, batch: Batch, key: PRNGKeyArray) -> Model:
    """The network of a recipe, drawn with `key`. `batch` is used by `scaling="points"` only.

    A problem that brings its own network overrides the recipe's. Declared coefficients stand beside
    the network, at their start.
    """
    network = _network(recipe, problem, batch, key)
    if not problem.coefficients:
        return network
    coefficient_key = jax.random.fold_in(key, COEFFICIENT_STREAM)
    try:
        whole = problem.with_coefficients(network, coefficient_key)
    except PinntkError:
        raise
    except Exception as error:
        raise PinntkError(
            "coefficients",
            got=f"{type(error).__name__}: {error}",
            expected="starts that are numbers, arrays or functions of a key",
        ) from error
    return cast(whole, build_dtype(recipe))


def _network(recipe: Recipe, problem: Problem, batch: Batch, key: PRNGKeyArray) -> Model:
    if problem.network is not None:
        try:
            return cast(problem.network(key), build_dtype(recipe))
        except PinntkError:
            raise
        except Exception as error:
            raise PinntkError(
                "network",
                got=f"{type(error).__name__}: {error}",
                expected="a function of a key that returns a model",
            ) from error
    check_name("network", recipe.network, NETWORKS)
    check_name("activation", recipe.activation, ACTIVATIONS)
    dtype = build_dtype(recipe)
    d = len(problem.domain.coordinates)
    network_key, embedding_key = jax.random.split(key)
    scaling = _scaling(recipe, problem, batch)
    embedding = _embedding(recipe, problem, scaling, embedding_key)
    network = NETWORKS[recipe.network](
        d,
        None if len(problem.fields) == 1 else len(problem.fields),
        width=recipe.width,
        depth=recipe.depth,
        activation=ACTIVATIONS[recipe.activation],
        parametrization=_parametrization(recipe),
        scaling=scaling,
        embedding=embedding,
        embedding_size=None if embedding is None else embedding.out_size,
        key=network_key,
    )
    if recipe.hard and problem.hard is not None and problem.hard.ansatz is not None:
        network = Constrained(network, problem.hard.ansatz)
    return cast(network, dtype)


def _embedding(
    recipe: Recipe, problem: Problem, scaling: InputScaling | None, key: PRNGKeyArray
) -> FourierFeatures | PeriodicFeatures | None:
    d = len(problem.domain.coordinates)
    periodic = problem.hard.periodic if recipe.hard and problem.hard is not None else ()
    if periodic and recipe.fourier_features:
        raise PinntkError(
            "fourier_features",
            got=recipe.fourier_features,
            expected="0 with a network that is periodic by construction",
            fix="Use harmonics in their place, or hard=False.",
        )
    if periodic:
        axes = tuple(problem.domain.coordinates.index(name) for name in periodic)
        domain = problem.domain
        if not domain.is_box:
            raise PinntkError(
                "hard",
                got=f"a network periodic in {', '.join(periodic)} on a {type(domain).__name__}",
                expected="a Box as the problem's domain, whose extents are the periods",
                fix="Give the problem a Box, or use hard=False.",
            )
        extents = {(domain.upper[i] - domain.lower[i]) / _scale(scaling, i) for i in axes}
        if max(extents) > min(extents) * (1 + 1e-12):
            raise PinntkError(
                "scaling",
                got=recipe.scaling,
                expected="unit, where several coordinates are periodic",
            )
        return PeriodicFeatures(d, axes, recipe.harmonics, 2 * math.pi / extents.pop())
    if not recipe.fourier_features:
        return None
    if not (math.isfinite(recipe.fourier_scale) and recipe.fourier_scale > 0):
        raise PinntkError(
            "fourier_scale", got=recipe.fourier_scale, expected="a positive finite number"
        )
    return FourierFeatures(d, recipe.fourier_features, scale=recipe.fourier_scale, key=key)


def _scale(scaling: InputScaling | None, axis: int) -> float:
    return 1.0 if scaling is None else scaling.scale[axis]


def _parametrization(recipe: Recipe) -> AbstractParametrization:
    check_name("parametrization", recipe.parametrization, PARAMETRIZATIONS)
    if recipe.parametrization == "ntk":
        return NTK()
    check_name("initializer", recipe.initializer, INITIALIZERS)
    if not (math.isfinite(recipe.bias_std) and recipe.bias_std >= 0):
        raise PinntkError("bias_std", got=recipe.bias_std, expected="a finite number, 0 or more")
    return Standard(INITIALIZERS[recipe.initializer], recipe.bias_std)


def _scaling(recipe: Recipe, problem: Problem, batch: Batch) -> InputScaling | None:
    check_name("scaling", recipe.scaling, SCALINGS)
    if not (math.isfinite(recipe.input_scale) and recipe.input_scale > 0):
        raise PinntkError("input_scale", got=recipe.input_scale, expected="a positive number")
    found = _unstretched(recipe, problem, batch)
    return (
        found if found is None or recipe.input_scale == 1 else found.stretched(recipe.input_scale)
    )


def _unstretched(recipe: Recipe, problem: Problem, batch: Batch) -> InputScaling | None:
    if recipe.scaling == "none":
        return None
    if recipe.scaling == "points":
        name = "residual" if "residual" in batch else problem.names[-1]
        return InputScaling.standardize(np.asarray(batch[name].points))
    domain = problem.domain
    if recipe.scaling == "standard" and domain.given is not None:
        return InputScaling.standardize(domain.given)
    make = InputScaling.to_unit if recipe.scaling == "unit" else InputScaling.standardize_box
    lower, upper = zip(*domain.bounds.values(), strict=True)
    return make(lower, upper)


def build_optimizer(recipe: Recipe) -> AbstractOptimizer:
    """The optimiser of a recipe with its learning-rate schedule."""
    check_name("optimizer", recipe.optimizer, (*OPTIMIZERS, NATURAL))
    if recipe.optimizer == NATURAL:
        check_name("solver", recipe.solver, SOLVERS)
        return NaturalGradient(damping=recipe.damping, solver=SOLVERS[recipe.solver])
    return OPTIMIZERS[recipe.optimizer](
        recipe.learning_rate, decay_rate=recipe.decay_rate, decay_steps=recipe.decay_steps
    )


def build_weighting(recipe: Recipe) -> AbstractWeighting:
    """The weighting rule of a recipe."""
    check_name("weighting", recipe.weighting, WEIGHTINGS)
    if recipe.weighting == "fixed":
        return Fixed(recipe.weights)
    return NTKWeights(recipe.every, recipe.moving_average, recipe.subsample, recipe.weights)


def build_resampling(recipe: Recipe) -> AbstractResampling:
    """How the points of a recipe change."""
    check_name("resampling", recipe.resampling, RESAMPLINGS)
    return RESAMPLINGS[recipe.resampling](recipe.resample_every)
