"""What a user adds in one file of his own works as what pinntk brings: it trains, is diagnosed, resumes."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import pinntk as pk
from command import run_pinntk
from pinntk.cli.loading import load
from pinntk.diagnosis.trials import choose
from pinntk.training import resume_run, start_run

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parent.parent / "examples"
SMALL = ["--width", "6", "--depth", "1", "--points", "residual=16", "--log-every", "5"]


@pytest.fixture(autouse=True)
def examples(monkeypatch, tmp_path):
    """The examples as modules, and an empty working directory."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def small(**changes):
    """Poisson's equation in a setup that trains in no time."""
    plan = pk.Training(pk.adam(1e-3), steps=12, log_every=5).replace(**changes)
    return pk.Setup(pk.library.poisson1d().with_points({"residual": 16}), plan, pk.Network(6, 1))


def stopped_and_resumed(setup, folder):
    """The losses of a run that was stopped and resumed, and of one that was not."""
    whole = start_run(setup, 0, folder / "whole")
    start_run(setup, 0, folder / "stopped", budget=1e-9, checkpoint_every=1)
    resumed, _ = resume_run(folder / "stopped", setup)
    assert resumed.steps == whole.steps == setup.training.steps
    return resumed.losses, whole.losses


def diagnosed(setup, **options):
    """Python's diagnosis of a setup from one draw, and its trials."""
    found = pk.examine(setup, draws=1, steps=8, **options)
    return found, pk.treat(found, 8.0)


def done(*words):
    """The output of a command that succeeds."""
    code, output, error = run_pinntk(*words)
    assert code == 0, error
    return output


def on_the_command_line(folder, *words):
    """Train, stop, resume and diagnose with these words; what `diagnose` wrote as JSON."""
    run = folder / "run"
    steps = ["--steps", "12"]
    done("train", *words, *steps, "--budget", "0.001s", "--out", run)
    assert json.loads((run / "result.json").read_text())["outcome"] == "budget"
    done("resume", run)
    assert json.loads((run / "result.json").read_text())["outcome"] == "completed"
    return json.loads(done("diagnose", *words, *steps, "--budget", "8s", "--json", "-"))


def test_a_weighting_rule(tmp_path):
    from own_weighting import rule

    setup = small(weighting=rule)
    resumed, whole = stopped_and_resumed(setup, tmp_path)
    assert resumed == whole
    start = setup.start(0)
    result = pk.train(start.problem, start.model, setup.training, key=start.key)
    first, plain = (
        pk.train(start.problem, start.model, small(weighting=w).training, key=start.key)
        for w in (rule, pk.Fixed())
    )
    assert result.weights == first.weights != plain.weights
    # By hand at step 0: λ = 0.9 + 0.1 Σ‖∇L_j‖/‖∇L_k‖.
    loss = lambda model, name: start.problem.losses(model, start.batch)[name]
    norms = {
        name: np.sqrt(
            sum(np.sum(np.square(g)) for g in jax.tree.leaves(jax.grad(loss)(start.model, name)))
        )
        for name in start.problem.names
    }
    expected = {name: 0.9 + 0.1 * sum(norms.values()) / norm for name, norm in norms.items()}
    assert first.history[0].weights == pytest.approx(expected, rel=1e-4)
    found, treatment = diagnosed(setup)
    assert found.setup.training.weighting is rule
    assert treatment.trials[0].steps > 0
    words = ["poisson1d", *SMALL, "--weighting", f"{EXAMPLES / 'own_weighting.py'}:rule"]
    record = on_the_command_line(tmp_path, *words)
    assert record["settings"]["training"]["weighting"]["type"] == "GradientNormWeights"


def test_an_optimizer_with_its_own_schedule(tmp_path):
    from own_optimizer import optimizer, schedule

    setup = small(optimizer=optimizer)
    resumed, whole = stopped_and_resumed(setup, tmp_path)
    assert resumed == whole
    start = setup.start(0)
    result = pk.train(start.problem, start.model, setup.training, key=start.key)
    for row in result.history[:-1]:
        assert row.metrics["learning_rate"] == pytest.approx(float(schedule(row.step)), rel=1e-5)
    found, treatment = diagnosed(setup)
    assert found.setup.training.optimizer is optimizer
    assert treatment.trials[0].steps > 0
    words = ["poisson1d", *SMALL, "--optimizer", f"{EXAMPLES / 'own_optimizer.py'}:optimizer"]
    on_the_command_line(tmp_path, *words)


def test_a_finding_with_a_remedy(tmp_path):
    from own_finding import PER_WAVE, sparse

    setup = small()
    crowded = setup.replace(problem=setup.problem.with_points({"residual": 512}))
    few = setup.replace(problem=setup.problem.with_points({"residual": 2}))
    findings = [*pk.FINDINGS, sparse]
    assert sparse.name not in [f.name for f in diagnosed(crowded, findings=findings)[0].findings]
    found = pk.examine(few, draws=1, steps=8, findings=findings)
    (mine,) = [f for f in found.findings if f.name == sparse.name]
    assert mine.evidence["points"] < PER_WAVE * mine.evidence["waves of the residual"]
    assert mine.sentence in str(found)
    tried = [proposal for proposal in choose(found) if proposal.text == mine.remedies[0].text]
    assert tried[0].setup.problem.condition("residual").points > 2
    words = ["poisson1d", *SMALL[:4], "--points", "residual=2"]
    run = ["diagnose", *words, "--steps", "12", "--budget", "0s", "--json", "-"]
    output = done(*run, "--finding", f"{EXAMPLES / 'own_finding.py'}:sparse")
    assert sparse.name in [f["failure_mode"] for f in json.loads(output)["findings"]]


def test_a_region(tmp_path):
    from own_region import problem, setup

    assert problem.domain.measure == pytest.approx(3 * np.pi, rel=1e-2)
    with pk.precision(setup.dtype):
        start = setup.start(0)
        result = pk.train(start.problem, start.model, setup.training, key=start.key)
    assert result.relative_l2 < 1e-3
    short = setup.replace(training=setup.training.replace(steps=6))
    resumed, whole = stopped_and_resumed(short, tmp_path)
    assert resumed == whole
    plan = pk.Training(pk.adam(1e-3), steps=12, log_every=5)
    found, treatment = diagnosed(pk.Setup(problem, plan, pk.Network(6, 1)))
    assert treatment.trials[0].steps > 0
    shown = np.array(found.as_dict()["maps"]["prediction"]["u"], float)
    assert 0.4 < np.isfinite(shown).mean() < 0.8  # the hole and the corners are left out
    spec = f"{EXAMPLES / 'own_region.py'}:problem"
    assert load(spec).setup.problem.name == "annulus"
    on_the_command_line(tmp_path, spec, "--width", "6", "--depth", "1", "--log-every", "5")


def test_a_flax_module_as_the_model(tmp_path):
    from own_model import Net, plan, problem, setup

    model = Net(jax.random.key(0))
    short = plan.replace(steps=12, log_every=5)
    result = pk.train(problem, model, short, key=jax.random.key(1))
    assert isinstance(result.model, Net)
    assert sum(result.losses.values()) < sum(result.history[0].losses.values())
    found = pk.diagnose(problem, model, short, draws=1, steps=8)
    assert pk.treat(found, 8.0).trials[0].steps > 0
    resumed, whole = stopped_and_resumed(setup.replace(training=short), tmp_path)
    assert resumed == whole
    on_the_command_line(tmp_path, f"{EXAMPLES / 'own_model.py'}:setup", "--log-every", "5")
