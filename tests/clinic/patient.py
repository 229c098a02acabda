"""A case: a problem with settings, what is wrong with it, and its healthy twin; and how both train."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from pinntk.diagnosis.examination import HEALTHY
from pinntk.errors import PinntkError, PinntkWarning
from pinntk.optim import AbstractOptimizer, adam
from pinntk.problem import Problem
from pinntk.training import AbstractNetwork, Network, Setup, Training, start_run
from pinntk.weighting import AbstractWeighting, NTKWeights

#: A sick case has at least so many times the error of its twin, whose error is at most so much.
WORSE, TRAINS = 10.0, 5e-2
FORMS = ("sick", "twin", "cure")
ALGORITHM_1 = NTKWeights(every=100)


def usual(
    problem: Problem,
    *,
    optimizer: Callable[..., AbstractOptimizer] = adam,
    learning_rate: float = 1e-2,
    decay_rate: float = 0.5,
    decay_steps: int = 500,
    steps: int = 3000,
    weighting: AbstractWeighting = ALGORITHM_1,
    points: Mapping[str, int] | None = None,
    dtype: str = "float32",
    network: Callable[[Problem], AbstractNetwork] | None = None,
    **shape: Any,
) -> Setup:
    """The healthy form of most cases, one setting of which is changed to make it sick."""
    made = Network(width=20, depth=2).replace(**shape) if network is None else network(problem)
    training = Training(
        optimizer(learning_rate, decay_rate, decay_steps),
        steps=steps,
        weighting=weighting,
        log_every=100,
    )
    return Setup(problem.with_points(points or {}), training, made, dtype)


@dataclasses.dataclass(frozen=True)
class Patient:
    """One case, made sick in one way, or a healthy control, which has no twin.

    `changes` are those of `usual`, or of another function from a problem to a setup, as `preset`. The
    twin lacks the failure mode and nothing else: `twin` are its changes, `twin_problem` its problem where
    that is another. `cure`, where given, are changes that make the sick problem train: its remedy is
    known to exist. `treatable` says that settings can make it train. `also` are other names that a
    diagnosis may give to the failure.
    """

    name: str
    failure_mode: str
    strength: Literal["mild", "strong", "none"]
    problem: Callable[[], Problem]
    changes: Mapping[str, Any]
    treatable: bool
    why: str
    twin: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    twin_problem: Callable[[], Problem] | None = None
    cure: Mapping[str, Any] | None = None
    also: frozenset[str] = frozenset()

    @property
    def healthy(self) -> bool:
        """Whether it is a control."""
        return self.failure_mode == HEALTHY

    @property
    def forms(self) -> tuple[str, ...]:
        """What of "sick", "twin" and "cure" there is to train."""
        if self.healthy:
            return FORMS[:1]
        return FORMS if self.cure is not None else FORMS[:2]

    def form(self, name: str) -> Setup:
        """One of its forms."""
        twin = name == "twin"
        problem = (self.twin_problem or self.problem)() if twin else self.problem()
        changes = {"sick": self.changes, "twin": self.twin, "cure": self.cure or {}}[name]
        others = {key: value for key, value in changes.items() if key != "preset"}
        return changes.get("preset", usual)(problem, **others)


def trained(patient: Patient, form: str, seed: int = 0) -> dict[str, Any]:
    """How a form of the case ends after its planned steps: error, losses, outcome; a refusal is one too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PinntkWarning)
        try:
            result = start_run(patient.form(form), seed)
        except PinntkError as error:
            return {"outcome": "refused", "message": str(error).split("\n")[0], "relative_l2": None}
    return {
        "outcome": str(result.outcome),
        "message": result.message,
        "relative_l2": result.relative_l2,
        "coefficient_error": coefficient_error(patient.form(form).problem, result.coefficients),
        "steps": result.steps,
        "seconds": round(result.seconds, 2),
        "losses": dict(result.losses),
        "held_out": dict(result.held_out),
        "weights": dict(result.weights),
    }


def coefficient_error(problem: Problem, found: Mapping[str, Any]) -> float | None:
    """The largest relative error of an unknown coefficient whose true value is a number."""
    errors = [
        float(np.max(np.abs(np.asarray(found[name]) / unknown.true - 1)))
        for name, unknown in problem.coefficients.items()
        if name in found and isinstance(unknown.true, int | float)
    ]
    return max(errors, default=None)


def verdict(patient: Patient, found: Mapping[str, Mapping[str, Any]]) -> str:
    """What speaks against the case, from `trained` of its forms; an empty string if it is as planned."""
    sick, twin = found["sick"], found.get("twin")
    error = _error(sick)
    if patient.healthy:
        return "" if _trains(sick) else f"the control does not train: {error}"
    if twin is None or not _trains(twin):
        return f"the twin does not train: {twin and _error(twin)}"
    ended = sick["outcome"] not in ("refused", "diverged")
    if ended and (error or 0.0) < WORSE * (_error(twin) or 0.0):
        return f"not sick: {error:.1e} against {_error(twin):.1e}"
    if "cure" in found and not _trains(found["cure"]):
        return f"the cure does not help: {found['cure']['relative_l2']}"
    return ""


def _error(run: Mapping[str, Any]) -> float | None:
    """The relative L2 error, or that of a coefficient where it is larger."""
    errors = [run["relative_l2"], run.get("coefficient_error")]
    return max((error for error in errors if error is not None), default=None)


def _trains(run: Mapping[str, Any]) -> bool:
    error = _error(run)
    return error is not None and run["outcome"] != "diverged" and error <= TRAINS
