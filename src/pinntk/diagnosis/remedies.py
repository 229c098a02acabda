"""What helps against what was found, as changes of the recipe and as a line of code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pinntk.diagnosis.findings import Remedy
from pinntk.diagnosis.words import number

if TYPE_CHECKING:
    from pinntk.diagnosis.evidence import Evidence

Remedies = tuple[Remedy, ...]

NATURAL = Remedy(
    "Solve with the kernel in place of descending it: the natural gradient.",
    {"optimizer": "natural-gradient"},
    "optimizer=pk.NaturalGradient()  # with a float64 model",
    fresh=True,
)
#: Fourier features of a standard deviation of half the waves: with inputs on [−1, 1], k waves over the
#: domain are k/2 for every unit of the input.
_PER_UNIT = 0.5


def balance(e: Evidence) -> Remedies:
    """Equal rates by Algorithm 1, or no competition at all."""
    found = [_ntk(e)] if e.recipe.weighting != "ntk" else []
    return (*found, *_hard(e), NATURAL)


def _ntk(e: Evidence) -> Remedy:
    every = min(100, max(1, e.recipe.steps // 100))
    return Remedy(
        "Weight the conditions by Algorithm 1, so that all have one average rate.",
        {"weighting": "ntk", "every": every},
        f"weighting=pk.NTKWeights(every={every})",
    )


def _hard(e: Evidence) -> Remedies:
    if e.problem.hard is None or e.recipe.hard:
        return ()
    names = ", ".join(e.problem.hard.conditions)
    return (
        Remedy(
            f"Build {names} into the model, so that they need no term.",
            {"hard": True},
            "problem.hardened()",
        ),
    )


def revive(e: Evidence) -> Remedies:
    """A network that can learn."""
    own = e.problem.network is not None
    fresh = Remedy(
        "Start from a fresh network with small weights and a smooth activation (tanh).",
        {"activation": "tanh"},
        "model = pk.MLP(d, width=50, depth=3, scaling=scaling, key=key)",
        own_network=not own,
    )
    return (fresh, NATURAL)


def reconcile(e: Evidence) -> Remedies:  # noqa: ARG001
    """No option mends a contradiction."""
    return (
        Remedy(
            "Correct the data or the values where they disagree, or take one of the conditions away there; "
            "a smooth ramp in time removes a jump at a corner.",
            {},
            "pk.dirichlet(name, where, lambda p: ramp(p[1]) * value(p), points)",
        ),
    )


def enlarge(e: Evidence) -> Remedies:
    """More parameters."""
    width = max(4 * e.recipe.width, 20)
    depth = max(e.recipe.depth, 2)
    wider = Remedy(
        f"Use a larger network, {depth} layers of {width}.",
        {"width": width, "depth": depth},
        f"pk.MLP(d, width={width}, depth={depth}, key=key)",
        own_network=e.problem.network is None,
    )
    return (wider, NATURAL)


def double(e: Evidence) -> Remedies:  # noqa: ARG001
    """Twice the digits."""
    exact = Remedy(
        "Compute in float64, or rewrite the residual so that large numbers do not cancel.",
        {"dtype": "float64"},
        'jax.config.update("jax_enable_x64", True)',
    )
    return (exact, NATURAL)


def exact_products(e: Evidence) -> Remedies:  # noqa: ARG001
    """Products in full."""
    return (
        Remedy(
            "Ask for full precision of matrix products.",
            {},
            'jax.config.update("jax_default_matmul_precision", "highest")',
        ),
    )


def rescale_inputs(e: Evidence) -> Remedies:
    """Inputs on [−1, 1]."""
    found = []
    if e.recipe.scaling != "unit" or e.recipe.input_scale != 1.0:
        found.append(
            Remedy(
                "Map the domain onto [−1, 1] in front of the network.",
                {"scaling": "unit", "input_scale": 1.0},
                "scaling=pk.InputScaling.to_unit(domain.lower, domain.upper)",
                own_network=e.problem.network is None,
            )
        )
    return (*found, NATURAL)


def rescale_outputs(e: Evidence, wanted: float) -> Remedies:  # noqa: ARG001
    """An unknown of order one."""
    size = number(10 ** round(math.log10(wanted))) if wanted > 0 else "1"
    text = (
        f"Solve for v = u/{size}, in which values are of order one; the natural gradient needs no such "
        "change."
    )
    return (Remedy(text, {}, f"u = {size} * v in every residual"), NATURAL)


def other_step(e: Evidence, stable: float) -> Remedies:
    """A learning rate that is stable and gets somewhere."""
    rate = float(f"{0.5 * stable:.1g}") if e.recipe.optimizer == "sgd" else 1e-3
    found = []
    if rate != e.recipe.learning_rate:
        name = "gradient_descent" if e.recipe.optimizer == "sgd" else "adam"
        found.append(
            Remedy(
                f"Use a learning rate of {number(rate)}.",
                {"learning_rate": rate},
                f"pk.{name}({rate:g})",
            )
        )
    if e.recipe.optimizer == "sgd":
        found.append(
            Remedy("Use Adam.", {"optimizer": "adam", "learning_rate": 1e-3}, "pk.adam(1e-3)")
        )
    return (*found, NATURAL)


def more_points(e: Evidence, name: str, needed: int) -> Remedies:
    """Points enough for what the network can learn."""
    more = Remedy(
        f"Use {needed:,} points for '{name}'.",
        {"points": {**e.recipe.points, name: needed}},
        f'problem.with_points({{"{name}": {needed}}})',
    )
    return (more, NATURAL)


def grow_points() -> Remedies:
    """Few points first."""
    return (
        Remedy(
            "Begin with a quarter of the points and let them grow.",
            {"resampling": "growing"},
            "resampling=pk.ProgressivePoints()",
        ),
    )


def follow_time(e: Evidence) -> Remedies:
    """Early times first, or all at once by solving."""
    found = [] if e.recipe.weighting == "ntk" else [_ntk(e)]
    redraw = Remedy(
        "Draw the points anew where the residual is large, which is early.",
        {"resampling": "residual"},
        "resampling=pk.ResidualAdaptive()",
    )
    return (NATURAL, *_hard(e), *found, redraw)


def raise_frequencies(e: Evidence, waves: Mapping[str, float]) -> Remedies:
    """Features of the frequencies that are left, or no bias at all."""
    scale = float(f"{max(1.0, _PER_UNIT * max(waves.values(), default=2.0)):.2g}")
    features = 2 * max(e.recipe.width, 20)
    fourier = Remedy(
        f"Give the network Fourier features of the frequencies that are left (scale {scale:g}).",
        {"fourier_features": features, "fourier_scale": scale},
        f"embedding=pk.FourierFeatures(d, {features}, scale={scale:g}, key=key)",
        own_network=e.problem.network is None,
    )
    return (fourier, NATURAL)
