"""Run experiments into a folder: JSON with arrays, claims and provenance, and figures beside it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pinntk.errors import RunError, check_name
from pinntk.paper.record import Claim, Experiment, Watch
from pinntk.paper.registry import EXPERIMENTS, GROUPS, SIZES
from pinntk.report import save
from pinntk.training import environment, precision
from pinntk.training.checkpoint import write_atomically

FORMAT = 1


class Reproduction(NamedTuple):
    """What `reproduce` says of one experiment. `reused`: it was there already, only drawn again."""

    experiment: Experiment
    claims: Sequence[Claim]
    seconds: float
    reused: bool
    files: Sequence[Path]


class Skipped(NamedTuple):
    """An experiment that is not made, and why: what it needs, and how to install that."""

    experiment: Experiment
    reason: str


def names_of(names: Sequence[str]) -> list[str]:
    """Experiments by name or group, each once. **Raises** `PinntkError` on an unknown name."""
    found: list[str] = []
    for name in names:
        check_name("experiment", name, (*EXPERIMENTS, *GROUPS))
        found += GROUPS.get(name, [name])
    return list(dict.fromkeys(found))


def reproduce(
    names: Sequence[str], size: str, out: Path, watch: Watch, command: Sequence[str] = ()
) -> Iterator[Reproduction | Skipped]:
    """Make the experiments one after the other; yields each when it is done.

    Those that `out` holds already, with the same settings, are drawn and judged again but not computed;
    a training that was cut short goes on where it stopped. One whose package is not installed is
    skipped.

    **Raises** `RunError` before anything is computed where `out` holds results of other settings.
    """
    check_name("size", size, SIZES)
    chosen = [EXPERIMENTS[name] for name in names_of(names)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            "--out", got=f"{out}: {error.strerror}", expected="a directory that can be made"
        ) from error
    known = [_stored(experiment, size, out) for experiment in chosen]
    for experiment, record in zip(chosen, known, strict=True):
        if record is None and _missing(experiment.package):
            yield Skipped(experiment, _advice(experiment))
        else:
            yield _reproduce(experiment, size, out, watch, command, record)


def _missing(package: str | None) -> bool:
    return package is not None and importlib.util.find_spec(package) is None


def _advice(experiment: Experiment) -> str:
    return (
        f"it needs the package {experiment.package}. "
        'Install it with: python -m pip install "pinntk[paper]"'
    )


def _file(experiment: Experiment, out: Path) -> Path:
    return out / f"{experiment.name}.json"


def _settings(experiment: Experiment, size: str) -> dict[str, Any]:
    """As JSON gives them back."""
    config = json.loads(json.dumps(dataclasses.asdict(experiment.sizes[size])))
    return {"format": FORMAT, "experiment": experiment.name, "size": size, "config": config}


def _stored(experiment: Experiment, size: str, out: Path) -> dict[str, Any] | None:
    """The record of an experiment that was made before, if it is of these settings."""
    file, settings = _file(experiment, out), _settings(experiment, size)
    if not file.exists():
        return None
    try:
        record = json.loads(file.read_bytes())
        found = {key: record[key] for key in settings}
        record["arrays"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            str(file),
            got=f"a file that cannot be read ({type(error).__name__}: {error})",
            expected="a record that pinntk reproduce wrote",
            fix="Remove it, or choose another --out.",
        ) from error
    if found != settings:
        other = [key for key in settings if found[key] != settings[key]]
        raise RunError(
            "--out",
            got=f"{out}, which holds {experiment.name} with another {' and '.join(other)}",
            expected=f"results of size {size} as this version makes them, or none",
            fix=f"Choose another --out, or remove {file} (and {out / 'runs'}).",
        )
    return record


def _reproduce(
    experiment: Experiment,
    size: str,
    out: Path,
    watch: Watch,
    command: Sequence[str],
    stored: dict[str, Any] | None,
) -> Reproduction:
    record = stored
    if record is None:
        began = time.perf_counter()
        with precision("float32"):  # the paper's; what needs more digits asks for them itself
            arrays = experiment.run(experiment.sizes[size], out, watch)
        record = {
            **_settings(experiment, size),
            "seconds": round(time.perf_counter() - began, 1),
            "command": list(command),
            "environment": environment(),
            "arrays": json.loads(json.dumps(arrays)),
        }
    claims = experiment.claims(record["arrays"])
    record["claims"] = [claim.as_dict() for claim in claims]
    content = json.dumps(record) + "\n"
    write_atomically(_file(experiment, out), content.encode())
    return Reproduction(
        experiment, claims, record["seconds"], stored is not None, _draw(experiment, out, record)
    )


def _draw(experiment: Experiment, out: Path, record: dict[str, Any]) -> list[Path]:
    """PNG and PDF of every plot."""
    files = []
    for ending, plot in {"": experiment.plot, **experiment.more_plots}.items():
        figure = plot(record["arrays"])
        for kind in ("png", "pdf"):
            name = "-".join(part for part in (experiment.name, ending) if part)
            files.append(out / f"{name}.{kind}")
            try:
                save(figure, files[-1])
            except OSError as error:
                raise RunError(
                    str(files[-1]),
                    got=f"{type(error).__name__}: {error.strerror}",
                    expected="a place that can be written",
                    fix="The numbers are kept; make room and run the same command.",
                ) from error
    return files
