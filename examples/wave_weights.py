"""Why a PINN does not learn the wave equation, and what weights from the kernel change about it.

To run it:

    python examples/wave_weights.py           # about a minute
    python examples/wave_weights.py --smoke   # a few steps, to see that it runs
"""

import argparse

import jax

import pinntk as pk

parser = argparse.ArgumentParser()
parser.add_argument("--smoke", action="store_true", help="a few steps only")
smoke = parser.parse_args().smoke
steps = 50 if smoke else 10_000

problem = pk.library_problem("wave1d:c=2,a=4")
scaling = pk.InputScaling.to_unit((0, 0), (1, 1))
model = pk.MLP(2, width=50, depth=3, scaling=scaling, key=jax.random.key(0))
optimizer = pk.adam(1e-3, decay_rate=0.9, decay_steps=1000)

print("Before training:", pk.first_look(problem, model, steps=steps), sep="\n", end="\n\n")

results = {}
for name, weighting in {"all weights 1": pk.Fixed(), "Algorithm 1": pk.NTKWeights(100)}.items():
    with pk.progress_bar(steps) as bar:
        results[name] = pk.train(
            problem,
            model,
            optimizer=optimizer,
            weighting=weighting,
            steps=steps,
            key=jax.random.key(1),
            observers=[bar],
        )

print("After training with all weights 1:")
print(pk.first_look(problem, results["all weights 1"].model, steps=steps), end="\n\n")

names = problem.names
print(f"{'':<14}{'error':>10}" + "".join(f"{name:>12}" for name in names))
for name, result in results.items():
    losses = "".join(f"{result.losses[condition]:>12.1e}" for condition in names)
    print(f"{name:<14}{result.relative_l2:>10.1e}{losses}")
