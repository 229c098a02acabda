"""The command line: every command does what it says, prints it, and writes what was asked for."""

from __future__ import annotations

import html
import importlib
import json
import math
import os
import re
import signal

import pytest
from pinntk.problems import PROBLEMS
from pinntk.recipe import Recipe
from pinntk.runs import plain_setup, set_up
from pinntk.treatment.running import Run

from command import one_line, run_pinntk
from pinntk.cli.doctor import destination
from pinntk.cli.options import parse_budget, parse_weights
from pinntk.diagnosis.record import check_record
from pinntk.errors import PinntkError
from pinntk.training import RunDirectory

COMMANDS = importlib.import_module("pinntk.cli.app")  # `pinntk.cli.app` is the Typer object
SMALL = ("--width", 4, "--depth", 1, "--steps", 6, "--log-every", 2)

FILE = """
import pinntk as pk

domain = pk.Interval(x=(0.0, 1.0))
conditions = [
    pk.dirichlet("ends", domain.faces(), 0.0, 2),
    pk.Condition("inside", lambda u, x: u.d("x")(x) - 1.0, domain, 5),
]
recipe = pk.Recipe(width=3, depth=1, steps=4, log_every=2, optimizer="sgd", learning_rate=1e-3)
mine = pk.Problem("mine", domain, conditions, recipe=recipe)
weighted = pk.Problem(
    "weighted",
    domain,
    conditions,
    recipe=recipe.replace(weighting="fixed", weights={"ends": 100.0}),
)


def made():
    return mine
"""


@pytest.fixture(scope="module")
def user_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("user") / "mine.py"
    file.write_text(FILE)
    return file


# --- list and help ----------------------------------------------------------------------------------


def test_list_shows_every_problem_with_its_conditions_and_presets():
    code, out, err = run_pinntk("list")
    assert (code, err) == (0, "")
    for name, entry in PROBLEMS.items():
        assert name in out
        for word in (*entry.factory().names, *entry.presets):
            assert word in out


@pytest.mark.parametrize("command", ["list", "diagnose", "train", "resume", "report"])
def test_every_command_has_help(command):
    code, out, _ = run_pinntk(command, "--help")
    assert code == 0
    assert out.startswith("Usage: ")
    assert command in run_pinntk("--help")[1]


def test_every_setting_of_a_recipe_is_an_option_or_a_matter_of_files():
    out = run_pinntk("train", "--help")[1]
    options = {name.replace("_", "-") for name in Recipe().as_dict()} - {"initializer", "bias-std"}
    assert all(f"--{name}" in out for name in options)


# --- diagnose --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diagnosis")
    file, out = folder / "record.json", folder / "page"
    options = (*SMALL[:6], "--budget", "10s", "--json", file, "--out", out)
    return *run_pinntk("diagnose", "poisson1d:a=4", *options), file, out


def test_diagnose_says_the_verdict_in_80_columns_and_what_was_tried(looked):
    code, out, err, *_ = looked
    assert (code, err) == (0, "")
    assert "mlp 1×4 tanh · parameters 13 · adam 0.001 · weighting fixed" in one_line(out)
    assert re.search(r"^(SEVERE|MODERATE|NOTE)  ", out, re.MULTILINE)
    verdict = out[: out.index("tried")]
    assert max(len(line) for line in verdict.splitlines() if not line.startswith("   ")) <= 100
    assert re.search(r"^baseline +6 ", out, re.MULTILINE)
    assert "report.html" in out


def test_diagnose_writes_the_record_and_the_page(looked):
    _, out, _, file, folder = looked
    record = json.loads(file.read_text())
    check_record(record)
    assert list(record["problem"]["conditions"]) == ["boundary", "residual"]
    assert (record["seed"], record["settings"]["width"]) == (0, 4)
    assert record["provenance"]["command"].startswith("pinntk diagnose poisson1d:a=4 --width 4")
    for sentence in record["verdict"]:
        assert one_line(sentence) in one_line(out)
    assert record["trials"][0]["name"] == "baseline"
    page = (folder / "report.html").read_text()
    assert html.escape(record["verdict"][0]) in page


def test_diagnose_to_standard_output_is_json_and_nothing_else(user_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--budget", "0s", "--json", "-")
    code, out, _ = run_pinntk("diagnose", f"{user_file}:mine", *options)
    assert code == 0
    record = json.loads(out)
    check_record(record)
    assert record["trials"] == []
    assert list(tmp_path.iterdir()) == []


def test_diagnose_looks_at_the_plain_problem_unless_weights_are_asked_for(user_file):
    def weights(*arguments):
        return plain_setup(f"{user_file}:weighted", None, *arguments).recipe.weights

    assert weights() == {"ends": 100.0}  # weights that the problem itself fixes are part of it
    assert weights({"weights": {"inside": 7.0}}) == {"inside": 7.0}
    assert plain_setup("poisson1d").recipe.weighting == "fixed"
    assert plain_setup("wave1d", "paper").recipe.weights == {}
    assert plain_setup("poisson1d", None, {"weighting": "ntk"}).recipe.weighting == "ntk"


def test_a_page_that_is_there_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = destination("file.py:mine", None, None)
    assert first.folder is not None
    (first.folder / "report.html").write_text("kept")
    second = destination("file.py:mine", None, None)
    assert (first.folder.name, second.folder.name) == (
        "diagnosis-file.py-mine",
        "diagnosis-file.py-mine-2",
    )
    with pytest.raises(PinntkError, match=r"holds a report\.html already"):
        destination("mine", first.folder, None)


def test_ctrl_c_during_the_trials_keeps_what_there_is(tmp_path, monkeypatch):
    rounds = []

    def interrupted(run, seconds, score):
        rounds.append(run.name)
        return go_on(run, seconds, score) or len(rounds) == 2

    go_on = Run.go_on
    monkeypatch.setattr(Run, "go_on", interrupted)
    options = (*SMALL[:6], "--budget", "10s", "--out", tmp_path / "page")
    code, out, _ = run_pinntk("diagnose", "poisson1d", *options)
    assert code == 130
    assert len(rounds) == 2
    assert (tmp_path / "page" / "report.html").exists()
    assert re.search(r"^baseline ", out, re.MULTILINE)


# --- train, resume, report -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    return *run_pinntk("train", "poisson1d:a=1", *SMALL, "--seed", 5, "--out", run), run


def test_train_prints_losses_and_how_it_ended(trained):
    code, out, err, run = trained
    assert (code, err) == (0, "")
    result = RunDirectory.open(run).read_result()
    for name, loss in result["losses"].items():
        assert re.search(rf"^{name} +{re.escape(f'{loss:.3e}')} +", out, re.MULTILINE)
    assert re.search(r"Completed 6 steps \([\d.]+ s\)\. Relative L2 error", one_line(out))
    assert f"{result['relative_l2']:.3e}" in out
    assert f"Figures: pinntk report {run}" in out


def test_train_keeps_a_run_directory(trained):
    run = trained[-1]
    assert {path.name for path in run.iterdir()} == {
        *("config.json", "history.jsonl", "checkpoints", "result.json")
    }
    directory = RunDirectory.open(run)
    assert [row.step for row in directory.rows()] == [0, 2, 4, 6]
    assert directory.config["problem"] == "poisson1d:a=1"
    assert directory.config["command"][:2] == ["pinntk", "train"]
    assert directory.read_result()["seed"] == 5


def test_resuming_a_finished_run_changes_nothing(trained):
    run = trained[-1]
    before = RunDirectory.open(run).read_result()
    code, out, err = run_pinntk("resume", run)
    assert (code, err) == (0, "")
    assert "Completed 6 steps" in out
    after = RunDirectory.open(run).read_result()
    assert {**after, "seconds": 0} == {**before, "seconds": 0}
    assert [row.step for row in RunDirectory.open(run).rows()] == [0, 2, 4, 6]


def test_report_names_the_files_it_wrote(trained):
    run = trained[-1]
    code, out, _ = run_pinntk("report", run)
    assert code == 0
    written = sorted(str(path) for path in (run / "report").iterdir())
    assert out.split() == written
    assert str(run / "report" / "losses.png") in written


def test_train_without_out_writes_nothing(user_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_pinntk("train", f"{user_file}:made")
    assert code == 0
    assert "sgd 0.001" in out
    assert "pinntk report" not in out
    assert list(tmp_path.iterdir()) == []


def test_a_budget_ends_with_code_0_and_the_way_to_go_on(user_file, tmp_path):
    run = tmp_path / "run"
    code, out, _ = run_pinntk("train", f"{user_file}:mine", "--budget", "0.001s", "--out", run)
    assert code == 0
    assert "Stopped after 1 of 4 steps, when 0.001 s were used" in one_line(out)
    assert f"Go on with: pinntk resume {run}" in out
    code, out, _ = run_pinntk(
        "resume", run, "--budget", "1h"
    )  # the time that was used does not count
    assert code == 0
    assert "Completed 4 steps" in out


def test_a_damaged_checkpoint_is_a_warning(user_file, tmp_path):
    run = tmp_path / "run"
    run_pinntk("train", f"{user_file}:mine", "--checkpoint-every", 2, "--out", run)
    (run / "checkpoints" / "step-4.npz").write_bytes(b"")
    code, out, err = run_pinntk("resume", run)
    assert code == 0
    assert "Warning: passed over the damaged checkpoint step-4" in one_line(err)
    assert "Completed 4 steps" in out


def test_a_file_given_by_a_relative_path_is_found(user_file, monkeypatch):
    monkeypatch.chdir(user_file.parent)
    code, out, _ = run_pinntk("train", "mine.py:mine")
    assert code == 0
    assert out.startswith("mine.py:mine mlp 1×3 tanh")


# --- options -------------------------------------------------------------------------------------


def test_options_override_the_preset():
    paper = set_up("poisson1d", "paper").recipe
    assert (paper.optimizer, paper.width, paper.steps) == ("sgd", 100, 40_000)
    changed = set_up("poisson1d", "paper", {"width": 8, "steps": 5}).recipe
    assert (changed.optimizer, changed.learning_rate) == ("sgd", 1e-5)  # still the preset's
    assert (changed.width, changed.steps) == (8, 5)


def test_every_option_of_train_reaches_the_run(monkeypatch):
    asked = {}

    def stop(problem, preset, changes, seed):
        asked.update(problem=problem, preset=preset, seed=seed, **changes)
        raise PinntkError("enough", got="all", expected="no more")

    monkeypatch.setattr(COMMANDS, "set_up", stop)
    given = {
        "preset": "paper",
        "network": "modified-mlp",
        "width": 8,
        "depth": 2,
        "activation": "sin",
        "parametrization": "ntk",
        "scaling": "none",
        "fourier_features": 4,
        "fourier_scale": 2.0,
        "weighting": "ntk",
        "every": 3,
        "moving_average": 0.5,
        "subsample": 9,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "decay_rate": 0.9,
        "decay_steps": 10,
        "steps": 7,
        "log_every": 2,
        "dtype": "float64",
        "seed": 3,
    }
    options = [part for k, v in given.items() for part in (f"--{k.replace('_', '-')}", v)]
    code, _, err = run_pinntk("train", "wave1d:c=3", *options, "--weights", "velocity=2")
    assert (code, err) == (2, "Error: enough: got all; expected no more.\n")
    assert asked == {"problem": "wave1d:c=3", "weights": {"velocity": 2.0}, **given}


def test_an_option_that_is_not_given_is_not_a_change(monkeypatch):
    def stop(problem, preset, changes, seed):
        raise PinntkError("changes", got=changes, expected="none")

    monkeypatch.setattr(COMMANDS, "set_up", stop)
    monkeypatch.setattr(COMMANDS, "plain_setup", stop)
    for command in ("train", "diagnose"):
        assert "got {}" in run_pinntk(command, "poisson1d")[2]


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        (None, None),
        ([], None),
        (["boundary=100"], {"boundary": 100.0}),
        (["a=1,b=2.5e-3"], {"a": 1.0, "b": 2.5e-3}),
        (["a=1", "b=2"], {"a": 1.0, "b": 2.0}),
        ([" a = 1 , b=2"], {"a": 1.0, "b": 2.0}),
    ],
)
def test_weights_are_repeated_or_separated_by_commas(options, weights):
    assert parse_weights(options) == weights


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("90", 90), ("5min", 300), ("1.5 h", 5400), (" 2h ", 7200), ("0.5s", 0.5)],
)
def test_budgets_are_seconds_minutes_or_hours(text, seconds):
    assert math.isclose(parse_budget(text), seconds)
    assert parse_budget(None) is None


# --- interruptions ------------------------------------------------------------------------------


def test_ctrl_c_before_the_training_is_130_too(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(COMMANDS, "set_up", interrupted)
    code, _, err = run_pinntk("train", "poisson1d")
    assert code == 130
    assert "Traceback" not in err


def test_a_terminal_signal_is_like_ctrl_c(monkeypatch):
    monkeypatch.setattr(COMMANDS, "set_up", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert run_pinntk("train", "poisson1d")[0] == 130
