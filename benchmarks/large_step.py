"""A natural gradient where no matrix would fit: 20,000 residuals, more than 20,000 parameters.

The wave equation with a 3×100 network, in float64. Conjugate gradients on the kernel with a Nyström
preconditioner form neither J nor K; beside them what the two matrices would take. And SPRING on the same
network, from a few hundred points at a time. Writes results/large_step.json.
"""

from __future__ import annotations

import dataclasses
import resource
import time
from typing import Any

from common import parser, use_cores, write


def setup_of(points: int, width: int, redrawn: bool, optimizer: Any, steps: int) -> Any:
    import pinntk as pk

    counts = {"values": points // 5, "velocity": points // 20, "residual": 3 * points // 4}
    problem = pk.library.wave1d().with_points(counts)
    if redrawn:
        conditions = [dataclasses.replace(c, redraw_every=1) for c in problem.conditions]
        problem = dataclasses.replace(problem, conditions=conditions)
    training = pk.Training(optimizer, steps=steps, log_every=1)
    return pk.Setup(problem, training, pk.Network(width=width), "float64")


def trained(points: int, width: int, redrawn: bool, optimizer: Any, steps: int) -> dict[str, Any]:
    """Losses before and after so many steps, and the seconds of one after the first."""
    import warnings

    from pinntk.errors import PinntkWarning
    from pinntk.jacobian import parameter_count
    from pinntk.training import precision, start_run

    setup = setup_of(points, width, redrawn, optimizer, steps)
    with precision(setup.dtype):
        start = setup.start()
        n = sum(start.problem.rows(start.model, start.batch).values())
    p = parameter_count(start.model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PinntkWarning)
        began = time.perf_counter()
        result = start_run(setup)
    first, last = result.history[0], result.history[-1]
    return {
        "optimizer": str(optimizer),
        "residuals": n,
        "parameters": p,
        "steps": result.steps,
        "loss_before": sum(first.losses.values()),
        "loss_after": sum(last.losses.values()),
        "error_before": first.relative_l2,
        "error_after": last.relative_l2,
        "seconds_per_step": (last.seconds - result.history[1].seconds) / max(1, result.steps - 1),
        "seconds": time.perf_counter() - began,
        "dense_gigabytes": 8e-9 * n * p,
        "kernel_gigabytes": 8e-9 * min(n, p) ** 2,
    }


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--cores", type=int, default=1)
    arguments = made.parse_args()
    use_cores(arguments.cores)
    import pinntk as pk

    points, width, steps = (400, 10, 2) if arguments.smoke else (20_000, 100, 3)
    rank = 20
    solver = pk.ConjugateGradients(rank=rank, iterations=rank, tolerance=1e-2)
    implicit = pk.NaturalGradient(solver=solver, acceleration=False)
    few = 100 if arguments.smoke else 400
    runs = [
        trained(points, width, False, implicit, steps),
        trained(few, width, True, pk.SPRING(), 2 if arguments.smoke else 150),
    ]
    for run in runs:
        print(
            f"{run['residuals']:,} residuals, {run['parameters']:,} parameters: loss "
            f"{run['loss_before']:.2e} to {run['loss_after']:.2e} in {run['steps']} steps of "
            f"{run['seconds_per_step']:.2g} s"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    record = {"dtype": "float64", "runs": runs, "peak_gigabytes": peak}
    write("large_step", arguments, record)


if __name__ == "__main__":
    main()
