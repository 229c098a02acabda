"""Draw the README's picture: what the kernel says of Poisson a = 4, and what its weights do."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from pinntk.runs import set_up, start_run

from pinntk.kernel import spectrum, tangent_kernel
from pinntk.report.figures import COLOURS, MARKERS, SETTINGS, STYLES, new_figure, save

IMAGES = Path(__file__).parent / "images"
STEPS = 40_000


def main() -> None:
    """Write docs/images/poisson.png and .svg."""
    plain = set_up("poisson1d:a=4", "paper", {"log_every": 400})
    weighted = set_up("poisson1d:a=4", "paper", {"log_every": 400, "weighting": "ntk"})
    kernel = tangent_kernel(plain.problem, plain.model, plain.batch)
    with mpl.rc_context(SETTINGS):
        figure, (left, right) = new_figure(2, width=7.2, height=2.7)
        for name, colour, marker in zip(kernel.names, COLOURS, MARKERS, strict=False):
            found = spectrum(kernel.block(name))
            above = found.eigenvalues[: found.rank]
            index = np.arange(1, len(above) + 1)
            left.loglog(index, above, color=colour, marker=marker, label=f"K of {name}")
        rates = kernel.rates()
        ratio = rates["residual"] / rates["boundary"]
        left.set_title(f"why: boundary converges {ratio:.0f}× slower")
        left.set_xlabel("index")
        left.set_ylabel("eigenvalue at the start")
        left.legend()
        for label, setup, colour, style in (
            ("unweighted", plain, COLOURS[0], STYLES[0]),
            ("weights from the kernel", weighted, COLOURS[1], STYLES[1]),
        ):
            rows = start_run(setup).history
            errors = [row.relative_l2 for row in rows]
            right.semilogy(
                [row.step for row in rows], errors, color=colour, linestyle=style, label=label
            )
        right.set_title("what makes it train")
        right.set_xlabel("gradient descent step")
        right.set_ylabel("relative L2 error")
        right.legend()
    for ending in ("png", "svg"):
        save(figure, IMAGES / f"poisson.{ending}")


if __name__ == "__main__":
    main()
