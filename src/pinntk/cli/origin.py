"""Where a run comes from: what config.json keeps of a command, and the same setup made again from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinntk.cli.loading import Loaded, fingerprint, load
from pinntk.cli.options import Options
from pinntk.cli.settings import apply
from pinntk.cli.specs import in_file
from pinntk.errors import RunError
from pinntk.training import Setup, open_run


def origin(loaded: Loaded, options: Options) -> dict[str, Any]:
    """What config.json keeps, so that the same setup can be made again.

    `file_sha256` is the fingerprint of the problem's file, `files` are those of other files of the
    user's, by path.
    """
    places = [in_file(text) for text in (options.optimizer, options.weighting) if text is not None]
    files = [place.file for place in places if place is not None]
    others = {str(file): fingerprint(file, "FILE") for file in files}
    return {
        "problem": loaded.spec,
        "preset": loaded.preset,
        "options": options.given(),
        "file_sha256": loaded.file_sha256,
        **({"files": others} if others else {}),
    }


#: What the origin of a run must hold, and of which type.
_SAVED: Mapping[str, Any] = {
    "problem": str,
    "preset": str | None,
    "options": dict,
    "file_sha256": str | None,
}


def setup_of(directory: Path) -> Setup:
    """The setup that a run was started with. **Raises** `RunError` where its file is another now."""
    saved = open_run(directory).config["origin"]
    for name, kind in _SAVED.items():
        if name not in saved or not isinstance(saved[name], kind):
            raise RunError(
                str(directory / "config.json"),
                got=f"{name} {saved[name]!r}" if name in saved else f"no {name} in its origin",
                expected="a run of the command line, with a whole config.json",
                fix="Go on in Python: pinntk.training.resume_run(directory, setup).",
            )
    options = Options.from_saved(saved["options"])
    for file, sha256 in saved.get("files", {}).items():
        _check_unchanged(directory, file, sha256, fingerprint(Path(file), "FILE"))
    place = in_file(saved["problem"])
    if place is not None:  # before it is loaded: what has changed must not run
        found = fingerprint(place.file)
        _check_unchanged(directory, saved["problem"], saved["file_sha256"], found)
    loaded = load(saved["problem"], saved["preset"])
    return apply(loaded.setup, options, loaded.presets)


def _check_unchanged(directory: Path, name: str, stored: str | None, found: str) -> None:
    if stored != found:
        raise RunError(
            str(directory),
            got=f"a run of another problem: {name} has changed since",
            expected="the file the run was started from",
            fix="Restore it, or start a new run.",
        )
