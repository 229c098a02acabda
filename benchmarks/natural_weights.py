"""Do loss weights matter to the natural gradient? The same runs with weights a hundred times off.

Poisson a = 4 and the wave equation, the library's settings for the natural gradient, and Adam with the
same network and points, and steps that take about as long. Writes results/natural_weights.json and
docs/natural-gradient-weights.md.

    python benchmarks/natural_weights.py [--smoke | --check]

`--check` measures nothing and fails where the page is not what the record says.
"""

from __future__ import annotations

import json
import statistics
import sys
import warnings
from pathlib import Path
from typing import Any

from common import RESULTS, keep_page, parser, use_cores, write
from kernel_tables import table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "natural-gradient-weights.md"
RECORD = RESULTS / "natural_weights.json"
#: The condition whose weight is changed, and the steps of either optimizer, which take about as long.
PROBLEMS = {
    "poisson1d:a=4": ("boundary", {"natural-gradient": 300, "adam": 10_000}),
    "wave1d": ("values", {"natural-gradient": 500, "adam": 15_000}),
}
WAYS = ("equal", "× 100", "÷ 100", "Algorithm 1")
OPTIMIZERS = ("natural-gradient", "adam")


def weighting(way: str, name: str) -> Any:
    """The rule of a way to weight: one condition's weight made larger or smaller, or all by the kernel."""
    import pinntk as pk

    if way == "Algorithm 1":
        return pk.NTKWeights(every=10)
    return pk.Fixed({name: {"equal": 1.0, "× 100": 100.0, "÷ 100": 0.01}[way]})


def run(problem: str, optimizer: str, way: str, seed: int, steps: int) -> dict[str, Any]:
    """One run of so many steps."""
    import pinntk as pk
    from pinntk.cli.loading import load
    from pinntk.training import start_run

    name, _ = PROBLEMS[problem]
    setup = load(problem, "natural-gradient").setup
    training = setup.training.replace(weighting=weighting(way, name), steps=steps, log_every=steps)
    if optimizer == "adam":
        adam = pk.adam(1e-3, decay_rate=0.9, decay_steps=2000)
        training = training.replace(optimizer=adam)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pk.PinntkWarning)
        result = start_run(setup.replace(training=training), seed)
    return {
        "problem": problem,
        "optimizer": optimizer,
        "way": way,
        "seed": seed,
        "steps": result.steps,
        "outcome": str(result.outcome),
        "relative_l2": result.relative_l2,
    }


def median(record: dict[str, Any], **wanted: Any) -> float:
    """The median error of the runs with these fields."""
    runs = [r for r in record["runs"] if all(r[key] == value for key, value in wanted.items())]
    return statistics.median(run["relative_l2"] for run in runs)


def weighted() -> str:
    """The library's problems that the natural gradient solves with the weights of Algorithm 1."""
    import pinntk as pk

    presets = {n: e.presets["natural-gradient"]() for n, e in pk.library.PROBLEMS.items()}
    names = [n for n, p in presets.items() if isinstance(p.training.weighting, pk.NTKWeights)]
    return ", ".join(f"`{name}`" for name in names)


def page(record: dict[str, Any]) -> str:
    """docs/natural-gradient-weights.md."""
    rows = []
    for problem in record["problems"]:
        for optimizer in OPTIMIZERS:
            errors = [median(record, problem=problem, optimizer=optimizer, way=w) for w in WAYS]
            rows.append(
                [
                    f"`{problem}`, {PROBLEMS[problem][0]}",
                    f"{optimizer}, {PROBLEMS[problem][1][optimizer]:,} steps",
                    *(f"{error:.1e}" for error in errors),
                    f"{max(errors) / min(errors):.0f}",
                ]
            )
    header = ["problem, weight changed", "optimizer", *WAYS, "largest / smallest"]
    versions, seeds = record["versions"], len({run["seed"] for run in record["runs"]})
    return f"""# Weights and the natural gradient

Gradient descent reduces each mode of the kernel in proportion to its eigenvalue. A condition with small
eigenvalues is left behind, and Algorithm 1 compensates with a larger weight. The natural gradient
solves with the kernel: it multiplies a mode of eigenvalue λ by μ/(λ + μ), so all modes above the
damping μ disappear equally fast, whatever their eigenvalues. A weight multiplies eigenvalues, which
only matters if a mode crosses the damping. Near the end, when μ is small, no important mode does.
Earlier, while μ is large, a condition with too small a weight lies below the damping and has to wait,
as it does for gradient descent.

The table shows the median relative L2 error over {seeds} seeds, with the weight of one condition a
hundred times larger or smaller than the others', and with Algorithm 1's weights every ten steps:

{table(header, rows)}
The last column is the ratio between the worst and the best weights. If the run is nearly converged
(Poisson), the natural gradient hardly depends on the weights, and any of them gives a far smaller error
than Adam's best. If the run is cut short (the wave equation), the weights decide how far it gets: a
small weight on the values costs most of the progress, and Algorithm 1 gains.

So the natural gradient does not depend on weights to work: wrong weights delay it, and right ones save
time. `--optimizer natural-gradient --weighting ntk` combines both. This is the library's preset for
{weighted()}, whose conditions differ by orders of magnitude; [time to accuracy](time-to-accuracy.md)
shows the gain.

`{record["command"]}`, {record["dtype"]}, {record["processor"]}, {record["cores"]} core(s),
JAX {versions["jax"]}, Python {record["python"]}. This page is written by that command from
results/natural_weights.json.
"""


def main() -> int:
    made = parser(__doc__ or "")
    made.add_argument("--cores", type=int, default=1)
    made.add_argument("--check", action="store_true", help="only compare the page with the record")
    arguments = made.parse_args()
    if arguments.check:
        text = page(json.loads(RECORD.read_text()))
        return keep_page(PAGE, text, "benchmarks/natural_weights.py")
    use_cores(arguments.cores)
    problems = ["poisson1d:a=4"] if arguments.smoke else list(PROBLEMS)
    ways = WAYS[:1] if arguments.smoke else WAYS
    runs = []
    for problem in problems:
        for optimizer in OPTIMIZERS:
            steps = 10 if arguments.smoke else PROBLEMS[problem][1][optimizer]
            for way in ways:
                for seed in range(1 if arguments.smoke else 3):
                    runs.append(run(problem, optimizer, way, seed, steps))
                    shown = f"{runs[-1]['relative_l2']:.2e}"
                    print(
                        f"{problem:14s} {optimizer:17s} {way:12s} seed {seed} {shown}", flush=True
                    )
    record = {"dtype": "float64", "problems": problems, "runs": runs}
    target = write("natural_weights", arguments, record, short=True)
    if target == RECORD:
        keep_page(PAGE, page(json.loads(RECORD.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
