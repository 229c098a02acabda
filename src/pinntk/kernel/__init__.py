"""The tangent kernel in named blocks, its spectrum, and the step sizes it allows."""

from pinntk.kernel.expectations import AbstractExpectation, Erf, Sine, Tanh
from pinntk.kernel.limit import LimitNetwork, limit_kernel, limit_solution
from pinntk.kernel.spectrum import Spectrum, largest_stable_step, remaining, spectrum
from pinntk.kernel.stability import largest_eigenvalue
from pinntk.kernel.tangent import TangentKernel, average_rates, tangent_kernel

__all__ = [
    "AbstractExpectation",
    "Erf",
    "LimitNetwork",
    "Sine",
    "Spectrum",
    "TangentKernel",
    "Tanh",
    "average_rates",
    "largest_eigenvalue",
    "largest_stable_step",
    "limit_kernel",
    "limit_solution",
    "remaining",
    "spectrum",
    "tangent_kernel",
]
