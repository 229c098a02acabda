"""The experiments of Wang, Yu, Perdikaris, J. Comput. Phys. 449 (2022) 110768, each with its claims."""

from pinntk.paper.record import Claim, Experiment
from pinntk.paper.registry import EXPERIMENTS
from pinntk.paper.reproduce import Reproduction, Skipped, names_of, reproduce

__all__ = [
    "EXPERIMENTS",
    "Claim",
    "Experiment",
    "Reproduction",
    "Skipped",
    "names_of",
    "reproduce",
]
