"""Make the peers' environments: one virtual environment each, of the versions in `requirements/`.

    python benchmarks/peers/environments.py [--into DIRECTORY] [NAME ...]

Peers need versions that exclude each other, and none belongs into pinntk's own environment. An
environment that is complete, for these versions and this Python, is used again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
NAMES = tuple(sorted(file.stem for file in REQUIREMENTS.glob("*.txt")))
DEFAULT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pinntk-peers"

# What an environment must be able to do before it counts as complete.
CHECKS = {
    "neural-tangents": "import neural_tangents",
    "torch": "import torch; assert torch.version.cuda is None, 'not the CPU build of torch'",
    "deepxde": (
        "import torch; assert torch.version.cuda is None, 'not the CPU build of torch'; "
        "import deepxde"
    ),
}


def environment(name: str, into: Path = DEFAULT) -> Path:
    """The Python of the peer `name`, made if it is not there; progress goes to stderr.

    Raises `subprocess.CalledProcessError` where pip or the check at the end fails.
    """
    directory = Path(into).expanduser().resolve() / name
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp, wanted = directory / "complete.txt", description(name)
    if not (stamp.is_file() and stamp.read_text() == wanted and python.exists()):
        shutil.rmtree(directory, ignore_errors=True)
        make(name, directory, python)
        stamp.write_text(wanted)
    return python


def description(name: str) -> str:
    """What a complete environment was made of: this Python and every pinned version."""
    made_by = f"# Python {sys.version_info[0]}.{sys.version_info[1]}, {sys.base_prefix}\n"
    return made_by + (REQUIREMENTS / f"{name}.txt").read_text()


def make(name: str, directory: Path, python: Path) -> None:
    """Create and fill. The list is complete, so nothing beyond it is looked for: `--no-deps`.

    That also keeps torch from bringing CUDA along: pip must find its CPU build, for instance
    through `PIP_FIND_LINKS`, and the check refuses another.
    """
    listed = REQUIREMENTS / f"{name}.txt"
    _run(sys.executable, "-m", "venv", directory)
    _run(python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", listed)
    peer_environment = {"DDE_BACKEND": "pytorch", "TF_CPP_MIN_LOG_LEVEL": "3"}
    _run(python, "-c", CHECKS[name], **peer_environment)


def _run(*command: object, **variables: str) -> None:
    parts = [str(part) for part in command]
    subprocess.run(parts, check=True, stdout=sys.stderr, env={**os.environ, **variables})


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the environments of the peers.")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--into", type=Path, default=DEFAULT, help=f"default {DEFAULT}")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(NAMES)):
        parser.error(f"no peer is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in arguments.names:
        print(name, environment(name, arguments.into))


if __name__ == "__main__":
    main()
