"""What is found and what helps: a finding's judgment, its severity, and the changes it proposes."""

from __future__ import annotations

import abc
import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pinntk.diagnosis.track_record import record_of
from pinntk.optim import SecondOrder
from pinntk.training.describe import describe_setup, differences
from pinntk.training.setup import Setup

if TYPE_CHECKING:
    from pinntk.diagnosis.evidence import Evidence

#: (before, after) ↦ the change as options of a command line, None where it has none.
OptionOf = Callable[[Setup, Setup], str | None]


class Severity(enum.StrEnum):
    """SEVERE: training fails because of it. MODERATE: it is slower or less accurate. NOTE: good to know."""

    SEVERE = "severe"
    MODERATE = "moderate"
    NOTE = "note"


@dataclasses.dataclass(frozen=True, eq=False)
class Proposal:
    """What to do: in words, as a changed setup (None if no setting does it), and as Python code.

    `code` uses the names `problem`, `network`, `training` and `setup` for what was diagnosed. `key`
    names the remedy, whatever its numbers; `record_of` says by it how often the remedy helped.
    """

    text: str
    setup: Setup | None = None
    code: str = ""
    key: str = ""

    @property
    def second_order(self) -> bool:
        """Whether the proposed training solves with the kernel, as the natural gradient does."""
        setup = self.setup
        return setup is not None and isinstance(setup.training.optimizer.kind, SecondOrder)

    def option(self, before: Setup, option_of: OptionOf | None) -> str:
        """The change as options of a command line; empty where there are none."""
        if self.setup is None or option_of is None:
            return ""
        return option_of(before, self.setup) or ""

    def as_dict(self, before: Setup, option_of: OptionOf | None = None) -> dict[str, Any]:
        """JSON-ready; `changes` are the settings that differ from those `before`,
        `record` how often the remedy helped on planted failures.
        """
        return {
            "text": self.text,
            "changes": changes(before, self.setup),
            "option": self.option(before, option_of),
            "code": self.code,
            "record": str(record_of(self.key) or ""),
        }


#: A remedy makes a proposal of what was diagnosed, or none where it does not apply.
Remedy = Callable[[Setup, "Evidence"], Proposal | None]


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """One thing that is wrong, or the statement that nothing is.

    `name` is the failure mode; `confidence` the share of the repeated draws that show it; `evidence`
    the numbers that it rests on; `plot` the section of the report that shows them.
    """

    name: str
    severity: Severity
    confidence: float
    sentence: str
    reason: str
    evidence: Mapping[str, Any]
    plot: str
    remedies: tuple[Proposal, ...] = ()

    @property
    def title(self) -> str:
        """The name as a heading."""
        return self.name[:1].upper() + self.name[1:]

    def as_dict(self, before: Setup, option_of: OptionOf | None = None) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "failure_mode": self.name,
            "title": self.title,
            "severity": str(self.severity),
            "confidence": self.confidence,
            "sentence": self.sentence,
            "reason": self.reason,
            "evidence": dict(self.evidence),
            "plot": self.plot,
            "remedies": [remedy.as_dict(before, option_of) for remedy in self.remedies],
        }


@dataclasses.dataclass(frozen=True)
class AbstractFinding(abc.ABC):
    """One failure mode: what to look for, its thresholds, and its remedies.

    Subclass it as a frozen dataclass whose fields are the thresholds, and pass an instance to
    `diagnose(findings=[*pk.FINDINGS, Mine()])`. Of two findings with the same severity, the one
    earlier in `findings` is reported first. A finding that is `last` is judged only if no other finding
    is severe, because its symptoms could be theirs. One that `needs_training` is left out where the
    short training was stopped before it told anything.
    """

    name: ClassVar[str]
    last: ClassVar[bool] = False
    needs_training: ClassVar[bool] = False

    @abc.abstractmethod
    def judge(self, evidence: Evidence) -> Found | None:
        """What is found in the evidence, None where nothing is."""


def changes(before: Setup, after: Setup | None) -> list[str]:
    """Where a changed setup differs, as `training.steps: 200, now 100`."""
    if after is None or after is before:
        return []
    return differences(describe_setup(before), describe_setup(after))


def ordered(found: Sequence[Found]) -> tuple[Found, ...]:
    """Severe ones first; among equals, in the order that they come in."""
    severities = list(Severity)
    return tuple(sorted(found, key=lambda each: severities.index(each.severity)))
