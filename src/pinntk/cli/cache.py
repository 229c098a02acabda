"""Compiled programs are kept between commands: JAX's cache on disk, in the user's cache directory."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import jax
import platformdirs

#: A path, or 0 for no cache.
VARIABLE = "PINNTK_CACHE"
#: Bytes. A command's programs take 5 to 50 MB; those that were not used for the longest time go first.
LARGEST = 2**30


def keep_programs() -> Path | None:
    """Keep what is compiled from now on, and read what was kept; returns where.

    None, and nothing is kept, where `PINNTK_CACHE` is 0, where the directory cannot be written, or
    where JAX has a cache already (`JAX_COMPILATION_CACHE_DIR`).
    """
    asked = os.environ.get(VARIABLE)
    if asked == "0" or jax.config.jax_compilation_cache_dir:
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
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", LARGEST)
    # Hundreds of small programs together take longer to compile than a few large ones.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _processor() -> str:
    """A name for the kind of processor: machines that share a home directory may differ in theirs."""
    features = platform.machine() + platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        features += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        pass
    return hashlib.sha256(features.encode()).hexdigest()[:12]
