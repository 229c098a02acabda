"""What the benchmark of error against time makes of its runs: failures count, thinning keeps the ends."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import accuracy_page
import time_to_accuracy


def run(seed, errors, outcome="budget", **fields):
    """A record of one run with a row per second from 1 s on."""
    seconds = [float(i + 1) for i in range(len(errors))]
    reached = {
        f"{target:g}": next((s for s, e in zip(seconds, errors, strict=True) if e <= target), None)
        for target in accuracy_page.TARGETS
    }
    return {
        "problem": "poisson1d",
        "optimizer": "adam",
        "seed": seed,
        "outcome": outcome,
        "message": "what happened",
        "steps": len(errors),
        "relative_l2": errors[-1],
        "reached": reached,
        "history": {"seconds": seconds, "relative_l2": errors},
        **fields,
    }


FAILED = {
    "problem": "poisson1d",
    "optimizer": "adam",
    "seed": 2,
    "outcome": "timeout",
    "message": "not done",
}


def test_the_error_at_a_time_is_the_last_recorded_one():
    times = np.array([0.5, 1.0, 1.9, 2.0, 50.0])
    np.testing.assert_equal(
        accuracy_page.errors_at(run(0, [1.0, 0.1]), times), [np.nan, 1.0, 1.0, 0.1, 0.1]
    )
    diverged = accuracy_page.errors_at(run(0, [1.0, 0.1], "diverged"), times)
    np.testing.assert_equal(diverged, [np.nan, 1.0, 1.0, 0.1, np.inf])
    assert np.isinf(accuracy_page.errors_at(FAILED, times)).all()


def test_failures_count_in_medians_and_are_told():
    runs = [run(0, [1.0, 5e-3]), run(1, [1.0, 0.5], "diverged"), FAILED]
    record = {"runs": runs, "budget": 3.0}
    line = accuracy_page.results(record, "poisson1d").splitlines()[2]
    assert line == "| Adam | – | 5.0e-03 to failed | 2 s (1/3) | – | – | – | 2 |"
    told = accuracy_page.failures(record)
    assert "seed 1: diverged; what happened" in told
    assert "seed 2: timeout; not done" in told
    assert "seed 0" not in told


def test_without_failures_a_median_is_a_number():
    runs = [run(0, [1.0, 5e-3]), run(1, [1e-3, 7e-3]), run(2, [1.0, 6e-3])]
    line = accuracy_page.results({"runs": runs}, "poisson1d").splitlines()[2]
    assert line == "| Adam | 6.0e-03 | 5.0e-03 to 7.0e-03 | 2 s | 1 s (1/3) | – | – | 2 |"
    assert accuracy_page.failures({"runs": runs}) == "None."


def test_a_loaded_machine_is_told():
    quiet = {"runs": [run(0, [1.0], load=1.1)], "cores": 1}
    loaded = {"runs": [run(0, [1.0], load=4.0)], "cores": 1}
    unknown = {"runs": [run(0, [1.0])], "cores": 1}
    assert accuracy_page.disturbed(quiet) == ""
    assert "4.0" in accuracy_page.disturbed(loaded)
    assert "Preliminary" in accuracy_page.disturbed(unknown)


def test_the_figure_has_a_panel_per_problem(tmp_path):
    runs = [run(0, [1.0, 5e-3]), run(1, [1.0, 0.5], "diverged"), FAILED]
    accuracy_page.draw({"runs": runs, "budget": 3.0}, tmp_path / "figure.json")
    assert {path.name for path in tmp_path.iterdir()} == {"figure.pdf", "figure.png"}


def test_a_thinned_history_keeps_its_ends_and_early_rows():
    rows = [(0.1 * (i + 1), 10 * i, 1.0 / (i + 1), {"a": float("nan")}) for i in range(1000)]
    thin = time_to_accuracy.thinned(rows)
    seconds = thin["seconds"]
    assert seconds[:4] == [0.1, 0.2, 0.3, 0.4]
    assert seconds[-1] == 100.0
    assert 30 < len(seconds) <= time_to_accuracy.POINTS + 2
    assert thin["steps"][-1] == 9990
    assert thin["losses"]["a"][0] is None


def test_a_merge_keeps_the_other_pairs_of_the_same_budget(tmp_path, monkeypatch):
    pairs = [("wave1d", "adam"), ("poisson1d:a=4", "bfgs"), ("wave1d", "natural-gradient")]
    runs = [run(seed, [1.0]) | {"problem": p, "optimizer": o} for p, o in pairs for seed in (1, 0)]
    (tmp_path / "time_to_accuracy.json").write_text(json.dumps({"budget": 20.0, "runs": runs}))
    monkeypatch.setattr(time_to_accuracy, "RESULTS", tmp_path)
    asked = {"problems": ["wave1d"], "optimizers": ["adam", "bfgs"], "budget": 20.0}
    asked = argparse.Namespace(merge=True, **asked)
    kept = sorted(time_to_accuracy.on_record(asked), key=time_to_accuracy.place)
    found = [(r["problem"], r["optimizer"], r["seed"]) for r in kept]
    assert found == [(*pairs[1], 0), (*pairs[1], 1), (*pairs[2], 0), (*pairs[2], 1)]
    asked.budget = 60.0
    with pytest.raises(SystemExit, match="--budget: got 60, expected 20"):
        time_to_accuracy.on_record(asked)
    asked.merge = False
    assert time_to_accuracy.on_record(asked) == []


def test_an_optimiser_that_was_not_run_on_a_problem_has_no_line_there():
    other = run(0, [1.0]) | {"problem": "wave1d", "optimizer": "bfgs"}
    table = accuracy_page.results({"runs": [run(0, [1.0]), other]}, "poisson1d")
    assert len(table.splitlines()) == 3


@pytest.mark.parametrize(
    ("end", "outcome", "message"),
    [
        (subprocess.TimeoutExpired("python", 1.0), "timeout", "not done"),
        (subprocess.CompletedProcess([], -9, "", "some\nlast words\n"), "failed", "last words"),
        (subprocess.CompletedProcess([], 0, 'noise\n{"outcome": "budget"}\n', ""), "budget", None),
    ],
)
def test_a_run_that_fails_is_a_record(end, outcome, message, monkeypatch):
    def instead(*args, **options):
        if isinstance(end, Exception):
            raise end
        return end

    monkeypatch.setattr(subprocess, "run", instead)
    found = time_to_accuracy.attempt({"budget": 1.0})
    assert found["outcome"] == outcome
    assert message is None or message in found["message"]


def test_every_optimiser_has_a_name_on_the_page():
    assert set(accuracy_page.NAMES) == {*time_to_accuracy.OWN, *time_to_accuracy.PEERS}
    assert set(time_to_accuracy.OPTIMIZERS) <= set(accuracy_page.NAMES)
