"""The tangent kernel in named blocks, its spectrum, and the step sizes it allows.

The kernel of infinitely wide networks is in `pinntk.kernel.limit`, which is imported by who wants it.
"""

from pinntk.kernel.dynamics import Dynamics, dynamics, parting, remaining, remaining_in_flow
from pinntk.kernel.spectrum import Spectrum, largest_stable_step, spectrum
from pinntk.kernel.stability import largest_eigenvalue
from pinntk.kernel.tangent import TangentKernel, average_rates, tangent_kernel

__all__ = [
    "Dynamics",
    "Spectrum",
    "TangentKernel",
    "average_rates",
    "dynamics",
    "largest_eigenvalue",
    "largest_stable_step",
    "parting",
    "remaining",
    "remaining_in_flow",
    "spectrum",
    "tangent_kernel",
]
