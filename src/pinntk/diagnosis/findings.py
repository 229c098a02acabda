"""What a doctor finds: an illness, how severe, the evidence for it, and what helps."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any


class Illness(enum.StrEnum):
    """What can be wrong with a PINN, causes before what they cause.

    Two findings of one severity are told in this order: what comes first brings forth what comes later,
    and is to be mended first.
    """

    DEAD = "dead model"
    CONTRADICTION = "contradictory conditions"
    PRECISION = "precision"
    STEP_SIZE = "step size"
    CAUSALITY = "causality"
    SCALING = "scaling"
    POINTS = "collocation points"
    CONFLICT = "conflict"
    IMBALANCE = "imbalance"
    SPECTRAL_BIAS = "spectral bias"
    UNEXPLAINED = "unexplained"
    LAZY = "lazy training"
    HEALTHY = "healthy"


class Severity(enum.StrEnum):
    """SEVERE: training fails by this. MODERATE: it is slower or less exact. NOTE: good to know."""

    SEVERE = "severe"
    MODERATE = "moderate"
    NOTE = "note"


@dataclasses.dataclass(frozen=True)
class Remedy:
    """What to do, in words, as changes of the recipe (where it is one of them) and as a line of code.

    `fresh`: the changes are made to the problem's own settings, not to those that were diagnosed.
    `own_network`: whether a network that the problem brings along is kept; a change of the recipe's
    network means nothing to it.
    """

    text: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    code: str = ""
    fresh: bool = False
    own_network: bool = True

    @property
    def option(self) -> str:
        """The changes as options of the command line: `--weighting ntk`."""
        return command_options(self.changes)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "text": self.text,
            "changes": dict(self.changes),
            "option": self.option,
            "code": self.code,
        }


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or the word that nothing is.

    `confidence` is the share of the repeated draws that show it; `evidence` the numbers that it rests
    on; `plot` the section of the report that shows them.
    """

    illness: Illness
    severity: Severity
    confidence: float
    sentence: str
    reason: str
    evidence: Mapping[str, Any]
    plot: str
    remedies: tuple[Remedy, ...] = ()

    @property
    def title(self) -> str:
        """The illness as a heading."""
        return str(self.illness).capitalize()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "illness": str(self.illness),
            "title": self.title,
            "severity": str(self.severity),
            "confidence": self.confidence,
            "sentence": self.sentence,
            "reason": self.reason,
            "evidence": dict(self.evidence),
            "plot": self.plot,
            "remedies": [remedy.as_dict() for remedy in self.remedies],
        }


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Severe ones first; among equals, causes before what they cause."""
    severities, illnesses = list(Severity), list(Illness)
    return tuple(
        sorted(
            findings,
            key=lambda f: (severities.index(f.severity), illnesses.index(f.illness)),
        )
    )


#: Options that are off have a name of their own.
SWITCHED_OFF = {"hard": "--soft"}


def command_options(changes: Mapping[str, Any]) -> str:
    """Changes of a recipe as options of `pinntk train`."""
    words = []
    for name, value in changes.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else SWITCHED_OFF[name])
        elif isinstance(value, Mapping):
            words.append(f"{flag} " + ",".join(f"{k}={number:g}" for k, number in value.items()))
        else:
            words.append(f"{flag} {value:g}" if isinstance(value, float) else f"{flag} {value}")
    return " ".join(words)
