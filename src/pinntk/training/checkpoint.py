"""Checkpoints: arrays in an uncompressed .npz without pickle, with a checksum, replaced atomically.

A checkpoint is two files, `step-N.npz` and `step-N.json`. The JSON manifest is written last and holds
the SHA-256 of the arrays, so that a manifest with a matching checksum means a whole checkpoint. The
two newest are kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import jax.numpy as jnp
import numpy as np

from pinntk.errors import RunError

KEPT = 2


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the whole new one, also after a power cut."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RunError(
            str(path),
            got=f"{type(error).__name__}: {error.strerror}",
            expected="a place that can be written",
            fix="What was written before is whole; make room and resume.",
        ) from error


def save_checkpoint(folder: Path, state: Any, step: int, seconds: float) -> None:
    """Save every array of a pytree as the checkpoint of a step, and keep the one before it.

    Older ones go, and so do newer ones: a run that diverged has gone back to an earlier step.
    """
    leaves = {name: np.asarray(leaf) for name, leaf in _named_leaves(state)}
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **leaves)
    content = stream.getvalue()
    manifest = {
        "step": step,
        "seconds": seconds,
        "sha256": hashlib.sha256(content).hexdigest(),
        "arrays": {name: [str(leaf.dtype), list(leaf.shape)] for name, leaf in leaves.items()},
    }
    folder.mkdir(exist_ok=True)
    write_atomically(folder / f"step-{step}.npz", content)
    write_atomically(folder / f"step-{step}.json", json.dumps(manifest, indent=1).encode())
    manifests = _manifests(folder)
    kept = [path for path in manifests if _step_of(path) <= step][:KEPT]
    for path in set(manifests) - set(kept):
        path.unlink()
        path.with_suffix(".npz").unlink(missing_ok=True)


def load_checkpoint(
    folder: Path, like: Any, at_step: Callable[[Any, int], Any] = lambda like, _: like
) -> tuple[Any, int, float, list[str]]:
    """The newest whole checkpoint as a pytree like `like`: (state, step, seconds, warnings).

    `at_step(like, step)` gives it the shapes it had at that step, where shapes change. A newer one that
    is damaged is skipped with a warning. **Raises** `RunError` when none is whole, or when its arrays
    are not those of `like`.
    """
    warnings: list[str] = []
    for path in _manifests(folder):
        try:
            manifest = json.loads(path.read_bytes())
            step, seconds = int(manifest["step"]), float(manifest["seconds"])
            content = path.with_suffix(".npz").read_bytes()
            if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
                raise ValueError("the checksum does not match")
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                arrays = dict(stored)
        except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
            warnings.append(f"passed over the damaged checkpoint {path.stem}: {error}")
            continue
        return _restore(arrays, at_step(like, step), path), step, seconds, warnings
    raise RunError(
        str(folder),
        got="; ".join(warnings) or "no checkpoint",
        expected="at least one whole checkpoint",
        fix="The run cannot be resumed; start it again in a new directory.",
    )


def _restore(arrays: Mapping[str, np.ndarray], like: Any, path: Path) -> Any:
    expected = _named_leaves(like)
    if {name for name, _ in expected} != set(arrays):
        raise RunError(
            str(path),
            got="arrays of another problem or network",
            expected="those of its config.json",
        )
    restored = []
    for name, leaf in expected:
        array = arrays[name]
        if array.shape != np.shape(leaf) or array.dtype != jnp.result_type(leaf):
            raise RunError(
                str(path),
                got=f"{name} of shape {array.shape} and dtype {array.dtype}",
                expected=f"shape {np.shape(leaf)} and dtype {jnp.result_type(leaf)}",
                fix="The run belongs to another problem, network or dtype.",
            )
        restored.append(jnp.asarray(array))
    return jax.tree.unflatten(jax.tree.structure(like), restored)


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree.leaves_with_path(tree)]


def _manifests(folder: Path) -> list[Path]:
    """All manifests, the newest step first."""
    found = [path for path in folder.glob("step-*.json") if path.stem[5:].isdigit()]
    return sorted(found, key=_step_of, reverse=True)


def _step_of(manifest: Path) -> int:
    return int(manifest.stem[5:])
