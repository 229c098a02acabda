"""A run directory: the settings, the history, and the state to resume from.

config.json      what was asked for, settings, seed, versions, device, command
history.jsonl    one row per logged step
checkpoints/     the two newest states
result.json      how it ended (absent while it runs, or when it was killed)
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from pinntk.errors import RunError
from pinntk.training.checkpoint import load_checkpoint, save_checkpoint, write_atomically
from pinntk.training.compiled import Resumption, TrainState
from pinntk.training.history import Row, strict
from pinntk.training.observer import Observer

FORMAT = 2
#: (state, step) ↦ the state in the shapes that it has at that step.
AtStep = Callable[[TrainState, int], TrainState]


class RunDirectory:
    """The files of one run."""

    def __init__(self, path: Path, config: Mapping[str, Any]):
        self.path = path
        self.config = config

    @staticmethod
    def create(path: Path, config: Mapping[str, Any]) -> RunDirectory:
        """A new directory with its config.json. **Raises** `RunError` where one exists already."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(
                "--out",
                got=f"{path}, which exists and is not empty",
                expected="a new directory",
                fix=f"Choose another, or go on with it: pinntk resume {path}",
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                "--out", got=f"{path}: {error.strerror}", expected="a directory that can be made"
            ) from error
        config = {"format": FORMAT, **config, "environment": environment()}
        write_atomically(path / "config.json", _json(config))
        return RunDirectory(path, config)

    def discard_unused(self) -> None:
        """Remove the directory of a run that ended before anything was recorded."""
        config = self.path / "config.json"
        if list(self.path.iterdir()) == [config]:
            config.unlink()
            self.path.rmdir()

    @staticmethod
    def open(path: Path) -> RunDirectory:
        """An existing run. **Raises** `RunError` where there is none or it cannot be read."""
        config = _read_json(path / "config.json", "the directory of a run, with a config.json")
        if config.get("format") != FORMAT:
            raise RunError(
                str(path / "config.json"),
                got=f"format {config.get('format')!r}",
                expected=f"format {FORMAT}",
                fix="It was written by another version of pinntk.",
            )
        return RunDirectory(path, config)

    def rows(self, before: int | None = None) -> list[Row]:
        """The history, up to but without step `before`. A last line cut short by a kill is left out."""
        file = self.path / "history.jsonl"
        if not file.exists():
            return []
        rows: list[Row] = []
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            raise RunError(
                str(file), got=str(error.strerror), expected="a file that can be read"
            ) from error
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                rows.append(Row(**json.loads(line)))
            except (ValueError, TypeError) as error:
                if number == len(lines):  # no newline after it: it was being written
                    break
                raise RunError(
                    str(file),
                    got=f"line {number} that is not a row",
                    expected="one JSON row per line",
                ) from error
        return [row for row in rows if before is None or row.step < before]

    def resume(
        self, like: TrainState, at_step: AtStep = lambda like, _: like
    ) -> tuple[Resumption, list[str]]:
        """Where to go on from, and warnings. Rows after the newest whole checkpoint are dropped."""
        state, step, seconds, warnings = load_checkpoint(self.path / "checkpoints", like, at_step)
        rows = self.rows(before=step)
        content = "".join(json.dumps(row.as_dict(), allow_nan=False) + "\n" for row in rows)
        write_atomically(self.path / "history.jsonl", content.encode())
        (self.path / "result.json").unlink(missing_ok=True)
        return Resumption(state, rows, seconds), warnings

    def newest_state(self, like: TrainState, at_step: AtStep = lambda like, _: like) -> TrainState:
        """The state of the newest whole checkpoint."""
        return load_checkpoint(self.path / "checkpoints", like, at_step)[0]

    def row(self, row: Row) -> None:
        """Append a row of history."""
        try:
            with (self.path / "history.jsonl").open("a") as stream:
                stream.write(json.dumps(row.as_dict(), allow_nan=False) + "\n")
        except OSError as error:
            raise RunError(
                str(self.path / "history.jsonl"),
                got=f"{type(error).__name__}: {error.strerror}",
                expected="a place that can be written",
                fix=f"Make room, then: pinntk resume {self.path}",
            ) from error

    def checkpoint(self, state: TrainState, seconds: float) -> None:
        """Save a state."""
        save_checkpoint(self.path / "checkpoints", state, int(state.step), seconds)

    @property
    def observer(self) -> Observer:
        """Writes rows and checkpoints as they come."""
        return Observer(row=self.row, checkpoint=self.checkpoint)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write result.json."""
        write_atomically(self.path / "result.json", _json(result))

    def read_result(self) -> dict[str, Any]:
        """The content of result.json."""
        return _read_json(self.path / "result.json", "a run that has ended")


def environment() -> dict[str, Any]:
    """Versions and devices, for the record of a run."""
    packages = ("pinntk", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version(name) for name in packages},
        "devices": [str(device) for device in jax.devices()],
    }


def _json(value: Any) -> bytes:
    return (json.dumps(strict(value), indent=2, allow_nan=False, default=str) + "\n").encode()


def _read_json(path: Path, expected: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(str(path.parent), got=f"no {path.name}", expected=expected) from error
    except (OSError, ValueError) as error:
        raise RunError(
            str(path), got=f"a file that cannot be read ({error})", expected=expected
        ) from error
    if not isinstance(value, dict):
        raise RunError(str(path), got=type(value).__name__, expected=expected)
    return value
