"""What is wrong with a PINN, the evidence for it, and what helps."""

from pinntk.diagnosis.claim import Winner
from pinntk.diagnosis.diagnosis import Diagnosis, finding_text, provenance
from pinntk.diagnosis.effort import Effort
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.examination import PATIENCE
from pinntk.diagnosis.examine import diagnose, examine
from pinntk.diagnosis.finding import (
    AbstractFinding,
    Found,
    OptionOf,
    Proposal,
    Remedy,
    Severity,
)
from pinntk.diagnosis.findings import FINDINGS
from pinntk.diagnosis.forecast import ConditionForecast, Forecast, forecast
from pinntk.diagnosis.subject import AbstractSubject, Draw, JaxSubject
from pinntk.diagnosis.trial import Trial
from pinntk.diagnosis.trials import Treatment, least_budget, treat

__all__ = [
    "FINDINGS",
    "PATIENCE",
    "AbstractFinding",
    "AbstractSubject",
    "ConditionForecast",
    "Diagnosis",
    "Draw",
    "Effort",
    "Evidence",
    "Forecast",
    "Found",
    "JaxSubject",
    "OptionOf",
    "Proposal",
    "Remedy",
    "Severity",
    "Treatment",
    "Trial",
    "Winner",
    "diagnose",
    "examine",
    "finding_text",
    "forecast",
    "least_budget",
    "provenance",
    "treat",
]
