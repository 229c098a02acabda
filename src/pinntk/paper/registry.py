"""The experiments by name: figures in the order of the paper, then the theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pinntk.paper import bias, drift, dynamics, fig1, lemma, limit, poisson, wave
from pinntk.paper.record import Experiment

_FIGURES = (
    fig1.EXPERIMENT,
    drift.FIG2,
    drift.FIG3,
    poisson.FIG4,
    poisson.FIG5,
    wave.FIG6,
    wave.FIG7,
    wave.FIG8,
)
_THEORY = (
    lemma.EXPERIMENT,
    limit.EXPERIMENT,
    drift.LAZY,
    dynamics.EXPERIMENT,
    bias.EXPERIMENT,
)
EXPERIMENTS: Mapping[str, Experiment] = {e.name: e for e in (*_FIGURES, *_THEORY)}
#: Names that stand for several experiments.
GROUPS: Mapping[str, Sequence[str]] = {
    "figures": [e.name for e in _FIGURES],
    "theory": [e.name for e in _THEORY],
    "all": list(EXPERIMENTS),
}
SIZES = ("smoke", "paper")
