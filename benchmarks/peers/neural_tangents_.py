"""neural-tangents: the empirical NTK of the residual as a function of parameters and points.

Structured derivatives read two names in `jax.interpreters.ad` that JAX removed, and so fail with
the version that is pinned here. The names are put back: they serve profiles and checks, no
arithmetic, and this library's fastest way should not lose by them. The record says so in
`restored`. For the same reason they take the second derivatives together, unless told otherwise:
every use of a parameter costs them a pair with every other use.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import worker

IMPLEMENTATIONS = {"jacobian": 1, "vector": 2, "structured": 3}
arguments = worker.start(
    __doc__ or "",
    ("kernel", "traces"),
    implementation={"choices": IMPLEMENTATIONS, "default": "structured"},
    derivatives={"choices": ("separate", "together"), "default": None},
)
if arguments.derivatives is None:  # what each does faster
    structured = arguments.implementation == "structured"
    arguments.derivatives = "together" if structured else "separate"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import neural_tangents as nt  # noqa: E402
from jax._src import source_info_util  # noqa: E402
from jax.interpreters import ad  # noqa: E402
from jax_wave import Condition, as_jax, compiled, conditions  # noqa: E402

ad.__dict__.update(source_info_util=source_info_util, config=jax.config)
FACTS = {"restored": ["jax.interpreters.ad.source_info_util", "jax.interpreters.ad.config"]}

jax.config.update("jax_enable_x64", arguments.dtype == "float64")


def ntk(condition: Condition, **axes):
    """The NTK of points ↦ residuals (N, 1), which no point shares with another: `vmap_axes=0`."""

    def outputs(layers, points):
        return jax.vmap(condition, (None, 0))(layers, points)[:, None]

    chosen = IMPLEMENTATIONS[arguments.implementation]
    return nt.empirical_ntk_fn(outputs, vmap_axes=0, implementation=chosen, **axes)


def kernel(inputs: worker.Inputs) -> worker.Work:
    layers, points = as_jax(inputs)
    compute = ntk(conditions(inputs, arguments)["residual"], trace_axes=(-1,))
    call = compiled(
        lambda layers, points: compute(points, None, layers), layers, points["residual"]
    )
    return worker.Work(call, lambda kernel: {"kernel": kernel}, lambda _: FACTS)


def traces(inputs: worker.Inputs) -> worker.Work:
    """Only the diagonal of each K, which `diagonal_axes` promises to compute alone."""
    layers, points = as_jax(inputs)
    terms = conditions(inputs, arguments)
    diagonals = {name: ntk(terms[name], trace_axes=(-1,), diagonal_axes=(0,)) for name in terms}

    def compute(layers, points):
        return {
            f"trace_{name}": jnp.sum(diagonal(points[name], None, layers))
            for name, diagonal in diagonals.items()
        }

    return worker.Work(compiled(compute, layers, points), dict, lambda _: FACTS)


worker.run("neural_tangents", arguments, {"kernel": kernel, "traces": traces}[arguments.task])
