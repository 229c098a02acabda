"""docs/remedies.md, and what the package says of its remedies, from results/remedies.json.

python benchmarks/remedies_page.py [--check]
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from typing import Any

from common import DOCS, RESULTS, ROOT, keep_from_command_line, keep_page
from kernel_tables import table
from pinntk.diagnosis.track_record import FILE, HELPS
from pinntk.words import times

PAGE, RECORD = DOCS / "remedies.md", RESULTS / "remedies.json"
TRACK = ROOT / "src" / "pinntk" / "diagnosis" / FILE
#: The remedies in words.
NAMES = {
    "algorithm-1": "loss weights by Algorithm 1",
    "hard-constraints": "hard constraints",
    "equal-slabs": "equal slabs of time",
    "fourier-features": "Fourier features",
    "more-points": "more collocation points",
    "points-by-residual": "points by residual",
    "larger-network": "a larger network",
    "learning-rate": "another learning rate",
    "adam": "Adam for gradient descent",
    "input-scaling": "input scaling",
    "float64": "float64",
    "fresh-network": "a fresh network",
}
Record = dict[str, Any]


def gains(result: Record) -> list[float]:
    """By seed, the error without the remedy, at most 1, over that with it; 0 where that is not finite."""
    pairs = zip(result["before"], result["after"], strict=True)
    return [
        0.0 if after is None else min(1.0, math.inf if before is None else before) / after
        for before, after in pairs
    ]


def gain(result: Record) -> float:
    """The median over the seeds."""
    return statistics.median(gains(result))


def tried(record: Record, key: str) -> list[Record]:
    """The results of a remedy where it was prescribed."""
    return [r for r in record["results"] if r["remedy"] == key and "after" in r]


def track(record: Record) -> str:
    """src/pinntk/diagnosis/track_record.json: the median gain by remedy and case."""
    found = {key: {r["case"]: float(f"{gain(r):.2g}") for r in tried(record, key)} for key in NAMES}
    return json.dumps({key: cases for key, cases in found.items() if cases}, indent=2) + "\n"


def summary(record: Record) -> str:
    """A row for every remedy."""
    rows = []
    for key, name in NAMES.items():
        planted = sum(remedy == key for remedy, _ in record["planned"])
        seen = [r for r in record["results"] if r["remedy"] == key]
        found = [gain(r) for r in tried(record, key)]
        middle = times(statistics.median(found)) if found else ""
        helped = str(sum(value >= HELPS for value in found))
        worse = str(sum(value < 1 for value in found))
        counts = [str(planted), str(len(seen)), str(len(found))]
        rows.append([name, *counts, helped, worse, middle])
    header = ["remedy", "planted", "measured", "prescribed", f"{HELPS:g} times better", "worse"]
    header.append("median gain")
    return table(header, rows)


def details(record: Record) -> str:
    """A row for every remedy and case."""
    rows = []
    for result in record["results"]:
        if "after" not in result:
            gained = ["", f"not prescribed ({result['found']})", ""]
        else:
            seeds = gains(result)
            helped = sum(value >= HELPS for value in seeds)
            gained = [error(result["after"]), times(gain(result)), f"{helped} of {len(seeds)}"]
        rows.append(
            [NAMES[result["remedy"]], f"`{result['case']}`", error(result["before"]), *gained]
        )
    header = ["remedy", "case", "error without", "with", "gain", f"seeds with {HELPS:g} times"]
    return table(header, rows)


def error(values: list[float | None]) -> str:
    """The median over the seeds."""
    middle = statistics.median(math.inf if value is None else value for value in values)
    return f"{middle:.1e}" if math.isfinite(middle) else "diverged"


def missing(record: Record) -> str:
    """What is planned and was not measured yet."""
    done = {(r["remedy"], r["case"]) for r in record["results"]}
    lines = [
        f"- {name}: {', '.join(f'`{case}`' for case in cases)}"
        for key, name in NAMES.items()
        if (cases := [c for k, c in record["planned"] if k == key and (k, c) not in done])
    ]
    return "\n".join(lines) or "Nothing."


def prescriptions(record: Record) -> str:
    """What was prescribed, in words, where the words have numbers of their own."""
    has_numbers = lambda text: any(sign.isdigit() for sign in text.replace("Algorithm 1", ""))
    lines = [
        f"- `{result['case']}`: {result['prescribed']}"
        for result in record["results"]
        if "after" in result and has_numbers(result["prescribed"])
    ]
    return "\n".join(lines)


def page(record: Record) -> str:
    """docs/remedies.md."""
    told = {case["name"]: case["why"] for case in record["cases"]}
    measured = list(dict.fromkeys(result["case"] for result in record["results"]))
    cases = "\n".join(f"- `{name}`: {told[name]}" for name in measured)
    versions = record["versions"]
    return f"""# Each remedy's record

A remedy is prescribed for what it is meant to help against. Here each one is measured by itself on small
problems with the failure that it is for, and the natural gradient, which helps against most failures, is
left out. A problem is diagnosed once, and trained from {record["seeds"]} seeds as it is and as the
diagnosis prescribes, for the same number of steps. An error is relative L2 against the exact solution. A
*gain* is the error without the remedy, counted as 1 where it was larger, over the error with it; the
median over the seeds counts. Where the diagnosis does not prescribe the remedy, what it found is named.

Fourier features are prescribed where the field is fast along one coordinate. Along several at once they
are not: random frequencies are then too few for all directions. On `spectral_both`, with 300 points,
20 features of scale 0.5 took the median error from 0.24 to 0.18, and 40 to 0.12.

{summary(record)}
{details(record)}
**These cases are no independent test.** The rule for Fourier features was changed until `spectral_across`
came out right: it had a gain of 9.1 with one estimate of the waves, 20 features and 300 points, and of
9.9 with another estimate and 400 points. Most other cases were made to have one failure and no other.

## Not measured yet

{missing(record)}

## What was prescribed

{prescriptions(record)}

## The cases

{cases}

`{record["command"]}`, {record["processor"]}, {record["cores"]} core(s), JAX {versions["jax"]}, Python
{record["python"]}. `python benchmarks/remedies_page.py` writes this page from results/remedies.json, and
the figures that a diagnosis states beside a remedy.
"""


def keep(record: Record, checked_by: str = "") -> int:
    """Write the page and the package's figures, or only compare them; how many are out of date."""
    made = {PAGE: page(record), TRACK: track(record)}
    return sum(keep_page(file, text, checked_by) for file, text in made.items())


if __name__ == "__main__":
    sys.exit(keep_from_command_line(keep, RECORD, __doc__ or "", "benchmarks/remedies_page.py"))
