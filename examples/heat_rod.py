"""Your own PDE: a rod held cold at one end and insulated at the other.

On the command line, or as a script:

    pinntk diagnose examples/heat_rod.py:problem
    pinntk train examples/heat_rod.py:problem
    python examples/heat_rod.py
"""

import argparse

import jax
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
    recipe=pk.Recipe(width=32, steps=5_000),
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    smoke = parser.parse_args().smoke
    steps = 50 if smoke else problem.recipe.steps
    scaling = pk.InputScaling.to_unit(rod.lower, rod.upper)
    model = pk.MLP(2, width=32, depth=3, scaling=scaling, key=jax.random.key(0))
    print(pk.diagnose(problem, model, steps=min(steps, 2000)))
    options = {"optimizer": pk.adam(1e-3), "weighting": pk.NTKWeights(), "steps": steps}
    with pk.progress_bar(steps) as bar:
        result = pk.train(problem, model, key=jax.random.key(1), observers=[bar], **options)
    print(f"Adam {result.message}, relative L2 error {result.relative_l2:.1e}")

    # The same equation, solved with the kernel: a smaller network, in float64, some hundred steps.
    jax.config.update("jax_enable_x64", True)
    steps = 5 if smoke else 300
    model = pk.MLP(2, width=20, depth=2, scaling=scaling, key=jax.random.key(0))
    optimizer = pk.NaturalGradient()
    with pk.progress_bar(steps) as bar:
        result = pk.train(
            problem, model, optimizer=optimizer, steps=steps, key=jax.random.key(1), observers=[bar]
        )
    print(f"Natural gradient {result.message}, relative L2 error {result.relative_l2:.1e}")
