"""Figures 2 and 3: how far parameters and kernel move during gradient descent, against the width."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from pinntk.jacobian import trainable
from pinntk.kernel import spectrum, tangent_kernel
from pinntk.library import poisson1d_paper
from pinntk.nets import AbstractParametrization, NTKParametrization, StandardParametrization, lecun
from pinntk.optim import gradient_descent
from pinntk.paper.record import Arrays, Claim, Experiment, Watch, listed
from pinntk.paper.sweep import draw_models, train_many, with_network
from pinntk.report import Curve, Panel, draw
from pinntk.training import Setup, member_model

#: As `Config`, which is written to a file, calls them: that of `poisson1d_paper`, and that of the theory.
PARAMETRIZATIONS: Mapping[str, AbstractParametrization] = {
    "standard": StandardParametrization(lecun, bias_std=1.0),
    "ntk": NTKParametrization(),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Widths and depth of the networks, their seeds, gradient descent, and how many kernels to compute.

    `shown` are the widths of the paper's figure; all `widths` enter the fit of the exponent.
    """

    depth: int
    widths: tuple[int, ...] = (10, 30, 100, 250, 500)
    shown: tuple[int, ...] = (10, 100, 500)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    steps: int = 10_000
    learning_rate: float = 1e-5
    kernels: int = 20
    parametrization: str = "standard"

    @property
    def at(self) -> tuple[int, ...]:
        """The steps at which K is computed: 0 and then spread over all decades."""
        later = np.geomspace(10 if self.steps > 100 else 1, self.steps, self.kernels)
        return (0, *sorted({round(float(s)) for s in later}))


def run(config: Config, folder: Path, watch: Watch) -> Arrays:  # noqa: ARG001
    """Relative changes of θ and K by width, (seeds, steps), and spectra of one seed at both ends."""
    at = config.at
    out: dict[str, Any] = {"steps": list(at), "width": {}}
    with watch(len(config.widths) * len(at), f"depth {config.depth}") as bar:
        for number, width in enumerate(config.widths):
            setup = _setup(config, width)
            models, batch = draw_models(setup, config.seeds)
            moved: dict[str, list[list[float]]] = {"parameters": [], "kernel": []}
            ends = {}
            kernels: list[np.ndarray] = []
            for i, look in enumerate(train_many(setup, models, batch, at)):
                now = [member_model(look.parameters, models[0], j) for j in range(len(models))]
                found = [tangent_kernel(setup.problem, model, batch) for model in now]
                if not kernels:
                    kernels = [kernel.matrix for kernel in found]
                moved["parameters"].append(
                    [_moved(_flat(m), _flat(m0)) for m, m0 in zip(now, models, strict=True)]
                )
                moved["kernel"].append(
                    [_moved(k.matrix, k0) for k, k0 in zip(found, kernels, strict=True)]
                )
                if i in (0, len(at) - 1):
                    ends[str(look.step)] = listed(spectrum(found[0].matrix).eigenvalues)
                bar.progress(number * len(at) + i + 1, len(config.widths) * len(at), None)
            out["width"][str(width)] = {
                **{name: listed(np.transpose(values)) for name, values in moved.items()},
                "spectra": ends,
            }
    out["shown"] = [str(width) for width in config.shown]
    return out


def _setup(config: Config, width: int) -> Setup:
    setup = poisson1d_paper(1.0)
    descent = gradient_descent(config.learning_rate)
    return with_network(
        setup.replace(training=setup.training.replace(optimizer=descent)),
        width=width,
        depth=config.depth,
        parametrization=PARAMETRIZATIONS[config.parametrization],
    )


def _flat(model: Any) -> np.ndarray:
    leaves = jax.tree.leaves(trainable(model)[0])
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in leaves])


def _moved(now: np.ndarray, before: np.ndarray) -> float:
    """‖now − before‖ / ‖before‖, Euclidean or Frobenius."""
    return float(np.linalg.norm(now - before) / np.linalg.norm(before))


class Fit(NamedTuple):
    """y ∝ widthᵉ with the standard error of e, over all seeds."""

    exponent: float
    error: float


def fit_exponent(widths: Sequence[float] | np.ndarray, values: np.ndarray) -> Fit:
    """Least squares of log y over log width; `values` (widths, seeds). The error is that of the slope."""
    x = np.repeat(np.log(np.asarray(widths, float)), values.shape[1])
    y = np.log(values.ravel())
    design = np.stack([x - x.mean(), np.ones_like(x)], axis=1)
    (slope, _), *_ = np.linalg.lstsq(design, y, rcond=None)
    left = y - design @ np.array([slope, y.mean()])
    freedom = max(1, len(x) - 2)
    return Fit(float(slope), float(np.sqrt(left @ left / freedom / (design[:, 0] @ design[:, 0]))))


def plot(arrays: Arrays) -> object:
    """Changes of θ and K over the steps, the spectra at both ends, and the largest changes over width."""
    steps = arrays["steps"]
    panels = []
    for quantity, label in (("parameters", "θ"), ("kernel", "K")):
        curves = []
        for width in arrays["shown"]:
            values = np.array(arrays["width"][width][quantity])
            low, high = values.min(0), values.max(0)
            curves.append(Curve(steps, np.median(values, 0), f"width {width}", low, high))
        panels.append(Panel(curves, f"relative change of {label}", "step", "", xscale="log"))
    curves, floor = [], 0.0
    for width in arrays["shown"]:
        for step, values in arrays["width"][width]["spectra"].items():
            index = np.arange(1, len(values) + 1)
            curves.append(Curve(index, values, f"width {width}, step {int(step):,}"))
            floor = max(floor, len(values) * np.finfo(np.float64).eps * values[0])
    panels.append(
        Panel(
            curves,
            "eigenvalues of K",
            "index",
            "",
            xscale="log",
            floor=floor,
            legend_below=True,
        )
    )
    widths, curves = [float(w) for w in arrays["width"]], []
    for quantity, label in (("parameters", "θ"), ("kernel", "K")):
        values = _largest(arrays, quantity)
        fit = fit_exponent(widths, values)
        name = f"{label}: width^({fit.exponent:.2f} ± {fit.error:.2f})"
        curves.append(Curve(widths, np.median(values, 1), name, values.min(1), values.max(1)))
    panels.append(Panel(curves, "largest relative change", "width", "", xscale="log"))
    return draw(panels, columns=2)


def _largest(arrays: Arrays, quantity: str) -> np.ndarray:
    """The largest change during training, (widths, seeds)."""
    return np.array([np.max(w[quantity], axis=1) for w in arrays["width"].values()])


def claims(arrays: Arrays) -> Sequence[Claim]:
    """The changes shrink with the width, and the spectrum of the widest network stays as it was."""
    widths = [float(w) for w in arrays["width"]]
    found = []
    for quantity, label in (("parameters", "θ"), ("kernel", "K")):
        values = _largest(arrays, quantity)
        fit = fit_exponent(widths, values)
        medians = np.median(values, 1)
        text = ", ".join(f"{w:g}: {m:.2g}" for w, m in zip(widths, medians, strict=True))
        found.append(
            Claim(
                f"{label} moves less in wide networks",
                f"the relative change of {label} falls as the width grows (exponent of its largest "
                "value against the width)",
                fit.exponent,
                high=-0.25,
                spread=f"± {fit.error:.2g}, {values.shape[1]} seeds; medians {text}",
            )
        )
    widest = arrays["width"][str(int(max(widths)))]
    start, end = (np.array(values) for values in widest["spectra"].values())
    # Below that the eigenvalues fall by a decade from one index to the next.
    top = start > 1e-4 * start[0]
    factors = end[top] / start[top]
    found.append(
        Claim(
            "the spectrum stays",
            "the eigenvalues of the widest network are the same at the start and the end, on "
            "logarithmic axes (largest factor between the two, of those above λ_max/10⁴)",
            float(np.max(np.maximum(factors, 1 / factors))),
            high=2.0,
            spread="one network",
        )
    )
    return found


def claims_lazy(arrays: Arrays) -> Sequence[Claim]:
    """In the NTK parametrization both changes fall like width^(−1/2), the rate of the theorems."""
    widths = [float(w) for w in arrays["width"]]
    found = []
    for quantity, label in (("parameters", "θ"), ("kernel", "K")):
        values = _largest(arrays, quantity)
        fit = fit_exponent(widths, values)
        medians = ", ".join(
            f"{w:g}: {m:.2g}" for w, m in zip(widths, np.median(values, 1), strict=True)
        )
        found.append(
            Claim(
                f"{label} moves like width^(-1/2)",
                f"K converges to a constant kernel as the width grows (Theorems 4.3 and 4.4; exponent "
                f"of the largest relative change of {label})",
                fit.exponent,
                low=-0.7,
                high=-0.4,
                spread=f"± {fit.error:.2g}, {values.shape[1]} seeds; medians {medians}",
            )
        )
    return found


def _experiment(name: str, depth: int, words: str, smoke: Config) -> Experiment:
    return Experiment(
        name=name,
        title=f"Change of θ and K during gradient descent, {words}, Poisson, a = 1",
        statement="The relative changes of the parameters and of the kernel during training shrink as "
        "the width grows, and the spectrum of a wide network stays nearly the same.",
        sizes={"smoke": smoke, "paper": Config(depth=depth)},
        run=run,
        plot=plot,
        claims=claims,
    )


_SMOKE = Config(1, (10, 40), (10, 40), (0, 1), steps=50, kernels=3)
FIG2 = _experiment("fig2", 1, "one hidden layer", _SMOKE)
FIG3 = _experiment("fig3", 3, "three hidden layers", dataclasses.replace(_SMOKE, depth=3))
LAZY = Experiment(
    name="lazy",
    title="Change of θ and K in the NTK parametrization, one hidden layer, Poisson, a = 1",
    statement="Theorems 4.3 and 4.4: with the width the kernel stays nearly constant during training.",
    sizes={
        "smoke": dataclasses.replace(_SMOKE, parametrization="ntk", learning_rate=1e-3),
        "paper": Config(
            1,
            widths=(30, 100, 300, 1000, 3000),
            shown=(30, 300, 3000),
            seeds=tuple(range(10)),
            steps=2000,
            learning_rate=1e-3,
            kernels=12,
            parametrization="ntk",
        ),
    },
    run=run,
    plot=plot,
    claims=claims_lazy,
)
