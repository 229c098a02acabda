"""Optimizers behind one `init` / `step`: first-order methods from Optax, and the natural gradient."""

from pinntk.optim.first_order import ExponentialDecay, FirstOrder, adam, gradient_descent
from pinntk.optim.natural_gradient import NaturalGradient, NaturalGradientState
from pinntk.optim.objective import Objective, weighted_sum
from pinntk.optim.optimizer import (
    AbstractOptimizer,
    Adaptive,
    Gradient,
    GradientDescent,
    Kind,
    SecondOrder,
    Status,
    Step,
    rate_of,
    running,
)
from pinntk.optim.solvers import AbstractKernelSolver, Cholesky, ConjugateGradients, Plan
from pinntk.optim.spring import SPRING, SPRINGState

__all__ = [
    "SPRING",
    "AbstractKernelSolver",
    "AbstractOptimizer",
    "Adaptive",
    "Cholesky",
    "ConjugateGradients",
    "ExponentialDecay",
    "FirstOrder",
    "Gradient",
    "GradientDescent",
    "Kind",
    "NaturalGradient",
    "NaturalGradientState",
    "Objective",
    "Plan",
    "SPRINGState",
    "SecondOrder",
    "Status",
    "Step",
    "adam",
    "gradient_descent",
    "rate_of",
    "running",
    "weighted_sum",
]
