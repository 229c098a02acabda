"""Does each remedy help against the failure that it is for, without the natural gradient?

    python benchmarks/remedies.py [--smoke] [--only CASE ...] [--remedies KEY ...] [--merge] [--again]

Every case of tests/clinic/remedy_cases.py is diagnosed once, and trained for its planned steps from five
seeds: as it is, and with each remedy that the diagnosis prescribes and that the case is for, for as many
steps. The record results/remedies.json is written after every training; `--merge` keeps what is in it,
so that an interrupted run goes on, and `--again` measures anew what is there already. Writes
docs/remedies.md, and src/pinntk/diagnosis/track_record.json, which `pinntk.diagnosis.record_of` reads.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from common import RESULTS, parser, use_one_core, write
from remedies_page import gains, keep

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

SEEDS = 5
SMOKE = ("step_small_poisson",)
Record = dict[str, Any]


def options(cases: list[str], keys: list[str]) -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--only", nargs="+", default=cases, choices=cases, metavar="CASE")
    made.add_argument("--remedies", nargs="+", default=keys, choices=keys, metavar="KEY")
    made.add_argument("--merge", action="store_true", help="keep the record's other results")
    made.add_argument("--again", action="store_true", help="also measure what is there already")
    arguments = made.parse_args()
    if arguments.smoke and arguments.only == cases:
        arguments.only = list(SMOKE)
    return arguments


def errors(setup: Any, seeds: int) -> list[float | None]:
    """The relative L2 error of every seed after the planned steps, None where it is not finite.

    The seeds are trained at once, but for slabs of time, with the networks and points of single runs.
    """
    from pinntk.training import Member, precision, start_run, train_ensemble

    if setup.training.slabs is not None:
        return [start_run(setup, seed).relative_l2 for seed in range(seeds)]
    with precision(setup.dtype):
        starts = [setup.start(seed) for seed in range(seeds)]
        members = [Member(start.model, start.batch) for start in starts]
        training, first = setup.training, starts[0]
        (look,) = train_ensemble(
            first.problem, members, training, key=first.key, at=[training.steps]
        )
    assert look.errors is not None
    pairs = zip(look.errors, look.finite, strict=True)
    return [float(f"{error:.3g}") if ok and math.isfinite(error) else None for error, ok in pairs]


def examined(setup: Any, smoke: bool) -> Any:
    """The diagnosis of seed 0."""
    from pinntk.diagnosis import examine

    short: Record = {"draws": 1, "steps": 20} if smoke else {}
    return examine(setup, 0, **short)


def proposed(key: str, diagnosis: Any) -> tuple[str, Any]:
    """A remedy in words and its setup, None where it is not prescribed."""
    for finding in diagnosis.findings:
        for proposal in finding.remedies:
            if proposal.key == key and proposal.setup is not None:
                return proposal.text, proposal.setup
    return "", None


def measured(case: Any, keys: list[str], smoke: bool) -> list[Record]:
    """A case with its remedies, one result for each."""
    seeds = 1 if smoke else SEEDS
    setup = case.form("sick")
    if smoke:
        setup = setup.replace(training=setup.training.replace(steps=20))
    began = time.perf_counter()
    diagnosis = examined(setup, smoke)
    before = errors(setup, seeds)
    found = []
    for key in keys:
        text, changed = proposed(key, diagnosis)
        result: Record = {
            "remedy": key,
            "case": case.name,
            "found": diagnosis.findings[0].name,
            "prescribed": text,
            "steps": setup.training.steps,
            "before": before,
        }
        if changed is not None:
            assert changed.training.steps == setup.training.steps
            result["after"] = errors(changed, seeds)
        result["seconds"] = round(time.perf_counter() - began, 1)
        found.append(result)
        began = time.perf_counter()
    return found


def shown(result: Record) -> str:
    """One line of progress."""
    start = f"{result['case']:28s} {result['remedy']:18s}"
    if "after" not in result:
        return f"{start} not prescribed: {result['found']}"
    middle = sorted(gains(result))[len(gains(result)) // 2]
    return f"{start} {middle:.3g} times better  {result['after']}  {result['seconds']} s"


def main() -> None:
    use_one_core()
    warnings.simplefilter("ignore")
    from clinic.remedy_cases import REMEDY_CASES

    cases = {case.name: case for group in REMEDY_CASES.values() for case in group}
    arguments = options(list(cases), list(REMEDY_CASES))
    target = arguments.out or RESULTS / "remedies.json"
    results: list[Record] = []
    if arguments.merge and target.exists():
        results = json.loads(target.read_text())["results"]
    order = [(key, case.name) for key, group in REMEDY_CASES.items() for case in group]
    place = lambda result: (result["remedy"], result["case"])
    results = [result for result in results if place(result) in order]
    told = [
        {name: getattr(case, name) for name in ("name", "failure_mode", "why")}
        for case in cases.values()
    ]
    for name in arguments.only:
        done = set() if arguments.again else {place(result) for result in results}
        keys = [key for key in arguments.remedies if (key, name) in order]
        keys = [key for key in keys if (key, name) not in done]
        if not keys:
            continue
        for result in measured(cases[name], keys, arguments.smoke):
            print(shown(result), flush=True)
            results = [old for old in results if place(old) != place(result)] + [result]
        results.sort(key=lambda result: order.index(place(result)))
        record = {"seeds": SEEDS, "cases": told, "planned": order, "results": results}
        written = write("remedies", arguments, record, short=True)
        if written is not None and written.parent == RESULTS:
            keep(json.loads(written.read_text()))


if __name__ == "__main__":
    main()
