"""What the kernel says about a PINN, in words."""

from pinntk.diagnosis.first_look import FAR, ConditionReport, Diagnosis, diagnose, percent

__all__ = ["FAR", "ConditionReport", "Diagnosis", "diagnose", "percent"]
