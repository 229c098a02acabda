"""A run from its description: set up, start, resume. What the command line does, as functions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray

from pinntk.errors import PinntkError, RunError
from pinntk.jacobian import parameter_count, trainable
from pinntk.kernel import largest_eigenvalue, largest_stable_step
from pinntk.problem import Batch, Model, Problem
from pinntk.problems.loading import fingerprint, load_problem
from pinntk.recipe import Recipe
from pinntk.training import (
    NATURAL,
    Observer,
    Result,
    Resumption,
    RunDirectory,
    TrainState,
    build_dtype,
    build_model,
    build_optimizer,
    build_resampling,
    build_weighting,
    resized,
    start,
    train,
)


@dataclasses.dataclass(frozen=True)
class Setup:
    """Everything a run starts from. The same description and seed give the same arrays.

    `original` is the problem before conditions were built in or points counted anew, `changes` what was
    asked for beyond its recipe.
    """

    spec: str
    preset: str | None
    seed: int
    recipe: Recipe
    problem: Problem
    model: Model
    batch: Batch
    key: PRNGKeyArray
    original: Problem
    changes: Mapping[str, Any]

    @property
    def parameters(self) -> int:
        """How many trainable numbers the model has."""
        return parameter_count(self.model)


def set_up(
    spec: str, preset: str | None = None, changes: Mapping[str, Any] | None = None, seed: int = 0
) -> Setup:
    """Load a problem, apply changes to its recipe, draw points and network from the seed.

    A float64 recipe switches JAX to 64-bit mode for the whole process.
    """
    return prepare(load_problem(spec, preset), changes, seed, spec=spec, preset=preset)


def plain_setup(
    spec: str, preset: str | None = None, changes: Mapping[str, Any] | None = None, seed: int = 0
) -> Setup:
    """`set_up` of the plain PINN: all loss weights 1 where neither weights nor a rule are asked for."""
    asked = dict(changes or {})
    if not {"weighting", "weights"} & set(asked):
        asked = {"weighting": "fixed", **asked}
        problem = load_problem(spec, preset)
        if problem.recipe.weighting == "ntk" and problem.recipe.weights:
            problem = dataclasses.replace(problem, recipe=problem.recipe.replace(weights={}))
        return prepare(problem, asked, seed, spec=spec, preset=preset)
    return set_up(spec, preset, asked, seed)


def prepare(
    problem: Problem,
    changes: Mapping[str, Any] | None = None,
    seed: int = 0,
    *,
    spec: str | None = None,
    preset: str | None = None,
) -> Setup:
    """`set_up` for a problem that is there already; `spec` is what it is called, its name if None."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise PinntkError("seed", got=seed, expected="a whole number from 0 to 2³² − 1")
    original = problem
    asked = (changes or {}).get("optimizer")
    natural = asked == NATURAL != problem.recipe.optimizer
    recipe = (problem.natural if natural else problem.recipe).replace(**(changes or {}))
    if recipe.hard:
        problem = problem.hardened()
    counts = {name: _whole(name, count) for name, count in recipe.points.items()}
    problem = problem.with_points(counts, redraw=recipe.optimizer != NATURAL)
    if changes and changes.get("weights") and "weighting" not in changes:
        recipe = recipe.replace(weighting="fixed")  # naming weights means wanting them
    if recipe.dtype == "float64" and jax.dtypes.canonicalize_dtype(float) != "float64":
        jax.config.update("jax_enable_x64", True)
    dtype = build_dtype(recipe)
    model_key, key = jax.random.split(jax.random.key(seed))
    batch = problem.sample(key, dtype)
    build_weighting(recipe).initial(problem.names)
    build_optimizer(recipe)
    build_resampling(recipe)
    model = build_model(recipe, problem, batch, model_key)
    problem.check(model, batch)
    spec = spec or problem.name
    asked_for = dict(changes or {})
    return Setup(spec, preset, seed, recipe, problem, model, batch, key, original, asked_for)


def _whole(name: str, count: float) -> int:
    if not math.isfinite(count) or count != int(count) or count < 1:
        raise PinntkError(f"points of {name!r}", got=count, expected="a whole number, 1 or more")
    return int(count)


def step_size_warning(setup: Setup) -> str | None:
    """A sentence where plain gradient descent starts with a step above the largest stable one."""
    if setup.recipe.optimizer != "sgd":
        return None
    weighting = build_weighting(setup.recipe)
    # Those of Algorithm 1 only grow from here, so that the bound is the mildest.
    weights = weighting.initial(setup.problem.names)
    bound = largest_stable_step(
        float(largest_eigenvalue(setup.problem, setup.model, setup.batch, weights))
    )
    if setup.recipe.learning_rate <= bound:
        return None
    return (
        f"The learning rate {setup.recipe.learning_rate:.2g} is above {bound:.2g}, the largest stable "
        "step of gradient descent at the start; the run is likely to diverge."
    )


def start_run(
    setup: Setup,
    out: Path | None = None,
    *,
    budget: float | None = None,
    checkpoint_every: int | None = None,
    command: Sequence[str] = (),
    observers: Sequence[Observer] = (),
) -> Result:
    """Train, in a run directory where `out` is given; it must not exist or be empty."""
    if out is None:
        return _train(setup, observers, budget, None, None)
    every = max(1, setup.recipe.steps // 20) if checkpoint_every is None else checkpoint_every
    config = {
        "problem": setup.spec,
        "preset": setup.preset,
        "file_sha256": fingerprint(setup.spec),
        "seed": setup.seed,
        "recipe": setup.recipe.as_dict(),
        "checkpoint_every": every,
        "parameters": setup.parameters,
        "command": list(command),
    }
    directory = RunDirectory.create(out, config)
    try:
        result = _train(setup, [directory, *observers], budget, every, None)
    except PinntkError:
        directory.discard_unused()
        raise
    directory.write_result(result_record(setup, result))
    return result


#: What a run is set up from again, and the types it has in config.json.
_SAVED: Mapping[str, Any] = {
    "problem": str,
    "preset": str | None,
    "file_sha256": str | None,
    "seed": int,
    "recipe": dict,
    "checkpoint_every": int,
}


def reopen(path: Path) -> tuple[RunDirectory, Setup]:
    """A run directory and the setup it was started from. Its problem's file must be unchanged."""
    directory = RunDirectory.open(path)
    config = directory.config
    for name, kind in _SAVED.items():
        if name not in config or not isinstance(config[name], kind):
            raise RunError(
                str(path / "config.json"),
                got=f"{name} {config[name]!r}" if name in config else f"no {name} in it",
                expected="a whole config.json",
            )
    spec = config["problem"]
    if config["file_sha256"] != fingerprint(spec):
        raise RunError(
            str(path),
            got=f"a run of another problem: {spec} has changed since",
            expected="the file the run was started from",
            fix="Restore it, or start a new run.",
        )
    return directory, set_up(spec, config["preset"], config["recipe"], config["seed"])


def resume_run(
    path: Path, *, budget: float | None = None, observers: Sequence[Observer] = ()
) -> tuple[Result, list[str]]:
    """Go on with an interrupted run; the result equals that of a run that was never interrupted.

    Also returns warnings, such as a damaged checkpoint that was passed over.
    """
    directory, setup = reopen(path)
    resumption, warnings = directory.resume(_initial_state(setup), _sizes(setup))
    every = directory.config["checkpoint_every"]
    result = _train(setup, [directory, *observers], budget, every, resumption)
    directory.write_result(result_record(setup, result))
    return result, warnings


def _initial_state(setup: Setup) -> TrainState:
    recipe = setup.recipe
    return start(
        setup.problem, setup.model, build_optimizer(recipe), build_weighting(recipe), setup.batch
    )


def _sizes(setup: Setup) -> Callable[[TrainState, int], TrainState]:
    """How many points a state has at a step: those that the step before it was taken with."""
    resampling = build_resampling(setup.recipe)

    def at_step(state: TrainState, step: int) -> TrainState:
        counts = resampling.counts(setup.problem, max(0, step - 1))
        return state._replace(batch=resized(setup.problem, state.batch, counts, setup.key))

    return at_step


def _train(
    setup: Setup,
    observers: Sequence[Observer],
    budget: float | None,
    checkpoint_every: int | None,
    resumption: Resumption | None,
) -> Result:
    recipe = setup.recipe
    return train(
        setup.problem,
        setup.model,
        optimizer=build_optimizer(recipe),
        weighting=build_weighting(recipe),
        steps=recipe.steps,
        key=setup.key,
        batch=setup.batch,
        log_every=recipe.log_every,
        checkpoint_every=checkpoint_every,
        budget=budget,
        observers=observers,
        resume=resumption,
        resampling=build_resampling(recipe),
    )


def result_record(setup: Setup, result: Result) -> dict[str, Any]:
    """What result.json holds."""
    record = result.as_dict()
    return {
        "problem": setup.spec,
        "preset": setup.preset,
        "seed": setup.seed,
        "relative_l2": record.pop("relative_l2"),
        "steps": record.pop("steps"),
        "seconds": record.pop("seconds"),
        "losses": record.pop("losses"),
        "weights": record.pop("weights"),
        **record,
    }


def trained_model(path: Path) -> tuple[RunDirectory, Setup, Model, TrainState]:
    """The model of a run at its newest checkpoint, and that state: its step, its points."""
    directory, setup = reopen(path)
    state = directory.newest_state(_initial_state(setup), _sizes(setup))
    return directory, setup, eqx.combine(state.parameters, trainable(setup.model)[1]), state
