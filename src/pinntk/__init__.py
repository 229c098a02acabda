"""Why does my PINN not train, and what makes it train?

>>> import pinntk as pk

State a problem (`Problem`, `Condition` and its helpers, domains), say what is going to be done
(`Training`), look at it (`diagnose`, `tangent_kernel`), and train it (`train`).
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
    AbstractOptimizer,
    Cholesky,
    ConjugateGradients,
    FirstOrder,
    NaturalGradient,
    adam,
    gradient_descent,
)
from pinntk.problem import Batch, HardConstraints, Problem, Sample
from pinntk.training import (
    AbstractResampling,
    Network,
    Observer,
    Outcome,
    ProgressivePoints,
    ResidualAdaptive,
    Result,
    Setup,
    Training,
    precision,
    progress_bar,
    train,
)
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights, ntk_weights

__version__ = _version("pinntk")
