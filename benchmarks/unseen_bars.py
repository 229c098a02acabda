"""What is required of the diagnosis on generated cases, and how often it held."""

from __future__ import annotations

from typing import Any, NamedTuple

from patients_page import GAIN, HEALTHY, cures, named, seen, severe
from unseen_counts import FACTOR, as_planned, better, close, points, right, row_of_seeds, visits

Record = dict[str, Any]

#: The shares that are required: first findings, controls without a severe one, estimates, improvements
#: with and without the natural gradient; and how many reported problems of 16.
FIRST, CONTROLS, ESTIMATES, WITH, WITHOUT, ASKED = 0.85, 0.95, 0.80, 0.85, 0.60, 13


class Bar(NamedTuple):
    """What is counted on cases that shaped the rules and on others, and how often it must hold."""

    what: str
    tuned: list[bool]
    unseen: list[bool]
    required: float


class Generated(NamedTuple):
    """What held on the generated cases of one row of seeds: first findings, controls, improvements."""

    first: list[bool]
    controls: list[bool]
    improved: list[bool]
    first_order: list[bool]

    @staticmethod
    def of(record: Record, source: str) -> Generated:
        """Those that training shows to be as planned."""
        counted = visits(record, as_planned(record, source))
        sick = [(case, result) for case, result in counted if case["first"] != [HEALTHY]]
        treatable = [case for case, _ in sick if case["treatable"]]
        return Generated(
            [right(case, result) for case, result in sick],
            [
                "failed" not in result and not severe([result])
                for case, result in counted
                if case["first"] == [HEALTHY]
            ],
            [better(result) for _, result in visits(record, treatable)],
            [better(result) for _, result in visits(record, treatable, "first order")],
        )


def bars(record: Record, patients: Record) -> list[Bar]:
    """What is required, on the cases that shaped the rules and on those that nobody looked at."""
    found = Generated.of(record, row_of_seeds(record))
    tuned_controls = [v for case, v in seen(patients) if case["failure_mode"] == HEALTHY]
    return [
        Bar(
            "first finding right",
            named(patients),
            found.first,
            FIRST,
        ),
        Bar(
            "healthy controls without a severe finding",
            [not severe([visit]) for found in tuned_controls for visit in found],
            found.controls,
            CONTROLS,
        ),
        Bar(
            f"treatable: error reduced {GAIN:g}-fold or more",
            cures(patients),
            found.improved,
            WITH,
        ),
        Bar(
            "the same without the natural gradient",
            [],
            found.first_order,
            WITHOUT,
        ),
        Bar(
            f"estimated error within a factor {FACTOR:g} of the true one (reported ones too)",
            [],
            [close(estimate, truth) for _, estimate, truth in points(record)],
            ESTIMATES,
        ),
    ]


def counts(hits: list[bool]) -> str:
    """`36 of 40, 90%`."""
    return f"{sum(hits)} of {len(hits)}, {100 * sum(hits) / len(hits):.3g}%" if hits else "–"
