"""docs/patients.md from the record of `patients.py`.

    python benchmarks/patients_page.py [--check]

`--check` writes nothing and fails where the page is not what the record says.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from common import keep_page
from kernel_tables import table

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results" / "patients.json"
PAGE = ROOT / "docs" / "patients.md"
#: What is required: first findings that are the planted ones, verdicts that every seed shares, treated
#: cases whose error falls by `GAIN`.
RIGHT, STEADY, CURED, GAIN = 0.90, 0.95, 0.80, 10.0
HEALTHY, SEVERE = "healthy", "severe"

Record = dict[str, Any]


def results_of(record: Record, kind: str, name: str) -> list[Record]:
    """The results of one kind for one case, seed by seed."""
    return [r for r in record["results"] if r["kind"] == kind and r["name"] == name]


def first_of(visit: Record) -> str | None:
    """The failure mode told first; None where the doctor failed."""
    return None if "failed" in visit else visit["findings"][0]["failure_mode"]


def agrees(case: Record, visit: Record) -> bool:
    return first_of(visit) == case["failure_mode"]


def steady(visits: list[Record]) -> bool:
    """Whether the first finding is the same from every seed, and the doctor never failed."""
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
    return "–" if value is None else f"{value:.1e}"


def share(hits: int, of: int, required: float) -> str:
    """`36 of 40, 90% (at least 90% required: yes)`."""
    if not of:
        return "not measured yet"
    reached = "yes" if hits >= required * of else "**no**"
    return f"{hits} of {of}, {100 * hits / of:.3g}% (at least {required:.0%} required: {reached})"


def seen(record: Record) -> list[tuple[Record, list[Record]]]:
    """The cases that the doctor has seen, with what he said."""
    pairs = [(case, results_of(record, "visit", case["name"])) for case in record["cases"]]
    return [(case, visits) for case, visits in pairs if visits]


def sick_of(pairs: list[tuple[Record, list[Record]]]) -> list[tuple[Record, list[Record]]]:
    """Those that are no controls."""
    return [(case, visits) for case, visits in pairs if case["failure_mode"] != HEALTHY]


def named(record: Record) -> list[bool]:
    """Whether the first finding is the planted failure mode, for every sick case and seed."""
    return [agrees(case, visit) for case, visits in sick_of(seen(record)) for visit in visits]


def cures(record: Record) -> list[bool]:
    """Whether the remedy brought the error down, for every treatable case."""
    found = [treatment_of(v) for case, v in sick_of(seen(record)) if case["treatable"]]
    return [treatment is not None and improved(treatment) for treatment in found]


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
        f"- First finding is the planted one, seed 0: {share(right, len(sick), RIGHT)}.",
        f"- The same over all seeds: {share(sum(everywhere), len(everywhere), RIGHT)}.",
        f"- Severe findings on healthy controls: {alarms if controls else 'not measured yet'}.",
        "- Cases with one and the same first finding from every seed: "
        f"{share(sum(steady(visits) for _, visits in pairs), len(pairs), STEADY)}.",
        f"- Treatable cases whose error fell {GAIN:g} times or more within "
        f"{record['budget']:g} s: {share(sum(cured), len(cured), CURED)}.",
    ]
    if seconds:
        middle, longest = statistics.median(seconds), max(seconds)
        lines.append(f"- Seconds for an examination: median {middle:.1f}, at most {longest:.1f}.")
    return "\n".join(lines)


def told(visits: list[Record]) -> str:
    """The first finding from seed 0, its severity and confidence."""
    if "failed" in visits[0]:
        return "failed"
    first = visits[0]["findings"][0]
    return f"{first['failure_mode']} ({first['severity']}, {first['confidence']:.0%})"


def findings(record: Record) -> str:
    """A row for every case: what was planted, what was found, what it became."""
    rows = []
    for case in record["cases"]:
        visits = results_of(record, "visit", case["name"])
        start = [f"`{case['name']}`", case["failure_mode"], case["strength"]]
        if not visits:
            rows.append([*start, *["–"] * 6])
            continue
        treatment = treatment_of(visits)
        errors, remedy = "–", "–"
        if treatment is not None:
            errors = f"{number(treatment['before'])} → {number(treatment['after'])}"
            remedy = f"`{treatment['remedy']}`" if treatment["remedy"] else "none"
        alarms = str(len(severe(visits))) if case["failure_mode"] == HEALTHY else "–"
        firsts = [first_of(visit) for visit in visits]
        rows.append(
            [
                *start,
                told(visits),
                "yes" if agrees(case, visits[0]) else "**no**",
                f"{firsts.count(firsts[0])} of {len(firsts)}",
                alarms,
                errors,
                remedy,
            ]
        )
    header = [
        *("case", "planted", "strength", "first finding, seed 0", "agrees", "same over seeds"),
        *("severe findings on a control", "error before → after", "remedy"),
    ]
    return table(header, rows)


def outcome(run: Record | None) -> str:
    """The error of a run, or how it ended where it has none."""
    if run is None:
        return "–"
    if run["relative_l2"] is None:
        return run["outcome"]
    ended = " (diverged)" if run["outcome"] == "diverged" else ""
    return number(run["relative_l2"]) + ended


def oracle(record: Record) -> str:
    """Errors of the sick case, of its twin and with its known cure, after the planned steps."""
    rows = []
    for case in record["cases"]:
        found = results_of(record, "oracle", case["name"])
        forms: Record = found[0] if found else {}
        if not found:
            planned = "–"
        elif "failed" in forms:
            planned = f"**{forms['failed']}**"
        else:
            planned = f"**{forms['against']}**" if forms["against"] else "yes"
        runs = [outcome(forms.get(form)) for form in ("sick", "twin", "cure")]
        rows.append([f"`{case['name']}`", *runs, planned, case["why"]])
    header = [
        "case",
        "error, sick",
        "error, healthy twin",
        "with a cure",
        "as planned",
        "what it is",
    ]
    return table(header, rows)


def failures(record: Record) -> str:
    """What did not end: processes that failed, and what speaks against a case."""
    lines = [
        f"- `{r['name']}`, seed {r['seed']}: {plain(r['failed'])}"
        for r in record["results"]
        if "failed" in r
    ]
    return "\n".join(lines) or "None."


def mistakes(record: Record) -> str:
    """Every first finding that is not the planted failure mode, in the doctor's words."""
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
    return f"""# Is the doctor right?

{len(sick)} small problems, each made sick in one known way, and {len(record["cases"]) - len(sick)} healthy
controls. The doctor is told the problem and its settings, and nothing else. Every case is examined from
{seeds} seeds; the treatable ones are treated at seed 0. A first finding is right where it is the
failure mode that was planted.

{summary(record)}

## What was found

{findings(record)}
An error is relative L2 against the exact solution, which the doctor may not use. Zero everywhere has
the error 1, so an improvement is counted from 1 where the error was larger. "Same over seeds" counts the
seeds whose first finding is that of seed 0.

## First findings that are not the planted failure mode

{mistakes(record)}

## How it is known what is wrong

No doctor is asked: every case is trained for its planned steps, and so is its twin, which lacks the
failure mode and nothing else. The twin has to reach an error of 5e-2 or less, and the sick case one at
least ten times that of its twin, or diverge, or be refused. A cure is a change of settings that is known
to make the sick problem train; where none is given, that of the twin is one, if the twin differs in
settings alone.

{oracle(record)}
## Runs that failed

{failures(record)}

`{record["command"]}`, {record["processor"]}, {record["cores"]} core(s), JAX {versions["jax"]}, Python
{record["python"]}, median load of the machine {load}. This page is written by
`python benchmarks/patients_page.py` from results/patients.json.
"""


def write_page(record: Record) -> None:
    keep_page(PAGE, page(record))


def main() -> int:
    """Write the page, or with `--check` say whether it is out of date."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--check", action="store_true")
    check = made.parse_args().check
    text = page(json.loads(RECORD.read_text()))
    return keep_page(PAGE, text, "benchmarks/patients_page.py" if check else "")


if __name__ == "__main__":
    sys.exit(main())
