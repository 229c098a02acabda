"""Run directories: killed and resumed runs equal uninterrupted ones; what is corrupt is refused."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest

from each import each
from pinntk.cli.loading import load
from pinntk.cli.options import Options
from pinntk.cli.origin import origin, setup_of
from pinntk.cli.settings import apply
from pinntk.cli.summary import step_size_warning
from pinntk.errors import PinntkError, ResidualError, RunError
from pinntk.training import (
    Outcome,
    RunDirectory,
    initial_state,
    open_run,
    precision,
    resume_run,
    start_run,
    trained_model,
)

#: A setup of a user's: points redrawn every 7 steps, weights from the kernel every 13.
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
decay = pk.Setup(
    pk.Problem("decay", domain, [start, residual], solution=lambda x: jnp.exp(-x[0])),
    pk.Training(
        pk.adam(1e-3),
        steps=40_000,
        weighting=pk.NTKWeights(every=13, moving_average=0.5),
        log_every=40,
    ),
    pk.Network(width=4, depth=1),
)
stopped = pk.Problem("stopped", domain, [pk.Condition("flat", lambda u, x: 0.0 * x[0], domain, 3)])
"""
STEPS, LOG = 40_000, 40
CHECKPOINT_EVERY = 700  # a multiple of neither 13 nor 40
#: The command with the type checks of the tests: a run knows its functions by what they keep, and a
#: checked function keeps something, so both processes check.
MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r});"
    "import checked;"
    "from pinntk.cli import main; main()"
)
PATIENCE = 120.0  # seconds, for a busy machine


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    file = tmp_path_factory.mktemp("user") / "mine.py"
    file.write_text(FILE)
    return f"{file}:decay"


def loaded(spec, **options):
    """A setup from its spec, with options on top."""
    found = load(spec)
    return apply(found.setup, Options(**options), found.presets)


def started(spec, run, seed=0, every=CHECKPOINT_EVERY, **options):
    """A run in a directory that knows where it comes from, as the command line starts it."""
    found, asked = load(spec), Options(**options)
    setup = apply(found.setup, asked, found.presets)
    return start_run(setup, seed, run, origin=origin(found, asked), checkpoint_every=every)


def resumed(run):
    return resume_run(run, setup_of(run))


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
        del result["seconds"], result["compilation"]
    assert results[0] == results[1]


@pytest.fixture(scope="module")
def whole(spec, tmp_path_factory):
    """A run that nothing interrupts."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    result = started(spec, run, seed=3)
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
    assert code == 143
    assert f"Go on with: pinntk resume {run}" in out
    result = json.loads((run / "result.json").read_text())
    assert result["outcome"] == "interrupted"
    assert result["message"] == f"interrupted after {result['steps']} of {STEPS} steps"
    assert newest_step(run) == result["steps"]

    finished, warnings = resumed(run)
    assert (finished.outcome, warnings) == (Outcome.COMPLETED, [])
    assert_same_run(run, whole)


def test_ctrl_c_and_resume_in_float64_equals_a_run_without(spec, tmp_path):
    started(spec, tmp_path / "whole", seed=4, dtype="float64")
    run = tmp_path / "interrupted"
    every = ("--checkpoint-every", CHECKPOINT_EVERY)
    arguments = ("--dtype", "float64", "--seed", 4, *every, "--out", run)
    process = start_pinntk("train", spec, *arguments)
    code, out, _ = stop_in_the_middle(process, run, signal.SIGINT)
    assert code == 130
    assert "Interrupted after" in out
    resumed(run)
    assert_same_run(run, tmp_path / "whole")
    assert final_arrays(run)[".weighting.weights['start']"].dtype == np.float64
    assert not jax.config.read("jax_enable_x64")


def test_the_interrupted_points_and_weights_matter(whole):
    """A control: redrawn points and weights are in the state, and not those of the start."""
    final, batch = final_arrays(whole), setup_of(whole).start(3).batch
    start = np.asarray(batch["residual"].points)
    assert not np.array_equal(final[".batch['residual'].points"], start)
    np.testing.assert_array_equal(
        final[".batch['start'].points"], np.asarray(batch["start"].points)
    )
    assert final[".weighting.weights['start']"] != 1.0


def test_the_result_says_what_came_of_it(whole):
    result = json.loads((whole / "result.json").read_text())
    row = history(whole)[-1]
    assert (result["problem"], result["seed"]) == ("decay", 3)
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
    origin = config["origin"]
    assert (origin["problem"], origin["preset"], origin["options"]) == (spec, None, {})
    assert len(origin["file_sha256"]) == 64
    assert config["seed"] == 3
    assert config["setup"]["training"]["weighting"]["every"] == 13
    assert config["parameters"] == 13  # 4 + 4 inner, 4 + 1 outer
    assert {"jax", "equinox", "pinntk", "numpy"} <= set(config["environment"]["versions"])
    assert config["environment"]["devices"]


def test_the_trained_model_is_that_of_the_newest_checkpoint(whole):
    _, start, model, state = trained_model(whole, setup_of(whole))
    assert int(state.step) == STEPS
    np.testing.assert_array_equal(
        model.layers[0].weight, final_arrays(whole)[".parameters.layers[0].weight"]
    )
    assert not np.array_equal(model.layers[0].weight, start.model.layers[0].weight)


# --- directories that are not as they should be -------------------------------------------------


def copied(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


@pytest.fixture
def copy(whole, tmp_path):
    return copied(whole, tmp_path)


def first_state(run):
    setup = setup_of(run)
    start = setup.start(3)
    return initial_state(start.problem, start.model, setup.training, start.batch)


def test_a_last_line_cut_short_is_left_out_and_repaired(copy, whole):
    file = copy / "history.jsonl"
    file.write_text(file.read_text()[:-40])
    directory = open_run(copy)
    assert [row.step for row in directory.rows()] == list(range(0, STEPS, LOG))
    resumption, warnings = directory.resume(first_state(copy))
    assert (len(resumption.rows), warnings) == (STEPS // LOG, [])
    assert file.read_text().endswith("}\n")
    assert not (copy / "result.json").exists()


@each("line", ["{", "5", '{"step": 1}', "\x00\x01"])
def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(whole, tmp_path, line):
    copy = copied(whole, tmp_path)
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
    resumption, warnings = open_run(copy).resume(first_state(copy))
    assert int(resumption.state.step) == 39_900
    assert resumption.rows[-1].step == 39_880
    assert len(warnings) == 1
    assert f"step-{STEPS}" in warnings[0]


@each(
    ("content", "text"),
    [
        (b"", "cannot be read"),
        (b'{"format": 2, "origin"', "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[]", "got list"),
        (b"{}", "format None"),
        (b'{"format": 99}', "another version"),
        (b'{"format": 2}', "no origin in it"),
        (
            b'{"format": 2, "origin": {}, "seed": 1, "setup": {}, "checkpoint_every": 5}',
            "no problem in its origin",
        ),
    ],
)
def test_a_corrupt_configuration_is_refused(whole, tmp_path, content, text):
    copy = copied(whole, tmp_path)
    (copy / "config.json").write_bytes(content)
    with pytest.raises(RunError, match=text):
        setup_of(copy)


@each(
    ("place", "setting", "value", "text"),
    [
        ((), "seed", "zero", "seed 'zero'"),
        ((), "seed", -1, "seed: got -1"),
        ((), "origin", [], r"origin \[\]"),
        ((), "checkpoint_every", None, "checkpoint_every None"),
        (("origin",), "problem", 5, "problem 5"),
        (("origin",), "options", [], r"options \[\]"),
        (("origin",), "options", {"width": "wide"}, "--width: got 'wide'; expected a whole"),
        (("origin",), "options", {"widht": 4}, "Did you mean 'width'"),
        (("origin",), "options", {"width": 5}, r"another setup \(network.width: 4, now 5"),
        (("origin",), "file_sha256", "0", "has changed since"),
        (("origin",), "preset", "paper", "no preset for a Setup of yours"),
        (("setup", "training"), "steps", 7, r"another setup \(training.steps: 7, now 40000"),
    ],
)
def test_a_configuration_with_other_content_is_refused(
    whole, tmp_path, place, setting, value, text
):
    copy = copied(whole, tmp_path)
    file = copy / "config.json"
    config = json.loads(file.read_text())
    inner = config
    for key in place:
        inner = inner[key]
    inner[setting] = value
    file.write_text(json.dumps(config))
    with pytest.raises(PinntkError, match=text):
        trained_model(copy, setup_of(copy))


def test_a_run_from_python_says_how_to_go_on_with_it(spec, tmp_path):
    start_run(loaded(spec, steps=2), out=tmp_path / "run")
    with pytest.raises(RunError, match=r"no problem in its origin.*resume_run\(directory, setup\)"):
        setup_of(tmp_path / "run")


@pytest.mark.filterwarnings("ignore::pinntk.errors.PinntkWarning")
def test_every_file_of_a_run_is_strict_json(spec, tmp_path):
    def refuse(constant):
        raise AssertionError(constant)

    started(spec, tmp_path / "run", steps=4, log_every=2, optimizer="natural-gradient")
    lines = [path.read_text() for path in (tmp_path / "run").rglob("*.json")]
    lines += (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert len(lines) > 4
    for line in lines:
        json.loads(line, parse_constant=refuse)


def test_a_run_of_a_file_that_changed_is_refused(tmp_path, copy):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    config = json.loads((copy / "config.json").read_text())
    config["origin"]["problem"] = f"{file}:decay"
    (copy / "config.json").write_text(json.dumps(config))
    assert setup_of(copy).problem.name == "decay"
    file.write_text(FILE + "\nraise RuntimeError('must not run')\n")
    with pytest.raises(RunError, match=r"mine\.py:decay has changed since.*Restore it"):
        resumed(copy)
    file.unlink()
    with pytest.raises(PinntkError, match="does not exist"):
        resumed(copy)


def test_nothing_is_overwritten(spec, whole, copy):
    before = (copy / "config.json").read_bytes()
    with pytest.raises(RunError, match=rf"exists and is not empty.*pinntk resume {copy}"):
        start_run(loaded(spec), out=copy)
    assert (copy / "config.json").read_bytes() == before
    file = copy / "config.json"
    with pytest.raises(RunError, match="exists and is not empty"):
        start_run(loaded(spec), out=file)


def test_an_empty_directory_may_be_given_and_parents_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    assert RunDirectory.create(tmp_path / "empty", {"seed": 1}).config["seed"] == 1
    RunDirectory.create(tmp_path / "a" / "b", {})
    assert (tmp_path / "a" / "b" / "config.json").exists()


def test_a_run_that_cannot_begin_leaves_no_directory(spec, tmp_path):
    stopped = spec.replace("decay", "stopped")
    with pytest.raises(ResidualError, match="'flat'"):
        start_run(loaded(stopped, width=4, depth=1), out=tmp_path / "run")
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


# --- before the run ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_arrays_and_another_seed_others(spec):
    setup = loaded(spec)
    first, again, other = setup.start(0), setup.start(), setup.start(1)
    for one, same in zip(
        *(jax.tree.leaves((s.model, s.batch)) for s in (first, again)), strict=True
    ):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(first.model.layers[0].weight, other.model.layers[0].weight)
    assert not np.array_equal(first.batch["residual"].points, other.batch["residual"].points)


@each("seed", [-1, 2**32, 1.0, True])
def test_seeds_that_would_be_cut_or_are_none_are_refused(spec, seed):
    with pytest.raises(PinntkError, match=f"seed: got {seed}; expected a whole number from 0"):
        loaded(spec).start(seed)


def test_float64_needs_the_64_bit_mode(spec):
    double = loaded(spec, dtype="float64")
    with pytest.raises(PinntkError, match="dtype: got float64 while JAX is in 32-bit mode"):
        double.start()
    for dtype, kind in (("float64", "f8"), ("float32", "f4")):
        with precision(dtype):
            model = loaded(spec, dtype=dtype).start().model
        assert {leaf.dtype for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array))} == {
            np.dtype(kind)
        }


def test_a_step_above_the_stable_one_is_announced_for_gradient_descent_only(spec):
    def warning(**options):
        return step_size_warning(loaded(spec, **{"weighting": "fixed", **options}), 0)

    said = warning(optimizer="sgd", learning_rate=10.0)
    assert said is not None
    bound = float(said.split("above ")[1].split(",")[0])
    assert warning(optimizer="sgd", learning_rate=0.9 * bound) is None
    lighter = {"start": 0.1, "residual": 0.1}
    assert warning(optimizer="sgd", learning_rate=1.1 * bound, weights=lighter) is None
    assert warning(learning_rate=10.0) is None
