"""The preset that the library's problems share."""

from __future__ import annotations

from pinntk.optim import adam
from pinntk.problem import Problem
from pinntk.training import Setup, Training
from pinntk.weighting import NTKWeights


def adam_setup(problem: Problem, *, steps: int, decay_steps: int) -> Setup:
    """Adam at 1e-3, falling by 0.9 every `decay_steps`, with Algorithm 1 and a 3×50 tanh network."""
    optimizer = adam(1e-3, decay_rate=0.9, decay_steps=decay_steps)
    return Setup(problem, Training(optimizer, steps=steps, weighting=NTKWeights(every=100)))
