"""What a run starts from: a problem, a network, a training; and the draws of one seed."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from pinntk.errors import PinntkError, check_name
from pinntk.problem import Batch, Model, Problem
from pinntk.training.network import Network, NetworkLike, as_network, draw_model
from pinntk.training.plan import Training

DTYPES = {"float32": jnp.float32, "float64": jnp.float64}


class Start(NamedTuple):
    """What a seed draws from a setup: the model, the points, and the key for later draws.

    `problem` is the one to train, without the conditions that the model satisfies by construction.
    """

    problem: Problem
    model: Model
    batch: Batch
    key: PRNGKeyArray


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """A problem with its network and its training. The presets of the library are setups.

    **Arguments:**

    - `problem`: the problem with all its conditions.
    - `training`: how to train.
    - `network`: a `Network`, or a function of a key that returns a model of any kind: an Equinox or
      Flax NNX module, or any callable pytree from a point (d,) to the fields.
    - `dtype`: "float32" or "float64", the precision of parameters and points.

    The command line reads a setup from a file: `pinntk train mine.py:setup`.
    """

    problem: Problem
    training: Training
    network: NetworkLike = Network()
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name, kind in {"problem": Problem, "training": Training}.items():
            if not isinstance(getattr(self, name), kind):
                raise PinntkError(
                    name, got=getattr(self, name), expected=f"a pinntk.{kind.__name__}"
                )
        object.__setattr__(self, "network", as_network(self.network))
        check_name("dtype", self.dtype, DTYPES)

    def replace(self, **changes: Any) -> Setup:
        """A copy with another problem, training, network or dtype."""
        return dataclasses.replace(self, **changes)

    def start(self, seed: int = 0) -> Start:
        """Points and network of a seed; the same setup and seed give the same arrays.

        Call it, and train what it returns, within `precision(setup.dtype)`.
        """
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
            raise PinntkError("seed", got=seed, expected="a whole number from 0 to 2³² − 1")
        network = as_network(self.network)
        problem = network.reduced(self.problem)
        dtype = DTYPES[self.dtype]
        if jax.dtypes.canonicalize_dtype(dtype) != dtype:
            raise PinntkError(
                "dtype",
                got="float64 while JAX is in 32-bit mode",
                expected="64-bit mode",
                fix='Use: with pk.precision("float64"): ...',
            )
        model_key, key = jax.random.split(jax.random.key(seed))
        batch = problem.sample(key, dtype)
        model = draw_model(network, problem, batch, model_key, dtype)
        self.training.weighting.init(problem.names)
        problem.check(model, batch)
        return Start(problem, model, batch, key)


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """JAX computes in this precision within the block: 64-bit mode on for "float64", off for "float32"."""
    check_name("dtype", dtype, DTYPES)
    with jax.enable_x64(dtype == "float64"):
        yield
