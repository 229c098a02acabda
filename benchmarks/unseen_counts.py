"""What counts of the record of `unseen.py`: which findings are right, what is a cure, which cases count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from doctor import pairs
from patients_page import improved

Record = dict[str, Any]

#: A cure reaches this error, and is at least so many times better than the training as planned.
CURED, TIMES = 0.05, 3.0
#: An estimate within this factor of the true error is right.
FACTOR = 3.0
GENERATED, LOOKED_AT = "generated", "looked at"


def result_of(record: Record, kind: str, case: Record) -> Record | None:
    """What came of a task for a case; None where it was not done."""
    found = [r for r in record["results"] if r["kind"] == kind and r["name"] == case["name"]]
    return found[0] if found else None


def first_of(result: Record) -> str | None:
    """The failure that is named first; None where there is no finding."""
    findings = result.get("findings") or [{}]
    return findings[0].get("failure_mode")


def right(case: Record, result: Record) -> bool:
    """Whether the first finding, or the refusal, is one of those that are right."""
    if case["refused"]:
        return case["refused"] in result.get("refused", {}).get("argument", "")
    return first_of(result) in case["first"]


def cured(result: Record | None) -> bool:
    """At most 5% error and three times better than the plan; by the doctor's claim without a solution."""
    treatment = (result or {}).get("treatment", {})
    before, after = treatment.get("before"), treatment.get("after")
    if after is None:
        return bool(before is None and treatment.get("trials") and treatment.get("claimed"))
    return after <= CURED and after * TIMES <= (1.0 if before is None else before)


def healthy_already(result: Record | None) -> bool:
    """Whether the training as planned has reached 5% in its trial: there is nothing to cure."""
    before = (result or {}).get("treatment", {}).get("before")
    return before is not None and before <= CURED


def better(result: Record | None) -> bool:
    """Whether the best trial has a tenth of the error of the training as planned."""
    treatment = (result or {}).get("treatment", {})
    return "after" in treatment and improved(treatment)


def as_planned(record: Record, source: str = GENERATED) -> list[Record]:
    """The generated cases that count: training found nothing that speaks against them."""
    found = [(case, result_of(record, "oracle", case)) for case in generated(record, source)]
    return [case for case, oracle in found if oracle is not None and oracle.get("against") == ""]


def row_of_seeds(record: Record) -> str:
    """The row whose figures are told: the newer one as soon as training has verified cases of it."""
    return GENERATED if as_planned(record, GENERATED) else LOOKED_AT


def generated(record: Record, source: str = GENERATED) -> list[Record]:
    """Those that nobody looked at, or those that were."""
    return [case for case in record["cases"] if case["source"] == source]


def asked(record: Record) -> list[Record]:
    """The reported problems with a public source."""
    return [case for case in record["cases"] if case["source"].startswith("https")]


def smallest(record: Record) -> list[Record]:
    return [case for case in record["cases"] if not case["source"]]


def visits(
    record: Record, cases: Iterable[Record], kind: str = "visit"
) -> list[tuple[Record, Record]]:
    """Those of the cases that were visited, with what was found."""
    found = [(case, result_of(record, kind, case)) for case in cases]
    return [(case, result) for case, result in found if result is not None]


def truths_known(record: Record) -> list[Record]:
    """The cases that count and whose solution is right: one that is given wrong is no truth."""
    counted = [*as_planned(record, LOOKED_AT), *as_planned(record), *asked(record)]
    return [case for case in [*counted, *smallest(record)] if "given solution" not in case["first"]]


def ends(record: Record) -> list[tuple[float, float]]:
    """(expected, true) relative error after the planned steps, of every case that was trained so far.

    The expectation is the examination's; the training is that of the oracle, or a baseline that completed.
    """
    found = []
    for case, result in visits(record, truths_known(record)):
        truth, expected = _end(record, case, result), result.get("expected")
        if truth is not None and expected is not None and truth > 0 and expected > 0:
            found.append((expected, truth))
    return found


def _end(record: Record, case: Record, result: Record) -> float | None:
    oracle = result_of(record, "oracle", case)
    if oracle is not None:
        sick = oracle["sick"]
        return sick["relative_l2"] if sick["outcome"] == "completed" else None
    trials = result.get("treatment", {}).get("trials") or [{}]
    return trials[0].get("relative_l2") if trials[0].get("outcome") == "completed" else None


def points(record: Record) -> list[tuple[str, float, float]]:
    """(stage, estimated error, true error) of every model that was looked at, on cases that count."""
    known = truths_known(record)
    return [
        (stage, estimate, truth)
        for kind in ("visit", "first order")
        for case, result in visits(record, known, kind)
        for stage, estimate, truth in pairs(result)
        if not (kind == "first order" and stage != "trial")  # the same examination again
        if estimate > 0 and truth > 0
    ]


def close(estimate: float, truth: float) -> bool:
    return truth / FACTOR <= estimate <= truth * FACTOR
