"""Is the doctor right on problems that nobody tuned it to? Reported ones, and ones from a generator.

    python benchmarks/unseen.py [--smoke] [--only NAME ...] [--first-order] [--workers 1] [--merge]
    python benchmarks/unseen.py --verify [--only NAME ...] [--merge]

NAME is a case, or "reported", "generated" or "looked-at" for all of them.

Every case is examined at seed 0 and its remedies are tried where settings can help, each in a process of
its own. With
`--first-order` the natural gradient is not among the trials; the record holds both. `--verify` asks no
doctor: it trains every generated case and its healthy twin for their planned steps, and records whether
the one fails and the other trains; those that are not as planned do not count. The record
results/unseen.json is written after every process; `--merge` keeps what is in it, so that an interrupted
run goes on (`--again`: and measures anew). Writes docs/unseen.md and results/calibration.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from common import RESULTS, commit, use_cores, write
from doctor import estimates_of, expected_of, findings_of, treatment_of
from processes import answer, checkpoint, clinic_parser, kept, missing, run, with_result
from unseen_counts import right
from unseen_page import MADE

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from clinic.generated import GENERATED, LOOKED_AT
from clinic.patient import Patient, trained, verdict
from clinic.reported import REPORTED

#: Seconds that the trials of a case have, and that a process may take before it counts as hanging.
BUDGET, PATIENCE = 120.0, 1200.0
DRAWN = LOOKED_AT | GENERATED
NAMES = [*REPORTED, *DRAWN]
#: What may be asked for together.
GROUPS = {"reported": REPORTED, "looked-at": LOOKED_AT, "generated": GENERATED}
SMOKE = ("broken_solution",)
Record = dict[str, Any]


def options() -> argparse.Namespace:
    made = clinic_parser(__doc__ or "", [*GROUPS, *NAMES], BUDGET)
    made.add_argument("--first-order", action="store_true", help="trials without natural gradient")
    arguments = made.parse_args()
    asked = [member for name in arguments.only for member in GROUPS.get(name, (name,))]
    arguments.only = list(dict.fromkeys(asked))
    if arguments.smoke:
        arguments.only = list(SMOKE) if arguments.only == NAMES else arguments.only
        arguments.budget = min(arguments.budget, 10.0)
    return arguments


def tasks(arguments: argparse.Namespace) -> list[Record]:
    """What is to be done: one training of two forms, or one visit to the doctor."""
    if arguments.verify:
        names = [name for name in arguments.only if name in DRAWN]
        return [{"kind": "oracle", "name": name, "seed": 0} for name in names]
    kind = "first order" if arguments.first_order else "visit"
    names = [n for n in arguments.only if kind == "visit" or _treated(n)]
    return [
        {
            "kind": kind,
            "name": name,
            "seed": 0,
            "budget": arguments.budget if _treated(name) else None,
        }
        for name in names
    ]


def _treated(name: str) -> bool:
    """Whether a case is one that settings can cure; all of the reported ones are tried."""
    return name not in DRAWN or DRAWN[name].treatable


def work(task: Record) -> Record:
    """One task, in this process."""
    from pinntk.errors import PinntkError

    warnings.simplefilter("ignore")
    if task["kind"] == "oracle":
        patient = DRAWN[task["name"]]
        found = {form: trained(patient, form, task["seed"]) for form in patient.forms}
        return {**found, "against": verdict(patient, found)}
    began = time.perf_counter()
    try:
        return visit(task)
    except PinntkError as error:  # a refusal that says why: no traceback
        seconds = round(time.perf_counter() - began, 2)
        return {"refused": {"argument": error.argument, "message": str(error)}, "seconds": seconds}


def visit(task: Record) -> Record:
    """Examine, and treat where the task has a budget for it."""
    from pinntk.diagnosis import examine

    name = task["name"]
    setup = DRAWN[name].form("sick") if name in DRAWN else REPORTED[name].setup()
    began = time.perf_counter()
    diagnosis: Any = examine(setup, task["seed"])
    seconds = round(time.perf_counter() - began, 2)
    found: Record = {"seconds": seconds, "findings": findings_of(diagnosis)}
    found["estimates"] = estimates_of(diagnosis)
    found["expected"] = expected_of(diagnosis)
    if task["budget"] is not None:
        began = time.perf_counter()
        treatment = treatment_of(diagnosis, task["budget"], task["kind"] == "first order")
        found["treatment"] = {"seconds": round(time.perf_counter() - began, 2), **treatment}
    return found


def attempt(task: Record) -> Record:
    """`work` in a process of its own; a failure is a result too."""
    return answer(__file__, task, PATIENCE)


def described() -> list[Record]:
    """The cases, as the page tells them."""
    reported = [
        {
            "name": report.name,
            "source": report.source,
            "first": sorted(report.first),
            "why": report.why,
            "treatable": report.curable,
            "judged": report.judged,
            "counts": report.counts,
            "refused": report.refused,
        }
        for report in REPORTED.values()
    ]
    drawn = [generated(patient, "generated") for patient in GENERATED.values()]
    return reported + drawn + [generated(p, "looked at") for p in LOOKED_AT.values()]


def generated(patient: Patient, source: str) -> Record:
    """A generated case, as the page tells it."""
    return {
        "name": patient.name,
        "source": source,
        "first": sorted({patient.failure_mode, *patient.also}),
        "strength": patient.strength,
        "why": patient.why,
        "treatable": patient.treatable,
        "judged": True,
        "counts": True,
        "refused": "",
    }


def shown(result: Record) -> str:
    """One line of progress."""
    start = f"{result['kind']:12s} {result['name']:36s}"
    if "failed" in result:
        return f"{start}  FAILED {result['failed']}"
    if "refused" in result:
        return f"{start}  refused {result['refused']['argument']}"
    if result["kind"] == "oracle":
        errors = {form: result[form]["relative_l2"] for form in ("sick", "twin") if form in result}
        return f"{start}  {errors}  {result['against'] or 'as planned'}"
    case = next(case for case in described() if case["name"] == result["name"])
    first = result["findings"][0]
    line = f"{start}  {first['failure_mode']} ({first['severity']})  "
    line += "ok" if right(case, result) else f"expected: {', '.join(case['first'])}"
    treatment = result.get("treatment", {})
    return (
        line + f"  {treatment.get('before')} -> {treatment.get('after')} {treatment.get('remedy')}"
    )


def main() -> None:
    arguments = options()
    if arguments.worker is not None:
        print(json.dumps(work(json.loads(arguments.worker))))
        return
    use_cores(arguments.workers)
    target = arguments.out or RESULTS / "unseen.json"
    results = kept(arguments, target, NAMES)
    todo = missing(tasks(arguments), results, arguments.again)
    rules = commit()
    for result in run(todo, arguments.workers, attempt):
        result = {**result, "commit": rules}
        print(shown(result), flush=True)
        results = with_result(results, result, NAMES)
        if not arguments.smoke or arguments.out:
            checkpoint(target, results)
    record = {"budget": arguments.budget, "cases": described(), "results": results}
    MADE.renew(write("unseen", arguments, record, short=True))


if __name__ == "__main__":
    main()
