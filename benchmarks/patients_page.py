"""docs/patients.md, and docs/patients.csv with a row for every case, from the record of `patients.py`.

    python benchmarks/patients_page.py [--check]

`--check` writes nothing and fails where a file is not what the record says.
"""

from __future__ import annotations

import csv
import io
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from common import keep_from_command_line, keep_page
from kernel_tables import table

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results" / "patients.json"
PAGE = ROOT / "docs" / "patients.md"
CASES = ROOT / "docs" / "patients.csv"
#: The name of the trial that the others are compared with.
BASELINE = "baseline"
#: What differs in the name of a remedy from case to case: names, numbers, what stands in parentheses.
PARTICULAR = re.compile(
    r" \(.*?\)|(?<=Build ).*(?= into)|(?<=points for )'.*'"
    r"|(?<=rate of )[\d.e-]+(?=\.)|(?<=layers of )\d+|\b\d+(?= layers| points)"
)
#: How the older part of the record says what the newer says in other words.
REWORDED = {
    "Solve with the kernel in place of descending it: the natural gradient.": (
        "Switch to the natural gradient: it solves with the kernel instead of following the gradient."
    ),
    "Weight the conditions by Algorithm 1, so that all have one average rate.": (
        "Weight the conditions by Algorithm 1, so that all have the same average rate."
    ),
}
#: What is required: the shares of first findings that are right, of verdicts that every seed shares, and
#: of treated cases whose error falls by `GAIN`.
RIGHT, STEADY, CURED, GAIN = 0.90, 0.95, 0.80, 10.0
HEALTHY, SEVERE = "healthy", "severe"

Record = dict[str, Any]


def results_of(record: Record, kind: str, name: str) -> list[Record]:
    """The results of one kind for one case, seed by seed."""
    return [r for r in record["results"] if r["kind"] == kind and r["name"] == name]


def first_of(visit: Record) -> str | None:
    """The failure named first; None where the diagnosis itself failed."""
    return None if "failed" in visit else visit["findings"][0]["failure_mode"]


def agrees(case: Record, visit: Record) -> bool:
    return first_of(visit) == case["failure_mode"]


def steady(visits: list[Record]) -> bool:
    """Whether the first finding is the same from every seed, and no examination failed."""
    firsts = {first_of(visit) for visit in visits}
    return len(firsts) == 1 and None not in firsts


def severe(visits: list[Record]) -> list[Record]:
    """The severe findings."""
    return [f for v in visits for f in v.get("findings", ()) if f["severity"] == SEVERE]


def treatment_of(visits: list[Record]) -> Record | None:
    """The treatment, where there was one."""
    found = [v["treatment"] for v in visits if "treatment" in v]
    return found[0] if found else None


def improved(treatment: Record) -> bool:
    """Whether the error fell by the factor that is asked for, counted from 1 where it was above or none.

    Zero everywhere has the error 1: what has diverged is not cured by what fails.
    """
    before, after = treatment["before"], treatment["after"]
    return after is not None and after * GAIN <= min(1.0 if before is None else before, 1.0)


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


def share(hits: int, of: int, required: float) -> str:
    """`36 of 40, 90% (at least 90% required: yes)`."""
    if not of:
        return "not measured yet"
    reached = "yes" if hits >= required * of else "**no**"
    return f"{hits} of {of}, {100 * hits / of:.3g}% (at least {required:.0%} required: {reached})"


def seen(record: Record) -> list[tuple[Record, list[Record]]]:
    """The cases that were diagnosed, with what was found."""
    pairs = [(case, results_of(record, "visit", case["name"])) for case in record["cases"]]
    return [(case, visits) for case, visits in pairs if visits]


def sick_of(pairs: list[tuple[Record, list[Record]]]) -> list[tuple[Record, list[Record]]]:
    """Those that are no controls."""
    return [(case, visits) for case, visits in pairs if case["failure_mode"] != HEALTHY]


def named(record: Record) -> list[bool]:
    """Whether the first finding is the planted failure, for every such case and seed."""
    return [agrees(case, visit) for case, visits in sick_of(seen(record)) for visit in visits]


def treatments(record: Record) -> list[Record]:
    """Every treatment of a case with a planted failure."""
    found = [treatment_of(visits) for _, visits in sick_of(seen(record))]
    return [treatment for treatment in found if treatment is not None]


def cures(record: Record) -> list[bool]:
    """Whether the remedy brought the error down, for every treatable case."""
    found = [treatment_of(v) for case, v in sick_of(seen(record)) if case["treatable"]]
    return [treatment is not None and improved(treatment) for treatment in found]


def remedies(record: Record) -> str:
    """How often each remedy was tried, and how often it reduced the error by `GAIN`."""
    counts: dict[str, list[bool]] = {}
    for treatment in treatments(record):
        before = next(t["relative_l2"] for t in treatment["trials"] if t["name"] == BASELINE)
        for trial in treatment["trials"]:
            if trial["name"] == BASELINE:
                continue
            after = None if trial["outcome"] == "diverged" else trial["relative_l2"]
            name = PARTICULAR.sub(lambda found: "" if "(" in found[0] else "…", trial["name"])
            name = REWORDED.get(name, name)
            counts.setdefault(name, []).append(improved({"before": before, "after": after}))
    rows = [
        [name, str(len(found)), str(sum(found))]
        for name, found in sorted(counts.items(), key=lambda item: -len(item[1]))
    ]
    return table(["remedy", "tried", f"error reduced {GAIN:g}-fold"], rows)


def summary(record: Record) -> str:
    """What was asked for, line by line, and what was found."""
    pairs = seen(record)
    sick = sick_of(pairs)
    controls = [visits for case, visits in pairs if case["failure_mode"] == HEALTHY]
    right = sum(agrees(case, visits[0]) for case, visits in sick)
    everywhere, cured = named(record), cures(record)
    wrong = [finding for visits in controls for finding in severe(visits)]
    seconds = [v["seconds"] for _, visits in pairs for v in visits if "seconds" in v]
    alarms = f"{len(wrong)} (none allowed: {'**no**' if wrong else 'yes'})"
    lines = [
        f"- First finding right at seed 0: {share(right, len(sick), RIGHT)}.",
        f"- First finding right over all seeds: {share(sum(everywhere), len(everywhere), RIGHT)}.",
        f"- Severe findings on healthy controls: {alarms if controls else 'not measured yet'}.",
        "- Cases with the same first finding from every seed: "
        f"{share(sum(steady(visits) for _, visits in pairs), len(pairs), STEADY)}.",
        f"- Treatable cases whose error was reduced at least {GAIN:g}-fold within "
        f"{record['budget']:g} s: {share(sum(cured), len(cured), CURED)}.",
    ]
    if seconds:
        middle, longest = statistics.median(seconds), max(seconds)
        lines.append(f"- Seconds per diagnosis: median {middle:.1f}, at most {longest:.1f}.")
    return "\n".join(lines)


HEADER = (
    *("case", "planted", "strength", "what_it_is", "error", "error_of_twin", "error_with_cure"),
    *("as_planned", "first_finding", "severity", "confidence", "agrees", "same_first_finding"),
    *("seeds", "severe_findings", "error_before_treatment", "error_after_treatment", "remedy"),
)


def cases(record: Record) -> str:
    """docs/patients.csv: a row for every case. Empty cells were not measured, or do not apply."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for case in record["cases"]:
        writer.writerow(
            [
                *(case[key] for key in ("name", "failure_mode", "strength", "why")),
                *planted(results_of(record, "oracle", case["name"])),
                *examined(case, results_of(record, "visit", case["name"])),
            ]
        )
    return text.getvalue()


def planted(found: list[Record]) -> list[object]:
    """Errors of the case, of its twin and with its known cure, and whether they are as planned."""
    if not found:
        return [None] * 4
    forms = found[0]
    if "failed" in forms:
        return [None, None, None, plain(forms["failed"])]
    runs = [outcome(forms.get(form)) for form in ("sick", "twin", "cure")]
    return [*runs, forms["against"] or "yes"]


def examined(case: Record, visits: list[Record]) -> list[object]:
    """The first finding at seed 0, how many seeds share it, and what the treatment came to."""
    if not visits:
        return [None] * 10
    failed = "failed" in visits[0]
    first = {} if failed else visits[0]["findings"][0]
    firsts = [first_of(visit) for visit in visits]
    treatment = treatment_of(visits) or {}
    return [
        "failed" if failed else first["failure_mode"],
        *(first.get(key) for key in ("severity", "confidence")),
        "yes" if agrees(case, visits[0]) else "no",
        *(firsts.count(firsts[0]), len(firsts), len(severe(visits))),
        *(number(treatment.get(key)) for key in ("before", "after")),
        treatment.get("remedy"),
    ]


def outcome(run: Record | None) -> str:
    """The error of a run, or how it ended where it has none."""
    if run is None:
        return ""
    if run["relative_l2"] is None:
        return run["outcome"]
    ended = " (diverged)" if run["outcome"] == "diverged" else ""
    return number(run["relative_l2"]) + ended


def failures(record: Record) -> str:
    """What did not end: processes that failed, and what speaks against a case."""
    lines = [
        f"- `{r['name']}`, seed {r['seed']}: {plain(r['failed'])}"
        for r in record["results"]
        if "failed" in r
    ]
    return "\n".join(lines) or "None."


def mistakes(record: Record) -> str:
    """Every first finding that is not the planted failure, in its words."""
    lines = [
        f"- `{case['name']}`, seed {visit['seed']}, {case['failure_mode']}: "
        f"{plain(visit['findings'][0]['sentence'])}"
        for case, visits in seen(record)
        for visit in visits
        if "failed" not in visit and not agrees(case, visit)
    ]
    return "\n".join(lines) or "None."


def plain(text: str) -> str:
    """A message as text: no links, no code, no tables."""
    for sign in "[]|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.replace("`", "'").split())


def page(record: Record) -> str:
    """docs/patients.md."""
    sick = [case for case in record["cases"] if case["failure_mode"] != HEALTHY]
    seeds = len({r["seed"] for r in record["results"] if r["kind"] == "visit"})
    versions = record["versions"]
    loads = [r["load"] for r in record["results"] if r.get("load") is not None]
    load = f"{statistics.median(loads):.1f}" if loads else "unknown"
    return f"""# How reliable is the diagnosis?

{len(sick)} small problems, each with one planted failure, and {len(record["cases"]) - len(sick)} healthy
controls were diagnosed from {seeds} seeds each. The diagnosis sees the problem and its settings; of a
solution that is given it takes the size, the waves, and whether it meets the conditions, and measures no
error by it. It counts as right where its first finding is the planted failure. This record was made before
examinations were measured in work, and before the newer findings.

{summary(record)}

**These cases shaped the rules.** Thresholds follow from other reasons, but which questions the rules ask
was changed until these cases came out right. On problems of another kind, expect less.

[All cases as a table (CSV)](patients.csv): what was planted, what was found, and what helped.

## What helped

The remedies of the findings, and always the natural gradient, shared {record["budget"]:g} s of training at
seed 0. Weaker remedies were dropped early, so that these counts are low rather than high. An error is
relative L2 against the exact solution, counted as 1 where it was larger: zero everywhere has the error 1.

{remedies(record)}
## First findings that are not the planted failure

{mistakes(record)}

## How the true failure is known

Each case was trained for its planned steps, and so was its *twin*, which lacks the planted failure and
differs in nothing else. The twin must reach an error of at most 5e-2. The case itself must end at least
ten times higher, diverge, or be refused. A *cure* is a change of settings that is known to make the case
train. Where none is given and the twin differs in settings alone, the settings of the twin are one.

## Runs that failed

{failures(record)}

`{record["command"]}`, {record["processor"]}, {record["cores"]} core(s), JAX {versions["jax"]}, Python
{record["python"]}, median load of the machine {load}. `python benchmarks/patients_page.py` writes this
page and the table from results/patients.json.
"""


def keep(record: Record, checked_by: str = "") -> int:
    """Write page and table, or only compare them; how many are out of date."""
    made = {PAGE: page(record), CASES: cases(record)}
    return sum(keep_page(file, text, checked_by) for file, text in made.items())


if __name__ == "__main__":
    sys.exit(keep_from_command_line(keep, RECORD, __doc__ or "", "benchmarks/patients_page.py"))
