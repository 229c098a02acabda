"""The setups that a problem starts from when nothing else is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinntk.nets import StandardParametrization
from pinntk.optim import NaturalGradient, adam
from pinntk.problem import Problem
from pinntk.training.network import Network
from pinntk.training.nondimensional import nondimensional as scaled
from pinntk.training.plan import Training
from pinntk.training.resampling import AbstractResampling, AsConditioned
from pinntk.training.setup import Setup
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights


def default_setup(problem: Problem) -> Setup:
    """Adam at 1e-3 for 10,000 steps with Algorithm 1 every 100 steps, a 3×50 tanh network, float32."""
    return Setup(problem, Training(adam(1e-3), steps=10_000, weighting=NTKWeights(every=100)))


def natural_setup(
    problem: Problem,
    *,
    points: Mapping[str, int] | None = None,
    steps: int = 1000,
    weighting: AbstractWeighting = Fixed(),
    resampling: AbstractResampling = AsConditioned(),
    bias_std: float = 1.0,
    nondimensional: bool = True,
    **network: Any,
) -> Setup:
    """A natural-gradient run: a small network in float64, fixed points, no weights.

    One step solves for all parameters at once, which costs their number squared times the points, so
    the network is as small as the solution allows. The inputs are stretched and the biases spread, so
    that its units bend in different places from the start.

    **Arguments:** `points` are numbers of points by condition; `bias_std` is the standard deviation of
    the first biases; `network` are changes to `Network`: 2×20 tanh with `input_scale=3`. Fields and
    residuals far from order one are scaled (`pk.nondimensional`), unless `nondimensional` is False.
    """
    shape = Network(
        width=20,
        depth=2,
        input_scale=3.0,
        parametrization=StandardParametrization(bias_std=bias_std),
    )
    setup = Setup(
        problem.with_points(points or {}, redraw=False),
        Training(
            NaturalGradient(),
            steps=steps,
            weighting=weighting,
            resampling=resampling,
            log_every=10,
        ),
        shape.replace(**network),
        "float64",
    )
    return scaled(setup) if nondimensional else setup
