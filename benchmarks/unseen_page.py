"""docs/unseen.md, the figure of the calibration, and what a diagnosis says of its estimates, from the
records of `unseen.py` and `patients.py`.

    python benchmarks/unseen_page.py [--check]

`--check` writes nothing and fails where the page is not what the records say.
"""

from __future__ import annotations

import json
import statistics
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from common import DOCS, RESULTS, ROOT, MadePage
from kernel_tables import table
from patients_page import (
    GAIN,
    number,
    plain,
    share,
)
from pinntk.diagnosis import track_record
from pinntk.report.figures import save
from pinntk.report.panels import Curve, Panel
from pinntk.report.panels import draw as draw_panels
from pinntk.words import listed
from unseen_bars import ASKED, ESTIMATES, Generated, bars, counts
from unseen_counts import (
    CURED,
    FACTOR,
    GENERATED,
    LOOKED_AT,
    as_planned,
    asked,
    close,
    cured,
    ends,
    first_of,
    generated,
    healthy_already,
    points,
    result_of,
    right,
    row_of_seeds,
    smallest,
    visits,
)

Record = dict[str, Any]

PATIENTS, SAME = RESULTS / "patients.json", RESULTS / "same_verdict.json"
TOLD = ROOT / "src" / "pinntk" / "diagnosis" / track_record.CALIBRATION


def columns(record: Record, patients: Record) -> str:
    """The bars as a table."""
    return table(
        ["", "tuned", "never looked at"],
        [
            [bar.what, counts(bar.tuned), share(sum(bar.unseen), len(bar.unseen), bar.required)]
            for bar in bars(record, patients)
        ],
    )


def summary(record: Record) -> str:
    """The reported problems, line by line."""
    everything = visits(record, [*asked(record), *smallest(record)])
    judged = [(case, r) for case, r in visits(record, asked(record)) if case["judged"]]
    standing = [case for case in asked(record) if case["counts"]]
    both = [
        sum(cured(r) or healthy_already(r) for _, r in visits(record, standing, kind))
        for kind in ("visit", "first order")
    ]
    tracebacks = sum("failed" in result for _, result in everything)
    lines = [
        f"- Examined or refused with a reason: {len(everything) - tracebacks} of {len(everything)}.",
        f"- First finding right: {sum(right(*pair) for pair in judged)} of {len(judged)} (at least "
        f"{ASKED} of 16 required).",
        f"- Error at most {CURED:.0%} within {record['budget']:g} s of trials: {both[0]} of "
        f"{len(standing)} (at least {ASKED} required); without the natural gradient {both[1]}.",
    ]
    return "\n".join(lines) if everything else "Not measured yet."


def rows(record: Record, cases: list[Record]) -> str:
    """A table of cases: what should be found first, what was, and errors with both kinds of trials."""
    made = []
    for case in cases:
        visit, other = (result_of(record, kind, case) for kind in ("visit", "first order"))
        treated = [(result or {}).get("treatment", {}) for result in (visit, other)]
        link = f"[{case['name']}]({case['source']})" if "//" in case["source"] else case["name"]
        made.append(
            [
                link,
                ", ".join(case["first"]) or f"refused: {case['refused']}",
                found_in(visit),
                ""
                if visit is None or not case["judged"]
                else ("yes" if right(case, visit) else "no"),
                number(treated[0].get("before")),
                number(treated[0].get("after")),
                number(treated[1].get("after")),
                said(visit, case),
                said(other, case),
            ]
        )
    header = ["problem", "first finding should be", "is", "right", "error as planned"]
    header += ["best trial", "without natural gradient", "cured", "without"]
    return table(header, made)


def found_in(result: Record | None) -> str:
    """The first finding, or how the visit ended."""
    if result is None:
        return ""
    if "failed" in result:
        return "failed"
    return (
        f"refused: {result['refused']['argument']}"
        if "refused" in result
        else f"{first_of(result)}"
    )


def said(result: Record | None, case: Record) -> str:
    """Whether a visit cured the case; empty where that is not asked."""
    if result is None or "treatment" not in result or not case["treatable"]:
        return ""
    return "yes" if cured(result) else "not ill" if healthy_already(result) else "no"


def calibration(record: Record) -> str:
    """How often the estimate is within a factor of the truth, stage by stage."""
    found = points(record)
    made = []
    for stage in ("before", "after", "trial", "all"):
        here = [(e, t) for s, e, t in found if stage in (s, "all")]
        if here:
            ratios = sorted(e / t for e, t in here)
            cut = statistics.quantiles(ratios, n=10) if len(ratios) > 1 else ratios * 9
            made.append(
                [
                    STAGES[stage],
                    str(len(here)),
                    f"{sum(close(e, t) for e, t in here) / len(here):.0%}",
                    f"{statistics.median(ratios):.2g}",
                    f"{cut[0]:.2g} to {cut[-1]:.2g}",
                ]
            )
    header = ["stage", "models", f"within a factor {FACTOR:g}", "median of estimate / truth"]
    return table([*header, "four in five lie in"], made) if made else "Not measured yet.\n"


def ending(record: Record) -> str:
    """How often the error that is expected at the end of the plan is within a factor of the truth."""
    found = ends(record)
    if not found:
        return "not measured yet"
    hits = [close(expected, truth) for expected, truth in found]
    ratios = [expected / truth for expected, truth in found]
    median = f"the median of expected over true is {statistics.median(ratios):.2g}"
    return f"within a factor {FACTOR:g} in {share(sum(hits), len(hits), ESTIMATES)}; {median}"


def said_by_the_doctor(record: Record) -> str:
    """The package's own figure: `pinntk.diagnosis.track_record.calibration`."""
    found = points(record)
    within = sum(close(estimate, truth) for _, estimate, truth in found)
    return json.dumps({"factor": FACTOR, "models": len(found), "within": within}) + "\n"


STAGES = {
    "before": "before training",
    "after": "after the short training",
    "trial": "at the end of a trial",
    "all": "all",
}


def draw(record: Record, target: Path) -> None:
    """Estimated over true error, one mark for each model."""
    found = points(record)
    if not found:
        return
    truths = [truth for _, _, truth in found]
    ends = [min(truths), max(truths)]
    curves = [
        Curve(
            [truth for s, _, truth in found if s == stage],
            [estimate for s, estimate, _ in found if s == stage],
            STAGES[stage],
            points=True,
        )
        for stage in ("before", "after", "trial")
    ]
    for factor, label in ((1, "equal"), (FACTOR, f"a factor {FACTOR:g}"), (1 / FACTOR, "")):
        curves.append(Curve(ends, [factor * end for end in ends], label))
    panel = Panel(
        curves,
        xlabel="true relative L2 error",
        ylabel="estimated, without a solution",
        xscale="log",
        legend_below=True,
    )
    figure = draw_panels([panel], height=4.0)
    for ending in ("png", "pdf"):
        save(figure, target.parent / f"calibration.{ending}")


def before(record: Record) -> str:
    """The first row of generated cases, which were looked at."""
    found = Generated.of(record, LOOKED_AT)
    if row_of_seeds(record) == LOOKED_AT:
        return "None."
    wrong = [
        f"- `{case['name']}`: {first_of(result)} instead of {case['first'][0]}"
        for case, result in visits(record, as_planned(record, LOOKED_AT))
        if not right(case, result)
    ]
    text = (
        f"A first row of seeds was examined with the rules of {frozen(record, LOOKED_AT)}. First findings "
        f"were right in {counts(found.first)}. Of the healthy ones, {counts(found.controls)}, had no "
        f"severe finding. Of the treatable ones, {counts(found.improved)}, were improved {GAIN:g}-fold or "
        f"more, and {counts(found.first_order)}, without the natural gradient. What was wrong then has "
        "changed rules, so that these cases are no test any more:"
    )
    lines = [textwrap.fill(text, 108), "", *wrong]
    return "\n".join(lines)


def frozen(record: Record, source: str = GENERATED) -> str:
    """The commits whose rules judged the generated cases, with how many each."""
    made = [result for _, result in visits(record, as_planned(record, source))]
    commits = Counter(result.get("commit") or "unknown" for result in made)
    each = [f"commit {name} ({count} cases)" for name, count in commits.most_common()]
    return listed(each) if each else "no commit yet"


def machines() -> str:
    """The same cases on a quiet machine, on one core, on a busy one, and in the other precision."""
    if not SAME.exists():
        return "Not measured yet.\n"
    cases = json.loads(SAME.read_text())["cases"]
    ways = [way for way in next(iter(cases.values())) if way != "same"]
    made = []
    for name, case in cases.items():
        cells = [f"{case[way]['first']}, {case[way]['seconds']:.0f} s" for way in ways]
        made.append([f"`{name}`", *cells, "yes" if case["same"] else "no"])
    alike = sum(case["same"] for case in cases.values())
    return (
        f"{alike} of {len(cases)} verdicts are the same in all {len(ways)} ways: the first finding, its "
        "severity, and the set of severe findings.\n\n" + table(["case", *ways, "same"], made)
    )


def failures(record: Record) -> str:
    """Visits that did not end."""
    lines = [
        f"- `{r['name']}` ({r['kind']}): {plain(r['failed'])}"
        for r in record["results"]
        if "failed" in r
    ]
    return "\n".join(lines) or "None."


def left_out(record: Record) -> str:
    """Generated cases that do not count, and why."""
    lines = []
    for case in generated(record, row_of_seeds(record)):
        oracle = result_of(record, "oracle", case)
        if oracle is None or oracle.get("against") != "":
            why = "not trained yet" if oracle is None else oracle.get("against", "failed")
            lines.append(f"- `{case['name']}`: {plain(why)}")
    return "\n".join(lines) or "None."


def reasons(record: Record) -> str:
    """Why the findings that are called right are right."""
    return "\n".join(
        f"- `{case['name']}`: {plain(case['why'])}" for case in [*asked(record), *smallest(record)]
    )


def page(record: Record) -> str:
    """docs/unseen.md."""
    patients, versions = json.loads(PATIENTS.read_text()), record["versions"]
    row = row_of_seeds(record)
    counted = as_planned(record, row)
    sources = len({case["source"] for case in asked(record)})
    loads = [r["load"] for r in record["results"] if r.get("load") is not None]
    load = f"{statistics.median(loads):.1f}" if loads else "unknown"
    figure = "\n![Estimated over true error](measured/calibration.png)\n" if points(record) else ""
    return f"""# Problems that nobody tuned the doctor to

[How reliable is the diagnosis?](patients.md) reports the cases that shaped the rules. Here are others:
{len(counted)} from a generator that draws illness, equation, strength and geometry at random, and was
written without a look at the rules; and {sources} problems that people asked about in public, with
{len(smallest(record))} inputs that once showed a fault of pinntk.

{columns(record, patients)}
The generated cases were examined with the rules of {frozen(record, row)}.
A generated case counts where training says that it is what it should be: its healthy twin reaches an error
of 5%, and the case itself ends at least ten times higher. Unknown coefficients count as errors too.

## Reported problems

What went wrong on these is why several findings exist, so they are no test of rules that never saw them:
the generated cases are. Each is stated anew with the network and the plan of its reporter, and links to
the question. Variants that do what the answer advised are listed, and do not count for the first finding.

{summary(record)}

{rows(record, [*asked(record), *smallest(record)])}
Why a finding is right:

{reasons(record)}

## Generated problems

{rows(record, counted)}
A *cure* has an error of at most {CURED:.0%} and at most a third of that of the training as planned.

### Generated before

{before(record)}

### Generated, and not as planned

{left_out(record)}

## Is the estimated error right?

The examination estimates the relative L2 error without a solution. Here it is compared with the true one:
for every network that was drawn, before and after the short training, and at the end of every trial.

{calibration(record)}{figure}
The examination also says which error it expects at the end of the plan, after a part of its steps. Of the
cases that were trained to the end: {ending(record)}.

## Is a verdict the same on any machine?

Examined from seed 0 as it is on two cores, on one core, beside two busy loops, and in float64 instead of
float32: `python benchmarks/same_verdict.py`.

{machines()}
## Runs that failed

{failures(record)}

`{record["command"]}`, {record["processor"]}, {record["cores"]} core(s), JAX {versions["jax"]}, Python
{record["python"]}, median load of the machine {load}. `python benchmarks/unseen_page.py` writes this page
from results/unseen.json and results/patients.json.
"""


MADE = MadePage(
    DOCS / "unseen.md",
    RESULTS / "unseen.json",
    "benchmarks/unseen_page.py",
    page,
    draw,
    {TOLD: said_by_the_doctor},
)


if __name__ == "__main__":
    sys.exit(MADE.main(__doc__))
