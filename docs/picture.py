"""Draw the picture of the home page: what the kernel says about Poisson a = 4, and what its weights do."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

import pinntk as pk
from pinntk.report.figures import COLOURS, MARKERS, SETTINGS, STYLES, new_figure, save
from pinntk.training import start_run

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Write docs/images/poisson.png and .svg."""
    plain = pk.library.poisson1d_paper(a=4)
    plain = plain.replace(training=plain.training.replace(log_every=400))
    weighted = plain.replace(training=plain.training.replace(weighting=pk.NTKWeights(every=100)))
    start = plain.start(seed=0)
    kernel = pk.tangent_kernel(start.problem, start.model, start.batch)
    with mpl.rc_context(SETTINGS):
        figure, (left, right) = new_figure(2, width=7.2, height=2.7)
        for name, color, marker in zip(kernel.names, COLOURS, MARKERS, strict=False):
            found = pk.spectrum(kernel.block(name))
            above = found.eigenvalues[: found.rank]
            index = np.arange(1, len(above) + 1)
            left.loglog(index, above, color=color, marker=marker, label=f"K of {name}")
        rates = kernel.rates()
        ratio = rates["residual"] / rates["boundary"]
        left.set_title(f"why: boundary converges {ratio:.0f}× slower")
        left.set_xlabel("index")
        left.set_ylabel("eigenvalue at the start")
        left.legend()
        for label, setup, color, style in (
            ("unweighted", plain, COLOURS[0], STYLES[0]),
            ("weights from the kernel", weighted, COLOURS[1], STYLES[1]),
        ):
            rows = start_run(setup).history
            errors = [row.relative_l2 for row in rows]
            right.semilogy(
                [row.step for row in rows], errors, color=color, linestyle=style, label=label
            )
        right.set_title("the fix: weights from the kernel")
        right.set_xlabel("gradient descent step")
        right.set_ylabel("relative L2 error")
        right.legend()
    for ending in ("png", "svg"):
        save(figure, IMAGES / f"poisson.{ending}")


if __name__ == "__main__":
    main()
