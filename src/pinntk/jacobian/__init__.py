"""The residual Jacobian J and what is computed from it."""

from pinntk.jacobian.dense import (
    DenseJacobian,
    block_traces,
    cast,
    check_memory,
    dense_jacobian,
    gram,
    model_dtype,
    parameter_count,
    trainable,
)

__all__ = [
    "DenseJacobian",
    "block_traces",
    "cast",
    "check_memory",
    "dense_jacobian",
    "gram",
    "model_dtype",
    "parameter_count",
    "trainable",
]
