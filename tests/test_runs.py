"""Run directories: killed and resumed runs equal uninterrupted ones; what is corrupt is refused."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from pinntk.runs import _initial_state as initial_state
from pinntk.runs import reopen, resume_run, set_up, start_run, step_size_warning, trained_model

from pinntk.errors import PinntkError, ResidualError, RunError
from pinntk.training import Outcome, RunDirectory

#: A problem of a user's: points redrawn every 7 steps, weights from the kernel every 13.
FILE = """
import jax.numpy as jnp
import pinntk as pk

domain = pk.Interval(x=(0.0, 2.0))
residual = pk.Condition(
    "residual",
    lambda u, x: u.d("x")(x) + u(x),
    domain,
    6,
    sampler=pk.Random(),
    redraw_every=7,
)
start = pk.dirichlet("start", domain.face(x=0.0), 1.0, 2)
recipe = pk.Recipe(
    width=4,
    depth=1,
    learning_rate=1e-3,
    steps=40_000,
    every=13,
    moving_average=0.5,
    log_every=40,
)
decay = pk.Problem(
    "decay", domain, [start, residual], solution=lambda x: jnp.exp(-x[0]), recipe=recipe
)
stopped = pk.Problem("stopped", domain, [pk.Condition("flat", lambda u, x: 0.0 * x[0], domain, 3)])
"""
STEPS, LOG = 40_000, 40
CHECKPOINT_EVERY = 700  # a multiple of neither 13 nor 40
MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from pinntk.cli import main; main()"
)
PATIENCE = 120.0  # seconds, for a busy machine


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    file = tmp_path_factory.mktemp("user") / "mine.py"
    file.write_text(FILE)
    return f"{file}:decay"


def start_pinntk(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_in_the_middle(process, run, sent):
    """Wait until there are rows after a new checkpoint, then send the signal; the exit code and output."""
    seen = newest_step(run)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if newest_step(run) > seen and last_row(run) > newest_step(run):
            break
        time.sleep(0.001)
    assert process.poll() is None, f"ended before it could be stopped: {process.communicate()}"
    process.send_signal(sent)
    out, err = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in out + err
    return process.returncode, " ".join(out.split()), err


def newest_step(run):
    return max((int(path.stem[5:]) for path in run.glob("checkpoints/step-*.json")), default=-1)


def last_row(run):
    lines = (run / "history.jsonl").read_text().split("\n") if run.exists() else [""]
    return json.loads(lines[-2])["step"] if len(lines) > 1 else -1


def final_arrays(run):
    with np.load(run / "checkpoints" / f"step-{newest_step(run)}.npz") as arrays:
        return dict(arrays)


def history(run):
    return [
        {**json.loads(line), "seconds": None}
        for line in (run / "history.jsonl").read_text().splitlines()
    ]


def assert_same_run(run, reference):
    assert newest_step(run) == newest_step(reference)
    actual, expected = final_arrays(run), final_arrays(reference)
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert (actual[name].dtype, actual[name].tobytes()) == (array.dtype, array.tobytes()), name
    assert history(run) == history(reference)
    results = [json.loads((path / "result.json").read_text()) for path in (run, reference)]
    for result in results:
        result.pop("seconds")
    assert results[0] == results[1]


@pytest.fixture(scope="module")
def whole(spec, tmp_path_factory):
    """A run that nothing interrupts."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    result = start_run(set_up(spec, seed=3), run, checkpoint_every=CHECKPOINT_EVERY)
    assert result.outcome is Outcome.COMPLETED
    return run


def test_a_run_that_was_killed_twice_equals_one_that_was_not(spec, whole, tmp_path):
    run = tmp_path / "killed"
    options = ("--seed", 3, "--checkpoint-every", CHECKPOINT_EVERY, "--out", run)
    code, _, _ = stop_in_the_middle(start_pinntk("train", spec, *options), run, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (run / "result.json").exists()
    assert 0 < newest_step(run) < STEPS

    code, out, _ = stop_in_the_middle(start_pinntk("resume", run), run, signal.SIGTERM)
    assert code == 130
    assert f"Go on with: pinntk resume {run}" in out
    result = json.loads((run / "result.json").read_text())
    assert result["outcome"] == "interrupted"
    assert result["message"] == f"interrupted after {result['steps']} of {STEPS} steps"
    assert newest_step(run) == result["steps"]

    finished, warnings = resume_run(run)
    assert (finished.outcome, warnings) == (Outcome.COMPLETED, [])
    assert_same_run(run, whole)


def test_ctrl_c_and_resume_in_float64_equals_a_run_without(spec, tmp_path):
    """`set_up` switches the process to 64-bit mode, so this test switches it back."""
    options = {"dtype": "float64"}
    try:
        start_run(set_up(spec, None, options, 4), tmp_path / "whole", checkpoint_every=700)
        run = tmp_path / "interrupted"
        arguments = ("--dtype", "float64", "--seed", 4, "--checkpoint-every", 700, "--out", run)
        process = start_pinntk("train", spec, *arguments)
        code, out, _ = stop_in_the_middle(process, run, signal.SIGINT)
        assert code == 130
        assert "Interrupted after" in out
        resume_run(run)
        assert_same_run(run, tmp_path / "whole")
        assert final_arrays(run)[".weights['start']"].dtype == np.float64
    finally:
        jax.config.update("jax_enable_x64", False)


def test_the_interrupted_points_and_weights_matter(whole):
    """A control: redrawn points and weights are in the state, and not those of the start."""
    final, setup = final_arrays(whole), reopen(whole)[1]
    start = np.asarray(setup.batch["residual"].points)
    assert not np.array_equal(final[".batch['residual'].points"], start)
    np.testing.assert_array_equal(
        final[".batch['start'].points"], np.asarray(setup.batch["start"].points)
    )
    assert final[".weights['start']"] != 1.0


def test_the_result_says_what_was_asked_and_what_came_of_it(spec, whole):
    result = json.loads((whole / "result.json").read_text())
    row = history(whole)[-1]
    assert list(result)[:8] == [
        *("problem", "preset", "seed", "relative_l2"),
        *("steps", "seconds", "losses", "weights"),
    ]
    assert (result["problem"], result["seed"], result["preset"]) == (spec, 3, None)
    assert (result["steps"], result["outcome"]) == (STEPS, "completed")
    assert {k: result[k] for k in ("losses", "weights", "relative_l2")} == {
        k: row[k] for k in ("losses", "weights", "relative_l2")
    }
    assert result["relative_l2"] < history(whole)[0]["relative_l2"]
    assert result["seconds"] > 0


def test_the_history_has_a_row_at_every_multiple_and_at_the_end(whole):
    assert [row["step"] for row in history(whole)] == list(range(0, STEPS + 1, LOG))


def test_the_configuration_holds_all_that_a_run_starts_from(spec, whole):
    config = json.loads((whole / "config.json").read_text())
    assert (config["problem"], config["seed"], config["preset"]) == (spec, 3, None)
    assert config["recipe"]["every"] == 13
    assert config["parameters"] == 13  # 4 + 4 inner, 4 + 1 outer
    assert {"jax", "equinox", "pinntk", "numpy"} <= set(config["environment"]["versions"])
    assert config["environment"]["devices"]


def test_the_trained_model_is_that_of_the_newest_checkpoint(whole):
    _, setup, model, state = trained_model(whole)
    assert int(state.step) == STEPS
    np.testing.assert_array_equal(
        model.layers[0].weight, final_arrays(whole)[".parameters.layers[0].weight"]
    )
    assert setup.parameters == 13


# --- directories that are not as they should be -------------------------------------------------


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_a_last_line_cut_short_is_left_out_and_repaired(copy, whole):
    file = copy / "history.jsonl"
    file.write_text(file.read_text()[:-40])
    directory, setup = reopen(copy)
    assert [row.step for row in directory.rows()] == list(range(0, STEPS, LOG))
    resumption, warnings = directory.resume(initial_state(setup))
    assert (len(resumption.rows), warnings) == (STEPS // LOG, [])
    assert file.read_text().endswith("}\n")
    assert not (copy / "result.json").exists()


@pytest.mark.parametrize("line", ["{", "5", '{"step": 1}', "\x00\x01"])
def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(copy, line):
    file = copy / "history.jsonl"
    lines = file.read_text().split("\n")
    file.write_text("\n".join([*lines[:3], line, *lines[4:]]))
    with pytest.raises(RunError, match=r"history\.jsonl: got line 4 that is not a row"):
        RunDirectory.open(copy).rows()


def test_bytes_that_are_no_text_are_an_error_with_the_line(copy):
    file = copy / "history.jsonl"
    file.write_bytes(b"\xff\xfe\n" + file.read_bytes())
    with pytest.raises(RunError, match="line 1 that is not a row"):
        RunDirectory.open(copy).rows()


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(copy):
    (copy / "checkpoints" / f"step-{STEPS}.npz").write_bytes(b"")
    directory, setup = reopen(copy)
    resumption, warnings = directory.resume(initial_state(setup))
    assert int(resumption.state.step) == 39_900
    assert resumption.rows[-1].step == 39_880
    assert len(warnings) == 1
    assert f"step-{STEPS}" in warnings[0]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "cannot be read"),
        (b'{"format": 1, "problem"', "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[]", "got list"),
        (b"{}", "format None"),
        (b'{"format": 99}', "another version"),
        (b'{"format": 1}', "no problem in it"),
    ],
)
def test_a_corrupt_configuration_is_refused(copy, content, text):
    (copy / "config.json").write_bytes(content)
    with pytest.raises(RunError, match=text):
        reopen(copy)


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("problem", 5, "problem 5"),
        ("seed", "zero", "seed 'zero'"),
        ("seed", -1, "seed: got -1"),
        ("recipe", [], r"recipe \[\]"),
        ("recipe", {"width": "wide"}, "width: got 'wide'"),
        ("recipe", {"widht": 4}, "Did you mean 'width'"),
        ("recipe", {"width": 5}, "another network|belongs to another"),
        ("checkpoint_every", None, "checkpoint_every None"),
        ("file_sha256", "0", "has changed since"),
        ("preset", "paper", "no preset for a problem in a file"),
    ],
)
def test_a_configuration_with_other_content_is_refused(copy, setting, value, text):
    file = copy / "config.json"
    config = json.loads(file.read_text())
    if isinstance(value, dict):
        value = {**config[setting], **value}
    file.write_text(json.dumps({**config, setting: value}))
    with pytest.raises(PinntkError, match=text):
        trained_model(copy)


def test_a_run_of_a_file_that_changed_is_refused(tmp_path, copy):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "problem": f"{file}:decay"}))
    assert reopen(copy)[1].problem.name == "decay"
    file.write_text(FILE + "\nraise RuntimeError('must not run')\n")
    with pytest.raises(RunError, match=r"mine\.py:decay has changed since.*Restore it"):
        resume_run(copy)
    file.unlink()
    with pytest.raises(PinntkError, match="does not exist"):
        resume_run(copy)


def test_nothing_is_overwritten(spec, whole, copy):
    before = (copy / "config.json").read_bytes()
    with pytest.raises(RunError, match=rf"exists and is not empty.*pinntk resume {copy}"):
        start_run(set_up(spec), copy)
    assert (copy / "config.json").read_bytes() == before
    file = copy / "config.json"
    with pytest.raises(RunError, match="exists and is not empty"):
        start_run(set_up(spec), file)


def test_an_empty_directory_may_be_given_and_parents_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    assert RunDirectory.create(tmp_path / "empty", {"seed": 1}).config["seed"] == 1
    RunDirectory.create(tmp_path / "a" / "b", {})
    assert (tmp_path / "a" / "b" / "config.json").exists()


def test_a_run_that_cannot_begin_leaves_no_directory(spec, tmp_path):
    stopped = spec.replace("decay", "stopped")
    with pytest.raises(ResidualError, match="'flat'"):
        start_run(set_up(stopped, None, {"width": 4, "depth": 1}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_while_training_is_an_error_that_says_how_to_go_on(whole, copy, monkeypatch):
    directory = RunDirectory.open(copy)
    row = directory.rows()[0]
    (copy / "history.jsonl").unlink()
    (copy / "history.jsonl").mkdir()
    with pytest.raises(RunError, match=rf"history\.jsonl.*Make room, then: pinntk resume {copy}"):
        directory.row(row)
    with pytest.raises(RunError, match="a file that can be read"):
        directory.rows()


# --- set-up -----------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_arrays_and_another_seed_others(spec):
    first, again, other = set_up(spec), set_up(spec, seed=0), set_up(spec, seed=1)
    for one, same in zip(
        *(jax.tree.leaves((s.model, s.batch)) for s in (first, again)), strict=True
    ):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(first.model.layers[0].weight, other.model.layers[0].weight)
    assert not np.array_equal(first.batch["residual"].points, other.batch["residual"].points)


def test_naming_weights_means_wanting_them(spec):
    assert set_up(spec, None, {"weights": {"start": 3.0}}).recipe.weighting == "fixed"
    both = set_up(spec, None, {"weights": {"start": 3.0}, "weighting": "ntk"}).recipe
    assert (both.weighting, both.weights) == ("ntk", {"start": 3.0})


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True])
def test_seeds_that_would_be_cut_or_are_none_are_refused(spec, seed):
    with pytest.raises(PinntkError, match=f"seed: got {seed}; expected a whole number from 0"):
        set_up(spec, seed=seed)


def test_a_step_above_the_stable_one_is_announced_for_gradient_descent_only(spec):
    fixed = {"optimizer": "sgd", "weighting": "fixed"}
    warning = step_size_warning(set_up(spec, None, {**fixed, "learning_rate": 10.0}))
    assert warning is not None
    bound = float(warning.split("above ")[1].split(",")[0])
    assert step_size_warning(set_up(spec, None, {**fixed, "learning_rate": 0.9 * bound})) is None
    weighted = {**fixed, "learning_rate": 1.1 * bound, "weights": {"start": 0.1, "residual": 0.1}}
    assert step_size_warning(set_up(spec, None, weighted)) is None
    assert step_size_warning(set_up(spec, None, {"learning_rate": 10.0})) is None
