"""An inverse problem: the viscosity of Burgers' equation from 200 noisy observations.

u_t + u u_x = ν u_xx on [−1, 1] × [0, 1], u(x, 0) = −sin πx. The observations are the exact solution
(Cole–Hopf) for ν = 0.01/π at random places with noise of 1%; the search starts from ν = 0.05.

    pinntk train examples/burgers_viscosity.py:setup
    python examples/burgers_viscosity.py
"""

import argparse
import math

import jax
import jax.numpy as jnp
import numpy as np

import pinntk as pk

NU, NOISE, OBSERVATIONS = 0.01 / math.pi, 0.01, 200
domain = pk.SpaceTime(x=(-1, 1), t=(0, 1))
exact = pk.library.cole_hopf(NU)


def burgers(u, p):
    nu = u.coefficient("nu")
    return (u.d("t") + u(p) * u.d("x") - nu * u.d("x", "x"))(p)


def observed():
    """Places (200, 2) and noisy values (200,)."""
    rng = np.random.default_rng(0)
    places = rng.uniform(domain.lower, domain.upper, (OBSERVATIONS, 2))
    with pk.precision("float64"):
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
)
setup = pk.natural_setup(
    problem,
    steps=400,
    width=16,
    depth=3,
    input_scale=2.0,
    # Points that follow the shock: with fixed ones the residual vanishes on them and not between.
    resampling=pk.ResidualAdaptive(every=100),
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The viscosity of Burgers' equation from data.")
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    if parser.parse_args().smoke:
        setup = setup.replace(training=setup.training.replace(steps=5))
    with pk.progress_bar(setup.training.steps) as bar:
        result = pk.start_run(setup, observers=[bar])
    print(f"{result.message}, relative L2 error {result.relative_l2:.1e}")
    with pk.precision(setup.dtype):
        batch = setup.start().batch
        print(pk.coefficient_uncertainty(problem, result.model, batch, {"data": NOISE}))
    print(f"The true nu is {NU:.6g}.")
