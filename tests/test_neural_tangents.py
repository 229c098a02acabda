"""Kernels against neural-tangents' (`references/neural_tangents_arrays.py` made the arrays)."""

from contextlib import nullcontext
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import assert_close
from pinntk.conditions import Condition
from pinntk.domain import SpaceTime
from pinntk.jacobian import FORMS, Use, gram
from pinntk.nets import MLP
from pinntk.problem import Problem, Sample
from programs import always_factored

STORED = dict(np.load(Path(__file__).parent / "references" / "neural_tangents.npz"))
SQUARE = SpaceTime(x=(0.0, 1.0), t=(0.0, 1.0))


def network(name):
    """The stored network."""
    depth = sum(key.startswith(f"{name}_weight") for key in STORED) - 1
    outputs = None if name == "scalar" else 2
    model = MLP(2, outputs, width=6, depth=depth, key=jax.random.key(0))
    for n in range(depth + 1):
        numbers = tuple(jnp.asarray(STORED[f"{name}_{kind}_{n}"]) for kind in ("weight", "bias"))
        model = eqx.tree_at(lambda m, n=n: (m.layers[n].weight, m.layers[n].bias), model, numbers)
    return model


def kernel(residual, name, form, points="x", other=None, counted=False):
    """K of one condition at stored points, every product factored, or those that pay by count."""
    fields = ("u",) if name == "scalar" else ("u", "v")
    problem = Problem("stored", SQUARE, [Condition("r", residual, SQUARE, 1)], fields=fields)

    @jax.jit
    def compute(points):
        built = [
            FORMS[form](problem, network(name), {"r": Sample(p, None)}, Use.GRAM) for p in points
        ]
        return gram(*built).matrix

    with nullcontext() if counted else always_factored():
        return compute([jnp.asarray(STORED[p]) for p in (points, other) if p])


def value(u, x):
    return u(x)


def wave(u, x):
    return (u.d("t", "t") - 4 * u.d("x", "x"))(x)


@each(("form", "counted"), [*((form, False) for form in FORMS), ("factored", True)])
def test_kernels_of_values_and_residuals(form, counted, x64):
    assert_close(kernel(value, "scalar", form, counted=counted), STORED["value"][..., 0, 0])
    assert_close(kernel(wave, "scalar", form, counted=counted), STORED["wave"][..., 0, 0])
    cross = kernel(wave, "scalar", form, other="other", counted=counted)
    assert_close(cross, STORED["wave_other"][..., 0, 0])


@pytest.mark.parametrize("form", FORMS)
def test_kernels_of_several_components(form, x64):
    """Rows are points first, then components."""
    stored = STORED["pair"]
    n, m = stored.shape[0], stored.shape[2]
    found = kernel(value, "pair", form)
    assert_close(found, stored.transpose(0, 2, 1, 3).reshape(n * m, n * m))
    with pytest.raises(AssertionError):
        assert_close(found, stored.transpose(2, 0, 3, 1).reshape(n * m, n * m))


def test_another_speed_does_not_agree(x64):
    """Control: u_tt − 2 u_xx."""
    slower = lambda u, x: (u.d("t", "t") - 2 * u.d("x", "x"))(x)
    with pytest.raises(AssertionError):
        assert_close(kernel(slower, "scalar", "factored"), STORED["wave"][..., 0, 0])
