"""The library's problems by name, each with the setups it is solved with."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pinntk.library import (
    burgers,
    helmholtz,
    kdv,
    kovasznay,
    poisson,
    reaction,
    taylor_green,
    transport,
    wave,
)
from pinntk.problem import Problem
from pinntk.training import Setup


@dataclasses.dataclass(frozen=True)
class Entry:
    """A problem of the library: its factory, a one-line description, and its presets by name.

    `presets` has "default" (Adam with Algorithm 1), "natural-gradient", and "paper" where the problem
    is one of the paper's; each takes the factory's parameters.
    """

    name: str
    problem: Callable[..., Problem]
    description: str
    presets: Mapping[str, Callable[..., Setup]]

    @property
    def options(self) -> dict[str, float]:
        """The factory's parameters with their defaults."""
        return parameters(self.problem)


def parameters(factory: Callable[..., Any]) -> dict[str, float]:
    """The parameters of a factory or preset with their defaults."""
    found = inspect.signature(factory).parameters.values()
    return {parameter.name: parameter.default for parameter in found}


_ENTRIES = (
    Entry(
        "poisson1d",
        poisson.poisson1d,
        "u'' = f, solution sin(aπx); a plain PINN fails for a = 4",
        {
            "default": poisson.poisson1d_adam,
            "natural-gradient": poisson.poisson1d_natural_gradient,
            "paper": poisson.poisson1d_paper,
        },
    ),
    Entry(
        "wave1d",
        wave.wave1d,
        "u_tt = c² u_xx, standing waves; three terms at very different rates",
        {
            "default": wave.wave1d_adam,
            "natural-gradient": wave.wave1d_natural_gradient,
            "paper": wave.wave1d_paper,
        },
    ),
    Entry(
        "helmholtz2d",
        helmholtz.helmholtz2d,
        "Δu + k²u = q, solution sin(a1 πx) sin(a2 πy)",
        {
            "default": helmholtz.helmholtz2d_adam,
            "natural-gradient": helmholtz.helmholtz2d_natural_gradient,
        },
    ),
    Entry(
        "heat1d",
        transport.heat1d,
        "u_t = κ u_xx, a decaying half-wave",
        {
            "default": transport.heat1d_adam,
            "natural-gradient": transport.heat1d_natural_gradient,
        },
    ),
    Entry(
        "advection1d",
        transport.advection1d,
        "u_t + c u_x = 0, a periodic traveling wave",
        {
            "default": transport.advection1d_adam,
            "natural-gradient": transport.advection1d_natural_gradient,
        },
    ),
    Entry(
        "convection1d",
        transport.convection1d,
        "u_t + β u_x = 0 on [0, 2π], fifty times as fast",
        {
            "default": transport.convection1d_adam,
            "natural-gradient": transport.convection1d_natural_gradient,
        },
    ),
    Entry(
        "burgers1d",
        burgers.burgers1d,
        "u_t + u u_x = ν u_xx, a shock layer; Cole–Hopf solution",
        {
            "default": burgers.burgers1d_adam,
            "natural-gradient": burgers.burgers1d_natural_gradient,
        },
    ),
    Entry(
        "taylor_green2d",
        taylor_green.taylor_green2d,
        "Navier–Stokes for u, v, p; Taylor–Green vortex",
        {
            "default": taylor_green.taylor_green2d_adam,
            "natural-gradient": taylor_green.taylor_green2d_natural_gradient,
        },
    ),
    Entry(
        "kovasznay2d",
        kovasznay.kovasznay2d,
        "steady Navier–Stokes for u, v, p; Kovasznay's flow",
        {
            "default": kovasznay.kovasznay2d_adam,
            "natural-gradient": kovasznay.kovasznay2d_natural_gradient,
        },
    ),
    Entry(
        "poisson_nd",
        poisson.poisson_nd,
        "−Δu = f in d dimensions, solution Σ sin(πx_i)",
        {
            "default": poisson.poisson_nd_adam,
            "natural-gradient": poisson.poisson_nd_natural_gradient,
        },
    ),
    Entry(
        "allen_cahn1d",
        reaction.allen_cahn1d,
        "u_t = d u_xx + 5u − 5u³, steep fronts; spectral solution",
        {
            "default": reaction.allen_cahn1d_adam,
            "natural-gradient": reaction.allen_cahn1d_natural_gradient,
        },
    ),
    Entry(
        "reaction_diffusion1d",
        reaction.reaction_diffusion1d,
        "u_t = ν u_xx + ρ u(1 − u), Fisher's equation; spectral solution",
        {
            "default": reaction.reaction_diffusion1d_adam,
            "natural-gradient": reaction.reaction_diffusion1d_natural_gradient,
        },
    ),
    Entry(
        "kdv1d",
        kdv.kdv1d,
        "u_t + u u_x + μ² u_xxx = 0, solitons; spectral solution",
        {"default": kdv.kdv1d_adam, "natural-gradient": kdv.kdv1d_natural_gradient},
    ),
)

#: Every problem of the library, by name.
PROBLEMS: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
