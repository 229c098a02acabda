"""pinntk: kernels, traces and steps by its own Jacobian, under the same conditions as its peers.

`--derivatives field` takes derivatives by `u.d`, `nested` writes them as a JAX user would, in
`--mode`; `--form` asks for one form of the Jacobian in place of the automatic choice.
It runs in the environment of the caller.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import worker

TASKS = ("kernel", "traces", "step", "full", "step_with_traces")
FORMS = ("auto", "dense", "factored", "implicit")
arguments = worker.start(
    __doc__ or "",
    TASKS,
    derivatives={"choices": ("field", "nested"), "default": "field"},
    form={"choices": FORMS, "default": "auto"},
    longest={"type": float, "help": "seconds at 50 GFLOP/s over which a form is not tried"},
)

import equinox as eqx  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax_wave import E_T, E_X, forward, reverse  # noqa: E402

import pinntk as pk  # noqa: E402
from pinntk.jacobian import FORMS as BUILD  # noqa: E402
from pinntk.jacobian import Use, block_traces, choose, gram, trainable  # noqa: E402
from pinntk.jacobian.machine import available_memory  # noqa: E402
from pinntk.problem import Sample  # noqa: E402
from pinntk.training import Training, initial_state  # noqa: E402
from pinntk.training.compiled import compile_chunk  # noqa: E402

jax.config.update("jax_enable_x64", arguments.dtype == "float64")


class NotTriedError(Exception):
    """A form that would take too long or too much memory by its counted costs."""


def set_up(inputs: worker.Inputs, names: tuple[str, ...]):
    """The problem, the network of the file and a batch of its points for these conditions."""
    domain = pk.SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))
    along = {"forward": forward, "reverse": reverse}[arguments.mode]

    def start_value(p):
        return jnp.sin(jnp.pi * p[0]) + 0.5 * jnp.sin(4 * jnp.pi * p[0])

    def velocity(u, p):
        return along(u, E_T)(p) if arguments.derivatives == "nested" else u.d("t")(p)

    def residual(u, p):
        if arguments.derivatives == "field":
            return (u.d("t", "t") - worker.WAVE_SPEED_SQUARED * u.d("x", "x"))(p)
        u_tt, u_xx = (along(along(u, e), e)(p) for e in (E_T, E_X))
        return u_tt - worker.WAVE_SPEED_SQUARED * u_xx

    written = {
        "values": lambda u, p: u(p) - start_value(p),
        "velocity": velocity,
        "residual": residual,
    }
    conditions = [pk.Condition(n, written[n], domain, points=len(inputs.points[n])) for n in names]
    problem = pk.Problem("wave", domain, conditions)
    widths = [len(bias) for _, bias in inputs.layers]
    scaling = pk.InputScaling(tuple(inputs.shift.tolist()), tuple((1 / inputs.scale).tolist()))
    model = pk.MLP(
        2, width=widths[0], depth=len(widths) - 1, scaling=scaling, key=jax.random.key(0)
    )
    for number, (weight, bias) in enumerate(inputs.layers):
        model = eqx.tree_at(
            lambda m, n=number: (m.layers[n].weight, m.layers[n].bias),
            model,
            (jnp.asarray(weight), jnp.asarray(bias)),
        )
    return problem, model, {n: Sample(jnp.asarray(inputs.points[n]), None) for n in names}


def with_jacobian(inputs: worker.Inputs, names: tuple[str, ...], use: Use, function):
    """A compiled call of a function of the Jacobian, and what is known about its form."""
    problem, model, batch = set_up(inputs, names)
    choice = choose(problem, model, batch, use)
    form = choice.form if arguments.form == "auto" else arguments.form
    cost = choice.costs[form]
    facts = {
        "form": form,
        "chosen": choice.form,
        "operations": cost.operations,
        "held_mib": cost.held / worker.MEBIBYTE,
    }

    if arguments.longest and cost.operations / 50e9 > arguments.longest:
        raise NotTriedError(f"{cost.operations:.1e} operations")
    if arguments.longest and cost.held > 0.25 * available_memory():
        raise NotTriedError(f"{cost.held / 1e9:.1f} GB of J")

    compute: Any = eqx.filter_jit(lambda m, b: function(BUILD[form](problem, m, b, use)))
    compiled = compute.lower(model, batch).compile()
    return (lambda: jax.block_until_ready(compiled(model, batch))), facts


def kernel(inputs: worker.Inputs) -> worker.Work:
    call, facts = with_jacobian(inputs, ("residual",), Use.GRAM, lambda j: gram(j).matrix)
    return worker.Work(call, lambda kernel: {"kernel": kernel}, lambda _: facts)


def full(inputs: worker.Inputs) -> worker.Work:
    call, facts = with_jacobian(inputs, worker.CONDITIONS, Use.GRAM, lambda j: gram(j).matrix)
    sizes = [len(inputs.points[name]) for name in worker.CONDITIONS]
    return worker.Work(call, lambda k: worker.parts_of_full(np.asarray(k), sizes), lambda _: facts)


def traces(inputs: worker.Inputs) -> worker.Work:
    call, facts = with_jacobian(inputs, worker.CONDITIONS, Use.DIAGONAL, block_traces)
    named = lambda found: {f"trace_{name}": value for name, value in found.items()}
    return worker.Work(call, named, lambda _: facts)


def step(inputs: worker.Inputs) -> worker.Work:
    """Adam steps in the compiled loop of the package, with Algorithm 1 at each where the task says so."""
    problem, model, batch = set_up(inputs, worker.CONDITIONS)
    weightings = {"step": pk.Fixed(), "step_with_traces": pk.NTKWeights(every=1)}

    def steps(weighting):
        training = Training(pk.adam(1e-3), weighting=weighting)
        state = initial_state(problem, model, training, batch)
        run = compile_chunk(problem, trainable(model)[1], training, jax.random.key(0))
        return lambda: jax.block_until_ready(run(state, arguments.steps))

    calls = {task: steps(weighting) for task, weighting in weightings.items()}
    facts = lambda _: {} if arguments.task == "step" else in_turn(calls)
    return worker.Work(calls[arguments.task], facts=facts, steps=arguments.steps)


def in_turn(calls: dict) -> dict:
    """Both kinds of steps one after the other: the machine's drift meets both, and cancels."""

    def seconds(call):
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    for call in calls.values():
        call()
    ratios = [
        seconds(calls["step_with_traces"]) / seconds(calls["step"])
        for _ in range(arguments.repeats)
    ]
    return {"over_plain_steps": ratios, "median_over_plain_steps": statistics.median(ratios)}


PREPARE = {
    "kernel": kernel,
    "traces": traces,
    "full": full,
    "step": step,
    "step_with_traces": step,
}
worker.run("pinntk", arguments, PREPARE[arguments.task])
