"""Does the doctor find what is wrong? Cases made sick in one known way, and healthy controls.

    python benchmarks/patients.py [--smoke] [--only NAME ...] [--seeds 5] [--workers 1] [--merge]
    python benchmarks/patients.py --verify [--only NAME ...] [--merge]

Every case of tests/clinic is examined from every seed, and the treatable ones are treated at seed 0, each
in a process of its own. `--verify` asks no doctor: it trains every case and its healthy twin for their
planned steps, and records whether the one fails and the other trains. The record
results/patients.json is written after every process; `--merge` keeps what is in it, so that an
interrupted run goes on, and what was asked for is measured anew only where it is missing or failed
(`--again`: in any case). Writes docs/patients.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from common import RESULTS, use_cores, write
from doctor import findings_of
from patients_page import keep
from processes import answer, checkpoint, clinic_parser, kept, missing, run, with_result

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from clinic import PATIENTS
from clinic.patient import trained, verdict

#: Seconds that a treatment has, and that a process may take before it counts as hanging.
BUDGET, PATIENCE = 60.0, 900.0
SMOKE = ("imbalance_poisson",)
Record = dict[str, Any]


def options() -> argparse.Namespace:
    made = clinic_parser(__doc__ or "", list(PATIENTS), BUDGET)
    made.add_argument("--seeds", type=int, default=5, help="how many, from 0 on")
    arguments = made.parse_args()
    if arguments.smoke:
        arguments.only = list(SMOKE) if arguments.only == list(PATIENTS) else arguments.only
        arguments.seeds, arguments.budget = 1, min(arguments.budget, 10.0)
    return arguments


def tasks(arguments: argparse.Namespace) -> list[Record]:
    """What is to be done: one training of two or three forms, or one visit to the doctor."""
    if arguments.verify:
        return [{"kind": "oracle", "name": name, "seed": 0} for name in arguments.only]
    found = []
    for seed in range(arguments.seeds):
        for name in arguments.only:
            treat = seed == 0 and PATIENTS[name].treatable
            budget = arguments.budget if treat else None
            found.append({"kind": "visit", "name": name, "seed": seed, "budget": budget})
    return found


def work(task: Record) -> Record:
    """One task, in this process."""
    warnings.simplefilter("ignore")
    patient = PATIENTS[task["name"]]
    if task["kind"] == "oracle":
        found = {form: trained(patient, form, task["seed"]) for form in patient.forms}
        return {**found, "against": verdict(patient, found)}
    return visit(task)


def visit(task: Record) -> Record:
    """Examine, and treat where the task has a budget for it."""
    from pinntk.diagnosis import examine, treat

    patient = PATIENTS[task["name"]]
    began = time.perf_counter()
    diagnosis: Any = examine(patient.form("sick"), task["seed"])
    found: Record = {
        "seconds": round(time.perf_counter() - began, 2),
        "findings": findings_of(diagnosis),
    }
    if task["budget"] is not None:
        began = time.perf_counter()
        treatment: Any = treat(diagnosis, task["budget"])
        seconds = round(time.perf_counter() - began, 2)
        found["treatment"] = {"seconds": seconds, **treated(treatment.as_dict())}
    return found


def treated(record: Record) -> Record:
    """What counts of a treatment: the winner's setting, and the errors of the baseline and of it."""
    winner = record.get("winner") or {}
    trials = record.get("trials") or [{}]
    return {
        "remedy": winner.get("code") or winner.get("name"),
        "before": winner.get("relative_l2_before", trials[0].get("relative_l2")),
        "after": winner.get("relative_l2_after"),
        "trials": [
            {key: trial.get(key) for key in ("name", "outcome", "seconds", "relative_l2")}
            for trial in trials
        ],
    }


def attempt(task: Record) -> Record:
    """`work` in a process of its own; a failure is a result too."""
    return answer(__file__, task, PATIENCE)


def shown(result: Record) -> str:
    """One line of progress."""
    start = f"{result['name']:28s} seed {result['seed']}"
    if "failed" in result:
        return f"{start}  FAILED {result['failed']}"
    if result["kind"] == "oracle":
        forms = {form: result[form] for form in ("sick", "twin", "cure") if form in result}
        errors = (
            f"{form} {run['outcome']}"
            if run["relative_l2"] is None
            else f"{form} {run['relative_l2']:.1e}"
            for form, run in forms.items()
        )
        return f"{start}  {', '.join(errors)}  {result['against'] or 'as planned'}"
    planted, first = PATIENTS[result["name"]].failure_mode, result["findings"][0]
    agrees = "ok" if first["failure_mode"] == planted else f"planted: {planted}"
    line = (
        f"{start}  {first['failure_mode']} ({first['severity']})  {agrees}  {result['seconds']} s"
    )
    if "treatment" in result:
        treatment = result["treatment"]
        line += f"  {treatment['before']} -> {treatment['after']} {treatment['remedy']}"
    return line


def described() -> list[Record]:
    """The cases, as the page tells them."""
    return [
        {
            "name": patient.name,
            "failure_mode": patient.failure_mode,
            "strength": patient.strength,
            "treatable": patient.treatable,
            "why": patient.why,
        }
        for patient in PATIENTS.values()
    ]


def main() -> None:
    arguments = options()
    if arguments.worker is not None:
        print(json.dumps(work(json.loads(arguments.worker))))
        return
    use_cores(arguments.workers)
    target = arguments.out or RESULTS / "patients.json"
    results = kept(arguments, target, list(PATIENTS))
    todo = missing(tasks(arguments), results, arguments.again)
    for result in run(todo, arguments.workers, attempt):
        print(shown(result), flush=True)
        results = with_result(results, result, list(PATIENTS))
        if not arguments.smoke or arguments.out:
            checkpoint(target, results)
    record = {"budget": arguments.budget, "cases": described(), "results": results}
    written = write("patients", arguments, record, short=True)
    if written is not None and written.parent == RESULTS:
        keep(json.loads(written.read_text()))


if __name__ == "__main__":
    main()
