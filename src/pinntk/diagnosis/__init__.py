"""What the kernel says about a PINN, in words."""

from pinntk.diagnosis.first_look import ConditionReport, Diagnosis, diagnose, percent

__all__ = ["ConditionReport", "Diagnosis", "diagnose", "percent"]
