"""Poisson a = 4 in the authors' notebook setting: unweighted, λ_b = 100, Algorithm 1; five seeds."""

from __future__ import annotations

from common import median, parse, write
from pinntk.library import poisson1d_paper
from pinntk.training import start_run
from pinntk.weighting import Fixed, NTKWeights

WAYS = {
    "unweighted": Fixed(),
    "boundary 100": Fixed({"boundary": 100.0}),
    "Algorithm 1": NTKWeights(every=100),
}


def main() -> None:
    arguments = parse(__doc__ or "")
    seeds = range(2 if arguments.smoke else 5)
    steps = 1000 if arguments.smoke else 40_000
    setup, ways = poisson1d_paper(a=4), {}
    for way, weighting in WAYS.items():
        runs = []
        training = setup.training.replace(weighting=weighting, steps=steps, log_every=steps // 20)
        for seed in seeds:
            result = start_run(setup.replace(training=training), seed)
            first, last = result.history[1], result.history[-1]
            per_step = (last.seconds - first.seconds) / (last.step - first.step)
            runs.append(
                {
                    "seed": seed,
                    "relative_l2": result.relative_l2,
                    "weights": dict(result.weights),
                    "seconds_after_compilation": per_step * steps,
                    "seconds": result.seconds,
                }
            )
            print(f"{way:14s} seed {seed}: {result.relative_l2:.3e}  {per_step * steps:.2f} s")
        ways[way] = {
            "runs": runs,
            "median_relative_l2": median([run["relative_l2"] for run in runs]),
            "median_seconds": median([run["seconds_after_compilation"] for run in runs]),
            "median_weight_ratio": median(
                [run["weights"]["boundary"] / run["weights"]["residual"] for run in runs]
            ),
        }
        print(f"{way:14s} median: {ways[way]['median_relative_l2']:.3e}")
    write("poisson_weights", arguments, {"steps": steps, "dtype": "float32", "ways": ways})


if __name__ == "__main__":
    main()
