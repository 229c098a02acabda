"""The residual Jacobian J as an operator: its forms, what can be done with it, and which form to take."""

from pinntk.jacobian.choice import FORMS, Choice, Cost, choose, jacobian
from pinntk.jacobian.dense import DenseJacobian, dense
from pinntk.jacobian.factored import FactoredJacobian, factored
from pinntk.jacobian.implicit import ImplicitJacobian, implicit
from pinntk.jacobian.memory import check_memory, total_memory
from pinntk.jacobian.model import (
    cast,
    model_dtype,
    parameter_count,
    parameters_by_name,
    trainable,
)
from pinntk.jacobian.operator import (
    AbstractJacobian,
    Gram,
    apply,
    apply_transpose,
    block_traces,
    diagonal,
    gram,
    symmetric_product,
)
from pinntk.jacobian.products import Plan, Use, rows_of

__all__ = [
    "FORMS",
    "AbstractJacobian",
    "Choice",
    "Cost",
    "DenseJacobian",
    "FactoredJacobian",
    "Gram",
    "ImplicitJacobian",
    "Plan",
    "Use",
    "apply",
    "apply_transpose",
    "block_traces",
    "cast",
    "check_memory",
    "choose",
    "dense",
    "diagonal",
    "factored",
    "gram",
    "implicit",
    "jacobian",
    "model_dtype",
    "parameter_count",
    "parameters_by_name",
    "rows_of",
    "symmetric_product",
    "total_memory",
    "trainable",
]
