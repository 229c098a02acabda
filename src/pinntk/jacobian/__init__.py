"""The residual Jacobian J as an operator: its forms, what can be done with it, and which form to take."""

from pinntk.jacobian.choice import FORMS, Choice, Cost, choose, jacobian
from pinntk.jacobian.dense import DenseJacobian, dense
from pinntk.jacobian.factored import FactoredJacobian, factored
from pinntk.jacobian.implicit import ImplicitJacobian, implicit
from pinntk.jacobian.machine import available_memory, total_memory
from pinntk.jacobian.memory import check_memory
from pinntk.jacobian.model import (
    cast,
    model_dtype,
    parameter_count,
    parameters_by_name,
)
from pinntk.jacobian.operator import (
    AbstractJacobian,
    Gram,
    block_traces,
    diagonal,
    gram,
    jvp,
    symmetric_product,
    vjp,
)
from pinntk.jacobian.plans import Use, rows_of
from pinntk.jacobian.products import FactorPlan
from pinntk.problem import trainable

__all__ = [
    "FORMS",
    "AbstractJacobian",
    "Choice",
    "Cost",
    "DenseJacobian",
    "FactorPlan",
    "FactoredJacobian",
    "Gram",
    "ImplicitJacobian",
    "Use",
    "available_memory",
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
    "jvp",
    "model_dtype",
    "parameter_count",
    "parameters_by_name",
    "rows_of",
    "symmetric_product",
    "total_memory",
    "trainable",
    "vjp",
]
