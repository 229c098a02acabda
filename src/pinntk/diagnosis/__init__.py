"""What is wrong with a PINN, in words, and what it rests on."""

from pinntk.diagnosis.baseline import Draw
from pinntk.diagnosis.diagnose import Diagnosis, diagnose, examined, finding_text, provenance
from pinntk.diagnosis.findings import Finding, Illness, Remedy, Severity, command_options
from pinntk.diagnosis.first_look import FAR, ConditionReport, FirstLook, first_look
from pinntk.diagnosis.words import number, percent, times

__all__ = [
    "FAR",
    "ConditionReport",
    "Diagnosis",
    "Draw",
    "Finding",
    "FirstLook",
    "Illness",
    "Remedy",
    "Severity",
    "command_options",
    "diagnose",
    "examined",
    "finding_text",
    "first_look",
    "number",
    "percent",
    "provenance",
    "times",
]
