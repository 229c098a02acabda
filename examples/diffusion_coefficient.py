"""An inverse problem: a diffusion coefficient that varies in space, from noisy observations of u.

(κ(x) u_x)_x = f on [0, 1] with u = x + sin(2πx)/10 and κ = 1 + sin(3x)/2. Known are f, u at both ends,
and u at 100 random places with noise of 0.002. κ is a second network, kept positive; its value at
x = 0 is known too, as every flux κ u_x + constant has the same divergence.

    pinntk train examples/diffusion_coefficient.py:setup
    python examples/diffusion_coefficient.py
"""

import argparse

import jax.numpy as jnp
import numpy as np

import pinntk as pk

NOISE, OBSERVATIONS = 0.002, 100
rod = pk.Interval(x=(0, 1))


def exact(p):
    return p[0] + jnp.sin(2 * jnp.pi * p[0]) / 10


def kappa(p):
    return 1 + jnp.sin(3 * p[0]) / 2


def flux_divergence(u, p):
    """(κ u_x)_x = κ u_xx + κ_x u_x at one point."""
    k = u.coefficient("kappa")
    return (k(p) * u.d("x", "x") + k.d("x")(p) * u.d("x"))(p)


SOURCE = pk.Field(exact, ("x",), coefficients={"kappa": pk.Field(kappa, ("x",))})


def observed():
    """Places (100, 1) and noisy values (100,)."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1, (OBSERVATIONS, 1))
    values = places[:, 0] + np.sin(2 * np.pi * places[:, 0]) / 10
    return places, values + NOISE * rng.standard_normal(OBSERVATIONS)


problem = pk.Problem(
    "diffusion_coefficient",
    rod,
    [
        pk.Condition(
            "flux", lambda u, p: flux_divergence(u, p) - flux_divergence(SOURCE, p), rod, 200
        ),
        pk.dirichlet("ends", rod.faces(), exact, 2),
        pk.Condition(
            "kappa_left", lambda u, p: u.coefficient("kappa")(p) - kappa(p), rod.face(x=0), 1
        ),
        pk.observations("data", rod, *observed()),
    ],
    solution=exact,
    coefficients={
        "kappa": pk.Unknown(
            lambda key: pk.Positive(pk.MLP(1, width=10, depth=2, key=key)), true=kappa
        )
    },
)
setup = pk.natural_setup(problem, steps=300, width=10, input_scale=1.0)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A diffusion coefficient κ(x) from data.")
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    if parser.parse_args().smoke:
        setup = setup.replace(training=setup.training.replace(steps=5))
    with pk.progress_bar(setup.training.steps) as bar:
        result = pk.start_run(setup, observers=[bar])
    print(f"{result.message}, relative L2 error {result.relative_l2:.1e}")
    places = np.linspace(0, 1, 6)[:, None]
    with pk.precision(setup.dtype):
        batch = setup.start().batch
        found = pk.coefficient_uncertainty(problem, result.model, batch, {"data": NOISE})
        estimate = found.coefficient("kappa", places)
    print("    x  kappa    std    true")
    for x, value, std in zip(places, estimate.value, estimate.std, strict=True):
        print(f"{x[0]:5.1f} {value:6.3f} {std:6.3f}  {float(kappa(x)):6.3f}")
