"""Residual energy in modes that the planned steps do not learn."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Mapping
from typing import ClassVar

from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.evidence import STUCK, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.optim import SecondOrder
from pinntk.training import Network, Setup
from pinntk.words import number, percent

#: Standard deviation of Fourier features over the frequency f that is left. Nearly all draws of N(0, σ²)
#: lie within 2σ, and the network multiplies features, which doubles their frequencies: 4σ = f fills the
#: band from 0 to f, the slow part of the solution with it. A larger σ leaves that to few features.
OF_FREQUENCY = 0.25
#: Without a full wave along a coordinate, its features are those of one wave: the network must see it.
LEAST_WAVES = 1.0
#: The phase 2πσx of a typical feature turns by π over half a domain of [−1, 1] at σ = ½. A plain layer,
#: whose weights are of order one, makes such slow features itself.
LEAST_SCALE = 0.5
#: How many features for each coordinate: ten frequencies, of which one or two lie near the fastest.
FEATURES = 20


@dataclasses.dataclass(frozen=True)
class SpectralBias(AbstractFinding):
    """Residual energy in modes that the planned steps do not learn, however the conditions are weighted."""

    name: ClassVar[str] = "spectral bias"
    needs_training: ClassVar[bool] = True

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        if isinstance(e.training.optimizer.kind, SecondOrder):
            return None

        def slow(i: int) -> list[str]:
            alone = e.after[i].reach.alone
            return [name for name in e.stuck(i) if alone[name] > STUCK]

        share = e.share(lambda i: bool(slow(i)))
        if not e.enough(share):
            return None
        names = [name for i in range(e.draws) for name in slow(i)]
        name = statistics.mode(names)
        alone = e.median(lambda i: e.after[i].reach.alone[name])
        waves = {k: e.median(lambda i, k=k: e.after[i].waves[k]) for k in e.after[0].waves}
        fastest = max(waves, key=lambda k: waves[k]) if waves else None
        tail = (
            f", most of it near {number(waves[fastest])} waves along {fastest}" if fastest else ""
        )
        return Found(
            self.name,
            Severity.SEVERE,
            share,
            f"Spectral bias: {percent(alone)} of what is left of '{name}' lies in modes that "
            f"{e.baseline.planned:,} steps do not learn{tail}.",
            "Networks learn slow waves first; the kernel's eigenvalues fall steeply with frequency.",
            {
                "share of the residual out of reach": alone,
                "relative error expected to stay": e.median(e.error),
                **{f"waves of the residual along {k}": value for k, value in waves.items()},
            },
            "modes",
            e.proposals(functools.partial(raise_frequencies, _asked(e)), natural_gradient),
        )


def _asked(e: Evidence) -> dict[str, float]:
    """Waves along each coordinate that features should reach.

    The residual that is left has wiggles of the network beside what it misses; that of the untrained
    network is the forcing, slow parts and all. One errs upwards and the other downwards, so that their
    geometric mean errs less.
    """

    def waves(i: int, name: str) -> float:
        return math.sqrt(e.before[i].waves.get(name, 0.0) * e.after[i].waves[name])

    return {k: e.median(lambda i, k=k: waves(i, k)) for k in e.after[0].waves}


def raise_frequencies(
    waves: Mapping[str, float], setup: Setup, evidence: Evidence
) -> Proposal | None:
    """Fourier features that reach the frequencies that are left, along each coordinate its own."""
    network = setup.network
    if not isinstance(network, Network) or network.fourier_features:
        return None
    if network.hard and setup.problem.hard is not None and setup.problem.hard.periodic:
        return None
    if set(waves) != set(setup.problem.domain.coordinates):
        return None  # points that are given have no waves
    extents = _extents(setup, network, evidence)
    exact = {k: OF_FREQUENCY * max(waves[k], LEAST_WAVES) / extents[k] for k in extents}
    # Scaled inputs of another extent than [−1, 1] also change what a plain layer makes.
    fast = [k for k, scale in exact.items() if scale * extents[k] / 2 >= LEAST_SCALE]
    # Waves along several coordinates have more directions than there are random frequencies: features
    # took four waves along each of two coordinates from an error of 0.24 to 0.12 only.
    if len(fast) != 1:
        return None
    scales = {name: float(f"{scale:.2g}") for name, scale in exact.items()}
    alike = len(set(scales.values())) == 1
    scale = next(iter(scales.values())) if alike else scales
    shape = network.replace(fourier_features=FEATURES * len(scales), fourier_scale=scale)
    changed = setup.replace(network=shape)
    sizes = ", ".join(f"{size:g} along {name}" for name, size in scales.items())
    text = (
        "Give the network Fourier features of the frequencies that are left "
        f"(scale {f'{scale:g}' if isinstance(scale, float) else sizes})."
    )
    return Proposal(text, changed, changed_code(setup, changed), "fourier-features")


def _extents(setup: Setup, network: Network, evidence: Evidence) -> dict[str, float]:
    """How long the domain is along each coordinate in the units of the network's inputs."""
    domain = setup.problem.domain
    scaling = network.scaling(setup.problem, evidence.subject.draws[0].batch)
    units = (1.0,) * len(domain.coordinates) if scaling is None else scaling.scale
    factor = 1.0 if scaling is None else network.input_scale
    return {
        name: factor * (domain.bounds[name][1] - domain.bounds[name][0]) / unit
        for name, unit in zip(domain.coordinates, units, strict=True)
    }
