"""An inverse problem: the viscosity of Burgers' equation from 200 noisy observations.

u_t + u u_x = ν u_xx on [−1, 1] × [0, 1], u(x, 0) = −sin πx. The observations are the exact solution
(Cole–Hopf) for ν = 0.01/π at random places with noise of 1%; the search starts from ν = 0.05.

    pinntk train examples/burgers_viscosity.py:problem --optimizer natural-gradient
    python examples/burgers_viscosity.py
"""

import argparse
import math

import jax
import jax.numpy as jnp
import numpy as np
from pinntk.problems.burgers import cole_hopf

import pinntk as pk

NU, NOISE, OBSERVATIONS = 0.01 / math.pi, 0.01, 200
domain = pk.SpaceTime(x=(-1, 1), t=(0, 1))
exact = cole_hopf(NU)


def burgers(u, p):
    nu = u.coefficient("nu")
    return (u.d("t") + u(p) * u.d("x") - nu * u.d("x", "x"))(p)


def observed():
    """Places (200, 2) and noisy values (200,); computed in float64 whatever JAX is set to."""
    rng = np.random.default_rng(0)
    places = rng.uniform(domain.lower, domain.upper, (OBSERVATIONS, 2))
    with jax.enable_x64(True):
        values = np.asarray(jax.jit(jax.vmap(exact))(jnp.asarray(places)))
    return places, values + NOISE * rng.standard_normal(OBSERVATIONS)


problem = pk.Problem(
    "burgers_viscosity",
    domain,
    [
        pk.dirichlet("boundary", domain.walls(), 0.0, 100),
        pk.initial_value("initial", domain, lambda p: -jnp.sin(jnp.pi * p[0]), 100),
        pk.Condition("residual", burgers, domain, 2000),
        pk.observations("data", domain, *observed()),
    ],
    solution=exact,
    coefficients={"nu": pk.Unknown(pk.Positive(0.05), true=NU)},
    recipe=pk.Recipe(width=20, depth=4, steps=20_000, decay_rate=0.9, decay_steps=1000),
    natural=pk.natural(
        width=16,
        depth=3,
        input_scale=2.0,
        steps=400,
        # Points that follow the shock: with fixed ones the residual vanishes on them and not between.
        resampling="residual",
        resample_every=100,
    ),
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The viscosity of Burgers' equation from data.")
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    steps = 5 if parser.parse_args().smoke else problem.natural.steps
    jax.config.update("jax_enable_x64", True)
    optimizer = pk.NaturalGradient()
    scaling = pk.InputScaling.to_unit(domain.lower, domain.upper).stretched(2.0)
    network = pk.MLP(2, width=16, depth=3, scaling=scaling, key=jax.random.key(0))
    model = problem.with_coefficients(network, jax.random.key(1))
    batch = problem.sample(jax.random.key(2))
    with pk.progress_bar(steps) as bar:
        result = pk.train(
            problem,
            model,
            optimizer=optimizer,
            steps=steps,
            key=jax.random.key(2),
            batch=batch,
            resampling=pk.ResidualAdaptive(every=100),
            observers=[bar],
        )
    print(f"{result.message}, relative L2 error {result.relative_l2:.1e}")
    print(pk.coefficient_uncertainty(problem, result.model, batch, {"data": NOISE}))
    print(f"The true nu is {NU:.6g}.")
