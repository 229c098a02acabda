"""How much memory the device in use has: its own, or the machine's within what a container grants.

A GPU tells its own limit. A CPU has the memory of the machine, of which a control group of Linux, such
as that of a container, may grant a part.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import jax

#: Where the files of the operating system are.
ROOT = Path("/")


class Group(NamedTuple):
    """A control group: the bytes it grants, and those in use that cannot be had back."""

    limit: float
    used: float


def total_memory() -> float:
    """Bytes of memory of the device in use: unlike what is free, the same whenever it is asked."""
    stats = _device_stats()
    if stats is not None:
        return float(stats["bytes_limit"])
    limits = [group.limit for group in control_groups()]
    import psutil

    return min([float(psutil.virtual_memory().total), *limits])


def available_memory() -> float:
    """Bytes of memory that the device in use has to give now."""
    stats = _device_stats()
    if stats is not None:
        return max(0.0, float(stats["bytes_limit"]) - float(stats.get("bytes_in_use", 0)))
    free = [max(0.0, group.limit - group.used) for group in control_groups()]
    import psutil

    return min([float(psutil.virtual_memory().available), *free])


def device_in_use() -> Any:
    """The device that JAX computes on unless told otherwise: its default, the first one if none is set."""
    default = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if default is None or isinstance(default, str):
        return jax.local_devices(backend=default)[0]
    return default


def _device_stats() -> Any | None:
    """The memory statistics of the device in use, or None where it has no limit of its own."""
    stats = device_in_use().memory_stats()
    return stats if stats and stats.get("bytes_limit") else None


def control_groups() -> Iterator[Group]:
    """The control groups that limit the memory of this process, those around it included.

    There are none outside Linux. Of version 1 and version 2 of their files, either may be in place.
    """
    files = ROOT / "sys/fs/cgroup"
    for line in _text(ROOT / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _groups(files, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
            yield from _groups(files / "memory", path, limit, used, "total_inactive_file")


def _groups(files: Path, path: str, limit: str, used: str, inactive: str) -> Iterator[Group]:
    # In a container the path may be the host's, of which the container sees the innermost part as `files`.
    place = PurePosixPath(path.lstrip("/"))
    for inside in (place, *place.parents):
        folder = files / inside
        granted = _text(folder / limit).strip()
        if granted.isdigit():  # version 2 writes "max" where there is no limit
            lines = [line.split() for line in _text(folder / "memory.stat").splitlines()]
            stat = {words[0]: words[1] for words in lines if len(words) == 2}
            # Files that were read and are not needed are given back when memory is asked for.
            held = int(_text(folder / used) or 0) - int(stat.get(inactive, 0))
            yield Group(float(granted), float(max(0, held)))


def _text(file: Path) -> str:
    """What a file says; nothing where there is no such file."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
