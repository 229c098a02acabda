"""The linear layer and its parametrizations, and the maps in front of a network."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Real

from pinntk.arrays import AnyArray, floating
from pinntk.errors import PinntkError

Initializer = Callable[..., Array]

#: Normal with variance 2/(fan_in + fan_out), not truncated (Glorot and Bengio 2010, "Xavier").
glorot = jax.nn.initializers.variance_scaling(1.0, "fan_avg", "normal")
#: Normal with variance 1/fan_in, not truncated (LeCun 1998).
lecun = jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal")


class AbstractParametrization(abc.ABC):
    """How a layer y = s·xW + b stores its parameters: their initial distribution and the factor s."""

    @abc.abstractmethod
    def weight(self, key: PRNGKeyArray, fan_in: int, fan_out: int) -> Float[Array, "i o"]:
        """The stored weight at initialisation."""

    @abc.abstractmethod
    def bias(self, key: PRNGKeyArray, fan_out: int) -> Float[Array, " o"]:
        """The stored bias at initialisation."""

    @abc.abstractmethod
    def factor(self, fan_in: int) -> float:
        """The factor s on xW."""


@dataclasses.dataclass(frozen=True)
class StandardParametrization(AbstractParametrization):
    """y = xW + b, as in every deep-learning library; the variance is in the draw of W.

    **Arguments:** `initializer` draws W (default `glorot`); biases are N(0, bias_std²).
    """

    initializer: Initializer = glorot
    bias_std: float = 0.0

    def weight(self, key: PRNGKeyArray, fan_in: int, fan_out: int) -> Float[Array, "i o"]:
        return self.initializer(key, (fan_in, fan_out), float)

    def bias(self, key: PRNGKeyArray, fan_out: int) -> Float[Array, " o"]:
        return self.bias_std * jax.random.normal(key, (fan_out,))

    def factor(self, fan_in: int) -> float:  # noqa: ARG002
        return 1.0


@dataclasses.dataclass(frozen=True)
class NTKParametrization(AbstractParametrization):
    """y = fan_in^(−1/2) xW + b with all entries of W and b drawn from N(0, 1).

    The parametrization in which the kernel has a limit as the width grows (Jacot et al. 2018;
    Theorem 4.1 of Wang, Yu, Perdikaris 2022). The same learning rate means far smaller steps than
    under `StandardParametrization`.
    """

    def weight(self, key: PRNGKeyArray, fan_in: int, fan_out: int) -> Float[Array, "i o"]:
        return jax.random.normal(key, (fan_in, fan_out))

    def bias(self, key: PRNGKeyArray, fan_out: int) -> Float[Array, " o"]:
        return jax.random.normal(key, (fan_out,))

    def factor(self, fan_in: int) -> float:
        return 1.0 / math.sqrt(fan_in)


class Linear(eqx.Module):
    """y = s·xW + b with weight (fan_in, fan_out), bias (fan_out,) and the parametrization's factor s."""

    weight: Float[Array, "i o"]
    bias: Float[Array, " o"]
    factor: float = eqx.field(static=True)

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        *,
        parametrization: AbstractParametrization,
        key: PRNGKeyArray,
    ):
        weight_key, bias_key = jax.random.split(key)
        self.weight = parametrization.weight(weight_key, fan_in, fan_out)
        self.bias = parametrization.bias(bias_key, fan_out)
        self.factor = parametrization.factor(fan_in)

    def __call__(self, x: Float[Array, " i"]) -> Float[Array, " o"]:
        """The layer at one input of shape (fan_in,)."""
        product = x @ self.weight
        return (product if self.factor == 1.0 else self.factor * product) + self.bias


class InputScaling(eqx.Module):
    """x ↦ (x − shift) / scale per coordinate; not trained."""

    shift: tuple[float, ...] = eqx.field(static=True)
    scale: tuple[float, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        if len(self.shift) != len(self.scale) or not all(s > 0 for s in self.scale):
            raise PinntkError(
                "scale", got=self.scale, expected="one positive number per coordinate"
            )

    def __call__(self, x: Real[AnyArray, " d"]) -> Float[Array, " d"]:
        """The scaled point."""
        point = floating(x)
        shift, scale = (np.asarray(values, point.dtype) for values in (self.shift, self.scale))
        return (point - shift) / scale

    def stretched(self, factor: float) -> InputScaling:
        """The same map, with its result multiplied by a factor."""
        return InputScaling(self.shift, tuple(scale / factor for scale in self.scale))

    @staticmethod
    def to_unit(lower: Sequence[float], upper: Sequence[float]) -> InputScaling:
        """Map the box from `lower` to `upper` onto [−1, 1]^d."""
        centre = tuple((low + high) / 2 for low, high in zip(lower, upper, strict=True))
        half = tuple((high - low) / 2 for low, high in zip(lower, upper, strict=True))
        return InputScaling(centre, half)

    @staticmethod
    def standardize(points: Float[AnyArray, "n d"]) -> InputScaling:
        """Mean 0 and standard deviation 1 over the given points (n, d)."""
        values = np.asarray(points, np.float64)
        return InputScaling(tuple(values.mean(0).tolist()), tuple(values.std(0).tolist()))

    @staticmethod
    def standardize_box(lower: Sequence[float], upper: Sequence[float]) -> InputScaling:
        """Mean 0 and standard deviation 1 over the uniform distribution on a box."""
        unit = InputScaling.to_unit(lower, upper)
        return InputScaling(unit.shift, tuple(half / math.sqrt(3) for half in unit.scale))


@dataclasses.dataclass(frozen=True)
class OutputScaling:
    """v ↦ shift + scale·v per field, so that a network of order one gives fields in their own units.

    **Arguments:** `shift` and `scale`, one number each per field; not trained.
    """

    shift: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.shift) != len(self.scale) or not all(s > 0 for s in self.scale):
            raise PinntkError("scale", got=self.scale, expected="one positive number per field")

    def __call__(self, value: Array) -> Array:
        """The fields, of the shape of the network's value: (), or (m,) for m fields."""
        if jnp.size(value) != len(self.shift):
            raise PinntkError(
                "outputs",
                got=f"a scaling of {len(self.shift)} fields",
                expected=f"{jnp.size(value)}, as many as the network's",
            )
        shape, dtype = jnp.shape(value), value.dtype
        shift, scale = (np.asarray(v, dtype).reshape(shape) for v in (self.shift, self.scale))
        return jnp.asarray(shift + scale * value)


class Scaled(eqx.Module):
    """A network whose outputs are scaled: x ↦ outputs(network(x))."""

    network: Callable[[Array], Array]
    outputs: OutputScaling = eqx.field(static=True)

    def __call__(self, x: Float[AnyArray, " d"]) -> Array:
        """The value at one point."""
        return self.outputs(self.network(jnp.asarray(x)))


class FourierFeatures(eqx.Module):
    """x ↦ (cos 2πxB, sin 2πxB) with B of shape (d, m) drawn from N(0, σ²); not trained.

    Tancik et al., NeurIPS 2020; for PINNs Wang, Wang, Perdikaris, CMAME 384 (2021).

    **Arguments:** `scale`: σ, in cycles per unit of x: one for all coordinates, or one for each, where
    the field varies faster along some than along others.
    """

    frequencies: Float[Array, "d m"]

    def __init__(
        self,
        in_size: int,
        features: int,
        *,
        scale: float | Sequence[float],
        key: PRNGKeyArray,
    ):
        if features < 2 or features % 2:
            raise PinntkError("features", got=features, expected="an even number, 2 or more")
        if isinstance(scale, Sequence) and len(scale) != in_size:
            raise PinntkError("scale", got=scale, expected=f"a number, or {in_size} numbers")
        scales = jnp.broadcast_to(jnp.asarray(scale, float), (in_size,))
        self.frequencies = scales[:, None] * jax.random.normal(key, (in_size, features // 2))

    @property
    def out_size(self) -> int:
        """How many features there are."""
        return 2 * self.frequencies.shape[1]

    def __call__(self, x: Real[AnyArray, " d"]) -> Float[Array, " features"]:
        """The embedded point."""
        point = floating(x, self.frequencies.dtype)
        phase = 2 * jnp.pi * (point @ jax.lax.stop_gradient(self.frequencies))
        return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])


class PeriodicFeatures(eqx.Module):
    """Some coordinates z ↦ (cos jωz, sin jωz), j = 1 to `harmonics`, the others as they are; not trained.

    Every function of the result has the period 2π/ω in those coordinates, and so have its derivatives:
    Dong and Ni, J. Comput. Phys. 435 (2021) 110242.

    **Arguments:** `axes`: the periodic coordinates by number; `frequency` ω, with which they come in.
    """

    size: int = eqx.field(static=True)
    axes: tuple[int, ...] = eqx.field(static=True)
    harmonics: int = eqx.field(static=True)
    frequency: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.harmonics < 1:
            raise PinntkError("harmonics", got=self.harmonics, expected="a whole number, 1 or more")

    @property
    def out_size(self) -> int:
        """How many features there are."""
        return self.size - len(self.axes) + 2 * self.harmonics * len(self.axes)

    def __call__(self, z: Real[AnyArray, " d"]) -> Float[Array, " features"]:
        """The features of one scaled point, the periodic ones first."""
        z = floating(z)
        others = [axis for axis in range(self.size) if axis not in self.axes]
        orders = self.frequency * np.arange(1, self.harmonics + 1, dtype=z.dtype)
        phases = [orders * z[axis] for axis in self.axes]
        waves = [wave(phase) for phase in phases for wave in (jnp.cos, jnp.sin)]
        return jnp.concatenate([*waves, z[np.array(others, int)]])


class Constrained(eqx.Module):
    """A network within an ansatz that holds some conditions exactly: x ↦ ansatz(x, network(x)).

    Lagaris, Likas, Fotiadis, IEEE Trans. Neural Netw. 9 (1998) 987.
    """

    network: Callable[[Array], Array]
    ansatz: Callable[[Array, Array], Array] = eqx.field(static=True)

    def __call__(self, x: Real[AnyArray, " d"]) -> Array:
        """The value at one point."""
        point = floating(x)
        return self.ansatz(point, self.network(point))
