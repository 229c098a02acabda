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
from pinntk.runs import prepare
from pinntk.treatment import examine

from clinic import PATIENTS
from clinic.equations import poisson
from clinic.patient import Patient, trained, verdict
from pinntk.diagnosis.findings import Finding, Illness, Remedy, Severity
from pinntk.diagnosis.record import check_record
from pinntk.errors import PinntkError

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from patients_page import cases, improved, page, results_of, summary

ROOT = Path(__file__).parent.parent

#: What training finds out before its first step; a doctor has to look before that.
REFUSED = ("dead_relu", "dead_forgotten", "dead_blocked")
SICK = [patient for patient in PATIENTS.values() if not patient.healthy]


@pytest.mark.parametrize("name", PATIENTS)
def test_a_case_can_be_prepared(name):
    setup = prepare(*PATIENTS[name].form("sick"), 0)
    assert setup.problem.solution is not None
    assert setup.parameters < 2500
    assert setup.recipe.steps <= 10_000


def test_every_illness_has_two_strengths_and_controls_are_many():
    assert list(PATIENTS) == [patient.name for patient in PATIENTS.values()]
    counts = Counter((patient.illness, patient.strength) for patient in PATIENTS.values())
    # Lazy training is no failure, and what is unexplained cannot be planted.
    planted = set(Illness) - {Illness.LAZY, Illness.HEALTHY, Illness.UNEXPLAINED}
    for illness in planted:
        assert counts[illness, "mild"] >= 1
        assert counts[illness, "strong"] >= 1
    assert len(SICK) >= 24
    assert counts[Illness.HEALTHY, "none"] >= 8


@pytest.mark.parametrize("patient", SICK, ids=lambda patient: patient.name)
def test_a_twin_lacks_the_illness_and_a_remedy_is_known_where_one_is_promised(patient):
    problem, changes = patient.form("sick")
    twin, others = patient.form("twin")
    assert patient.twin_problem is not None or changes != others
    assert problem.recipe.replace(**changes).steps == twin.recipe.replace(**others).steps
    assert problem.names[: len(twin.names)] == twin.names[: len(problem.names)]
    if patient.treatable and patient.twin_problem is not None:
        assert patient.cure is not None


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


def finding(illness, severity=Severity.SEVERE):
    remedies = (Remedy("Weigh.", {"weighting": "ntk"}),)
    return Finding(illness, severity, 1.0, "So it is.", "Because.", {}, "rates", remedies)


@pytest.fixture
def harness(monkeypatch):
    """The benchmark's module, with a doctor put in the place of the true one."""
    import patients

    def examine(setup, observers=()):
        if setup.problem.name == "wave":
            raise PinntkError("wave", got="a wave", expected="no wave")
        return types.SimpleNamespace(findings=(finding(Illness.IMBALANCE),))

    def treat(setup, diagnosis, budget):
        record = {
            "trials": [{"name": "baseline", "relative_l2": 0.5, "outcome": "completed"}],
            "winner": {
                "name": "weights",
                "option": "--weighting ntk",
                "relative_l2_before": 0.5,
                "relative_l2_after": 1e-3,
            },
        }
        return types.SimpleNamespace(as_dict=lambda: record)

    doctor = types.SimpleNamespace(examine=examine, treat=treat)
    monkeypatch.setitem(sys.modules, "pinntk.treatment", doctor)

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
    assert heat["remedy"] == "--weighting ntk"
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


@pytest.mark.parametrize(
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
    assert len(rows) == len(PATIENTS)
    assert not any(row["first_finding"] or row["error"] for row in rows)


def test_a_refusal_is_an_outcome():
    patient = Patient(
        "bad", Illness.DEAD, "strong", poisson, {"learning_rate": float("nan")}, False, "No rate."
    )
    assert trained(patient, "sick")["outcome"] in ("refused", "diverged")


@pytest.mark.parametrize(
    "name",
    ["dead_relu", "contradiction_twice", "step_descent", "points_relaxation", "healthy_descent"],
)
def test_the_doctor_finds_what_was_planted(name):
    """The quickest cases; all of them, from five seeds, are in results/patients.json."""
    patient = PATIENTS[name]
    diagnosis = examine(prepare(patient.problem(), dict(patient.changes), 0))
    first = diagnosis.findings[0]
    assert first.illness == patient.illness
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
