"""Runs in directories: start one, resume it, read its trained model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx

from pinntk.errors import PinntkError, RunError
from pinntk.jacobian import parameter_count, trainable
from pinntk.problem import Model
from pinntk.training.compiled import TrainState, initial_state
from pinntk.training.describe import describe_setup, differences
from pinntk.training.directory import RunDirectory
from pinntk.training.history import Result
from pinntk.training.loop import train
from pinntk.training.observer import Observer
from pinntk.training.resampling import resized
from pinntk.training.setup import Setup, Start, precision

#: Without `checkpoint_every` a run has so many checkpoints.
CHECKPOINTS = 20


def start_run(
    setup: Setup,
    seed: int = 0,
    out: Path | None = None,
    *,
    origin: Mapping[str, Any] | None = None,
    budget: float | None = None,
    checkpoint_every: int | None = None,
    command: Sequence[str] = (),
    observers: Sequence[Observer] = (),
) -> Result:
    """Train a setup from a seed, in a run directory where `out` is given; it must not exist or be empty.

    `origin` is kept in config.json: whatever the caller needs to make the same setup again.
    """
    if out is not None and setup.training.slabs is not None:
        raise PinntkError(
            "out",
            got=f"{out} for a training in slabs of time",
            expected="none: a march is kept in memory, and cannot be resumed from files",
            fix="Take the model from the result, or leave slabs out.",
        )
    with precision(setup.dtype):
        start = setup.start(seed)
        if out is None:
            return _train(setup, start, budget, None, observers)
        every = max(1, setup.training.steps // CHECKPOINTS)
        every = every if checkpoint_every is None else checkpoint_every
        config = {
            "origin": dict(origin or {}),
            "seed": seed,
            "setup": describe_setup(setup),
            "checkpoint_every": every,
            "parameters": parameter_count(start.model),
            "command": list(command),
        }
        directory = RunDirectory.create(out, config)
        try:
            result = _train(setup, start, budget, every, [directory.observer, *observers])
        except PinntkError:
            directory.discard_unused()
            raise
        directory.write_result(_record(setup, seed, result))
        return result


#: What config.json must hold, and of which type.
_SAVED: Mapping[str, Any] = {
    "origin": dict,
    "seed": int,
    "setup": dict,
    "checkpoint_every": int,
}


def open_run(path: Path) -> RunDirectory:
    """The directory of a run, with a whole config.json."""
    directory = RunDirectory.open(path)
    for name, kind in _SAVED.items():
        value = directory.config.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RunError(
                str(path / "config.json"),
                got=f"{name} {value!r}" if name in directory.config else f"no {name} in it",
                expected="a whole config.json",
            )
    return directory


def resume_run(
    path: Path,
    setup: Setup,
    *,
    budget: float | None = None,
    observers: Sequence[Observer] = (),
) -> tuple[Result, list[str]]:
    """Resume an interrupted run; the result equals that of a run that was never interrupted.

    `setup` is the one that the run was started with. Also returns warnings, such as a damaged checkpoint
    that was skipped. **Raises** `RunError` where the run is one of another setup.
    """
    directory = open_run(path)
    _check_same(directory, setup)
    with precision(setup.dtype):
        start = setup.start(directory.config["seed"])
        state = initial_state(start.problem, start.model, setup.training, start.batch)
        resumption, warnings = directory.resume(state, _sizes(setup, start))
        every = directory.config["checkpoint_every"]
        seen = [directory.observer, *observers]
        result = _train(setup, start, budget, every, seen, resumption)
        directory.write_result(_record(setup, directory.config["seed"], result))
    return result, warnings


def trained_model(path: Path, setup: Setup) -> tuple[RunDirectory, Start, Model, TrainState]:
    """The model of a run at its newest checkpoint, what it started from, and that state.

    Use them within `precision(setup.dtype)`.
    """
    directory = open_run(path)
    _check_same(directory, setup)
    start = setup.start(directory.config["seed"])
    state = initial_state(start.problem, start.model, setup.training, start.batch)
    state = directory.newest_state(state, _sizes(setup, start))
    model = eqx.combine(state.parameters, trainable(start.model)[1])
    return directory, start, model, state


def _check_same(directory: RunDirectory, setup: Setup) -> None:
    found = differences(directory.config["setup"], describe_setup(setup))
    if found:
        raise RunError(
            str(directory.path),
            got=f"a run of another setup ({'; '.join(found[:3])})",
            expected="the setup that the run was started with",
            fix="Restore it, or start a new run.",
        )


def _sizes(setup: Setup, start: Start) -> Callable[[TrainState, int], TrainState]:
    """How many points a state has at a step: those that the step before it was taken with."""

    def at_step(state: TrainState, step: int) -> TrainState:
        counts = setup.training.resampling.counts(start.problem, max(0, step - 1))
        return state._replace(batch=resized(start.problem, state.batch, counts, start.key))

    return at_step


def _train(
    setup: Setup,
    start: Start,
    budget: float | None,
    checkpoint_every: int | None,
    observers: Sequence[Observer],
    resume: Any = None,
) -> Result:
    return train(
        start.problem,
        start.model,
        setup.training,
        key=start.key,
        batch=start.batch,
        budget=budget,
        checkpoint_every=checkpoint_every,
        observers=observers,
        resume=resume,
    )


def _record(setup: Setup, seed: int, result: Result) -> dict[str, Any]:
    """What result.json holds."""
    return {"problem": setup.problem.name, "seed": seed, **result.as_dict()}
