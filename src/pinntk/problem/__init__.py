"""A PDE problem: its domain, its conditions, its solution where one is known; and batches of points."""

from pinntk.problem.finite import NotFiniteResidual, not_finite_residual
from pinntk.problem.problem import HardConstraints, Problem
from pinntk.problem.samples import (
    HELD_OUT,
    Batch,
    Model,
    Sample,
    combined,
    condition_key,
    draw,
    field_errors,
    relative_l2,
    row_shapes,
    subsample,
    trainable,
)
from pinntk.problem.scales import FieldScale, Scales, scales

__all__ = [
    "HELD_OUT",
    "Batch",
    "FieldScale",
    "HardConstraints",
    "Model",
    "NotFiniteResidual",
    "Problem",
    "Sample",
    "Scales",
    "combined",
    "condition_key",
    "draw",
    "field_errors",
    "not_finite_residual",
    "relative_l2",
    "row_shapes",
    "scales",
    "subsample",
    "trainable",
]
