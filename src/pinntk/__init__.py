"""Why does my PINN not train, and what makes it train?

>>> import pinntk as pk

State a problem (`Problem`, `Condition` and its helpers, domains), look at it (`diagnose`,
`tangent_kernel`, `spectrum`), train it (`train` with `NTKWeights`).
"""

from importlib.metadata import version as _version

from pinntk.calculus import Field
from pinntk.conditions import (
    Condition,
    dirichlet,
    initial_value,
    initial_velocity,
    neumann,
    observations,
    periodic,
    robin,
)
from pinntk.diagnosis import (
    Diagnosis,
    Finding,
    FirstLook,
    Illness,
    Remedy,
    Severity,
    diagnose,
    first_look,
)
from pinntk.domain import (
    AbstractRegion,
    AbstractSampler,
    Box,
    Facts,
    Interval,
    LatinHypercube,
    Points,
    Random,
    Sobol,
    SpaceTime,
    UniformGrid,
    Union,
)
from pinntk.errors import MemoryLimitError, PinntkError, PinntkWarning, ResidualError, RunError
from pinntk.inverse import Estimate, Uncertainty, coefficient_uncertainty
from pinntk.kernel import (
    Spectrum,
    TangentKernel,
    largest_eigenvalue,
    largest_stable_step,
    spectrum,
    tangent_kernel,
)
from pinntk.nets import (
    MLP,
    NTK,
    Constrained,
    FourierFeatures,
    InputScaling,
    ModifiedMLP,
    PeriodicFeatures,
    Positive,
    Standard,
    Unknown,
    WithCoefficients,
)
from pinntk.optim import (
    Cholesky,
    ConjugateGradients,
    FirstOrder,
    NaturalGradient,
    Spring,
    adam,
    gradient_descent,
)
from pinntk.problem import Batch, Hard, Problem, Sample
from pinntk.problems import library_problem
from pinntk.recipe import Recipe, natural
from pinntk.training import ByResidual, Growing, Outcome, Result, progress_bar, train
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights, ntk_weights

__version__ = _version("pinntk")

__all__ = [
    "MLP",
    "NTK",
    "AbstractRegion",
    "AbstractSampler",
    "AbstractWeighting",
    "Batch",
    "Box",
    "ByResidual",
    "Cholesky",
    "Condition",
    "ConjugateGradients",
    "Constrained",
    "Diagnosis",
    "Estimate",
    "Facts",
    "Field",
    "Finding",
    "FirstLook",
    "FirstOrder",
    "Fixed",
    "FourierFeatures",
    "Growing",
    "Hard",
    "Illness",
    "InputScaling",
    "Interval",
    "LatinHypercube",
    "MemoryLimitError",
    "ModifiedMLP",
    "NTKWeights",
    "NaturalGradient",
    "Outcome",
    "PeriodicFeatures",
    "PinntkError",
    "PinntkWarning",
    "Points",
    "Positive",
    "Problem",
    "Random",
    "Recipe",
    "Remedy",
    "ResidualError",
    "Result",
    "RunError",
    "Sample",
    "Severity",
    "Sobol",
    "SpaceTime",
    "Spectrum",
    "Spring",
    "Standard",
    "TangentKernel",
    "Uncertainty",
    "UniformGrid",
    "Union",
    "Unknown",
    "WithCoefficients",
    "adam",
    "coefficient_uncertainty",
    "diagnose",
    "dirichlet",
    "first_look",
    "gradient_descent",
    "initial_value",
    "initial_velocity",
    "largest_eigenvalue",
    "largest_stable_step",
    "library_problem",
    "natural",
    "neumann",
    "ntk_weights",
    "observations",
    "periodic",
    "progress_bar",
    "robin",
    "spectrum",
    "tangent_kernel",
    "train",
]
