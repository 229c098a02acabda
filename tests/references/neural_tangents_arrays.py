"""Make `neural_tangents.npz`: kernels by neural-tangents, with which the tests compare ours.

It runs in the environment of that library, whose Python `python benchmarks/peers/environments.py
neural-tangents` prints. Its Jacobian contraction and its structured derivatives must agree before
anything is written. The structured ones read two names that JAX removed from `jax.interpreters.ad`;
they are put back, as they take no part in the arithmetic.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import itertools
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import neural_tangents as nt
import numpy as np
from jax._src import source_info_util
from jax.interpreters import ad

jax.config.update("jax_enable_x64", True)
ad.__dict__.update(source_info_util=source_info_util, config=jax.config)

TOLERANCE = 1e-12
CONTRACTION, STRUCTURED = 1, 3


def network(layers, x):
    for weight, bias in layers[:-1]:
        x = jnp.tanh(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def value(layers, x):
    return network(layers, x)[:1]


def wave(layers, x):
    """u_tt − 4 u_xx by forward mode in forward mode."""

    def second(axis):
        v = jnp.eye(2)[axis]
        slope = lambda y: jax.jvp(lambda z: network(layers, z)[0], (y,), (v,))[1]
        return jax.jvp(slope, (x,), (v,))[1]

    return (second(1) - 4 * second(0))[None]


def kernel(function, layers, x, other=None):
    """(n, n') for one output and (n, n', m, m) for m, by both ways."""
    layers, x, other = jax.tree.map(jnp.asarray, (layers, x, other))
    found = []
    for way in (CONTRACTION, STRUCTURED):
        outputs = lambda layers, x: jax.vmap(function, (None, 0))(layers, x)
        ntk = nt.empirical_ntk_fn(outputs, trace_axes=(), vmap_axes=0, implementation=way)
        found.append(np.asarray(ntk(x, other, layers)))
    error = np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[0])
    assert error < TOLERANCE, f"{function.__name__}: the two ways differ by {error:.1e}"
    return found[0]


def draw(rng, sizes):
    return [
        (rng.normal(size=(a, b)) / np.sqrt(a), 0.3 * rng.normal(size=b))
        for a, b in itertools.pairwise(sizes)
    ]


def main():
    rng = np.random.default_rng(0)
    x, other = rng.uniform(size=(7, 2)), rng.uniform(size=(5, 2))
    scalar, pair = draw(rng, (2, 6, 6, 1)), draw(rng, (2, 6, 2))
    arrays = {
        "x": x,
        "other": other,
        "value": kernel(value, scalar, x),
        "wave": kernel(wave, scalar, x),
        "wave_other": kernel(wave, scalar, x, other),
        "pair": kernel(network, pair, x),
        "versions": np.array([f"{name} {version(name)}" for name in ("neural-tangents", "jax")]),
    }
    for name, layers in (("scalar", scalar), ("pair", pair)):
        for number, (weight, bias) in enumerate(layers):
            arrays |= {f"{name}_weight_{number}": weight, f"{name}_bias_{number}": bias}
    target = Path(__file__).with_name("neural_tangents.npz")
    np.savez_compressed(target, **arrays)
    print(f"wrote {target.name}:", {name: array.shape for name, array in arrays.items()})


if __name__ == "__main__":
    main()
