"""A case: a problem with settings, what is wrong with it, and its healthy twin; and how both train."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pinntk.runs import prepare, start_run

from pinntk.diagnosis.findings import Illness
from pinntk.errors import PinntkError, PinntkWarning
from pinntk.problem import Problem

#: A sick case has at least so many times the error of its twin, whose error is at most so much.
WORSE, TRAINS = 10.0, 5e-2
FORMS = ("sick", "twin", "cure")


@dataclasses.dataclass(frozen=True)
class Patient:
    """One case, made sick in one way, or a healthy control, which has no twin.

    `changes` are those of the recipe, as in `prepare(problem, changes, seed)`. The twin lacks the illness
    and nothing else: `twin` are its changes, `twin_problem` its problem where that is another. `cure`,
    where given, are changes that make the sick problem train: its remedy is known to exist. `treatable`
    says that settings can make it train.
    """

    name: str
    illness: Illness
    strength: Literal["mild", "strong", "none"]
    problem: Callable[[], Problem]
    changes: Mapping[str, Any]
    treatable: bool
    why: str
    twin: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    twin_problem: Callable[[], Problem] | None = None
    cure: Mapping[str, Any] | None = None

    @property
    def healthy(self) -> bool:
        """Whether it is a control."""
        return self.illness is Illness.HEALTHY

    @property
    def forms(self) -> tuple[str, ...]:
        """What of "sick", "twin" and "cure" there is to train."""
        if self.healthy:
            return FORMS[:1]
        return FORMS if self.cure is not None else FORMS[:2]

    def form(self, name: str) -> tuple[Problem, dict[str, Any]]:
        """Problem and changes of one of its forms."""
        if name == "twin":
            return (self.twin_problem or self.problem)(), dict(self.twin)
        return self.problem(), dict(self.changes if name == "sick" else self.cure or {})


def trained(patient: Patient, form: str, seed: int = 0) -> dict[str, Any]:
    """How a form of the case ends after its planned steps: error, losses, outcome; a refusal is one too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PinntkWarning)
        try:
            result = start_run(prepare(*patient.form(form), seed))
        except PinntkError as error:
            return {"outcome": "refused", "message": str(error).split("\n")[0], "relative_l2": None}
    return {
        "outcome": str(result.outcome),
        "message": result.message,
        "relative_l2": result.relative_l2,
        "steps": result.steps,
        "seconds": round(result.seconds, 2),
        "losses": dict(result.losses),
        "held_out": dict(result.held_out),
        "weights": dict(result.weights),
    }


def verdict(patient: Patient, found: Mapping[str, Mapping[str, Any]]) -> str:
    """What speaks against the case, from `trained` of its forms; an empty string if it is as planned."""
    sick, twin = found["sick"], found.get("twin")
    error = sick["relative_l2"]
    if patient.healthy:
        return "" if _trains(sick) else f"the control does not train: {error}"
    if twin is None or not _trains(twin):
        return f"the twin does not train: {twin and twin['relative_l2']}"
    ended = sick["outcome"] not in ("refused", "diverged")
    if ended and error < WORSE * twin["relative_l2"]:
        return f"not sick: {error:.1e} against {twin['relative_l2']:.1e}"
    if "cure" in found and not _trains(found["cure"]):
        return f"the cure does not help: {found['cure']['relative_l2']}"
    return ""


def _trains(run: Mapping[str, Any]) -> bool:
    error = run["relative_l2"]
    return error is not None and run["outcome"] != "diverged" and error <= TRAINS
