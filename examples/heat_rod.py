"""Your own PDE: a rod held cold at one end and insulated at the other.

On the command line, or as a script:

    pinntk diagnose examples/heat_rod.py:setup
    pinntk train examples/heat_rod.py:setup
    python examples/heat_rod.py
"""

import argparse

import jax.numpy as jnp

import pinntk as pk

KAPPA, QUARTER = 0.2, jnp.pi / 2
rod = pk.SpaceTime(x=(0, 1), t=(0, 1))


def heat(u, p):
    """u_t = κ u_xx at one point p = (x, t)."""
    return (u.d("t") - KAPPA * u.d("x", "x"))(p)


def exact(p):
    """Two decaying modes; only needed to measure the error."""
    x, t = p
    slow = jnp.exp(-KAPPA * QUARTER**2 * t) * jnp.sin(QUARTER * x)
    fast = jnp.exp(-KAPPA * (5 * QUARTER) ** 2 * t) * jnp.sin(5 * QUARTER * x)
    return slow + fast / 2


problem = pk.Problem(
    "heat_rod",
    rod,
    [
        pk.dirichlet("cold", rod.face(x=0), 0.0, points=64),
        pk.neumann("insulated", rod.face(x=1), 0.0, points=64),
        pk.initial_value("start", rod, exact, points=64),
        pk.Condition("heat", heat, rod, points=256),
    ],
    solution=exact,
)
training = pk.Training(pk.adam(1e-3), steps=5_000, weighting=pk.NTKWeights(every=100))
setup = pk.Setup(problem, training, pk.Network(width=32))

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    smoke = parser.parse_args().smoke
    if smoke:
        setup = setup.replace(training=training.replace(steps=50))
    print(pk.examine(setup, steps=min(setup.training.steps, 2000)))
    with pk.progress_bar(setup.training.steps) as bar:
        result = pk.start_run(setup, observers=[bar])
    print(f"Adam {result.message}, relative L2 error {result.relative_l2:.1e}")

    # The same equation, solved with the kernel: a smaller network, in float64, some hundred steps.
    natural = pk.natural_setup(problem, steps=5 if smoke else 300)
    with pk.progress_bar(natural.training.steps) as bar:
        result = pk.start_run(natural, observers=[bar])
    print(f"Natural gradient {result.message}, relative L2 error {result.relative_l2:.1e}")
