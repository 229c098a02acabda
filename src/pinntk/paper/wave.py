"""Figures 6 to 8: the wave equation at full size, plain and with Algorithm 1, and its kernel on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pinntk.kernel import TangentKernel, spectrum, tangent_kernel
from pinntk.library import wave1d_paper
from pinntk.paper.record import Arrays, Claim, Experiment, Watch, listed, spread
from pinntk.paper.sweep import with_network
from pinntk.paper.training import Trained, trained
from pinntk.problem import Model
from pinntk.report import Curve, Panel, draw, solution_map
from pinntk.training import Setup
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights, ntk_weights

#: Points per side of a drawn solution.
GRID = 61
#: How the conditions are called in the paper.
BLOCKS = {"values": "K_u", "velocity": "K_ut", "residual": "K_r"}
#: The loss of `values` stands for three means of the authors' code, with either rule.
FACTORS = {"values": 3.0}
#: The two rules by the names that results are kept under.
RULES: Mapping[str, AbstractWeighting] = {
    "fixed": Fixed(FACTORS),
    "ntk": NTKWeights(every=100, factors=FACTORS),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The run of the figure (width, steps, seed) and smaller ones of several seeds beside it.

    `snapshots` are the steps at which kernels are computed, by the number that a step really has.
    """

    width: int = 500
    steps: int = 80_000
    seed: int = 0
    snapshots: tuple[int, ...] = (0, 10_000, 40_000, 80_000)
    checkpoint_every: int = 2000
    small_width: int = 200
    small_seeds: tuple[int, ...] = (0, 1, 2)


def setup_of(weighting: str, width: int, steps: int) -> Setup:
    """The paper's setup with one of the `RULES`, of another width and length."""
    setup = with_network(wave1d_paper(), width=width)
    return setup.replace(training=setup.training.replace(steps=steps, weighting=RULES[weighting]))


def _run(
    config: Config, folder: Path, watch: Watch, weighting: str, width: int, seed: int
) -> Trained:
    name = f"wave-{weighting}-width-{width}-seed-{seed}"
    with watch(config.steps, name) as bar:
        return trained(
            folder / "runs" / name,
            setup_of(weighting, width, config.steps),
            seed=seed,
            snapshots=config.snapshots,
            checkpoint_every=config.checkpoint_every,
            observers=[bar],
        )


def _solution(run: Trained) -> dict[str, Any]:
    """Network and exact solution on a grid of x and t."""
    axis = np.linspace(0.0, 1.0, GRID)
    points = jnp.asarray(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2))
    solution = run.start.problem.solution
    assert solution is not None

    def values(function: Any) -> Any:
        return listed(np.asarray(jax.vmap(function)(points)).reshape(GRID, GRID), 4)

    model = run.models[max(run.models)]
    return {"axis": listed(axis), "network": values(model), "exact": values(solution)}


def _trained(config: Config, folder: Path, watch: Watch, weighting: str) -> Arrays:
    run = _run(config, folder, watch, weighting, config.width, config.seed)
    thin = max(1, len(run.rows) // 200)
    rows = [*run.rows[:-1:thin], run.rows[-1]]
    others = {
        kind: [
            _run(config, folder, watch, kind, config.small_width, seed).result
            for seed in config.small_seeds
        ]
        for kind in ("fixed", "ntk")
    }
    small = {kind: [r["relative_l2"] for r in results] for kind, results in others.items()}
    seconds = run.result["seconds"] + sum(r["seconds"] for rs in others.values() for r in rs)
    return {
        "steps": [row.step for row in rows],
        "losses": {n: [row.losses[n] for row in rows] for n in rows[0].losses},
        "weights": {n: [row.weights[n] for row in rows] for n in rows[0].weights},
        "error": [row.relative_l2 for row in rows],
        "final": run.result["relative_l2"],
        "width": config.width,
        "training_seconds": seconds,
        "environment": run.environment,
        "small": {"width": config.small_width, "error": small},
        **_solution(run),
    }


def run_fig6(config: Config, folder: Path, watch: Watch) -> Arrays:
    """Plain training."""
    return _trained(config, folder, watch, "fixed")


def run_fig8(config: Config, folder: Path, watch: Watch) -> Arrays:
    """Training with Algorithm 1 every 100 steps."""
    return _trained(config, folder, watch, "ntk")


def plot_training(arrays: Arrays) -> object:
    """Network, exact solution and absolute error over x and t."""
    axis = np.array(arrays["axis"])
    network, exact = np.array(arrays["network"]), np.array(arrays["exact"])
    return solution_map((axis, axis), ("x", "t"), network, exact)


def plot_losses(arrays: Arrays) -> object:
    """Losses of the conditions and error over the steps."""
    steps = arrays["steps"]
    losses = [Curve(steps, values, name) for name, values in arrays["losses"].items()]
    return draw(
        [
            Panel(losses, "loss, unweighted", "step", ""),
            Panel([Curve(steps, arrays["error"])], "relative L2 error", "step", ""),
        ]
    )


def run_fig7(config: Config, folder: Path, watch: Watch) -> Arrays:
    """Spectra of the blocks at the snapshots of both runs, on the points of step 0; the weights."""
    out: Arrays = {"runs": {}}
    for weighting in ("ntk", "fixed"):
        run = _run(config, folder, watch, weighting, config.width, config.seed)
        kernels = {step: _kernel(run, model) for step, model in run.models.items()}
        first = kernels[config.snapshots[0]].matrix
        thin = max(1, len(run.rows) // 200)
        out["runs"][weighting] = {
            "steps": [row.step for row in run.rows[::thin]],
            "weights": {n: [row.weights[n] for row in run.rows[::thin]] for n in BLOCKS},
            "spectra": {
                str(step): {n: listed(spectrum(k.block(n)).eigenvalues) for n in BLOCKS}
                for step, k in kernels.items()
            },
            "traces": {str(step): k.traces() for step, k in kernels.items()},
            "factors": FACTORS,
            "change": {
                str(step): float(np.linalg.norm(k.matrix - first) / np.linalg.norm(first))
                for step, k in kernels.items()
            },
            "algorithm_1": {
                str(step): {n: float(v) for n, v in ntk_weights(k.traces(), k.rows).items()}
                for step, k in kernels.items()
            },
        }
    return out


def _kernel(run: Trained, model: Model) -> TangentKernel:
    return tangent_kernel(run.start.problem, model, run.start.batch)


def plot_fig7(arrays: Arrays) -> object:
    """Spectra of the run with Algorithm 1, a panel per block, and its weights."""
    run = arrays["runs"]["ntk"]
    panels = []
    for name, label in BLOCKS.items():
        curves, floor = [], 0.0
        for step, blocks in run["spectra"].items():
            values = blocks[name]
            curves.append(Curve(np.arange(1, len(values) + 1), values, f"step {int(step):,}"))
            floor = max(floor, len(values) * np.finfo(np.float64).eps * values[0])
        panels.append(Panel(curves, label, "index", "eigenvalue", xscale="log", floor=floor))
    weights = [Curve(run["steps"], values, f"λ_{name}") for name, values in run["weights"].items()]
    panels.append(Panel(weights, "weights of Algorithm 1", "step", ""))
    return draw(panels, columns=2)


def claims_fig6(arrays: Arrays) -> Sequence[Claim]:
    """Plain training fails, for every seed."""
    small = arrays["small"]
    errors = small["error"]["fixed"]
    return [
        Claim(
            "plain training fails",
            f"relative L2 error about 4.5e-01 after plain training (width {arrays['width']})",
            arrays["final"],
            low=0.1,
            spread="one run, as in the paper",
        ),
        Claim(
            "it fails for every seed",
            f"not stated: the same at width {small['width']}, the smallest over seeds",
            min(errors),
            low=0.1,
            spread=spread(errors),
        ),
    ]


def claims_fig8(arrays: Arrays) -> Sequence[Claim]:
    """Algorithm 1 works, and better than plain training for every seed."""
    small = arrays["small"]
    errors = small["error"]
    gains = [plain / ours for plain, ours in zip(errors["fixed"], errors["ntk"], strict=True)]
    return [
        Claim(
            "Algorithm 1 works",
            f"relative L2 error about 1.7e-03 with Algorithm 1 (width {arrays['width']})",
            arrays["final"],
            high=5e-3,
            spread="one run, as in the paper",
            remark="Why not 1.7e-03: the run that the authors published with their code ends at "
            "3.86e-03. Runs of the same settings differ by their random points and initial weights: "
            f"by a factor of {max(errors['ntk']) / min(errors['ntk']):.1f} here over the seeds at width "
            f"{small['width']}.",
        ),
        Claim(
            "it gains for every seed",
            f"not stated: error of plain training over that with Algorithm 1 at width {small['width']}, "
            "the smallest over seeds",
            min(gains),
            low=10.0,
            spread=f"errors {spread(errors['ntk'])}",
        ),
    ]


def claims_fig7(arrays: Arrays) -> Sequence[Claim]:
    """The blocks differ in size, the kernel moves early and then stays, the weights balance the rates."""
    run = arrays["runs"]["ntk"]
    last = list(run["traces"])[-1]
    traces: Mapping[str, float] = run["traces"][last]
    changes = list(run["change"].values())
    early, late = changes[1], changes[-1]
    factors = run["factors"]
    own = {n: values[-1] / factors.get(n, 1.0) for n, values in run["weights"].items()}
    rates = [own[n] * traces[n] for n in BLOCKS]
    return [
        Claim(
            "the residual dominates",
            "the eigenvalues of K_r lie orders of magnitude above those of K_u (traces at the last "
            "snapshot)",
            traces["residual"] / traces["values"],
            low=10.0,
            spread="one run",
        ),
        Claim(
            "the kernel is not constant",
            "not as in the limit of infinite width: the spectra grow during the first part of the "
            "training (relative change of K at the second snapshot)",
            early,
            low=0.5,
            spread=f"one run; at the last snapshot {late:.3g}",
        ),
        Claim(
            "the weights balance the rates",
            "λ_k tr K_kk is the same for every condition (largest over smallest at the last step; the "
            "weights are up to 100 steps old and of other random points; divided by the 3 that the "
            "loss of values bears)",
            max(rates) / min(rates),
            high=1.5,
            spread="one run",
        ),
    ]


_SMOKE = Config(
    width=16,
    steps=60,
    snapshots=(0, 20, 40, 60),
    checkpoint_every=20,
    small_width=16,  # which are the runs of the figure once more
    small_seeds=(0,),
)
_SIZES = {"smoke": _SMOKE, "paper": Config()}
FIG6 = Experiment(
    name="fig6",
    title="Wave equation, plain training",
    statement="The plain PINN fails: relative L2 error about 4.5e-01.",
    sizes=_SIZES,
    run=run_fig6,
    plot=plot_training,
    claims=claims_fig6,
    more_plots={"losses": plot_losses},
)
FIG7 = Experiment(
    name="fig7",
    title="Wave equation: spectra of K_u, K_ut and K_r, and the weights, during training",
    statement="Eigenvalues of the three blocks at steps 0, 10,000, 40,000 and 80,000, and the weights "
    "of Algorithm 1.",
    sizes=_SIZES,
    run=run_fig7,
    plot=plot_fig7,
    claims=claims_fig7,
)
FIG8 = Experiment(
    name="fig8",
    title="Wave equation with Algorithm 1",
    statement="With Algorithm 1 the same network reaches a relative L2 error of about 1.7e-03.",
    sizes=_SIZES,
    run=run_fig8,
    plot=plot_training,
    claims=claims_fig8,
    more_plots={"losses": plot_losses},
)
