"""Unknown coefficients of an equation as trainable leaves beside the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PRNGKeyArray

from pinntk.errors import PinntkError, check_name

#: A value, or a function of one point.
Coefficient = Any


class Positive(eqx.Module):
    """A coefficient that stays positive: its logarithm is trained.

    `Positive(0.05)` is a number, or an array of them, that starts there. `Positive(network)` is a
    coefficient field x ↦ scale · exp(network(x)). A step of an optimizer is a relative change.
    """

    log: Any
    scale: float = eqx.field(static=True)

    def __init__(self, start: Any, scale: float = 1.0):
        if not (np.isfinite(scale) and scale > 0):
            raise PinntkError("scale", got=scale, expected="a positive finite number")
        self.scale = float(scale)
        if callable(start):
            self.log = start
            return
        value = _number("start", start)
        if not (np.asarray(value) > 0).all():
            raise PinntkError("start", got=start, expected="a positive number")
        self.log = jnp.log(value / scale)

    def resolve(self) -> Array | Callable[[Array], Array]:
        """The value, or the function of one point, that stands in the equation."""
        if callable(self.log):
            return lambda x: self.scale * jnp.exp(self.log(x))
        return self.scale * jnp.exp(self.log)


class WithCoefficients(eqx.Module):
    """A network and the unknown coefficients of its equation: one model, a function of one point.

    **Arguments:** `coefficients` maps a name to a number or array, which is trained as it is; to
    `Positive(...)`; or to a network of one point, for a coefficient that is a field. In a residual,
    `u.coefficient(name)` is the value or the field.

    **Raises:** `PinntkError` for a start that is not finite.
    """

    network: Any
    coefficients: dict[str, Coefficient]

    def __init__(self, network: Any, coefficients: Mapping[str, Coefficient]):
        self.network = network
        self.coefficients = {
            name: value if callable(value) or isinstance(value, Positive) else _number(name, value)
            for name, value in coefficients.items()
        }

    def __call__(self, x: Array) -> Array:
        """The network at one point."""
        return self.network(x)

    def coefficient(self, name: str) -> Array | Callable[[Array], Array]:
        """The value of a coefficient, or a function of one point for a coefficient field."""
        check_name("coefficient", name, self.coefficients)
        return _resolved(self.coefficients[name])

    def values(self) -> dict[str, Array]:
        """The coefficients that are numbers or arrays, by name; fields are left out."""
        found = {name: self.coefficient(name) for name in self.coefficients}
        return {name: value for name, value in found.items() if not callable(value)}


@dataclasses.dataclass(frozen=True, eq=False)
class Unknown:
    """An unknown coefficient: its initial value, and its true value if known.

    **Arguments:** `start` is a number, an array or `Positive(...)`, or for a coefficient field a
    function of a key that makes its network, `lambda key: pk.Positive(pk.MLP(..., key=key))`;
    `true` is a number, an array or a function of one point. Training does not use it: it serves to check
    the exact solution in the residuals, and for comparison in records.
    """

    start: Coefficient | Callable[[PRNGKeyArray], Coefficient]
    true: Any = None

    def make(self, key: PRNGKeyArray) -> Coefficient:
        """The coefficient at the start, drawn with `key` where it is a network."""
        if callable(self.start) and not isinstance(self.start, eqx.Module):
            return self.start(key)
        return self.start


def declared(coefficients: Mapping[str, Any]) -> dict[str, Unknown]:
    """Every value as an `Unknown`; the names are checked."""
    for name in coefficients:
        if not isinstance(name, str) or not name.isidentifier():
            raise PinntkError(
                "coefficients", got=name, expected="names of letters, digits and underscores"
            )
    found = {n: v if isinstance(v, Unknown) else Unknown(v) for n, v in coefficients.items()}
    for name, unknown in found.items():
        if not callable(unknown.start) and not isinstance(unknown.start, Positive):
            _number(f"start of coefficient {name!r}", unknown.start)
    return found


def coefficients_of(model: Any, unknowns: Mapping[str, Unknown]) -> dict[str, Any]:
    """Name → value or function of one point, for a model or formula that is put into residuals.

    A model brings its own. A formula without anything to train, such as an exact solution, goes with
    the true values. **Raises:** `PinntkError` for a model that lacks a declared coefficient.
    """
    own = model.coefficients if isinstance(model, WithCoefficients) else {}
    found = {name: _resolved(value) for name, value in own.items()}
    missing = {name: unknown for name, unknown in unknowns.items() if name not in found}
    if not missing:
        return found
    if any(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves(model)):
        raise PinntkError(
            "model",
            got=f"{type(model).__name__} without the coefficient {next(iter(missing))!r}",
            expected=f"a model with {', '.join(unknowns)}, which the problem declares",
            fix="Wrap the network: problem.with_coefficients(network, key).",
        )
    return found | {n: u.true for n, u in missing.items() if u.true is not None}


def _resolved(value: Coefficient) -> Any:
    return value.resolve() if isinstance(value, Positive) else value


def _number(argument: str, value: Any) -> Array:
    """A number or array as a trainable leaf."""
    try:
        leaf = jnp.asarray(value)
    except (TypeError, ValueError):
        leaf = None
    if leaf is None or not jnp.issubdtype(leaf.dtype, jnp.number):
        raise PinntkError(argument, got=value, expected="a number, an array of them or a network")
    leaf = leaf if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.astype(float)
    if not isinstance(leaf, Tracer) and not np.isfinite(leaf).all():
        raise PinntkError(argument, got=value, expected="finite numbers")
    return leaf
