"""A PDE problem: its domain, its conditions, its solution where one is known; and batches of points."""

from pinntk.problem.finite import NotFiniteResidual, not_finite_residual
from pinntk.problem.problem import HardConstraints, Problem
from pinntk.problem.samples import (
    HELD_OUT,
    Batch,
    Model,
    Sample,
    condition_key,
    draw,
    relative_l2,
    row_shapes,
    subsample,
    trainable,
)

__all__ = [
    "HELD_OUT",
    "Batch",
    "HardConstraints",
    "Model",
    "NotFiniteResidual",
    "Problem",
    "Sample",
    "condition_key",
    "draw",
    "not_finite_residual",
    "relative_l2",
    "row_shapes",
    "subsample",
    "trainable",
]
