"""Residual energy in modes that the planned steps do not learn."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar

from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.evidence import STUCK, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.optim import SecondOrder
from pinntk.training import Network, Setup
from pinntk.words import number, percent

#: Standard deviation of Fourier features per wave over the domain: with inputs on [−1, 1], k waves are
#: k/2 for every unit of the input, and a quarter of that leaves room for the slow part of the solution.
#: With twice as much, features fit the fast part and train an order worse.
PER_WAVE = 0.125
#: How many features.
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
        name = max(set(names), key=names.count)
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
            e.proposals(functools.partial(raise_frequencies, waves), natural_gradient),
        )


def raise_frequencies(
    waves: Mapping[str, float], setup: Setup, evidence: Evidence
) -> Proposal | None:
    """Fourier features that reach the frequencies that are left."""
    del evidence
    network = setup.network
    scale = float(f"{PER_WAVE * max(waves.values(), default=0.0):.2g}")
    if not isinstance(network, Network) or network.fourier_features or scale < 1:
        return None
    if network.hard and setup.problem.hard is not None and setup.problem.hard.periodic:
        return None
    shape = network.replace(fourier_features=FEATURES, fourier_scale=scale)
    changed = setup.replace(network=shape)
    text = f"Give the network Fourier features of the frequencies that are left (scale {scale:g})."
    return Proposal(text, changed, changed_code(setup, changed))
