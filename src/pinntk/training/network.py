"""Networks before they are drawn: their shape, and how they fit a problem."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from pinntk.errors import PinntkError, from_users_function
from pinntk.jacobian import cast
from pinntk.nets import (
    MLP,
    AbstractParametrization,
    Constrained,
    FourierFeatures,
    InputScaling,
    ModifiedMLP,
    OutputScaling,
    OutputTransform,
    PeriodicFeatures,
    Scaled,
    StandardParametrization,
    check_function,
)
from pinntk.problem import Batch, Model, Problem
from pinntk.training.plan import check_count

#: Folded into a key for coefficient fields, so that the network's draw does not depend on them.
COEFFICIENT_STREAM = 0x636F6566
#: How a network's inputs are scaled: a function of the problem and its points, None for not at all.
Scaling = Callable[[Problem, Batch], InputScaling | None]


def unit_scaling(problem: Problem, batch: Batch) -> InputScaling:
    """Map the domain's bounding box onto [−1, 1]^d."""
    del batch
    return InputScaling.to_unit(*_corners(problem))


def standard_scaling(problem: Problem, batch: Batch) -> InputScaling:
    """Mean 0 and standard deviation 1 over the domain's bounding box, or over the points it consists of."""
    del batch
    if problem.domain.given is not None:
        return InputScaling.standardize(problem.domain.given)
    return InputScaling.standardize_box(*_corners(problem))


def points_scaling(problem: Problem, batch: Batch) -> InputScaling:
    """Mean 0 and standard deviation 1 over the points of the condition `residual`, or of the last one."""
    name = "residual" if "residual" in batch else problem.names[-1]
    return InputScaling.standardize(np.asarray(batch[name].points))


def no_scaling(problem: Problem, batch: Batch) -> None:
    """Leave the inputs as they are."""
    del problem, batch


def _corners(problem: Problem) -> tuple[tuple[float, ...], tuple[float, ...]]:
    lower, upper = zip(*problem.domain.bounds.values(), strict=True)
    return lower, upper


class AbstractNetwork(abc.ABC):
    """A network that is yet to be drawn."""

    @abc.abstractmethod
    def network(self, problem: Problem, batch: Batch, key: PRNGKeyArray) -> Model:
        """A model from one point (d,) to a scalar, or to one number per field."""

    @abc.abstractmethod
    def reduced(self, problem: Problem) -> Problem:
        """The problem without the conditions that this network meets by construction."""


@dataclasses.dataclass(frozen=True)
class Network(AbstractNetwork):
    """A multilayer perceptron that fits a problem: inputs, outputs and scaling follow from it.

    **Arguments:**

    - `width` neurons in each of `depth` hidden layers; `activation` elementwise.
    - `architecture`: `MLP` or `ModifiedMLP`; `parametrization` as for `MLP`.
    - `scaling` maps the inputs: `unit_scaling`, `standard_scaling`, `points_scaling` or `no_scaling`;
      `input_scale` multiplies the result.
    - `fourier_features`: how many random Fourier features come before the network; 0 for none. Their
      frequencies have the standard deviation `fourier_scale`, in cycles per unit of the scaled input:
      one number, or one for each coordinate by name, `{"x": 0.75, "t": 0.125}`.
    - `hard`: build the conditions that the problem can build in (`Problem(hard=...)`) into the model,
      with `harmonics` waves for each periodic coordinate.
    - `output`: an elementwise function of the last layer, such as `jax.nn.softplus` or `jnp.exp` for
      fields that are positive; none by default. `hard` conditions are built in behind it.
    - `output_scaling`: how the network's outputs are scaled, `OutputScaling(shift, scale)`; within the
      ansatz where conditions are built in. `pk.nondimensional` finds it.
    """

    width: int = 50
    depth: int = 3
    activation: Callable[[Array], Array] = jnp.tanh
    architecture: type[MLP] | type[ModifiedMLP] = MLP
    parametrization: AbstractParametrization = StandardParametrization()
    scaling: Scaling = unit_scaling
    input_scale: float = 1.0
    fourier_features: int = 0
    fourier_scale: float | Mapping[str, float] = 1.0
    hard: bool = False
    harmonics: int = 1
    output: Callable[[Array], Array] | None = None
    output_scaling: OutputScaling | None = None

    def __post_init__(self) -> None:
        for name in ("width", "depth", "harmonics"):
            check_count(name, getattr(self, name))
        check_function("activation", self.activation)
        if self.output is not None:
            check_function("output", self.output)
        _check_positive("input_scale", self.input_scale)
        if isinstance(self.fourier_scale, Mapping):
            for name, value in self.fourier_scale.items():
                _check_positive(f"fourier_scale of {name!r}", value)
        else:
            _check_positive("fourier_scale", self.fourier_scale)

    def replace(self, **changes: Any) -> Network:
        """A copy with other values."""
        return dataclasses.replace(self, **changes)

    def reduced(self, problem: Problem) -> Problem:
        return problem.hardened() if self.hard else problem

    def network(self, problem: Problem, batch: Batch, key: PRNGKeyArray) -> Model:
        d = len(problem.domain.coordinates)
        network_key, embedding_key = jax.random.split(key)
        scaling = self.scaling(problem, batch)
        if scaling is not None and self.input_scale != 1:
            scaling = scaling.stretched(self.input_scale)
        embedding = self._embedding(problem, scaling, embedding_key)
        network = self.architecture(
            d,
            None if len(problem.fields) == 1 else len(problem.fields),
            width=self.width,
            depth=self.depth,
            activation=self.activation,
            parametrization=self.parametrization,
            scaling=scaling,
            embedding=embedding,
            embedding_size=None if embedding is None else embedding.out_size,
            key=network_key,
        )
        if self.output is not None:
            network = OutputTransform(network, self.output)
        if self.output_scaling is not None:
            network = Scaled(network, self.output_scaling)
        if self.hard and problem.hard is not None and problem.hard.ansatz is not None:
            return Constrained(network, problem.hard.ansatz)
        return network

    def _embedding(
        self, problem: Problem, scaling: InputScaling | None, key: PRNGKeyArray
    ) -> FourierFeatures | PeriodicFeatures | None:
        domain = problem.domain
        d = len(domain.coordinates)
        periodic = problem.hard.periodic if self.hard and problem.hard is not None else ()
        if periodic and self.fourier_features:
            raise PinntkError(
                "fourier_features",
                got=self.fourier_features,
                expected="0 with a network that is periodic by construction",
                fix="Use harmonics instead, or hard=False.",
            )
        if periodic:
            if not domain.is_box:
                raise PinntkError(
                    "hard",
                    got=f"a network periodic in {', '.join(periodic)} on a {type(domain).__name__}",
                    expected="a Box as the problem's domain, whose extents are the periods",
                    fix="Give the problem a Box, or use hard=False.",
                )
            axes = tuple(domain.coordinates.index(name) for name in periodic)
            scale = lambda axis: 1.0 if scaling is None else scaling.scale[axis]
            extents = {(domain.upper[i] - domain.lower[i]) / scale(i) for i in axes}
            if max(extents) > min(extents) * (1 + 1e-12):
                raise PinntkError(
                    "scaling",
                    got=self.scaling.__name__,
                    expected="unit_scaling, where several coordinates are periodic",
                )
            return PeriodicFeatures(d, axes, self.harmonics, 2 * math.pi / extents.pop())
        if not self.fourier_features:
            return None
        scale = self.fourier_scale
        if isinstance(scale, Mapping):
            if set(scale) != set(domain.coordinates):
                wanted = ", ".join(domain.coordinates)
                raise PinntkError(
                    "fourier_scale", got=scale, expected=f"a number for each of {wanted}"
                )
            scale = tuple(scale[name] for name in domain.coordinates)
        return FourierFeatures(d, self.fourier_features, scale=scale, key=key)


def _check_positive(argument: str, value: object) -> None:
    if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
        raise PinntkError(argument, got=value, expected="a positive finite number")


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn(AbstractNetwork):
    """Your own network, drawn by a function of a key: `Drawn(lambda key: MyModel(key))`."""

    draw: Callable[[PRNGKeyArray], Model]

    def reduced(self, problem: Problem) -> Problem:
        return problem

    def network(self, problem: Problem, batch: Batch, key: PRNGKeyArray) -> Model:
        del problem, batch
        with from_users_function("network", "a function of a key that returns a model"):
            return self.draw(key)


@dataclasses.dataclass(frozen=True, eq=False)
class Given(AbstractNetwork):
    """An existing model, trained or not; every draw is this model."""

    model: Model

    def reduced(self, problem: Problem) -> Problem:
        return problem

    def network(self, problem: Problem, batch: Batch, key: PRNGKeyArray) -> Model:
        del problem, batch, key
        return self.model


#: What a setup takes for its network.
NetworkLike = AbstractNetwork | Callable[[PRNGKeyArray], Model]


def as_network(value: Any) -> AbstractNetwork:
    """A network as it is, a function of a key as `Drawn`."""
    if isinstance(value, AbstractNetwork):
        return value
    if callable(value):
        return Drawn(value)
    raise PinntkError(
        "network",
        got=value,
        expected="pk.Network(...), or a function of a key that returns a model",
    )


def draw_model(
    network: AbstractNetwork, problem: Problem, batch: Batch, key: PRNGKeyArray, dtype: Any
) -> Model:
    """A network with the problem's coefficients at their initial values, in `dtype`."""
    drawn = network.network(problem, batch, key)
    if problem.coefficients:
        starts = "starts that are numbers, arrays or functions of a key"
        with from_users_function("coefficients", starts):
            drawn = problem.with_coefficients(drawn, jax.random.fold_in(key, COEFFICIENT_STREAM))
    return cast(drawn, dtype)
