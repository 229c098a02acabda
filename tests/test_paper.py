"""The experiments of the paper: the tools they are made of, and what is kept, reused and refused."""

import json
import math
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import pinntk as pk
from command import one_line, run_pinntk
from each import each
from helpers import assert_close
from pinntk.errors import PinntkError, PinntkWarning, RunError
from pinntk.jacobian import trainable
from pinntk.library import poisson1d_paper, wave1d_paper
from pinntk.paper import EXPERIMENTS, Claim, Skipped, names_of, reproduce
from pinntk.paper.bias import dominant_frequency, several_modes, steps_to
from pinntk.paper.drift import fit_exponent
from pinntk.paper.sweep import draw_models, train_many, with_network
from pinntk.paper.training import trained
from pinntk.paper.wave import RULES, setup_of
from pinntk.training import Observer, member_model, progress_bar, start_run, trained_model
from pinntk.weighting import Fixed, NTKWeights

pytestmark = pytest.mark.slow

QUIET = lambda steps, label: progress_bar(steps, label=label)


def small_setup(rate=1e-4, dtype="float32", **changes):
    setup = with_network(poisson1d_paper(), width=8)
    training = setup.training.replace(optimizer=pk.gradient_descent(rate), steps=30, **changes)
    return setup.replace(training=training, dtype=dtype)


# --- claims ------------------------------------------------------------------------------------


@each(
    ("measured", "holds"),
    [(1.0, True), (2.0, True), (0.99, False), (2.01, False), (math.nan, False)],
)
def test_a_claim_holds_between_its_bounds(measured, holds):
    claim = Claim("name", "statement", measured, low=1.0, high=2.0)
    assert claim.holds is holds
    assert claim.required == "1 to 2"
    record = json.loads(json.dumps(claim.as_dict(), allow_nan=False))
    assert record["holds"] is holds


def test_one_bound_alone():
    assert Claim("", "", 5.0, low=3.0).required == "at least 3"
    assert Claim("", "", 5.0, high=3.0).required == "at most 3"
    assert not Claim("", "", 5.0, high=3.0).holds


def test_the_exponent_of_a_power_law_and_its_error():
    widths = np.array([10, 100, 1000, 10_000])
    noise = np.random.default_rng(0).normal(scale=0.1, size=(4, 50))
    fit = fit_exponent(widths, 3.0 * widths[:, None] ** -0.5 * np.exp(noise))
    deviation = np.log(widths).std() * math.sqrt(noise.size)
    assert fit.error == pytest.approx(0.1 / deviation, rel=0.2)  # of the slope of a straight line
    assert abs(fit.exponent + 0.5) < 3 * fit.error
    assert abs(fit.exponent + 0.6) > 3 * fit.error  # control


# --- many trainings at once --------------------------------------------------------------------


def test_models_are_those_of_their_seeds_on_the_points_of_the_first():
    setup = small_setup()
    models, batch = draw_models(setup, (0, 3))
    assert not eqx.tree_equal(*models)
    for model, seed in zip(models, (0, 3), strict=True):
        assert eqx.tree_equal(setup.start(seed).model, model)
    assert eqx.tree_equal(setup.start(0).batch, batch)


@each("weighting", [Fixed(), NTKWeights(every=7)])
def test_trainings_at_once_equal_trainings_one_by_one(weighting, x64):
    setup = small_setup(rate=1e-6, weighting=weighting, dtype="float64")  # which is stable
    problem = setup.problem
    models, batch = draw_models(setup, (0, 1))
    given = [{"boundary": 1.0, "residual": 1.0}, {"boundary": 50.0, "residual": 1.0}]
    plain = isinstance(weighting, Fixed)
    seen = list(train_many(setup, models, batch, (0, 10, 30), given if plain else None))
    assert [look.step for look in seen] == [0, 10, 30]
    for i, (model, weights) in enumerate(zip(models, given, strict=True)):
        rule = Fixed(weights) if plain else weighting
        for look in seen[1:]:
            alone = pk.train(
                problem,
                model,
                setup.training.replace(weighting=rule, steps=look.step),
                key=jax.random.key(0),
                batch=batch,
            )
            together = member_model(look.parameters, models[0], i)
            found, expected = (ravel_pytree(trainable(m)[0])[0] for m in (together, alone.model))
            assert_close(found, expected)
            for name, loss in alone.losses.items():
                assert look.losses[name][i] == pytest.approx(loss, rel=1e-9)
            assert look.errors[i] == pytest.approx(alone.relative_l2, rel=1e-9)
            for name in problem.names:
                assert look.weights[name][i] == pytest.approx(alone.weights[name], rel=1e-9)


def test_a_training_without_a_finite_loss_is_named():
    setup = small_setup(rate=1e3)
    models, batch = draw_models(setup, (0,))
    with pytest.raises(PinntkError, match="not finite at step"):
        list(train_many(setup, models, batch, (0, 30)))


# --- runs that are kept ------------------------------------------------------------------------


def wave_setup(steps=40, **changes):
    setup = setup_of("fixed", 6, steps)
    return setup.replace(training=setup.training.replace(**changes))


def kept_run(folder, setup=None, **options):
    options = {"snapshots": (0, 20, 40), "checkpoint_every": 10, "seed": 0, **options}
    return trained(folder, setup or wave_setup(), **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted, and where it is."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    return kept_run(folder), folder


def test_snapshots_are_the_models_of_their_steps(whole):
    run, folder = whole
    assert sorted(run.models) == [0, 20, 40]
    alone = start_run(wave_setup(steps=20))
    assert eqx.tree_equal(run.models[20], alone.model)
    assert eqx.tree_equal(
        run.models[40], trained_model(folder, wave_setup())[2]
    )  # of the last checkpoint
    assert not eqx.tree_equal(run.models[20], run.models[40])
    again = kept_run(folder)
    assert again.result == run.result
    assert eqx.tree_equal(again.models, run.models)


def test_a_run_that_was_cut_short_goes_on(tmp_path, whole):
    def stop(step, steps, row):
        if step >= 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept_run(tmp_path / "cut", observers=[Observer(progress=stop)])
    assert json.loads((tmp_path / "cut" / "result.json").read_text())["outcome"] == "interrupted"
    resumed = kept_run(tmp_path / "cut")
    assert eqx.tree_equal(resumed.models, whole[0].models)


def test_a_run_of_other_settings_is_refused(whole):
    for other, words in (
        ({"seed": 1}, r"seed: 0, now 1"),
        ({"setup": wave_setup(steps=50)}, r"setup.training.steps: 40, now 50"),
        (
            {"setup": wave_setup(weighting=RULES["ntk"])},
            r"setup.training.weighting.type: Fixed, now",
        ),
    ):
        with pytest.raises(RunError, match=r"a run of other settings \(.*" + words):
            kept_run(whole[1], **other)


def test_a_run_that_diverges_is_named(tmp_path):
    warned = pytest.warns(PinntkWarning, match="diverged at step")
    with warned, pytest.raises(RunError, match="diverged"):
        kept_run(tmp_path / "run", wave_setup(optimizer=pk.gradient_descent(1e4)))


def test_the_runs_of_the_figures_differ_from_the_preset_by_the_rule_alone():
    paper, ours = wave1d_paper(), setup_of("ntk", 500, 80_000)
    assert (ours.network, ours.training) == (paper.network, paper.training)
    plain = setup_of("fixed", 500, 80_000).training
    assert plain.weighting == Fixed({"values": 3.0})
    assert plain.replace(weighting=paper.training.weighting) == paper.training


# --- reproduce ---------------------------------------------------------------------------------


def test_groups_and_names():
    assert names_of(["fig2", "fig1", "fig2"]) == ["fig2", "fig1"]
    assert names_of(["all"]) == list(EXPERIMENTS)
    assert names_of(["figures"]) == [f"fig{i}" for i in range(1, 9)]
    assert set(names_of(["figures"])) | set(names_of(["theory"])) == set(EXPERIMENTS)
    with pytest.raises(PinntkError, match=r"'fig9'.*fig1, fig2"):
        names_of(["fig9"])


def test_what_was_made_is_not_made_again(tmp_path):
    (made,) = reproduce(["fig1"], "smoke", tmp_path, QUIET, ["pinntk"])
    record = json.loads((tmp_path / "fig1.json").read_text())
    assert not made.reused
    assert {file.name for file in made.files} == {"fig1.png", "fig1.pdf"}
    assert all(file.stat().st_size > 1000 for file in made.files)
    assert record["command"] == ["pinntk"]
    assert record["environment"]["versions"]["jax"] == jax.__version__
    assert [claim["name"] for claim in record["claims"]] == [claim.name for claim in made.claims]
    made.files[0].unlink()
    (again,) = reproduce(["fig1"], "smoke", tmp_path, QUIET)
    assert again.reused
    assert made.files[0].exists()
    assert json.loads((tmp_path / "fig1.json").read_text()) == record


def test_results_of_other_settings_are_refused_before_anything_is_made(tmp_path):
    list(reproduce(["fig1"], "smoke", tmp_path, QUIET))
    with pytest.raises(RunError, match="fig1 with another size and config"):
        list(reproduce(["fig4", "fig1"], "paper", tmp_path, QUIET))
    assert not (tmp_path / "fig4.json").exists()
    (tmp_path / "fig1.json").write_text("{}")
    with pytest.raises(RunError, match="cannot be read"):
        list(reproduce(["fig1"], "smoke", tmp_path, QUIET))


def test_what_needs_another_package_is_skipped_by_name_and_the_rest_is_made(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    skipped, made = reproduce(["lemma", "fig1"], "smoke", tmp_path, QUIET)
    assert isinstance(skipped, Skipped)
    assert skipped.experiment.name == "lemma"
    assert "needs the package diffrax" in skipped.reason
    assert 'pip install "pinntk[paper]"' in skipped.reason
    assert not (tmp_path / "lemma.json").exists()
    assert made.experiment.name == "fig1"
    assert (tmp_path / "fig1.json").exists()


def test_the_command_line_says_what_it_skips(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    code, out, err = run_pinntk("reproduce", "lemma", "--size", "smoke", "--out", tmp_path)
    assert code == 0, err
    said = one_line(out + err)
    assert "lemma skipped: it needs the package diffrax" in said
    assert "pinntk[paper]" in said


def test_no_figure_needs_another_package():
    assert {name for name, e in EXPERIMENTS.items() if e.package} == {"lemma"}


def test_the_command_line_refuses_what_it_does_not_know(tmp_path):
    for arguments, words in (
        (["fig9", "--out", tmp_path], "expected one of fig1, fig2"),
        (["fig1", "--size", "huge", "--out", tmp_path], "size: got 'huge'"),
        (["fig1", "--size", "smoke", "--out", "/proc/x"], "--out: got /proc/x"),
    ):
        code, _, err = run_pinntk("reproduce", *arguments)
        assert code == 2
        assert words in one_line(err)
        assert "Traceback" not in err


def test_a_small_wave_run_gives_its_three_figures(tmp_path):
    found = {
        m.experiment.name: m for m in reproduce(["fig6", "fig7", "fig8"], "smoke", tmp_path, QUIET)
    }
    seven = json.loads((tmp_path / "fig7.json").read_text())["arrays"]["runs"]["ntk"]
    assert list(seven["spectra"]) == ["0", "20", "40", "60"]
    assert seven["change"]["0"] == 0.0
    assert all(len(made.files) >= 2 for made in found.values())


# --- spectral bias -----------------------------------------------------------------------------


@each("k", [0, 1, 7, 30])
def test_the_dominant_frequency_counts_half_waves(k):
    x = np.linspace(0, 1, 100)
    assert dominant_frequency(3 * np.cos(k * np.pi * x) + 0.5 * np.cos(12 * np.pi * x)) == k


def test_the_modes_solve_their_equation(x64):
    problem = several_modes((1, 3))
    batch = problem.sample(jax.random.key(0))
    residuals = problem.residuals(problem.solution, batch)
    for values in residuals.values():
        assert float(jnp.abs(values).max()) < 1e-13  # terms of order ten cancel
    wrong = problem.residuals(lambda x: 2 * problem.solution(x), batch)  # control
    assert float(jnp.abs(wrong["residual"]).max()) > 1.0


def test_the_steps_to_a_tenth_are_the_last_time_above_it():
    errors = np.array([[1.0, 0.05, 0.2, 0.09, 0.01], [1.0, 0.5, 0.5, 0.5, 0.5]])
    assert steps_to(errors, [0, 10, 20, 30, 40]).tolist() == [30.0, math.inf]
