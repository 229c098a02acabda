"""What a run records: one row per logged step, and the outcome it ended with."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from pinntk.jacobian import model_dtype
from pinntk.nets import WithCoefficients
from pinntk.problem import Model


@dataclasses.dataclass(frozen=True)
class Row:
    """The state of a run at one step, before that step's update.

    `losses` are unweighted means of r²; `weights` those in force at this step; `metrics` what the
    optimizer reports of this step, such as `learning_rate` or `damping` (in the row at which a run ends,
    of the step before); `relative_l2` is the root mean square of the fields' relative errors, None where
    no solution is known; `seconds` is time since the start, compilation included; `held_out` are the
    losses on points that are not trained on.
    """

    step: int
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    metrics: Mapping[str, float]
    relative_l2: float | None
    seconds: float
    held_out: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The row as a JSON-ready dictionary; numbers that are not finite are null."""
        return strict(dataclasses.asdict(self))


class Outcome(enum.StrEnum):
    """Why a run ended."""

    COMPLETED = "completed"
    CONVERGED = "converged"
    STALLED = "stalled"
    BUDGET = "budget"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


@dataclasses.dataclass(frozen=True)
class Result:
    """What `train` returns. `model` is the trained model, or the last good one if the run diverged.

    `losses`, `weights` and `held_out` belong to `model` at step `steps`; `message` says in a sentence how
    it ended, and `notes` what else to know: precision, too few points, overfitted residuals.
    `seconds` is all the time it took, `compilation` the part of it before the first step was done, less
    what a step takes. `errors` are the relative L2 errors by field, whose root mean square `relative_l2`
    is; empty where no solution is known.
    """

    model: Model
    outcome: Outcome
    message: str
    steps: int
    seconds: float
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    relative_l2: float | None
    history: tuple[Row, ...]
    held_out: Mapping[str, float] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    compilation: float = 0.0
    errors: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def coefficients(self) -> dict[str, Any]:
        """The unknown coefficients that were found, numbers and nested lists; fields are left out."""
        if not isinstance(self.model, WithCoefficients):
            return {}
        with jax.enable_x64(model_dtype(self.model) == np.float64):  # also outside `precision`
            return {name: np.asarray(value).tolist() for name, value in self.model.values().items()}

    def as_dict(self) -> dict[str, Any]:
        """Everything but model and history, JSON-ready.

        `coefficients` where there are some, `errors` where there are several fields.
        """
        found = self.coefficients
        record = {
            **({"coefficients": found} if found else {}),
            "outcome": str(self.outcome),
            "message": self.message,
            "steps": self.steps,
            "seconds": self.seconds,
            "compilation": self.compilation,
            "losses": self.losses,
            "weights": self.weights,
            "relative_l2": self.relative_l2,
            **({"errors": self.errors} if len(self.errors) > 1 else {}),
            "held_out": self.held_out,
            "notes": self.notes,
        }
        return strict(record)


def strict(value: Any) -> Any:
    """JSON-ready: numbers that are not finite become null, arrays lists, NumPy scalars Python's."""
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return strict(value.tolist())
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    if isinstance(value, np.generic):
        return strict(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
