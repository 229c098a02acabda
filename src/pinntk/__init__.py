"""Why does my PINN not train, and how do I fix it?

>>> import pinntk as pk

State a problem (`Problem`, `Condition` and its helpers, domains), say how to train it
(`Training`), examine it (`diagnose`, `tangent_kernel`), and train it (`train`). `pk.library` has problems
to start with.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

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
    OutputScaling,
    OutputTransform,
    PeriodicFeatures,
    Positive,
    StandardParametrization,
    Unknown,
    WithCoefficients,
)
from pinntk.optim import (
    SPRING,
    AbstractKernelSolver,
    AbstractOptimizer,
    Cholesky,
    ConjugateGradients,
    FirstOrder,
    NaturalGradient,
    adam,
    gradient_descent,
)
from pinntk.problem import Batch, HardConstraints, Problem, Sample, Scales, scales
from pinntk.training import (
    AbstractResampling,
    AsConditioned,
    Drawn,
    Given,
    Network,
    Observer,
    Outcome,
    ProgressivePoints,
    ResidualAdaptive,
    Result,
    Setup,
    SlabModel,
    TimeSlabs,
    Training,
    default_setup,
    natural_setup,
    nondimensional,
    precision,
    progress_bar,
    start_run,
    train,
)
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights, ntk_weights

if TYPE_CHECKING:
    from pinntk import library
    from pinntk.diagnosis import (
        FINDINGS,
        AbstractFinding,
        AbstractSubject,
        Diagnosis,
        Evidence,
        Forecast,
        Found,
        Proposal,
        Severity,
        Treatment,
        diagnose,
        examine,
        forecast,
        treat,
    )
    from pinntk.inverse import Estimate, Uncertainty, coefficient_uncertainty


#: Imported when they are first asked for, so that `import pinntk` costs little more than JAX itself.
_LATER = {
    "library": "pinntk.library",
    "AbstractFinding": "pinntk.diagnosis",
    "AbstractSubject": "pinntk.diagnosis",
    "Diagnosis": "pinntk.diagnosis",
    "Estimate": "pinntk.inverse",
    "Evidence": "pinntk.diagnosis",
    "FINDINGS": "pinntk.diagnosis",
    "Forecast": "pinntk.diagnosis",
    "Found": "pinntk.diagnosis",
    "Proposal": "pinntk.diagnosis",
    "Severity": "pinntk.diagnosis",
    "Treatment": "pinntk.diagnosis",
    "Uncertainty": "pinntk.inverse",
    "coefficient_uncertainty": "pinntk.inverse",
    "diagnose": "pinntk.diagnosis",
    "examine": "pinntk.diagnosis",
    "forecast": "pinntk.diagnosis",
    "treat": "pinntk.diagnosis",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version("pinntk")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import_module(_LATER[name])
    value = module if name == "library" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


__all__ = [
    "FINDINGS",
    "MLP",
    "SPRING",
    "AbstractFinding",
    "AbstractKernelSolver",
    "AbstractOptimizer",
    "AbstractRegion",
    "AbstractResampling",
    "AbstractSampler",
    "AbstractSubject",
    "AbstractWeighting",
    "AsConditioned",
    "Batch",
    "Box",
    "Cholesky",
    "Condition",
    "ConjugateGradients",
    "Constrained",
    "Diagnosis",
    "Drawn",
    "Estimate",
    "Evidence",
    "Facts",
    "Field",
    "FirstOrder",
    "Fixed",
    "Forecast",
    "Found",
    "FourierFeatures",
    "Given",
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
    "Observer",
    "Outcome",
    "OutputScaling",
    "OutputTransform",
    "PeriodicFeatures",
    "PinntkError",
    "PinntkWarning",
    "Points",
    "Positive",
    "Problem",
    "ProgressivePoints",
    "Proposal",
    "Random",
    "ResidualAdaptive",
    "ResidualError",
    "Result",
    "RunError",
    "Sample",
    "Scales",
    "Setup",
    "Severity",
    "SlabModel",
    "Sobol",
    "SpaceTime",
    "Spectrum",
    "StandardParametrization",
    "TangentKernel",
    "TimeSlabs",
    "Training",
    "Treatment",
    "Uncertainty",
    "UniformGrid",
    "Union",
    "Unknown",
    "WithCoefficients",
    "adam",
    "coefficient_uncertainty",
    "default_setup",
    "diagnose",
    "dirichlet",
    "examine",
    "forecast",
    "gradient_descent",
    "initial_value",
    "initial_velocity",
    "largest_eigenvalue",
    "largest_stable_step",
    "library",
    "natural_setup",
    "neumann",
    "nondimensional",
    "ntk_weights",
    "observations",
    "periodic",
    "precision",
    "progress_bar",
    "robin",
    "scales",
    "spectrum",
    "start_run",
    "tangent_kernel",
    "train",
    "treat",
]
