"""The wave equation at width 100: 20,000 Adam steps, plain against Algorithm 1, same seed."""

from __future__ import annotations

from common import parse, write
from pinntk.library import wave1d_adam
from pinntk.training import Network, start_run
from pinntk.weighting import Fixed, NTKWeights

WAYS = {"plain": Fixed(), "Algorithm 1": NTKWeights(every=100)}


def main() -> None:
    arguments = parse(__doc__ or "")
    width, steps = (16, 300) if arguments.smoke else (100, 20_000)
    seeds = range(1 if arguments.smoke else 3)
    setup, ways = wave1d_adam().replace(network=Network(width=width, depth=3)), {}
    for way, weighting in WAYS.items():
        runs = []
        training = setup.training.replace(weighting=weighting, steps=steps, log_every=steps // 20)
        for seed in seeds:
            result = start_run(setup.replace(training=training), seed)
            runs.append(
                {
                    "seed": seed,
                    "relative_l2": result.relative_l2,
                    "weights": dict(result.weights),
                    "losses": dict(result.losses),
                    "seconds": result.seconds,
                }
            )
            print(f"{way:12s} seed {seed}: {result.relative_l2:.3e}  {result.seconds:.0f} s")
        ways[way] = {"runs": runs}
    ratios = [
        plain["relative_l2"] / weighted["relative_l2"]
        for plain, weighted in zip(ways["plain"]["runs"], ways["Algorithm 1"]["runs"], strict=True)
    ]
    print("plain / Algorithm 1:", ", ".join(f"{ratio:.1f}" for ratio in ratios))
    record = {"width": width, "steps": steps, "dtype": "float32", "ways": ways, "ratios": ratios}
    write("wave_weights", arguments, record)


if __name__ == "__main__":
    main()
