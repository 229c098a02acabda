"""From a diagnosis to a cure: remedies tried in short trainings, and the one that won."""

from pinntk.treatment.running import Trial
from pinntk.treatment.trials import Treatment, Winner, examine, least_budget, treat

__all__ = ["Treatment", "Trial", "Winner", "examine", "least_budget", "treat"]
