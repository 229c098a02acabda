"""How much memory there is: on a device of its own, in a container, on any operating system."""

import os
import types

import jax
import psutil
import pytest

from each import each
from pinntk.jacobian import available_memory, machine, total_memory

pytestmark = pytest.mark.fast

MACHINE = types.SimpleNamespace(total=64_000_000_000, available=50_000_000_000)


class Device:
    """A device that tells what its memory statistics are."""

    def __init__(self, stats):
        self.stats = stats

    def memory_stats(self):
        return self.stats


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A machine of 64 GB, 50 of them free, with no files of its operating system yet."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: MACHINE)
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(machine, "device_in_use", lambda: Device(None))
    return tmp_path


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n", encoding="utf-8")


def test_without_proc_it_is_what_the_machine_has(host, monkeypatch):
    monkeypatch.delattr(os, "sysconf", raising=False)  # as on Windows
    assert total_memory() == 64e9
    assert available_memory() == 50e9


def test_a_gpu_has_its_own_memory(host, monkeypatch):
    stats = {"bytes_limit": 12_000_000_000, "bytes_in_use": 2_000_000_000}
    monkeypatch.setattr(machine, "device_in_use", lambda: Device(stats))
    assert total_memory() == 12e9
    assert available_memory() == 10e9


@each("stats", [None, {}, {"bytes_in_use": 7}, {"bytes_limit": 0}])
def test_a_device_without_a_limit_uses_the_machine_s(host, monkeypatch, stats):
    monkeypatch.setattr(machine, "device_in_use", lambda: Device(stats))
    assert total_memory() == 64e9


STAT = "anon 1\ninactive_file 500000000\ntotal_inactive_file 700000000"
V2 = {
    "proc/self/cgroup": "0::/user/task",
    "sys/fs/cgroup/user/task/memory.max": "8000000000",
    "sys/fs/cgroup/user/task/memory.current": "3000000000",
    "sys/fs/cgroup/user/task/memory.stat": STAT,
}
V1 = {
    "proc/self/cgroup": "4:cpu,memory:/user/task\n1:cpuset:/other\n0::/",
    "sys/fs/cgroup/memory/user/task/memory.limit_in_bytes": "8000000000",
    "sys/fs/cgroup/memory/user/task/memory.usage_in_bytes": "3000000000",
    "sys/fs/cgroup/memory/user/task/memory.stat": STAT,
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",  # no limit
}
#: In a container: the path is the host's, or hidden, and the files are those of the container.
HOST_PATH = {
    "proc/self/cgroup": "4:memory:/docker/0123",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "8000000000",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "2500000000",
}
NO_PATH = {
    "proc/self/cgroup": "0::/",
    "sys/fs/cgroup/memory.max": "8000000000",
    "sys/fs/cgroup/memory.current": "2500000000",
}
AROUND = {**V2, "sys/fs/cgroup/user/memory.max": "4000000000", "sys/fs/cgroup/user/memory.stat": ""}


@each(
    ("files", "total", "available"),
    [
        (V2, 8e9, 5.5e9),
        (V1, 8e9, 5.7e9),
        (HOST_PATH, 8e9, 5.5e9),
        (NO_PATH, 8e9, 5.5e9),
        (AROUND, 4e9, 4e9),
        ({**V2, "sys/fs/cgroup/user/task/memory.max": "max"}, 64e9, 50e9),
        ({"proc/self/cgroup": "0::/user/task"}, 64e9, 50e9),
    ],
)
def test_a_container_grants_a_part(host, monkeypatch, tmp_path, files, total, available):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    write(tmp_path, files)
    assert total_memory() == total
    assert available_memory() == available


def test_a_gpu_in_a_container_is_not_limited_by_it(host, monkeypatch):
    write(host, V2)
    stats = {"bytes_limit": 12_000_000_000}
    monkeypatch.setattr(machine, "device_in_use", lambda: Device(stats))
    assert total_memory() == available_memory() == 12e9


def test_the_device_in_use_is_jax_s_default():
    first = jax.local_devices()[0]
    assert machine.device_in_use() == first
    with jax.default_device(jax.devices("cpu")[0]):
        assert machine.device_in_use() == jax.devices("cpu")[0]
    with jax.default_device("cpu"):
        assert machine.device_in_use() == jax.local_devices(backend="cpu")[0]


def test_this_machine_has_some():
    assert 0 < available_memory() <= total_memory()
