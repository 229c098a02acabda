"""Training runs of the figures: kept in run directories, resumed where they stopped, with snapshots."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx

from pinntk.errors import RunError
from pinntk.jacobian import trainable
from pinntk.problem import Model
from pinntk.training import (
    Observer,
    Outcome,
    Row,
    RunDirectory,
    Setup,
    Start,
    TrainState,
    open_run,
    precision,
    resume_run,
    start_run,
)
from pinntk.training.checkpoint import load_checkpoint, save_checkpoint
from pinntk.training.describe import describe_setup, differences


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished run: what it started from, its history, its result.json, and its models by step.

    `environment` holds the versions and devices that it was started with.
    """

    start: Start
    environment: Mapping[str, Any]
    rows: Sequence[Row]
    result: Mapping[str, Any]
    models: Mapping[int, Model]


def trained(
    directory: Path,
    setup: Setup,
    *,
    seed: int,
    snapshots: Sequence[int] = (),
    checkpoint_every: int,
    observers: Sequence[Observer] = (),
) -> Trained:
    """The run that is in `directory`: read where it ended, gone on with where it was cut short, or new.

    `snapshots` are steps whose models are wanted: 0, or multiples of `checkpoint_every`.

    **Raises** `RunError` where the directory holds a run of other settings, and where the run did not
    complete; `KeyboardInterrupt` where it was interrupted, with the run kept as far as it came.
    """
    seen = [*observers, _keep(directory / "snapshots", snapshots)]
    if not (directory / "config.json").exists():
        start_run(setup, seed, directory, checkpoint_every=checkpoint_every, observers=seen)
    run = open_run(directory)
    _check_same(run, setup, seed)
    if not (directory / "result.json").exists() or _stopped(run):
        resume_run(directory, setup, observers=seen)
    result = run.read_result()
    if result["outcome"] == Outcome.INTERRUPTED:
        raise KeyboardInterrupt
    if result["outcome"] != Outcome.COMPLETED:
        raise RunError(
            str(directory), got=str(result["message"]), expected="a run that completes its steps"
        )
    with precision(setup.dtype):
        start = setup.start(seed)
        models = {step: _model(directory, start, step) for step in snapshots}
    return Trained(start, run.config["environment"], run.rows(), result, models)


def _keep(folder: Path, steps: Sequence[int]) -> Observer:
    """Keeps the parameters at some of the checkpoints' steps for good."""

    def keep(state: TrainState, seconds: float) -> None:
        step = int(state.step)
        if step in steps:
            place = _snapshot(folder, step)
            place.mkdir(parents=True, exist_ok=True)
            save_checkpoint(place, state.parameters, step, seconds)

    return Observer(checkpoint=keep)


def _snapshot(folder: Path, step: int) -> Path:
    return folder / f"step-{step}"


def _stopped(run: RunDirectory) -> bool:
    return run.read_result()["outcome"] in (Outcome.INTERRUPTED, Outcome.BUDGET)


def _check_same(run: RunDirectory, setup: Setup, seed: int) -> None:
    stored = {"seed": run.config["seed"], "setup": run.config["setup"]}
    found = differences(stored, {"seed": seed, "setup": describe_setup(setup)})
    if found:
        raise RunError(
            str(run.path),
            got=f"a run of other settings ({'; '.join(found[:3])})",
            expected="the run of this experiment",
            fix="Choose another --out, or remove the directory.",
        )


def _model(directory: Path, start: Start, step: int) -> Model:
    if step == 0:
        return start.model
    parameters, rest = trainable(start.model)
    found = load_checkpoint(_snapshot(directory / "snapshots", step), parameters)[0]
    return eqx.combine(found, rest)
