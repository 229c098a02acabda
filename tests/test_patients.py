"""The cases a doctor is tested on: each is one thing, and is as sick or as healthy as it says."""

import csv
import dataclasses
import functools
import io
import json
import sys
import types
from collections import Counter
from pathlib import Path

import pytest

from clinic import PATIENTS
from clinic.equations import poisson
from clinic.patient import Patient, trained, verdict
from each import each
from pinntk.diagnosis import FINDINGS, Found, Proposal, Severity, examine
from pinntk.diagnosis.examination import HEALTHY
from pinntk.diagnosis.findings import STATED, Dead, Imbalance
from pinntk.diagnosis.record import check_record
from pinntk.errors import PinntkError
from pinntk.jacobian import parameter_count
from pinntk.training import precision

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from patients_page import cases, improved, page, results_of, summary

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent

#: What training finds out before its first step; a doctor has to look before that.
REFUSED = ("dead_relu", "dead_forgotten", "dead_blocked")
#: Findings that are no failures, and those that are planted in tests of their own.
ELSEWHERE = {
    "lazy training",
    "conditioning",
    "not finite",
    "held-out NaN",
    "unseen residual",
    "spurious solution",
    "propagation failure",
}
SICK = [patient for patient in PATIENTS.values() if not patient.healthy]


def test_every_case_can_be_started():
    for patient in PATIENTS.values():
        setup = patient.form("sick")
        assert setup.problem.solution is not None, patient.name
        assert setup.training.steps <= 10_000, patient.name
        with precision(setup.dtype):
            assert parameter_count(setup.start(0).model) < 2500, patient.name


def test_every_failure_mode_has_two_strengths_and_controls_are_many():
    assert list(PATIENTS) == [patient.name for patient in PATIENTS.values()]
    counts = Counter((patient.failure_mode, patient.strength) for patient in PATIENTS.values())
    # What is wrong with a problem as stated is planted in test_stated.py.
    planted = {f.name for f in FINDINGS} - {f.name for f in STATED} - ELSEWHERE
    for name in planted:
        assert counts[name, "mild"] >= 1
        assert counts[name, "strong"] >= 1
    assert len(SICK) >= 24
    assert counts[HEALTHY, "none"] >= 8


def test_every_twin_lacks_the_failure_mode_and_a_remedy_is_known_where_one_is_promised():
    for patient in SICK:
        sick, twin = patient.form("sick"), patient.form("twin")
        assert patient.twin_problem is not None or patient.changes != patient.twin, patient.name
        assert sick.training.steps == twin.training.steps, patient.name
        names, others = sick.problem.names, twin.problem.names
        assert names[: len(others)] == others[: len(names)], patient.name
        if patient.treatable and patient.twin_problem is not None:
            assert patient.cure is not None, patient.name


@functools.cache
def runs(name):
    return {form: trained(PATIENTS[name], form) for form in ("sick", "twin")}


@pytest.mark.parametrize("name", ["step_small_poisson", "dead_relu"])
def test_a_sick_case_fails_and_its_twin_trains(name):
    found = runs(name)
    assert verdict(PATIENTS[name], found) == ""
    assert (found["sick"]["outcome"] == "refused") is (name in REFUSED)


def test_control_a_twin_as_its_own_patient_is_not_sick():
    patient = PATIENTS["step_small_poisson"]
    healed = dataclasses.replace(patient, changes=patient.twin)
    run = runs("step_small_poisson")["twin"]
    assert verdict(healed, {"sick": run, "twin": run}).startswith("not sick")
    assert verdict(patient, {"sick": run, "twin": {**run, "relative_l2": 0.5}}).startswith(
        "the twin does not train"
    )


def test_the_oracle_s_record_is_of_these_cases():
    record = json.loads((ROOT / "results" / "patients.json").read_text())
    for patient in PATIENTS.values():
        (found,) = results_of(record, "oracle", patient.name)
        assert found["against"] == "", patient.name
        assert (found["sick"]["outcome"] == "refused") is (patient.name in REFUSED)


# The benchmark, with a doctor who knows the answer.


def finding(name, severity=Severity.SEVERE):
    remedies = (Proposal("Weigh.", None, "pk.NTKWeights()"),)
    return Found(name, severity, 1.0, "So it is.", "Because.", {}, "rates", remedies)


@pytest.fixture
def harness(monkeypatch):
    """The benchmark's module, with a doctor put in the place of the true one."""
    import patients

    def examine(setup, seed):
        if setup.problem.name == "wave":
            raise PinntkError("wave", got="a wave", expected="no wave")
        return types.SimpleNamespace(findings=(finding(Imbalance.name),))

    def treat(diagnosis, budget):
        record = {
            "trials": [{"name": "baseline", "relative_l2": 0.5, "outcome": "completed"}],
            "winner": {
                "name": "weights",
                "option": "",
                "code": "pk.NTKWeights()",
                "relative_l2_before": 0.5,
                "relative_l2_after": 1e-3,
            },
        }
        return types.SimpleNamespace(as_dict=lambda: record)

    doctor = types.SimpleNamespace(examine=examine, treat=treat)
    monkeypatch.setitem(sys.modules, "pinntk.diagnosis", doctor)

    def attempt(task):
        try:
            return patients.work(task)
        except PinntkError as error:
            return {"failed": str(error)}

    monkeypatch.setattr(patients, "attempt", attempt)
    return patients


NAMES = ["imbalance_heat", "imbalance_wave", "healthy_poisson"]


def record_of(harness, tmp_path, monkeypatch, *flags):
    out = tmp_path / "record.json"
    command = ["patients.py", "--out", str(out), "--only", *NAMES, "--seeds", "2", *flags]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr(harness, "use_cores", lambda count: None)
    harness.main()
    return json.loads(out.read_text())


def test_the_benchmark_counts_agreement_alarms_and_cures(harness, tmp_path, monkeypatch):
    record = record_of(harness, tmp_path, monkeypatch)
    lines = summary(record).splitlines()
    assert "1 of 2, 50% (at least 90% required: **no**)" in lines[0]
    assert "2 (none allowed: **no**)" in lines[2]
    assert "2 of 3, 66.7%" in lines[3]
    assert "1 of 2, 50% (at least 80% required: **no**)" in lines[4]
    rows = {row["case"]: row for row in csv.DictReader(io.StringIO(cases(record)))}
    heat = rows["imbalance_heat"]
    assert [heat[key] for key in ("planted", "first_finding", "severity")] == [
        *("imbalance", "imbalance", "severe"),
    ]
    assert (heat["agrees"], heat["same_first_finding"], heat["seeds"]) == ("yes", "2", "2")
    assert (heat["error_before_treatment"], heat["error_after_treatment"]) == ("5.0e-01", "1.0e-03")
    text = page(record)
    assert "- `imbalance_wave`, seed 0: " in text  # a failure is kept and shown
    assert "- `healthy_poisson`, seed 1, healthy: So it is." in text


def test_the_benchmark_goes_on_where_it_was(harness, tmp_path, monkeypatch):
    first = record_of(harness, tmp_path, monkeypatch)
    asked = []
    monkeypatch.setattr(harness, "attempt", lambda task: asked.append(task) or {"failed": "again"})
    second = record_of(harness, tmp_path, monkeypatch, "--merge")
    assert [task["name"] for task in asked] == ["imbalance_wave"] * 2
    assert len(second["results"]) == len(first["results"]) == 6
    asked.clear()
    record_of(harness, tmp_path, monkeypatch)  # without --merge all of it is measured anew
    assert len(asked) == 6


@each(
    ("before", "after", "well"),
    [
        (0.5, 0.05, True),
        (0.5, 0.06, False),
        (1e17, 0.5, False),
        (None, 0.1, True),
        (0.5, None, False),
    ],
)
def test_an_improvement_is_counted_from_one_at_most(before, after, well):
    assert improved({"before": before, "after": after}) is well


def test_a_page_without_a_doctor_says_so(harness):
    record = {"budget": 60.0, "cases": harness.described(), "results": []}
    record |= {
        "versions": {"jax": "0"},
        "command": "c",
        "processor": "p",
        "cores": 1,
        "python": "3",
    }
    assert summary(record).count("not measured yet") == 5
    rows = list(csv.DictReader(io.StringIO(cases(record))))
    assert [row["case"] for row in rows] == list(PATIENTS)
    assert {row["first_finding"] for row in rows} == {""}
    assert page(record)


def test_a_refusal_is_an_outcome():
    patient = Patient(
        "bad", Dead.name, "strong", poisson, {"learning_rate": float("nan")}, False, "No rate."
    )
    assert trained(patient, "sick")["outcome"] in ("refused", "diverged")


@pytest.mark.parametrize(
    "name",
    ["dead_relu", "contradiction_twice", "step_descent", "points_relaxation", "healthy_descent"],
)
def test_the_doctor_finds_what_was_planted(name):
    """The quickest cases; all of them, from five seeds, are in results/patients.json."""
    patient = PATIENTS[name]
    diagnosis = examine(patient.form("sick"))
    first = diagnosis.findings[0]
    assert first.name == patient.failure_mode
    check_record(diagnosis.as_dict())
    text = str(diagnosis)
    assert first.sentence.split()[0] in text
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("       "))
    if patient.healthy:
        assert not any(f.severity is Severity.SEVERE for f in diagnosis.findings)
    else:
        assert first.severity is Severity.SEVERE
        assert first.confidence > 0.5
        assert first.remedies
        assert first.evidence
