"""The page of what the natural gradient reaches: medians, counts and failures from a made-up record."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from solver_page import TARGETS, cores, error_of, failures, page, reached, results, settings


def run(seed, error, seconds, outcome="budget"):
    return {
        "problem": "wave1d",
        "seed": seed,
        "limit": 60.0,
        "cores": 1,
        "load": 1.0,
        "outcome": outcome,
        "message": "why",
        "parameters": 501,
        "points": {"values": 240, "residual": 900},
        "recipe": {
            "depth": 2,
            "width": 20,
            "activation": "tanh",
            "resampling": "residual",
            "resample_every": 50,
            "hard": False,
            "weighting": "fixed",
            "weights": {"values": 100.0},
            "every": 50,
        },
        "steps": 100 * (seed + 1),
        "relative_l2": error,
        "losses": {"values": 1e-9, "residual": 1e-9},
        "held_out": {"values": 1e-9, "residual": 9e-9},
        "reached": {"1e-05": seconds, "1e-06": None},
        "history": {"seconds": [1.0, 60.0], "steps": [0, 9], "relative_l2": [1.0, error]},
    }


@pytest.fixture
def record():
    return {
        "cores": 1,
        "processor": "a processor",
        "python": "3.11",
        "versions": {"jax": "0.10"},
        "runs": [run(0, 4e-6, 20.0), run(1, 2e-5, None), run(2, 6e-6, 40.0)],
    }


def cells(text):
    return [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]


def test_the_settings_say_how_a_run_was_weighted(record):
    recipe = record["runs"][0]["recipe"]
    found = []
    for changed in ({}, {"weights": {}}, {"weighting": "ntk"}):
        record["runs"][0]["recipe"] = {**recipe, **changed}
        found.append(cells(settings(record))[6])
    assert found == ["values 100", "equal", "Algorithm 1 every 50"]


def test_a_row_is_the_median_with_the_times_of_those_that_got_there(record):
    row = cells(results(record))
    assert row[0] == TARGETS["wave1d"].title
    assert row[2:] == [
        *("1e-05 in 60 s", "**6.0e-06**", "4.0e-06 to 2.0e-05", "yes", "30 s (2/3)", "1e-06", "–")
    ]
    record["runs"][0]["relative_l2"] = 3e-5
    assert cells(results(record))[3] == "**2.0e-05**"
    assert cells(results(record))[5] == "**no**"


def test_settings_are_those_of_the_record(record):
    row = cells(settings(record))
    assert row == [
        *("`wave1d`", "2×20 tanh", "501", "values 240, residual 900", "by residual every 50"),
        *("no", "values 100", "200", "5.0"),
    ]


def test_a_failure_is_kept_and_counts_as_infinite(record):
    record["runs"][1] |= {"outcome": "failed", "message": "exit code 1"}
    del record["runs"][1]["relative_l2"], record["runs"][1]["reached"]
    assert error_of(record["runs"][1]) == float("inf")
    assert "4.0e-06 to failed" in results(record)
    assert "- wave1d, seed 1: failed; exit code 1" in failures(record)
    assert reached(record["runs"], 1e-5) == "30 s (2/3)"
    assert "exit code 1" in page(record)


def test_cores_are_those_of_every_problem():
    one, other = run(0, 1e-6, 3.0), run(0, 1e-6, 3.0) | {"problem": "kdv1d", "cores": 2}
    assert cores({"runs": [one]}) == "1 core"
    assert cores({"runs": [one, other]}) == "1 core (2 for kdv1d)"
    third = other | {"problem": "helmholtz2d"}
    assert cores({"runs": [one, other, third]}) == "1 core (2 for kdv1d and helmholtz2d)"
    assert cores({"runs": [other]}) == "2 cores"
