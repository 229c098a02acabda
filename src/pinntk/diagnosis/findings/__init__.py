"""What is looked for: one file for each failure mode."""

from pinntk.diagnosis.finding import AbstractFinding
from pinntk.diagnosis.findings.causality import Causality
from pinntk.diagnosis.findings.coefficients import Coefficients
from pinntk.diagnosis.findings.conditioning import Conditioning
from pinntk.diagnosis.findings.conflict import Conflict
from pinntk.diagnosis.findings.contradiction import Contradiction
from pinntk.diagnosis.findings.contrast import Contrast
from pinntk.diagnosis.findings.dead import Dead
from pinntk.diagnosis.findings.disagreement import Disagreement
from pinntk.diagnosis.findings.given_solution import GivenSolution
from pinntk.diagnosis.findings.imbalance import Imbalance
from pinntk.diagnosis.findings.laziness import Laziness
from pinntk.diagnosis.findings.many_periods import ManyPeriods
from pinntk.diagnosis.findings.not_finite import HeldOutNotFinite, NotFinite
from pinntk.diagnosis.findings.points import Points
from pinntk.diagnosis.findings.precision import Precision
from pinntk.diagnosis.findings.propagation import Propagation
from pinntk.diagnosis.findings.scaling import Scaling
from pinntk.diagnosis.findings.spectral_bias import SpectralBias
from pinntk.diagnosis.findings.spurious import Spurious
from pinntk.diagnosis.findings.step_size import StepSize
from pinntk.diagnosis.findings.surplus_points import SurplusPoints
from pinntk.diagnosis.findings.undetermined import Undetermined
from pinntk.diagnosis.findings.unseen import UnseenResidual
from pinntk.diagnosis.findings.zero import ZeroSolves

#: Those that judge the problem as it is stated, whatever the network and its training.
STATED: tuple[AbstractFinding, ...] = (
    GivenSolution(),
    ZeroSolves(),
    Undetermined(),
    Coefficients(),
    ManyPeriods(),
    Contrast(),
    SurplusPoints(),
)

#: All findings, causes before what they cause: of two that are equally severe, the first is told first.
FINDINGS: tuple[AbstractFinding, ...] = (
    NotFinite(),
    HeldOutNotFinite(),
    Dead(),
    Contradiction(),
    GivenSolution(),
    ZeroSolves(),
    Undetermined(),
    Coefficients(),
    Disagreement(),
    Precision(),
    StepSize(),
    ManyPeriods(),
    Causality(),
    Scaling(),
    Points(),
    Conflict(),
    Imbalance(),
    SpectralBias(),
    UnseenResidual(),
    Spurious(),
    Propagation(),
    Laziness(),
    Conditioning(),
    Contrast(),
    SurplusPoints(),
)

__all__ = [
    "FINDINGS",
    "STATED",
    "Causality",
    "Coefficients",
    "Conditioning",
    "Conflict",
    "Contradiction",
    "Contrast",
    "Dead",
    "Disagreement",
    "GivenSolution",
    "HeldOutNotFinite",
    "Imbalance",
    "Laziness",
    "ManyPeriods",
    "NotFinite",
    "Points",
    "Precision",
    "Propagation",
    "Scaling",
    "SpectralBias",
    "Spurious",
    "StepSize",
    "SurplusPoints",
    "Undetermined",
    "UnseenResidual",
    "ZeroSolves",
]
