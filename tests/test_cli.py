"""The command line: every command does what it says, prints it, and writes what was asked for."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import os
import re
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from command import one_line, run_pinntk
from each import each
from pinntk.cli import app as commands
from pinntk.cli import tables
from pinntk.cli.doctor import destination
from pinntk.cli.options import Options, parse_budget, parse_numbers
from pinntk.diagnosis.record import check_record
from pinntk.diagnosis.trial import Race
from pinntk.errors import PinntkError, PinntkWarning
from pinntk.library.registry import PROBLEMS
from pinntk.training import RunDirectory

SMALL = ("--width", 4, "--depth", 1, "--steps", 6, "--log-every", 2)

FILE = """
import optax
import pinntk as pk
from pinntk.diagnosis import AbstractFinding, Found, Severity

domain = pk.Interval(x=(0.0, 1.0))
conditions = [
    pk.dirichlet("ends", domain.faces(), 0.0, 2),
    pk.Condition("inside", lambda u, x: u.d("x")(x) - 1.0, domain, 5),
]
mine = pk.Problem("mine", domain, conditions)
small = pk.Network(width=3, depth=1)
setup = pk.Setup(
    mine,
    pk.Training(pk.gradient_descent(1e-3), steps=4, log_every=2, weighting=pk.Fixed({"ends": 100.0})),
    small,
)
lion = pk.FirstOrder(optax.lion(1e-3))


def made():
    return setup


class Rule(pk.AbstractWeighting):
    needs, every, subsample = (), None, None

    def init(self, names):
        return pk.Fixed({"ends": 7.0}).init(names)

    def update(self, state, information):
        return state


class Always(AbstractFinding):
    name = "always"

    def judge(self, evidence):
        return Found("always", Severity.SEVERE, 1.0, "Always here.", "It is mine.", {}, "losses")
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
        for word in (*entry.problem().names, *entry.presets):
            assert word in ("default", "natural-gradient") or word in out


@each("command", ["list", "diagnose", "train", "resume", "report"])
def test_every_command_has_help(command):
    code, out, _ = run_pinntk(command, "--help")
    assert code == 0
    assert out.startswith("Usage: ")
    assert command in run_pinntk("--help")[1]


def test_every_option_of_a_run_is_one_of_train_and_diagnose():
    for command in ("train", "diagnose"):
        shown = run_pinntk(command, "--help")[1]
        for field in dataclasses.fields(Options):
            assert f"--{field.name.replace('_', '-')}" in shown, (command, field.name)


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
    _, *verdict = out[: out.index("tried")].splitlines()
    assert max(len(line) for line in verdict if not line.startswith("       ")) <= 80
    assert re.search(r"^baseline +\d+ ", out, re.MULTILINE)  # as many steps as the time allowed
    assert "report.html" in out


def test_diagnose_writes_the_record_and_the_page(looked):
    _, out, _, file, folder = looked
    record = json.loads(file.read_text())
    check_record(record)
    assert list(record["problem"]["conditions"]) == ["boundary", "residual"]
    assert (record["seed"], record["settings"]["network"]["width"]) == (0, 4)
    assert record["provenance"]["command"].startswith("pinntk diagnose poisson1d:a=4 --width 4")
    for sentence in record["verdict"]:
        assert one_line(sentence) in one_line(out)
    assert record["trials"][0]["name"] == "baseline"
    page = (folder / "report.html").read_text()
    assert html.escape(record["verdict"][0]) in page


def test_diagnose_to_standard_output_is_json_and_nothing_else(user_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--budget", "0s", "--json", "-")
    code, out, _ = run_pinntk("diagnose", f"{user_file}:setup", *options)
    assert code == 0
    record = json.loads(out)
    check_record(record)
    assert record["trials"] == []
    assert list(tmp_path.iterdir()) == []


def weighting_line(monkeypatch, *arguments):
    """What `diagnose` says of the weights that it is going to look at."""

    def stop(*_):
        raise PinntkError("enough", got="the line", expected="no more")

    monkeypatch.setattr("pinntk.cli.doctor.run", stop)
    _, out, _ = run_pinntk("diagnose", *arguments)
    return re.search(r"weighting (.*?) · ", one_line(out))[1]


def test_diagnose_looks_at_all_weights_1_unless_others_are_asked_for(
    user_file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    asked = lambda *options: weighting_line(monkeypatch, *options, *SMALL[:6])
    assert asked("poisson1d") == "fixed"
    assert asked("wave1d", "--preset", "paper") == "fixed"
    assert asked("poisson1d", "--weighting", "ntk") == "ntk"
    assert asked("poisson1d", "--weights", "boundary=7") == "boundary 7"
    assert asked(f"{user_file}:mine") == "fixed"
    assert asked(f"{user_file}:setup") == "ends 100"  # a Setup is looked at as it is


def test_a_finding_from_a_file_is_looked_for_too(user_file, tmp_path):
    options = ("--budget", "0s", "--out", tmp_path / "page")
    finding = ("--finding", f"{user_file}:Always")
    code, out, _ = run_pinntk("diagnose", f"{user_file}:setup", *options, *finding)
    assert code == 0
    assert "SEVERE Always here." in one_line(out)


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


@pytest.mark.parametrize("begun", [False, True])
def test_ctrl_c_during_the_trials_keeps_what_there_is(tmp_path, monkeypatch, begun):
    turns = []

    def go_on(race, seconds, score):
        turns.append(race)
        if not begun:
            raise KeyboardInterrupt
        return original(race, seconds, score) or len(turns) == 2

    original = Race.go_on
    monkeypatch.setattr(Race, "go_on", go_on)
    options = (*SMALL[:6], "--budget", "10s", "--out", tmp_path / "page")
    code, out, err = run_pinntk("diagnose", "poisson1d", *options)
    assert code == 130
    assert len(turns) == (2 if begun else 1)
    assert err == ("" if begun else "Error: interrupted\n")
    assert (tmp_path / "page" / "report.html").exists()
    assert bool(re.search(r"^baseline ", out, re.MULTILINE)) == begun


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
    assert directory.config["origin"] == {
        "problem": "poisson1d:a=1",
        "preset": None,
        "options": {"width": 4, "depth": 1, "steps": 6, "log_every": 2},
        "file_sha256": None,
    }
    assert directory.config["command"][:2] == ["pinntk", "train"]
    assert directory.read_result()["seed"] == 5


def test_resuming_a_finished_run_changes_nothing(trained):
    run = trained[-1]
    before = RunDirectory.open(run).read_result()
    code, out, err = run_pinntk("resume", run)
    assert (code, err) == (0, "")
    assert "Completed 6 steps" in out
    after = RunDirectory.open(run).read_result()
    timed = {"seconds": 0, "compilation": 0}
    assert {**after, **timed} == {**before, **timed}
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
    code, out, _ = run_pinntk("train", f"{user_file}:setup", "--budget", "0.001s", "--out", run)
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
    run_pinntk("train", f"{user_file}:setup", "--checkpoint-every", 2, "--out", run)
    (run / "checkpoints" / "step-4.npz").write_bytes(b"")
    code, out, err = run_pinntk("resume", run)
    assert code == 0
    assert "Warning: passed over the damaged checkpoint step-4" in one_line(err)
    assert "Completed 4 steps" in out


def test_a_file_given_by_a_relative_path_is_found(user_file, monkeypatch):
    monkeypatch.chdir(user_file.parent)
    code, out, _ = run_pinntk("train", "mine.py:setup")
    assert code == 0
    assert out.startswith("mine.py:setup mlp 1×3 tanh")


def test_optimizer_and_rule_may_come_from_a_file(user_file, tmp_path):
    run = tmp_path / "run"
    own = ("--optimizer", f"{user_file}:lion", "--weighting", f"{user_file}:Rule")
    code, out, _ = run_pinntk("train", f"{user_file}:mine", *SMALL, *own, "--out", run)
    assert code == 0
    assert "weighting Rule" in one_line(out)
    assert RunDirectory.open(run).read_result()["weights"] == {"ends": 7.0, "inside": 1.0}
    assert run_pinntk("resume", run)[0] == 0


def test_a_run_whose_optimizer_s_file_has_changed_is_refused(user_file, tmp_path):
    run, file = tmp_path / "run", tmp_path / "own.py"
    file.write_text("import optax, pinntk as pk\nlion = pk.FirstOrder(optax.lion(1e-3))\n")
    options = ("--optimizer", f"{file}:lion", "--out", run)
    assert run_pinntk("train", f"{user_file}:mine", *SMALL, *options)[0] == 0
    file.write_text(file.read_text().replace("1e-3", "1e-2"))
    code, _, err = run_pinntk("resume", run)
    assert code == 2
    assert "own.py has changed since" in one_line(err)


# --- options -------------------------------------------------------------------------------------


def stopped_by(monkeypatch):
    """The options that reach `apply`, by the name of a command."""
    asked = {}

    def stop(setup, options, presets):
        asked.update(options.given())
        raise PinntkError("enough", got="all", expected="no more")

    monkeypatch.setattr(commands, "apply", stop)
    return asked


def test_every_option_reaches_the_setup(monkeypatch):
    asked = stopped_by(monkeypatch)
    values = {"int | None": 3, "float | None": 0.5, "str | None": "name", "bool | None": True}
    numbers = {"a": 2.0, "b": 0.5}
    given = {f.name: values.get(str(f.type), numbers) for f in dataclasses.fields(Options)}
    words = []
    for name, value in given.items():
        text = {dict: "a=2,b=0.5", bool: None}.get(type(value), value)
        words += [f"--{name.replace('_', '-')}", *([] if text is None else [text])]
    for command in ("train", "diagnose"):
        asked.clear()
        code, _, err = run_pinntk(command, "wave1d:c=3", *words)
        assert (code, err) == (2, "Error: enough: got all; expected no more.\n")
        assert asked == given
        run_pinntk(command, "wave1d")
        assert asked == given  # nothing more: what is not given is no change


def test_options_override_the_preset(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(commands, "print_setup", lambda spec, setup, seed: seen.append(setup))
    monkeypatch.setattr(commands, "start_run", lambda *_, **__: sys.exit(0))
    run_pinntk("train", "poisson1d", "--preset", "paper", "--width", 8, "--steps", 5)
    (changed,) = seen
    paper = PROBLEMS["poisson1d"].presets["paper"]()
    assert changed.training == paper.training.replace(steps=5)  # still the preset's optimizer
    assert changed.network == paper.network.replace(width=8)


@each(
    ("options", "weights"),
    [
        ([], None),
        (["boundary=100"], {"boundary": 100.0}),
        (["a=1,b=2.5e-3"], {"a": 1.0, "b": 2.5e-3}),
        (["a=1", "b=2"], {"a": 1.0, "b": 2.0}),
        ([" a = 1 , b=2"], {"a": 1.0, "b": 2.0}),
    ],
)
def test_weights_are_repeated_or_separated_by_commas(options, weights):
    assert parse_numbers("weight", "--weights", options) == weights


@each(
    ("text", "seconds"),
    [("60s", 60), ("90", 90), ("5min", 300), ("1.5 h", 5400), (" 2h ", 7200), ("0.5s", 0.5)],
)
def test_budgets_are_seconds_minutes_or_hours(text, seconds):
    assert math.isclose(parse_budget(text), seconds)
    assert parse_budget(None) is None


# --- interruptions and warnings -----------------------------------------------------------------


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_training_ends_with_one_line(monkeypatch, sent, code):
    monkeypatch.setattr(commands, "load", lambda *_: os.kill(os.getpid(), sent))
    assert run_pinntk("train", "poisson1d") == (code, "", "Error: interrupted\n")


INTERRUPTED_IMPORT = """
import sys

class Interrupted:
    def find_spec(self, name, *_):
        if name == sys.argv[1]:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
import pinntk_command
pinntk_command.main()
"""


@pytest.mark.parametrize("module", ["jax", "pinntk.cli.app"])
def test_ctrl_c_while_the_command_is_loaded_ends_with_one_line(module):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT, module],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Error: interrupted\n")


def test_warnings_are_lines_without_places_in_files(monkeypatch):
    def warn(*_):
        for _ in range(2):
            warnings.warn("somewhat odd", UserWarning, stacklevel=1)
        raise PinntkError("enough", got="all", expected="no more")

    monkeypatch.setattr(commands, "apply", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        err = run_pinntk("train", "poisson1d")[2]
    assert err == "Warning: somewhat odd\nError: enough: got all; expected no more.\n"


def test_warnings_that_point_into_libraries_are_silent(capfd):
    library, mine = np.__file__, __file__
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with tables.one_printer():
            warnings.warn_explicit("of NumPy", RuntimeWarning, library, 1)
            warnings.warn_explicit("of pinntk", PinntkWarning, mine, 1)
            warnings.warn_explicit("of\n  mine", RuntimeWarning, mine, 1)
    tables.errors.file.flush()
    assert capfd.readouterr().err == "Warning: of mine\n"
