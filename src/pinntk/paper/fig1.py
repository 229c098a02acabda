"""Figure 1: spectra of K, K_uu and K_rr of the 1-D Poisson problem at initialization."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pinntk.kernel import spectrum, tangent_kernel
from pinntk.library import poisson1d_paper
from pinntk.paper.record import Arrays, Claim, Experiment, Watch, listed, spread
from pinntk.paper.sweep import draw_models, with_network
from pinntk.report import Curve, Panel, draw

#: The paper's names of the blocks.
BLOCKS = {"K": "K", "boundary": "K_uu", "residual": "K_rr"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Frequencies a of u* = sin(aπx), width of the hidden layer, seeds of the networks."""

    frequencies: tuple[int, ...] = (1, 2, 4)
    width: int = 100
    seeds: tuple[int, ...] = tuple(range(10))


def run(config: Config, folder: Path, watch: Watch) -> Arrays:  # noqa: ARG001
    """Eigenvalues by frequency and block, (seeds, n), and how far K of one network varies with a."""
    found: dict[str, dict[str, np.ndarray]] = {}
    first: dict[int, np.ndarray] = {}
    total = len(config.frequencies) * len(config.seeds)
    with watch(total, "spectra") as bar:
        for i, a in enumerate(config.frequencies):
            setup = with_network(poisson1d_paper(a), width=config.width)
            models, batch = draw_models(setup, config.seeds)
            values: dict[str, list[np.ndarray]] = {block: [] for block in BLOCKS}
            for j, model in enumerate(models):
                kernel = tangent_kernel(setup.problem, model, batch)
                first.setdefault(a, kernel.matrix)
                for block in BLOCKS:
                    matrix = kernel.matrix if block == "K" else kernel.block(block)
                    values[block].append(spectrum(matrix).eigenvalues)
                bar.progress(i * len(models) + j + 1, total, None)
            found[str(a)] = {block: np.stack(v) for block, v in values.items()}
    reference = first[config.frequencies[0]]
    change = max(
        float(np.abs(k - reference).max() / np.abs(reference).max()) for k in first.values()
    )
    return {
        "eigenvalues": {
            a: {b: listed(v) for b, v in blocks.items()} for a, blocks in found.items()
        },
        "change_with_frequency": change,
    }


def plot(arrays: Arrays) -> object:
    """A panel per frequency; the median over networks with their range."""
    panels = []
    for a, blocks in arrays["eigenvalues"].items():
        curves = []
        for block, label in BLOCKS.items():
            values = np.array(blocks[block])
            index = np.arange(1, values.shape[1] + 1)
            low, high = values.min(0), values.max(0)
            curves.append(Curve(index, np.median(values, 0), label, low, high))
        largest = max(np.max(values) for values in blocks.values())
        floor = len(blocks["K"][0]) * np.finfo(np.float64).eps * largest
        panels.append(Panel(curves, f"a = {a}", "index", "eigenvalue", xscale="log", floor=floor))
    return draw(panels)


def claims(arrays: Arrays) -> Sequence[Claim]:
    """The eigenvalues of K_uu lie far below those of K_rr and fall off fast; a does not enter K."""
    ratios, decays = [], []
    for blocks in arrays["eigenvalues"].values():
        boundary, residual = np.array(blocks["boundary"]), np.array(blocks["residual"])
        ratios += list(residual[:, 0] / boundary[:, 0])
        decays += list((residual > 1e-3 * residual[:, :1]).sum(1) / residual.shape[1])
    return [
        Claim(
            "K_rr above K_uu",
            "the eigenvalues of K_uu are far below those of K_rr (λ_max of K_rr over that of K_uu)",
            float(np.median(ratios)),
            low=10.0,
            spread=spread(ratios, "networks"),
        ),
        Claim(
            "fast decay",
            "the eigenvalues fall off fast (share of those of K_rr above λ_max/1000)",
            float(np.median(decays)),
            high=0.25,
            spread=spread(decays, "networks"),
        ),
        Claim(
            "the frequency does not enter",
            "not stated: K depends on the operator, the points and the network, not on f or g, so that "
            "the panels for a = 1, 2, 4 are the same (largest difference for one network)",
            arrays["change_with_frequency"],
            high=1e-12,
        ),
    ]


EXPERIMENT = Experiment(
    name="fig1",
    title="Spectra of K, K_uu and K_rr at initialization, Poisson, a = 1, 2, 4",
    statement="Most eigenvalues are near zero and those of K_uu are much smaller than those of K_rr, "
    "so the residual is fitted long before the boundary values.",
    sizes={"smoke": Config((1, 4), 20, (0, 1)), "paper": Config()},
    run=run,
    plot=plot,
    claims=claims,
)
