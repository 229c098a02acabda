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
from pinntk.diagnosis.remedies import first_order_only
from pinntk.diagnosis.subject import AbstractSubject, Draw, JaxSubject
from pinntk.diagnosis.track_record import TrackRecord, record_of
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
    "TrackRecord",
    "Treatment",
    "Trial",
    "Winner",
    "diagnose",
    "examine",
    "finding_text",
    "first_order_only",
    "forecast",
    "least_budget",
    "provenance",
    "record_of",
    "treat",
]
