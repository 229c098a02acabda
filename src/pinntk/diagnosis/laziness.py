"""How far the kernel would move on the way that its own forecast takes: whether to believe the forecast."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from pinntk.jacobian import cast, implicit, trainable, vjp
from pinntk.kernel import Dynamics, tangent_kernel
from pinntk.problem import Batch, Model, Problem

#: A forecast is void where the weighted kernel has changed by this share: its rates, and with them
#: every number of steps, are then wrong by about as much.
VOID = 0.25
#: The forecast is tried after the planned steps, and then after a third as often as this.
_TRIED = 8


class Laziness(NamedTuple):
    """`change` is ‖K′ − K‖/‖K‖ of the weighted kernel after the planned steps, K′ that at θ + Δθ of the
    forecast; `valid_steps` how many of the planned steps keep it under `VOID`, to a factor of three.
    """

    change: float
    valid_steps: int


def laziness(
    problem: Problem, model: Model, batch: Batch, moving: Dynamics, learning_rate: float, steps: int
) -> Laziness:
    """Follow the forecast of `steps` steps of gradient descent and look at the kernel there."""
    with jax.enable_x64(True):
        double, points = cast(model, jnp.float64), cast(batch, jnp.float64)

        def change(steps: int) -> float:
            vectors = moving.displacement(learning_rate, steps)
            moved = _moved(problem, double, points, {k: jnp.asarray(v) for k, v in vectors.items()})
            root = moving.root
            now = root[:, None] * moving.kernel.matrix * root[None, :]
            then = root[:, None] * tangent_kernel(problem, moved, points).matrix * root[None, :]
            return float(np.linalg.norm(then - now) / np.linalg.norm(now))

        whole, found = change(steps), steps
        if not whole <= VOID:
            for _ in range(_TRIED):
                found //= 3
                if found == 0 or change(found) <= VOID:
                    break
            else:
                found = 0
    return Laziness(whole, found)


@eqx.filter_jit
def _moved(problem: Problem, model: Model, batch: Batch, vectors: Any) -> Model:
    """The model at θ − Jᵀ v."""
    parameters, rest = trainable(model)
    step = vjp(implicit(problem, model, batch), vectors)
    return eqx.combine(jax.tree.map(lambda p, d: p - d, parameters, step), rest)
