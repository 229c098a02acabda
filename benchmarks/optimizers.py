"""The optimizers that benchmarks compare, by name, each behind pinntk's own `init` and `step`.

Adam and the natural gradient are pinntk's. The peers are Optimistix's BFGS
and L-BFGS, driven one evaluation at a time; L-BFGS with Optax's memory and a strong Wolfe search; and
the self-scaled methods of `broyden.py`. SOAP is left out: Optax 0.2.8 does not have it, and neither
does a package for JAX that is kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from broyden import LimitedMemory, SelfScaledBroyden
from pinntk.optim import AbstractOptimizer, Adaptive, NaturalGradient, Step
from pinntk.optim.optimizer import Gradient, Parameters, State, running
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights


@dataclasses.dataclass(frozen=True)
class Optimistix(AbstractOptimizer):
    """A minimizer of Optimistix (Rader, Lyons and Kidger 2024), by its own `init` and `step`.

    A step is one trial point, which its line search accepts or refuses; the parameters are those
    last accepted. What the minimizer thinks about being done is not asked. `names` are those of the
    losses. Parameters are one vector, so that a Hessian is one matrix.
    """

    solver: optimistix.AbstractMinimiser
    names: tuple[str, ...]

    @property
    def kind(self) -> Adaptive:
        return Adaptive()

    def init(self, parameters: Parameters) -> State:
        return eqx.partition(self._initial(parameters), eqx.is_array)[0]

    def _initial(self, parameters: Parameters) -> Any:
        flat, _ = ravel_pytree(parameters)
        scalar = jax.ShapeDtypeStruct((), flat.dtype)
        return self.solver.init(
            _no_function, flat, None, {}, scalar, dict.fromkeys(self.names, scalar), frozenset()
        )

    def step(self, parameters: Parameters, state: State, objective: Gradient) -> Step:
        x, unravel = ravel_pytree(parameters)
        function = with_gradient(unravel, objective)
        # What a state holds besides arrays is the same in every state.
        static = eqx.partition(self._initial(parameters), eqx.is_array)[1]
        x, after, losses = self.solver.step(
            lambda x, _: function(x), x, None, {}, eqx.combine(state, static), frozenset()
        )
        return Step(unravel(x), eqx.partition(after, eqx.is_array)[0], losses, {}, running())


def _no_function(x: Array, _: Any) -> tuple[Array, dict[str, Array]]:
    raise NotImplementedError("quasi-Newton methods do not evaluate when they begin")


def with_gradient(unravel: Any, objective: Gradient) -> Callable[[Array], Any]:
    """The map x ↦ (loss, losses), with the gradient that `objective` gives as its derivative.

    The losses by name are not differentiated.
    """

    @jax.custom_jvp
    def function(x: Array) -> tuple[Array, dict[str, Array]]:
        (value, losses), _ = objective(unravel(x))
        return value, losses

    @function.defjvp
    def derivative(primals: tuple[Array], tangents: tuple[Array]) -> Any:
        (value, losses), gradient = objective(unravel(primals[0]))
        flat = ravel_pytree(gradient)[0]
        return (value, losses), (flat @ tangents[0], jax.tree.map(jnp.zeros_like, losses))

    return function


#: The peers by name: from the names of the losses to an optimizer.
PEERS: Mapping[str, Callable[[tuple[str, ...]], AbstractOptimizer]] = {
    "bfgs": lambda names: Optimistix(optimistix.BFGS(rtol=0.0, atol=0.0), names),
    "lbfgs": lambda names: Optimistix(
        optimistix.LBFGS(rtol=0.0, atol=0.0, history_length=50), names
    ),
    "lbfgs-wolfe": LimitedMemory,
    "bfgs-wolfe": lambda names: SelfScaledBroyden(names, broyden=False, scaled=False),
    "ssbfgs": lambda names: SelfScaledBroyden(names, broyden=False),
    "ssbroyden": SelfScaledBroyden,
}


class Own(NamedTuple):
    """One of pinntk's own with its loss weights; the optimizer is that of the problem's preset if None."""

    optimizer: AbstractOptimizer | None
    weighting: AbstractWeighting


#: pinntk's own by name; Adam has the rate and the decay that the library gives it for a problem.
OWN: Mapping[str, Own] = {
    "adam": Own(None, Fixed()),
    "adam-ntk": Own(None, NTKWeights(every=100)),
    "natural-gradient": Own(NaturalGradient(), Fixed()),
    "natural-gradient-ntk": Own(NaturalGradient(), NTKWeights(every=50)),
}
