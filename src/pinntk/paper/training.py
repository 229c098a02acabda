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
from pinntk.runs import Setup, reopen, resume_run, set_up, start_run
from pinntk.training import Observer, Outcome, RunDirectory, TrainState
from pinntk.training.checkpoint import load_checkpoint, save_checkpoint
from pinntk.training.history import Row


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished run: its history, its result.json, and the model at the steps that were kept.

    `environment` holds the versions and devices that it was started with.
    """

    setup: Setup
    environment: Mapping[str, Any]
    rows: Sequence[Row]
    result: Mapping[str, Any]
    models: Mapping[int, Model]


class _Snapshots:
    """An observer of `train` that keeps the parameters at some of the checkpoints' steps for good."""

    def __init__(self, folder: Path, steps: Sequence[int]):
        self._folder = folder
        self._steps = frozenset(steps)

    def row(self, row: Row) -> None:
        """The run directory keeps the rows."""

    def progress(self, step: int, steps: int, row: Row | None) -> None:
        """Nothing to keep."""

    def checkpoint(self, state: TrainState, seconds: float) -> None:
        """Keep the parameters."""
        step = int(state.step)
        if step in self._steps:
            folder = self._folder / f"step-{step}"
            folder.mkdir(parents=True, exist_ok=True)
            save_checkpoint(folder, state.parameters, step, seconds)


def trained(
    directory: Path,
    spec: str,
    preset: str | None,
    changes: Mapping[str, Any],
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
    setup = set_up(spec, preset, changes, seed)
    seen = [*observers, _Snapshots(directory / "snapshots", snapshots)]
    if not (directory / "config.json").exists():
        start_run(setup, directory, checkpoint_every=checkpoint_every, observers=seen)
    run = _opened(directory, setup)
    if not (directory / "result.json").exists() or _stopped(run):
        resume_run(directory, observers=seen)
    result = run.read_result()
    if result["outcome"] == Outcome.INTERRUPTED:
        raise KeyboardInterrupt
    if result["outcome"] != Outcome.COMPLETED:
        raise RunError(
            str(directory), got=str(result["message"]), expected="a run that completes its steps"
        )
    models = {step: _model(directory, setup, step) for step in snapshots}
    return Trained(setup, run.config["environment"], run.rows(), result, models)


def _stopped(run: RunDirectory) -> bool:
    return run.read_result()["outcome"] in (Outcome.INTERRUPTED, Outcome.BUDGET)


def _opened(directory: Path, setup: Setup) -> RunDirectory:
    run, found = reopen(directory)
    same = (found.spec, found.preset, found.seed, found.recipe) == (
        setup.spec,
        setup.preset,
        setup.seed,
        setup.recipe,
    )
    if not same:
        raise RunError(
            str(directory),
            got="a run of other settings",
            expected=f"{setup.spec}, seed {setup.seed}, {setup.recipe.steps:,} steps as configured",
            fix="Choose another --out, or remove the directory.",
        )
    return run


def _model(directory: Path, setup: Setup, step: int) -> Model:
    if step == 0:
        return setup.model
    parameters, rest = trainable(setup.model)
    found = load_checkpoint(directory / "snapshots" / f"step-{step}", parameters)[0]
    return eqx.combine(found, rest)
