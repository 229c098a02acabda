"""Optimisers: first-order methods from Optax."""

from pinntk.optim.first_order import (
    AbstractOptimizer,
    FirstOrder,
    Objective,
    adam,
    exponential_decay,
    gradient_descent,
)

__all__ = [
    "AbstractOptimizer",
    "FirstOrder",
    "Objective",
    "adam",
    "exponential_decay",
    "gradient_descent",
]
