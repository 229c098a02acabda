"""The tangent kernel in named blocks, its spectrum, and the step sizes it allows."""

from pinntk.kernel.spectrum import Spectrum, largest_stable_step, remaining, spectrum
from pinntk.kernel.stability import largest_eigenvalue
from pinntk.kernel.tangent import TangentKernel, average_rates, tangent_kernel

__all__ = [
    "Spectrum",
    "TangentKernel",
    "average_rates",
    "largest_eigenvalue",
    "largest_stable_step",
    "remaining",
    "spectrum",
    "tangent_kernel",
]
