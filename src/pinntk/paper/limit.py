"""Theorem 4.1: the kernel at initialization converges as the width grows, for linear operators."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np
import scipy.special
from jaxtyping import Float

from pinntk.kernel import tangent_kernel
from pinntk.kernel.expectations import AbstractExpectation, Erf, Sine, Tanh
from pinntk.kernel.limit import LimitNetwork, limit_kernel, limit_solution
from pinntk.library import burgers1d, poisson1d, wave1d
from pinntk.nets import MLP, NTKParametrization
from pinntk.paper.drift import fit_exponent
from pinntk.paper.record import Arrays, Claim, Experiment, Watch, listed, spread
from pinntk.paper.sweep import first_points
from pinntk.problem import Batch, Problem, Sample
from pinntk.report import Curve, Panel, draw

ACTIVATIONS: Mapping[str, tuple[AbstractExpectation, Callable]] = {
    "tanh": (Tanh(), jnp.tanh),
    "sin": (Sine(), jnp.sin),
    "erf": (Erf(), jax.scipy.special.erf),
}
LINEAR: Mapping[str, Callable[[], Problem]] = {"poisson1d": poisson1d, "wave1d": wave1d}


@dataclasses.dataclass(frozen=True)
class Config:
    """(problem, activation, depth) of every case; widths and seeds of the finite networks; points.

    `regression` are the frequencies a of the Poisson problem that kernel regression solves, and
    `quadrature_depth` that of the network whose kernel is computed with two rules.
    """

    cases: tuple[tuple[str, str, int], ...] = (
        ("poisson1d", "tanh", 1),
        ("poisson1d", "sin", 2),
        ("wave1d", "tanh", 1),
        ("wave1d", "erf", 2),
    )
    widths: tuple[int, ...] = (128, 256, 512, 1024, 2048)
    seeds: tuple[int, ...] = tuple(range(30))
    points: int = 8
    regression_points: int = 40
    regression: tuple[int, ...] = (1, 2, 4)
    quadrature_depth: int = 2


def _points(problem: Problem, count: int) -> Batch:
    return first_points(problem.sample(jax.random.key(0)), count)


def _finite(
    problem: Problem, batch: Batch, activation: Callable, depth: int, width: int, seed: int
) -> np.ndarray:
    """K of a finite network in the NTK parametrization."""
    d = len(problem.domain.coordinates)
    key = jax.random.key(seed)
    options = {"activation": activation, "parametrization": NTKParametrization(), "key": key}
    return tangent_kernel(problem, MLP(d, width=width, depth=depth, **options), batch).matrix


def run(config: Config, folder: Path, watch: Watch) -> Arrays:  # noqa: ARG001
    """Relative errors of finite kernels (widths, seeds) by case, and what is checked beside them."""
    cases = {}
    total = (len(config.cases) + 1) * len(config.widths)
    with watch(total, "wide networks") as bar:
        for number, (name, activation, depth) in enumerate(config.cases):
            problem = LINEAR[name]()
            batch = _points(problem, config.points)
            expectation, function = ACTIVATIONS[activation]
            limit = limit_kernel(problem, LimitNetwork(depth, expectation), batch).matrix
            errors = []
            for i, width in enumerate(config.widths):
                found = [_finite(problem, batch, function, depth, width, s) for s in config.seeds]
                errors.append([_off(k, limit) for k in found])
                bar.progress(number * len(config.widths) + i + 1, total, None)
            label = f"{name}, {activation}, {depth} hidden"
            cases[label] = {"error": listed(errors)}
        spreads = _nonlinear(
            config, lambda i: bar.progress(total - len(config.widths) + i, total, None)
        )
    return {
        "widths": list(config.widths),
        "cases": cases,
        "spread_of_trace": spreads,
        "quadrature": _quadrature(config),
        "theorem": _theorem(),
        "regression": _regression(config),
    }


def _off(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def _nonlinear(config: Config, done: Callable[[int], None]) -> dict[str, list[float]]:
    """Standard deviation over mean of tr K_rr at initialization, over seeds, by width."""
    found: dict[str, list[float]] = {"wave1d": [], "burgers1d": []}
    for i, width in enumerate(config.widths, start=1):
        for name, problem in (("wave1d", wave1d()), ("burgers1d", burgers1d(nu=0.01))):
            batch = _points(problem, config.points)
            batch = {"residual": batch["residual"]}
            traces = [
                float(np.trace(_finite(problem, batch, jnp.tanh, 1, width, s)))
                for s in config.seeds
            ]
            found[name].append(float(np.std(traces) / np.mean(traces)))
        done(i)
    return found


def _quadrature(config: Config) -> float:
    """The tanh kernel at its own tolerance against one with a rule refined by three more digits."""
    problem = poisson1d()
    batch = _points(problem, config.points)
    usual, fine = (
        limit_kernel(problem, LimitNetwork(config.quadrature_depth, Tanh(tolerance)), batch).matrix
        for tolerance in (1e-11, 1e-14)
    )
    return _off(usual, fine)


def one_hidden_layer(
    x: Float[np.ndarray, " n"], order: int = 300
) -> dict[str, Float[np.ndarray, "n n"]]:
    """K_uu, K_ur and K_rr of Theorem 4.1 for u'' and tanh, as expectations over one neuron.

    With u = N^(−1/2) Σ w₁ tanh(w₀x + b₀) + b₁ and all of w₀, b₀, w₁, b₁ normal, the gradient of u with
    respect to (w₁, w₀, b₀) of one neuron is (σ, w₁xσ', w₁σ'), and that of u'' is (w₀²σ'',
    w₁(2w₀σ'' + w₀²xσ'''), w₁w₀²σ'''). E over w₁ is 1; that over (w₀, b₀) by Gauss–Hermite in each.
    """
    nodes, weights = scipy.special.roots_hermitenorm(order)
    weights = weights / weights.sum()
    w, b = (values.ravel() for values in np.meshgrid(nodes, nodes, indexing="ij"))
    mass = np.outer(weights, weights).ravel()
    t = np.tanh(np.outer(x, w) + b)
    first, second = 1 - t**2, -2 * t * (1 - t**2)
    third = -2 * first**2 - 2 * t * second
    along = x[:, None]
    value = [t, along * first, first]
    curvature = [w**2 * second, 2 * w * second + w**2 * along * third, w**2 * third]

    def expected(left: list[np.ndarray], right: list[np.ndarray]) -> np.ndarray:
        return sum((p * mass) @ q.T for p, q in zip(left, right, strict=True))  # type: ignore[return-value]

    return {
        "uu": expected(value, value) + 1.0,  # the output's bias
        "ur": expected(value, curvature),
        "rr": expected(curvature, curvature),
    }


def _theorem() -> dict[str, float]:
    """Our limit kernel against the formulas of the theorem, evaluated on their own."""
    x = np.linspace(0.0, 1.0, 6)
    problem = poisson1d()
    with jax.enable_x64(True):
        rows = Sample(jnp.asarray(x, jnp.float64)[:, None])
    kernel = limit_kernel(problem, LimitNetwork(1, Tanh()), dict.fromkeys(problem.names, rows))
    own = one_hidden_layer(x)
    parts = {
        "uu": kernel.block("boundary"),
        "ur": kernel.block("boundary", "residual"),
        "rr": kernel.block("residual"),
    }
    return {name: _off(parts[name], expected) for name, expected in own.items()}


def _regression(config: Config) -> dict[str, float]:
    """Relative L2 error of the solution that infinitely wide PINNs converge to, by frequency."""
    found = {}
    for a in config.regression:
        problem = poisson1d(a)
        batch = _points(problem, config.regression_points)
        points = problem.test_points()[::10]
        assert problem.solution is not None
        exact = np.asarray(jax.vmap(problem.solution)(points), np.float64)
        found[str(a)] = _off(limit_solution(problem, LimitNetwork(1, Tanh()), batch, points), exact)
    return found


def plot(arrays: Arrays) -> object:
    """The error of finite kernels over the width, and how random the trace stays."""
    widths, curves = arrays["widths"], []
    for label, case in arrays["cases"].items():
        errors = np.array(case["error"])
        fit = fit_exponent(widths, errors)
        name = f"{label}: {fit.exponent:.2f} ± {fit.error:.2f}"
        curves.append(Curve(widths, errors.mean(1), name, errors.min(1), errors.max(1)))
    random = [
        Curve(widths, values, f"{name} ({kind})")
        for (name, values), kind in zip(
            arrays["spread_of_trace"].items(), ("linear", "nonlinear"), strict=True
        )
    ]
    panels = [
        Panel(c, title, "width", "", xscale="log", xticks=widths, legend_below=True)
        for c, title in ((curves, "distance to the limit"), (random, "spread of tr K_rr"))
    ]
    return draw(panels, height=4.2)


def claims(arrays: Arrays) -> Sequence[Claim]:
    """Convergence like width^(−1/2), the formulas of the theorem, and what nonlinear operators do."""
    found = []
    for label, case in arrays["cases"].items():
        errors = np.array(case["error"])
        fit = fit_exponent(arrays["widths"], errors)
        found.append(
            Claim(
                f"limit, {label}",
                "K at initialization converges to a deterministic kernel; deviations shrink like "
                "width^(-1/2) (fitted exponent)",
                fit.exponent,
                low=-0.6,
                high=-0.4,
                spread=f"± {fit.error:.2g}; {spread(errors[-1], 'seeds')} at width "
                f"{arrays['widths'][-1]}",
            )
        )
    theorem = max(arrays["theorem"].values())
    nonlinear = arrays["spread_of_trace"]["burgers1d"]
    regression = arrays["regression"]
    return [
        *found,
        Claim(
            "formulas of Theorem 4.1",
            "K_uu, K_ur, K_rr of one hidden layer as Gaussian expectations (largest relative difference "
            "to our recursion)",
            theorem,
            high=1e-10,
            spread=", ".join(f"{k} {v:.1g}" for k, v in arrays["theorem"].items()),
        ),
        Claim(
            "the quadrature has converged",
            "not stated: the limit kernel for tanh against one with a finer rule",
            arrays["quadrature"],
            high=1e-10,
        ),
        Claim(
            "a nonlinear operator has no limit",
            "the theorem is for linear operators: for Burgers' equation tr K_rr stays random (deviation "
            "over mean at the largest width, over that at the smallest)",
            nonlinear[-1] / nonlinear[0],
            low=0.5,
            spread=", ".join(f"{v:.2g}" for v in nonlinear) + " by width",
        ),
        Claim(
            "kernel regression",
            "the solution that an infinitely wide PINN converges to, poisson1d (largest relative L2 "
            f"error over a = {', '.join(regression)})",
            max(regression.values()),
            high=1e-3,
            spread=", ".join(f"a = {a}: {e:.1e}" for a, e in regression.items()),
        ),
    ]


EXPERIMENT = Experiment(
    name="limit",
    title="Theorem 4.1: the kernel of infinitely wide PINNs",
    statement="As the width grows, K at initialization converges in probability to a deterministic "
    "kernel.",
    sizes={
        "smoke": Config((("poisson1d", "sin", 1),), (32, 128), (0, 1), 3, 8, (1,), 1),
        "paper": Config(),
    },
    run=run,
    plot=plot,
    claims=claims,
)
