"""Optimisers behind one `init` / `step`: first-order methods from Optax, and the natural gradient."""

from pinntk.optim.first_order import FirstOrder, adam, exponential_decay, gradient_descent
from pinntk.optim.natural_gradient import NaturalGradient, NaturalGradientState
from pinntk.optim.objective import Objective, weighted_sum
from pinntk.optim.optimizer import AbstractOptimizer, Gradient, Status
from pinntk.optim.solvers import Cholesky, ConjugateGradients, Plan
from pinntk.optim.spring import SPRING, SPRINGState

__all__ = [
    "SPRING",
    "AbstractOptimizer",
    "Cholesky",
    "ConjugateGradients",
    "FirstOrder",
    "Gradient",
    "NaturalGradient",
    "NaturalGradientState",
    "Objective",
    "Plan",
    "SPRINGState",
    "Status",
    "adam",
    "exponential_decay",
    "gradient_descent",
    "weighted_sum",
]
