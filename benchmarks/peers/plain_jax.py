"""Plain JAX: per-point gradients by vmap of grad, and K as their products.

The traces are computed as jaxpi does it: the gradient of every point as one vector, times itself.
`step_with_traces` puts these traces into every step, as weights of Algorithm 1: λ_k = Σ tr / tr_k.
It runs in the environment of the caller, who has JAX and optax.
"""

from __future__ import annotations

import worker

TASKS = ("kernel", "traces", "step", "full", "step_with_traces")
arguments = worker.start(
    __doc__ or "",
    TASKS,
    derivatives={"choices": ("separate", "together"), "default": "separate"},
)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from jax.flatten_util import ravel_pytree  # noqa: E402
from jax_wave import Condition, as_jax, compiled, conditions  # noqa: E402

jax.config.update("jax_enable_x64", arguments.dtype == "float64")


def gradients(condition: Condition, layers, points) -> list:
    """The rows of J, one array (N, size) for each parameter."""
    rows = jax.vmap(jax.grad(condition), (None, 0))(layers, points)
    return [leaf.reshape(len(points), -1) for leaf in jax.tree.leaves(rows)]


def trace(condition: Condition, layers, points):
    """Tr K. Summing squares parameter by parameter would take XLA twice as long."""

    def square(point):
        row = ravel_pytree(jax.grad(condition)(layers, point))[0]
        return jnp.dot(row, row)

    return jnp.sum(jax.vmap(square)(points))


def kernel(inputs: worker.Inputs) -> worker.Work:
    """K_rr = J Jᵀ, summed over the parameters."""
    layers, points = as_jax(inputs)
    residual = conditions(inputs, arguments)["residual"]

    def compute(layers, points):
        return sum(leaf @ leaf.T for leaf in gradients(residual, layers, points))

    call = compiled(compute, layers, points["residual"])
    return worker.Work(call, lambda kernel: {"kernel": kernel})


def full(inputs: worker.Inputs) -> worker.Work:
    """K of all conditions with its cross blocks, (3N, 3N), in the order of `worker.CONDITIONS`."""
    layers, points = as_jax(inputs)
    terms = conditions(inputs, arguments)

    def compute(layers, points):
        rows = [gradients(terms[name], layers, points[name]) for name in worker.CONDITIONS]
        stacked = [jnp.concatenate(leaves) for leaves in zip(*rows, strict=True)]
        return sum(leaf @ leaf.T for leaf in stacked)

    call = compiled(compute, layers, points)
    sizes = [len(points[name]) for name in worker.CONDITIONS]
    return worker.Work(call, lambda outcome: worker.parts_of_full(np.asarray(outcome), sizes))


def traces(inputs: worker.Inputs) -> worker.Work:
    layers, points = as_jax(inputs)
    terms = conditions(inputs, arguments)

    def compute(layers, points):
        return {f"trace_{name}": trace(terms[name], layers, points[name]) for name in terms}

    return worker.Work(compiled(compute, layers, points), dict)


def step(inputs: worker.Inputs) -> worker.Work:
    """Adam steps on the mean squares, in a compiled loop; with weights where the task says so."""
    layers, points = as_jax(inputs)
    terms = conditions(inputs, arguments)
    optimizer = optax.adam(1e-3)

    def losses(layers, points):
        squares = {name: jax.vmap(terms[name], (None, 0))(layers, points[name]) for name in terms}
        return {name: jnp.mean(value**2) for name, value in squares.items()}

    def weights(layers, points):
        if arguments.task == "step":
            return dict.fromkeys(terms, 1.0)
        found = {name: trace(terms[name], layers, points[name]) for name in terms}
        total = sum(found.values())
        return {name: total / value for name, value in found.items()}

    def weighted(layers, points, weights):
        now = losses(layers, points)
        return sum(weights[name] * now[name] for name in now)

    def run(layers, state, points):
        def body(_, carry):
            layers, state = carry
            gradient = jax.grad(weighted)(layers, points, weights(layers, points))
            updates, state = optimizer.update(gradient, state)
            return optax.apply_updates(layers, updates), state

        return jax.lax.fori_loop(0, arguments.steps, body, (layers, state))

    call = compiled(run, layers, optimizer.init(layers), points)

    def facts(outcome):
        at = lambda where: {name: float(v) for name, v in losses(where, points).items()}
        return {"losses_at_start": at(layers), "losses_after_one_call": at(outcome[0])}

    return worker.Work(call, facts=facts, steps=arguments.steps)


PREPARE = {
    "kernel": kernel,
    "traces": traces,
    "full": full,
    "step": step,
    "step_with_traces": step,
}
worker.run("plain_jax", arguments, PREPARE[arguments.task])
