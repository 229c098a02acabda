"""A region of your own: Laplace's equation on an annulus, u = log r.

A region says its coordinates and bounds, and has three methods. Everything else follows: input scaling,
test points, held-out points, the diagnosis and its maps.

    pinntk train examples/own_region.py:problem
"""

import math

import jax.numpy as jnp
import numpy as np

import pinntk as pk

INNER, OUTER = 1.0, 2.0


class Annulus(pk.AbstractRegion):
    """The points of the plane with INNER ≤ r ≤ OUTER."""

    coordinates = ("x", "y")
    lower = (-OUTER, -OUTER)
    upper = (OUTER, OUTER)

    def sample(self, sampler, n, key):
        unit = sampler.sample(key, n, 2)
        radius = jnp.sqrt(INNER**2 + (OUTER**2 - INNER**2) * unit[:, 0])  # uniform in area
        angle = 2 * math.pi * unit[:, 1]
        return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle)], axis=1)

    def contains(self, points):
        radius = np.hypot(points[:, 0], points[:, 1])
        return (radius >= INNER) & (radius <= OUTER)

    def normal(self, point):
        outward = point / jnp.linalg.norm(point)
        return jnp.where(jnp.linalg.norm(point) > (INNER + OUTER) / 2, outward, -outward)


class Circle(pk.AbstractRegion):
    """The points at one distance from the origin."""

    coordinates = ("x", "y")

    def __init__(self, radius):
        self.radius = radius
        self.lower, self.upper = (-radius, -radius), (radius, radius)
        self.facts = pk.Facts(dimension=1, measure=2 * math.pi * radius)

    def sample(self, sampler, n, key):
        angle = 2 * math.pi * sampler.sample(key, n, 1)[:, 0]
        return self.radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)

    def contains(self, points):
        return np.abs(np.hypot(points[:, 0], points[:, 1]) - self.radius) <= 1e-6 * self.radius

    def normal(self, point):
        return point / jnp.linalg.norm(point)


def exact(p):
    return jnp.log(jnp.linalg.norm(p))


annulus = Annulus()
rims = pk.Union([Circle(INNER), Circle(OUTER)])
problem = pk.Problem(
    "annulus",
    annulus,
    [
        pk.dirichlet("rims", rims, exact, points=64),
        pk.Condition("laplace", lambda u, p: u.laplacian()(p), annulus, points=512),
    ],
    solution=exact,
)
setup = pk.natural_setup(problem, steps=40)

if __name__ == "__main__":
    with pk.precision(setup.dtype):
        start = setup.start(seed=0)
        result = pk.train(start.problem, start.model, setup.training, key=start.key)
    print(f"{result.message}, relative L2 error {result.relative_l2:.1e}")
