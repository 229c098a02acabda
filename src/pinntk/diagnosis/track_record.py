"""How often each remedy helped on planted failures, and how often the estimated error was right.

`benchmarks/remedies.py` and `benchmarks/unseen.py` measured it.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any, NamedTuple

from pinntk.words import percent

#: A remedy helps where it makes the error so many times smaller, one decimal order.
HELPS = 10.0
#: The figures, written by `benchmarks/remedies.py`.
FILE = "track_record.json"
#: Those of the estimated error, written by `benchmarks/unseen.py`.
CALIBRATION = "calibration.json"


class TrackRecord(NamedTuple):
    """On how many planted failures a remedy was tried, and on how many its median gain was `HELPS`.

    `gains` are the median over five seeds of the error without the remedy over that with it, by case.
    """

    cases: int
    helped: int
    gains: dict[str, float]

    def __str__(self) -> str:
        return f"{HELPS:g} times better in {self.helped} of {self.cases} planted cases"


def record_of(key: str) -> TrackRecord | None:
    """The track record of a remedy by its key (`Proposal.key`); None where it was not measured.

    As text it is "10 times better in 5 of 6 planted cases".
    """
    gains = _gains().get(key)
    if not gains:
        return None
    return TrackRecord(len(gains), sum(gain >= HELPS for gain in gains.values()), gains)


class Calibration(NamedTuple):
    """Of so many `models` whose error is known, `within` were estimated within a `factor` of it."""

    factor: float
    models: int
    within: int

    def __str__(self) -> str:
        share = percent(self.within / self.models)
        return (
            f"Estimated errors were within a factor {self.factor:g} of the true ones in {share} of "
            f"{self.models:,} models."
        )


@functools.cache
def calibration() -> Calibration:
    """How far the error that is estimated without a solution can be believed, as it was measured."""
    return Calibration(**_read(CALIBRATION))


@functools.cache
def _gains() -> dict[str, dict[str, float]]:
    """By remedy and case; where no seed ended finite with the remedy, the gain is 0."""
    return _read(FILE)


def _read(name: str) -> dict[str, Any]:
    file = importlib.resources.files("pinntk.diagnosis") / name
    return json.loads(file.read_text(encoding="utf-8"))
