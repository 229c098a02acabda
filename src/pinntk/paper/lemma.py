"""Lemma 3.1: under gradient flow the outputs of a PINN obey d/dt [u; L[u]] = −K(t)·residual."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from pinntk.errors import PinntkError
from pinntk.jacobian import cast, trainable
from pinntk.kernel import spectrum, tangent_kernel
from pinntk.library import burgers1d, poisson1d, wave1d
from pinntk.nets import MLP, InputScaling
from pinntk.paper.record import Arrays, Claim, Experiment, Watch, listed
from pinntk.paper.sweep import first_points
from pinntk.problem import Batch, Model, Problem
from pinntk.report import Curve, Panel, draw

#: Central difference of eighth order: f'(t) ≈ Σ_k c_k (f(t + kh) − f(t − kh)) / h for k = 1 … 4.
_DIFFERENCE = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
PROBLEMS = {"poisson1d": poisson1d, "wave1d": wave1d, "burgers1d": burgers1d}


@dataclasses.dataclass(frozen=True)
class Config:
    """Networks and points; the flow runs for `horizon`/λ_max of the kernel at its start."""

    problems: tuple[str, ...] = tuple(PROBLEMS)
    width: int = 30
    depth: int = 2
    points: int = 40
    horizon: float = 5.0
    times: int = 10
    spacing: float = 0.05
    tolerance: float = 1e-13
    seed: int = 0


def gradient_flow(
    problem: Problem, model: Model, batch: Batch, times: Sequence[float], tolerance: float
) -> list[Model]:
    """The models at some times under dθ/dt = −Jᵀr, the flow on ½ Σ_k Σ_i r_{k,i}² (paper, eq. 3.1).

    By Diffrax's Dopri8 with relative and absolute tolerance `tolerance`, in the dtype of the model.
    """
    try:
        import diffrax
    except ImportError as error:
        raise PinntkError(
            "experiment",
            got="no package diffrax, which integrates the gradient flow",
            expected="the packages of the paper's experiments",
            fix='Install them with: python -m pip install "pinntk[paper]"',
        ) from error
    parameters, rest = trainable(model)
    flat, unravel = ravel_pytree(parameters)

    def half_square(theta: Any) -> Any:
        residuals = problem.residuals(eqx.combine(unravel(theta), rest), batch)
        return 0.5 * sum(jnp.sum(r**2) for r in residuals.values())

    at = jnp.asarray(times)
    control = diffrax.PIDController(rtol=tolerance, atol=tolerance)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda _, theta, __: -jax.grad(half_square)(theta)),
        diffrax.Dopri8(),
        t0=0.0,
        t1=float(times[-1]),
        dt0=None,
        y0=flat,
        saveat=diffrax.SaveAt(ts=at),
        # A step ends at every time, because between steps the solution is only interpolated.
        stepsize_controller=diffrax.ClipStepSizeController(control, step_ts=at),
        max_steps=100_000,
    )
    assert solution.ys is not None
    return [eqx.combine(unravel(theta), rest) for theta in solution.ys]


def _one(config: Config, problem: Problem) -> dict[str, Any]:
    """Relative errors of d(outputs)/dt against −K(t) r, and against three wrong right-hand sides."""
    box: Any = problem.domain
    model = MLP(
        len(box.coordinates),
        width=config.width,
        depth=config.depth,
        scaling=InputScaling.to_unit(box.lower, box.upper),
        key=jax.random.key(config.seed),
    )
    batch = first_points(problem.sample(jax.random.key(config.seed)), config.points)
    model, batch = cast(model, jnp.float64), cast(batch, jnp.float64)
    start = tangent_kernel(problem, model, batch)
    scale = 1.0 / spectrum(start.matrix).largest
    centres = np.linspace(0.5, config.horizon, config.times)
    times = scale * centres

    def flow(times: np.ndarray) -> list[Model]:
        return gradient_flow(problem, model, batch, times.ravel().tolist(), config.tolerance)

    # The kernel moves, so the differences are as fine as the fastest mode at each time asks.
    kernels = [tangent_kernel(problem, m, batch) for m in flow(times)]
    fastest = np.array([max(spectrum(k.matrix).largest, 1.0 / scale) for k in kernels])
    steps = config.spacing / fastest
    models = flow(times[:, None] + steps[:, None] * np.arange(-4, 5))

    @eqx.filter_jit
    def outputs(at: Model) -> jax.Array:
        """The stacked residuals; they differ from the outputs by the data, which stay as they are."""
        found = problem.residuals(at, batch)
        return jnp.concatenate([found[name].ravel() for name in problem.names])

    errors: dict[str, list[float]] = {"lemma": [], "factor 2": [], "sign": [], "K(0)": []}
    for i in range(config.times):
        around = [np.asarray(outputs(m)) for m in models[9 * i : 9 * i + 9]]
        change = sum(c * (around[4 + k] - around[4 - k]) for k, c in enumerate(_DIFFERENCE, 1))
        slope = change / steps[i]
        expected = -kernels[i].matrix @ around[4]
        size = np.linalg.norm(expected)
        for name, other in (
            ("lemma", expected),
            ("factor 2", 2 * expected),
            ("sign", -expected),
            ("K(0)", -start.matrix @ around[4]),
        ):
            errors[name].append(float(np.linalg.norm(slope - other) / size))
    return {"times": listed(centres), "errors": {k: listed(v) for k, v in errors.items()}}


def run(config: Config, folder: Path, watch: Watch) -> Arrays:  # noqa: ARG001
    """Errors over time for every problem."""
    found = {}
    with jax.enable_x64(True), watch(len(config.problems), "gradient flow") as bar:
        for number, name in enumerate(config.problems, start=1):
            found[name] = _one(config, PROBLEMS[name]())
            bar.progress(number, len(config.problems), None)
    return found


def plot(arrays: Arrays) -> object:
    """The error over time, and that of the wrong right-hand sides, a panel per problem."""
    panels = []
    for name, found in arrays.items():
        curves = [Curve(found["times"], e, label) for label, e in found["errors"].items()]
        panels.append(Panel(curves, name, "time · λ_max(0)", "relative error", legend_below=True))
    return draw(panels)


def claims(arrays: Arrays) -> Sequence[Claim]:
    """Equality to the accuracy of the integration, and inequality of what is nearly the same."""
    found = []
    for name, values in arrays.items():
        worst = {label: max(errors) for label, errors in values["errors"].items()}
        least = min(max(values["errors"][label]) for label in worst if label != "lemma")
        found.append(
            Claim(
                f"d/dt of the outputs, {name}",
                "d/dt [u; L[u]] = −K(t)·residual under gradient flow, for linear and nonlinear L "
                "(largest relative difference over time)",
                worst["lemma"],
                high=1e-6,
                spread=f"{len(values['times'])} times; wrong factor, sign or a frozen K: at least "
                f"{least:.2g}",
            )
        )
    return found


EXPERIMENT = Experiment(
    name="lemma",
    title="Lemma 3.1: the outputs under gradient flow",
    statement="Under gradient flow d/dt [u(x_b); L[u](x_r)] = −K(t) [u(x_b) − g; L[u](x_r) − f].",
    sizes={
        "smoke": Config(("poisson1d", "burgers1d"), width=8, points=8, times=2, horizon=2.0),
        "paper": Config(),
    },
    run=run,
    plot=plot,
    claims=claims,
    package="diffrax",
)
