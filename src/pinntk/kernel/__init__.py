"""The tangent kernel in named blocks, its spectrum, and the step sizes it allows."""

from pinntk.kernel.dynamics import Dynamics, dynamics, parting, remaining, remaining_in_flow
from pinntk.kernel.expectations import AbstractExpectation, Erf, Sine, Tanh
from pinntk.kernel.limit import LimitNetwork, limit_kernel, limit_solution
from pinntk.kernel.spectrum import Spectrum, largest_stable_step, spectrum
from pinntk.kernel.stability import largest_eigenvalue
from pinntk.kernel.tangent import TangentKernel, average_rates, tangent_kernel

__all__ = [
    "AbstractExpectation",
    "Dynamics",
    "Erf",
    "LimitNetwork",
    "Sine",
    "Spectrum",
    "TangentKernel",
    "Tanh",
    "average_rates",
    "dynamics",
    "largest_eigenvalue",
    "largest_stable_step",
    "limit_kernel",
    "limit_solution",
    "parting",
    "remaining",
    "remaining_in_flow",
    "spectrum",
    "tangent_kernel",
]
