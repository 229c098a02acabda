"""What is looked for: one file for each failure mode."""

from pinntk.diagnosis.finding import AbstractFinding
from pinntk.diagnosis.findings.causality import Causality
from pinntk.diagnosis.findings.conditioning import Conditioning
from pinntk.diagnosis.findings.conflict import Conflict
from pinntk.diagnosis.findings.contradiction import Contradiction
from pinntk.diagnosis.findings.dead import Dead
from pinntk.diagnosis.findings.disagreement import Disagreement
from pinntk.diagnosis.findings.imbalance import Imbalance
from pinntk.diagnosis.findings.laziness import Laziness
from pinntk.diagnosis.findings.not_finite import HeldOutNotFinite, NotFinite
from pinntk.diagnosis.findings.points import Points
from pinntk.diagnosis.findings.precision import Precision
from pinntk.diagnosis.findings.propagation import Propagation
from pinntk.diagnosis.findings.scaling import Scaling
from pinntk.diagnosis.findings.spectral_bias import SpectralBias
from pinntk.diagnosis.findings.spurious import Spurious
from pinntk.diagnosis.findings.step_size import StepSize
from pinntk.diagnosis.findings.unseen import UnseenResidual

#: All findings, causes before what they cause: of two that are equally severe, the first is told first.
FINDINGS: tuple[AbstractFinding, ...] = (
    NotFinite(),
    HeldOutNotFinite(),
    Dead(),
    Contradiction(),
    Disagreement(),
    Precision(),
    StepSize(),
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
)

__all__ = [
    "FINDINGS",
    "Causality",
    "Conditioning",
    "Conflict",
    "Contradiction",
    "Dead",
    "Disagreement",
    "HeldOutNotFinite",
    "Imbalance",
    "Laziness",
    "NotFinite",
    "Points",
    "Precision",
    "Propagation",
    "Scaling",
    "SpectralBias",
    "Spurious",
    "StepSize",
    "UnseenResidual",
]
