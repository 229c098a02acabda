"""Why a PINN does not learn the wave equation, and what weights from the kernel change about it.

To run it:

    python examples/wave_weights.py           # about a minute
    python examples/wave_weights.py --smoke   # a few steps, to see that it runs
"""

import argparse

import pinntk as pk

parser = argparse.ArgumentParser()
parser.add_argument("--smoke", action="store_true", help="a few steps only")
steps = 50 if parser.parse_args().smoke else 10_000

problem = pk.library.wave1d(c=2, a=4)
training = pk.Training(pk.adam(1e-3, decay_rate=0.9, decay_steps=1000), steps=steps)
plain = pk.Setup(problem, training)
weighted = plain.replace(training=training.replace(weighting=pk.NTKWeights(every=100)))

print("Before training:", pk.forecast(problem, plain.start().model, training), sep="\n", end="\n\n")

results = {}
for name, setup in {"all weights 1": plain, "Algorithm 1": weighted}.items():
    with pk.progress_bar(steps) as bar:
        results[name] = pk.start_run(setup, observers=[bar])

print("After training with all weights 1:")
print(pk.forecast(problem, results["all weights 1"].model, training), end="\n\n")

names = problem.names
print(f"{'':<14}{'error':>10}" + "".join(f"{name:>12}" for name in names))
for name, result in results.items():
    losses = "".join(f"{result.losses[condition]:>12.1e}" for condition in names)
    print(f"{name:<14}{result.relative_l2:>10.1e}{losses}")
