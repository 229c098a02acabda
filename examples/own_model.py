"""A model of your own: a Flax NNX module as it is, in three lines.

Any callable pytree from one point (d,) to the fields will do.

    pinntk train examples/own_model.py:setup
"""

import jax
import jax.numpy as jnp
from flax import nnx

import pinntk as pk


class Net(nnx.Module):
    """A sine network with one hidden layer."""

    def __init__(self, key):
        rngs = nnx.Rngs(key)
        self.hidden = nnx.Linear(1, 32, rngs=rngs)
        self.last = nnx.Linear(32, 1, rngs=rngs)

    def __call__(self, p):
        return self.last(jnp.sin(3 * self.hidden(p)))[0]


problem = pk.library.poisson1d(a=1.0)
plan = pk.Training(pk.adam(2e-3), steps=2_000, weighting=pk.NTKWeights(every=10))
setup = pk.Setup(problem, plan, network=pk.Drawn(Net))

if __name__ == "__main__":
    model = Net(jax.random.key(0))
    print(pk.diagnose(problem, model, plan))
    result = pk.train(problem, model, plan, key=jax.random.key(1))
    print(f"{result.message}, relative L2 error {result.relative_l2:.1e}")
    print(type(result.model).__name__, "comes back as what it was")
