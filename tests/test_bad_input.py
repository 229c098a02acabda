"""Every mistake a user can make gives one message, the right exit code and no traceback."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from command import one_line, run_pinntk
from each import each
from pinntk.jacobian import memory

FILE = """
import jax
import jax.numpy as jnp
import numpy as np
import pinntk as pk

domain = pk.Interval(x=(0.0, 1.0))
ends = pk.dirichlet("ends", domain.faces(), 0.0, 2)
plan = pk.Training(pk.adam(1e-3), steps=5, log_every=2, weighting=pk.NTKWeights())
small = pk.Network(width=4, depth=1)


def problem(residual, plan=plan, network=small, **options):
    inside = pk.Condition("inside", residual, domain, 6)
    return pk.Setup(pk.Problem("user", domain, [ends, inside], **options), plan, network)


good = problem(lambda u, x: u.d("x")(x) - 1.0)
matrix = problem(lambda u, x: jnp.ones((2, 2)) * u(x))
empty = problem(lambda u, x: jnp.zeros((0,)))
whole = problem(lambda u, x: jnp.asarray(1))
nothing = problem(lambda u, x: None)
words = problem(lambda u, x: "u")
raises = problem(lambda u, x: u(x) + 1 / 0)
fails = problem(lambda u, x: {}["missing"])
arity = problem(lambda u: u)
coordinate = problem(lambda u, x: u.d("y")(x))
branch = problem(lambda u, x: u(x) if u(x) > 0 else 0.0)
constant = problem(lambda u, x: 3.0 * x[0])
stopped = problem(lambda u, x: jax.lax.stop_gradient(u(x)))
rounded = problem(lambda u, x: jnp.round(u(x)))
not_finite = problem(lambda u, x: u(x) + jnp.where(x[0] > 0.5, jnp.nan, 0.0))
bad_solution = problem(lambda u, x: u(x), solution=lambda x: {}["missing"])
bad_network = problem(lambda u, x: u(x), network=lambda key: 1 / 0)
bad_weight = problem(lambda u, x: u(x), plan.replace(weighting=pk.Fixed({"insid": 2.0})))
descent = problem(
    lambda u, x: u.d("x")(x) - 1.0,
    plan.replace(optimizer=pk.gradient_descent(1e10), weighting=pk.Fixed(), steps=60),
)
number = 3


def no_points():
    return pk.Problem("user", domain, [pk.Condition("none", lambda u, x: u(x), domain, 0)])


def outside():
    return pk.Problem(
        "user", domain, [pk.observations("data", domain, np.array([[0.5], [2.0]]), np.zeros(2))]
    )


def nan_values():
    values = np.array([0.0, np.nan])
    return pk.Problem(
        "user", domain, [pk.observations("data", domain, np.array([[0.5], [0.7]]), values)]
    )


def nan_points():
    return pk.observations("data", domain, np.array([[0.5], [np.nan]]), np.zeros(2))


def beyond():
    return domain.face(x=2.0)


def twice():
    return pk.Problem("user", domain, [ends, ends])


def bad_plan():
    return pk.Training(pk.adam(), steps="many")


def needs_more(a):
    return good


def leaves():
    raise SystemExit(0)


class Own(BaseException):
    def __str__(self):
        return {}["no words"]


def raises_its_own():
    raise Own


def breaks():
    return {}["missing"]


def a_number():
    return 3
"""


def line_of(text):
    """The line of the user's file on which a text stands."""
    return FILE[: FILE.index(text)].count("\n") + 1


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Files of a user's, in the working directory."""
    path = tmp_path_factory.mktemp("user")
    (path / "mine.py").write_text(FILE)
    (path / "syntax.py").write_text("import pinntk\n\nx = = 2\n")
    (path / "unclosed.py").write_text("import pinntk\nx = (1,\n")
    (path / "divides.py").write_text("import pinntk\n\n\nx = 1 / 0\n")
    (path / "imports.py").write_text("import no_such_module\n")
    (path / "getattr.py").write_text("def __getattr__(name):\n    raise RuntimeError(name)\n")
    (path / "folder.py").mkdir()
    (path / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    (path / "bytes.py").write_bytes(b"\xff\xfe\x00")
    (path / "full").mkdir()
    (path / "full" / "file").write_text("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


def assert_refused(arguments, *words):
    """Exit code 2, one message on standard error with all the words, nothing that looks like a crash."""
    code, _, err = run_pinntk(*arguments)
    assert "Traceback" not in err
    for word in words:
        assert word in one_line(err)
    assert code == 2
    return one_line(err)


SMALL = ("--width", 4, "--depth", 1, "--steps", 2)

NAMES = {
    "unknown problem": (["poison1d"], "problem: got 'poison1d'", "Did you mean 'poisson1d'"),
    "unknown option": (["poisson1d:b=3"], "option of poisson1d: got 'b'; expected one of a"),
    "option without a value": (["poisson1d:a"], "expected name=number", "poisson1d:a=1"),
    "option that is no number": (["poisson1d:a=four"], "poisson1d:a: got 'four'"),
    "unknown preset": (["poisson1d", "--preset", "papr"], "Did you mean 'paper'"),
    "no such preset": (
        ["heat1d", "--preset", "paper"],
        "preset of heat1d: got 'paper'; expected one of default, natural-gradient",
    ),
    "unknown condition": (
        ["poisson1d", "--weights", "bondary=3"],
        "weight: got 'bondary'; expected one of boundary, residual. Did you mean 'boundary'?",
    ),
    "unknown network": (["poisson1d", "--network", "mpl"], "network: got 'mpl'", "'mlp'"),
    "unknown activation": (["poisson1d", "--activation", "tan"], "activation", "'tanh'"),
    "unknown parametrization": (["poisson1d", "--parametrization", "nkt"], "'ntk'"),
    "unknown scaling": (["poisson1d", "--scaling", "units"], "'unit'"),
    "unknown weighting": (["poisson1d", "--weighting", "nkt"], "Did you mean 'ntk'"),
    "unknown optimizer": (["poisson1d", "--optimizer", "adma"], "Did you mean 'adam'"),
    "unknown dtype": (["poisson1d", "--dtype", "float16"], "dtype: got 'float16'", "'float64'"),
    "unknown option of the command": (["poisson1d", "--widht", 3], "No such option: --widht"),
}

NUMBERS = {
    "weight zero": (
        ["--weights", "boundary=0"],
        "weight of 'boundary': got 0; expected a positive",
    ),
    "weight negative": (["--weights", "boundary=-2"], "got -2; expected a positive finite number"),
    "weight NaN": (["--weights", "boundary=nan"], "weight of 'boundary': got nan"),
    "weight infinite": (["--weights", "boundary=inf"], "weight of 'boundary': got inf"),
    "weight without a value": (["--weights", "boundary"], "expected NAME=VALUE"),
    "weight without a name": (["--weights", "=3"], "expected NAME=VALUE"),
    "weight that is a word": (["--weights", "boundary=much"], "expected NAME=VALUE"),
    "weight twice": (["--weights", "boundary=1,boundary=2"], "got 'boundary' twice"),
    "factor zero": (
        ["--weights", "boundary=0", "--weighting", "ntk"],
        "weight of 'boundary': got 0; expected a positive",
    ),
    "factor of no condition": (
        ["--weights", "boundry=2", "--weighting", "ntk"],
        "weight: got 'boundry'; expected one of boundary, residual. Did you mean 'boundary'?",
    ),
    "no steps": (["--steps", 0], "steps: got 0; expected a whole number, 1 or more"),
    "negative steps": (["--steps", -3], "steps: got -3; expected a whole number"),
    "half a step": (["--steps", 1.5], "'--steps'", "integer"),
    "no log": (["--log-every", 0], "log_every: got 0"),
    "no checkpoints": (["--checkpoint-every", 0, "--out", "new"], "checkpoint_every: got 0"),
    "negative checkpoints": (
        ["--checkpoint-every", -5, "--out", "new"],
        "checkpoint_every: got -5",
    ),
    "no width": (["--width", 0], "width: got 0; expected a whole number, 1 or more"),
    "no depth": (["--depth", 0], "depth: got 0"),
    "learning rate NaN": (["--learning-rate", "nan"], "learning_rate: got nan"),
    "learning rate zero": (["--learning-rate", 0], "learning_rate: got 0.0"),
    "decay in no steps": (
        ["--decay-rate", 0.5, "--decay-steps", 0],
        "decay_rate, decay_steps: got (0.5, 0); expected both or neither",
    ),
    "moving average": (["--moving-average", 1], "moving_average: got 1.0"),
    "never update": (["--every", 0], "every: got 0"),
    "no points for the weights": (["--subsample", 0], "subsample: got 0"),
    "odd features": (["--fourier-features", 3], "features: got 3; expected an even number"),
    "features of no scale": (
        ["--fourier-features", 4, "--fourier-scale", "nan"],
        "fourier_scale: got nan",
    ),
    "negative seed": (["--seed", -1], "seed: got -1; expected a whole number from 0"),
    "seed that would be cut": (["--seed", 2**32], "seed: got 4294967296"),
    "seed beyond all bounds": (["--seed", 10**30], "seed: got 1000000000000"),
    "no budget": (["--budget", 0], "--budget: got 0; expected a time above zero, like 60s"),
    "negative budget": (["--budget", "-5s"], "--budget: got -5s"),
    "budget in another unit": (["--budget", "5parsec"], "--budget: got 5parsec"),
}

FILES = {
    "missing file": (["no.py:x"], "PROBLEM: got no.py, which does not exist"),
    "no name": (["mine.py"], "expected mine.py:NAME", "It defines good, matrix"),
    "empty name": (["mine.py:"], "expected mine.py:NAME"),
    "misspelt name": (["mine.py:god"], "PROBLEM in mine.py: got 'god'", "Did you mean 'good'"),
    "preset of a file": (
        ["mine.py:good", "--preset", "paper"],
        "--preset: got paper; expected no preset for a Setup of yours",
    ),
    "not a problem": (
        ["mine.py:number"],
        "number in mine.py: got int; expected a pinntk.Problem or a",
    ),
    "makes no problem": (["mine.py:a_number"], "got int; expected a pinntk.Problem"),
    "wants an argument": (["mine.py:needs_more"], "missing 1 required positional argument"),
    "breaks": (
        ["mine.py:breaks"],
        f"""got mine.py, line {line_of('return {}["missing"]')}: KeyError: 'missing'""",
    ),
    "raises what is no exception": (
        ["mine.py:raises_its_own"],
        f"got mine.py, line {line_of('raise Own')}: Own; expected a file that runs",
    ),
    "attributes that raise": (["getattr.py:x"], "got getattr.py, line 2: RuntimeError: x"),
    "a folder": (["folder.py:x"], "PROBLEM: got folder.py, which cannot be read"),
    "leaves": (["mine.py:leaves"], "SystemExit: 0", f"line {line_of('raise SystemExit')}"),
    "syntax error": (["syntax.py:x"], "got syntax.py, line 3: SyntaxError"),
    "open bracket": (["unclosed.py:x"], "got unclosed.py, line 2: SyntaxError"),
    "error while it runs": (["divides.py:x"], "got divides.py, line 4: ZeroDivisionError"),
    "missing module": (["imports.py:x"], "line 1: ModuleNotFoundError", "no_such_module"),
    "exits": (["leaves.py:x"], "got leaves.py, line 2: SystemExit: 0; expected a file that runs"),
    "not a text": (["bytes.py:x"], "got bytes.py", "expected a file that runs"),
    "no points": (
        ["mine.py:no_points"],
        f"mine.py, line {line_of('[pk.Condition(')}: points of condition 'none': got 0",
    ),
    "points outside": (
        ["mine.py:outside"],
        "points of condition 'data': got 1 of 2 outside the domain, first [2.0]",
    ),
    "NaN among values": (
        ["mine.py:nan_values"],
        "values of condition 'data': got 1 rows with NaN or infinity, the first at row 1",
    ),
    "NaN among points": (["mine.py:nan_points"], "points: got 1 rows with NaN", "row 1"),
    "face that is none": (["mine.py:beyond"], "face(x=...): got 2.0", "(0.0, 1.0)"),
    "name twice": (["mine.py:twice"], "got two named 'ends'; expected distinct names"),
    "plan": (["mine.py:bad_plan"], "steps: got many; expected a whole number"),
    "weight in a plan": (["mine.py:bad_weight"], "got 'insid'", "Did you mean 'inside'"),
    "network": (["mine.py:bad_network"], "network: got ZeroDivisionError"),
    "optimizer that is none": (
        ["mine.py:good", "--optimizer", "mine.py:number"],
        "number in mine.py: got int; expected an optimizer, like pk.FirstOrder(...)",
    ),
    "rule in a file that breaks": (
        ["mine.py:good", "--weighting", "divides.py:x"],
        "--weighting: got divides.py, line 4: ZeroDivisionError",
    ),
    "optimizer in no file": (
        ["mine.py:good", "--optimizer", "no.py:x"],
        "--optimizer: got no.py, which does not exist",
    ),
}

RESIDUALS = {
    "matrix": "got shape (2, 2) at one point; expected a scalar () or a vector (m,)",
    "empty": "got shape (0,) at one point",
    "whole": "got dtype int32; expected a floating-point residual",
    "nothing": "None is not a valid value",
    "words": "expected a function (u, x)",
    "raises": "got ZeroDivisionError: division by zero",
    "fails": "got KeyError: 'missing'",
    "arity": "takes 1 positional argument but 2 were given",
    "coordinate": "coordinate: got 'y'; expected one of x",
    "branch": "TracerBoolConversionError",
    "constant": "a kernel block of zeros: no parameter of the model changes the residual",
    "stopped": "Look for stop_gradient, rounding, or a residual that does not call u",
    "rounded": "a kernel block of zeros",
}


@each("case", NAMES)
def test_unknown_names_come_with_the_nearest_known_one(case):
    arguments, *words = NAMES[case]
    assert_refused(["train", *arguments], *words)


@each("case", NUMBERS)
def test_numbers_that_make_no_sense_are_refused(case, folder):
    arguments, *words = NUMBERS[case]
    assert_refused(["train", "poisson1d", *SMALL[:4], *arguments], *words)
    assert not (folder / "new").exists()


@each("case", FILES)
def test_files_that_hold_no_problem_say_where_and_why(case, untyped):
    arguments, *words = FILES[case]
    assert_refused(["train", *arguments], *words)


@each("name", RESIDUALS)
def test_residuals_that_cannot_be_used_name_their_condition(name):
    err = assert_refused(["train", f"mine.py:{name}"], RESIDUALS[name])
    assert err.startswith("Error: residual of condition 'inside': got ")


@pytest.mark.parametrize("name", ["matrix", "not_finite"])
def test_diagnose_refuses_them_too(name):
    assert_refused(["diagnose", f"mine.py:{name}"], "residual of condition 'inside': got ")


def test_a_solution_that_fails_is_named_and_leaves_no_directory(folder):
    assert_refused(["train", "mine.py:bad_solution", "--out", "unused"], "solution: got KeyError")
    assert not (folder / "unused").exists()


def test_a_kernel_that_would_not_fit_says_how_many_gigabytes_and_offers_a_subsample(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1e5)
    assert_refused(
        ["diagnose", "poisson1d", *SMALL],
        "kernel: got 130 residuals of 13 parameters, which take",
        "expected at most 6e-05 GB",
        "Use a subsample of the points",
    )


# --- places that cannot be written or read -----------------------------------------------------


def test_a_directory_that_exists_is_not_touched(folder):
    assert_refused(
        ["train", "mine.py:good", "--out", "full"],
        "--out: got full, which exists and is not empty; expected a new directory.",
        "go on with it: pinntk resume full",
    )
    assert (folder / "full" / "file").read_text() == "kept"
    assert [path.name for path in (folder / "full").iterdir()] == ["file"]


@pytest.mark.parametrize("out", ["mine.py", "mine.py/run"])
def test_a_directory_that_cannot_be_made_is_named(out):
    assert_refused(["train", "mine.py:good", "--out", out], f"--out: got {out}")


@pytest.mark.parametrize("place", ["no/where.json", "full", "mine.py/look.json"])
def test_json_that_cannot_be_written_is_refused_before_the_work(place):
    assert_refused(
        ["diagnose", "poisson1d", *SMALL, "--json", place],
        f"--json: got {place}; expected a file in a folder that can be written",
    )


@each(
    ("options", "text"),
    [
        (["--budget", "3s"], "--budget: got 3s; expected 8s or more"),
        (["--budget", "soon"], "--budget: got soon; expected a time"),
        (["--out", "mine.py"], "--out: got mine.py (File exists); expected a folder"),
        (["--out", "mine.py/page"], "--out: got mine.py/page (Not a directory)"),
    ],
)
def test_a_diagnosis_that_could_not_be_made_is_refused_before_the_work(options, text):
    assert_refused(["diagnose", "poisson1d", *SMALL, *options], text)


@each("command", ["resume", "report"])
@each(
    ("place", "text"),
    [
        ("nowhere", "nowhere: got no config.json; expected the directory of a run"),
        ("full", "full: got no config.json"),
        ("mine.py", "mine.py/config.json: got a file that cannot be read"),
    ],
)
def test_what_is_no_run_directory_is_refused(command, place, text):
    assert_refused([command, place], text)


@pytest.fixture(scope="module")
def diverged(folder):
    """A run that diverges, in a directory."""
    ended = run_pinntk("train", "mine.py:descent", "--checkpoint-every", 3, "--out", "diverged")
    return folder / "diverged", ended


@each(
    ("file", "content", "text"),
    [
        ("config.json", b"", "config.json: got a file that cannot be read"),
        ("config.json", b'{"format": 2, "prob', "cannot be read"),
        ("config.json", b'{"format": 7}', "format 7; expected format 2"),
        ("history.jsonl", b"rubbish\n\n", "history.jsonl: got line 1 that is not a row"),
    ],
)
def test_a_corrupt_run_is_refused(diverged, file, content, text):
    path = diverged[0] / file
    before = path.read_bytes()
    try:
        path.write_bytes(content)
        assert_refused(["resume", "diverged"], text)
        assert_refused(["report", "diverged"], text)
    finally:
        path.write_bytes(before)


def test_a_run_whose_checkpoints_are_truncated_is_refused(diverged):
    kept = {path: path.read_bytes() for path in (diverged[0] / "checkpoints").glob("*.npz")}
    try:
        for path, content in kept.items():
            path.write_bytes(content[:100])
        assert_refused(["resume", "diverged"], "the checksum does not match", "cannot be resumed")
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def test_a_run_of_another_problem_is_refused(diverged, folder):
    file = folder / "mine.py"
    try:
        file.write_text(FILE + "\n# changed\n")
        for command in ("resume", "report"):
            assert_refused([command, "diverged"], "mine.py:descent has changed since", "Restore it")
    finally:
        file.write_text(FILE)


# --- divergence --------------------------------------------------------------------------------


def test_a_step_above_the_stable_one_is_a_warning_and_divergence_is_exit_code_3(diverged):
    run, (code, out, err) = diverged
    assert code == 3
    assert "Traceback" not in err
    assert "Warning: The learning rate 1e+10 is above " in err
    assert "the largest stable step of gradient descent at the start" in err
    result = json.loads((run / "result.json").read_text())
    bad = result["steps"] + 1
    assert f"Diverged at step {bad}: the loss of condition 'ends' is" in one_line(out)
    assert "the last good state is kept" in one_line(out)
    assert f"Figures: pinntk report {run.name}" in out
    assert result["outcome"] == "diverged"
    assert all(np.isfinite(loss) for loss in result["losses"].values())


def test_the_last_good_state_is_the_newest_checkpoint_and_finite(diverged):
    run, _ = diverged
    steps = json.loads((run / "result.json").read_text())["steps"]
    newest = max(int(path.stem[5:]) for path in (run / "checkpoints").glob("*.npz"))
    assert newest == steps > 0
    with np.load(run / "checkpoints" / f"step-{newest}.npz") as arrays:
        assert all(np.isfinite(arrays[name]).all() for name in arrays.files)
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(0, steps + 1, 2))


def test_a_diverged_run_can_be_reported_and_resumed_to_the_same_end(diverged):
    run, _ = diverged
    before = json.loads((run / "result.json").read_text())
    code, out, _ = run_pinntk("report", "diverged")
    assert code == 0
    assert "diverged/report/losses.png" in out
    code, _, _ = run_pinntk("resume", "diverged")
    assert code == 3
    after = json.loads((run / "result.json").read_text())
    timed = {"seconds": 0, "compilation": 0}
    assert {**after, **timed} == {**before, **timed}


def test_a_step_that_is_large_but_survives_ends_with_code_0():
    code, _, err = run_pinntk("train", "mine.py:descent", "--learning-rate", 1, "--steps", 2)
    assert "Warning: The learning rate 1 is above" in err
    assert code == 0


def test_a_problem_that_is_not_finite_from_the_start_is_exit_code_3():
    code, out, err = run_pinntk("train", "mine.py:not_finite")
    assert code == 3
    assert "Traceback" not in err
    told = one_line(out)
    assert "Not finite at step 0: the loss of condition 'inside' is nan at x = " in told
    assert "(a constant that is given as nan), before any training" in told


# --- the real command ----------------------------------------------------------------------------


def test_the_installed_command_ends_with_code_2_and_one_line():
    ended = subprocess.run(
        [sys.executable, "-c", "from pinntk.cli import main; main()", "train", "poison1d"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: problem: got 'poison1d'")
    assert ended.stderr.count("\n") == 1
