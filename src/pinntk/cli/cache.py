"""Compiled programs are kept between commands: JAX's cache on disk, in the user's cache directory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from pathlib import Path

import jax
import platformdirs

#: A path, or 0 for no cache.
VARIABLE = "PINNTK_CACHE"
#: Bytes. The programs of a command take 1 to 10 MB. JAX has a bound of its own, for which it looks at all
#: programs that are kept whenever one is added: with thousands of them, 0.1 s and more for each.
LARGEST = 2**28


def keep_programs() -> Path | None:
    """Keep what is compiled from now on, and read what was kept; returns where.

    None, and nothing is kept, where `PINNTK_CACHE` is 0, where the directory cannot be written, or
    where JAX has a cache already (`JAX_COMPILATION_CACHE_DIR`).
    """
    asked = os.environ.get(VARIABLE)
    if asked == "0" or jax.config.values.get("jax_compilation_cache_dir"):
        return None
    base = Path(asked) if asked else Path(platformdirs.user_cache_dir("pinntk"))
    folder = base / f"programs-{_processor()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError):
        return None
    _make_room(base)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Hundreds of small programs together take longer to compile than a few large ones.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _make_room(base: Path) -> None:
    """Remove the programs that were not used for the longest time, where all take more than `LARGEST`."""
    found = []
    for path in base.glob("programs-*/*"):
        with contextlib.suppress(OSError):  # another command has removed it
            status = path.stat()
            found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    excess = sum(size for _, size, _ in found) - LARGEST
    for _, size, path in sorted(found, key=lambda each: each[0]):
        if excess <= 0:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        excess -= size


def _processor() -> str:
    """A name for the kind of processor: machines that share a home directory may differ in theirs."""
    features = platform.machine() + platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        features += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        pass
    return hashlib.sha256(features.encode()).hexdigest()[:12]
