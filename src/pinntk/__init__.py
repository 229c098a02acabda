"""Why does my PINN not train, and what makes it train?

>>> import pinntk as pk

State a problem (`Problem`, `Condition` and its helpers, domains), look at it (`tangent_kernel`,
`spectrum`), train it (`train` with a `Training`).
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
from pinntk.domain import (
    Box,
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
    Constrained,
    FourierFeatures,
    InputScaling,
    ModifiedMLP,
    NTKParametrization,
    PeriodicFeatures,
    Positive,
    StandardParametrization,
    Unknown,
    WithCoefficients,
)
from pinntk.optim import (
    SPRING,
    Cholesky,
    ConjugateGradients,
    FirstOrder,
    NaturalGradient,
    adam,
    gradient_descent,
)
from pinntk.problem import Batch, HardConstraints, Problem, Sample
from pinntk.training import (
    Network,
    Outcome,
    ProgressivePoints,
    ResidualAdaptive,
    Result,
    Setup,
    Training,
    default_setup,
    natural_setup,
    precision,
    progress_bar,
    train,
)
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights, ntk_weights

__version__ = _version("pinntk")

__all__ = [
    "MLP",
    "SPRING",
    "AbstractWeighting",
    "Batch",
    "Box",
    "Cholesky",
    "Condition",
    "ConjugateGradients",
    "Constrained",
    "Estimate",
    "Field",
    "FirstOrder",
    "Fixed",
    "FourierFeatures",
    "HardConstraints",
    "InputScaling",
    "Interval",
    "LatinHypercube",
    "MemoryLimitError",
    "ModifiedMLP",
    "NTKParametrization",
    "NTKWeights",
    "NaturalGradient",
    "Network",
    "Outcome",
    "PeriodicFeatures",
    "PinntkError",
    "PinntkWarning",
    "Points",
    "Positive",
    "Problem",
    "ProgressivePoints",
    "Random",
    "ResidualAdaptive",
    "ResidualError",
    "Result",
    "RunError",
    "Sample",
    "Setup",
    "Sobol",
    "SpaceTime",
    "Spectrum",
    "StandardParametrization",
    "TangentKernel",
    "Training",
    "Uncertainty",
    "UniformGrid",
    "Union",
    "Unknown",
    "WithCoefficients",
    "adam",
    "coefficient_uncertainty",
    "default_setup",
    "dirichlet",
    "gradient_descent",
    "initial_value",
    "initial_velocity",
    "largest_eigenvalue",
    "largest_stable_step",
    "natural_setup",
    "neumann",
    "ntk_weights",
    "observations",
    "periodic",
    "precision",
    "progress_bar",
    "robin",
    "spectrum",
    "tangent_kernel",
    "train",
]
