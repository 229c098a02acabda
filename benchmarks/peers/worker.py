"""What every worker shares: arguments, one core, inputs, measurement, and one line of JSON.

It imports the standard library and numpy alone, because it runs in the environment of every peer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, NamedTuple

# Before numpy: its linear algebra reads these once, when it is loaded.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402

CONDITIONS = ("values", "velocity", "residual")
WAVE_SPEED_SQUARED = 4.0
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Inputs:
    """The network, the points and, where the file has them, the results to compare with."""

    layers: list[tuple[np.ndarray, np.ndarray]]
    shift: np.ndarray
    scale: np.ndarray
    points: dict[str, np.ndarray]
    reference: dict[str, np.ndarray]


class Work(NamedTuple):
    """What a worker has prepared: a call that blocks, and how its outcome is read.

    `results` names arrays as the reference does; `facts` are further fields of the record. A call
    that does several `steps` is timed as a whole and divided by it.
    """

    call: Callable[[], Any]
    results: Callable[[Any], dict[str, Any]] = lambda _: {}
    facts: Callable[[Any], dict[str, Any]] = lambda _: {}
    steps: int = 1


def start(description: str, tasks: Sequence[str], **options: dict[str, Any]) -> argparse.Namespace:
    """Read the arguments and pin the process. Call it before the peer is imported."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--task", choices=tasks, required=True)
    parser.add_argument("--mode", choices=("forward", "reverse"), default="forward")
    parser.add_argument("--inputs", required=True, help="the .npz with network and points")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls after an uncounted one")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--steps", type=int, default=10, help="optimizer steps in one timed call")
    parser.add_argument("--save", help="an .npz for the results, to be the reference of others")
    parser.add_argument("--memory-limit", type=float, help="MiB; 90%% of what is free")
    for name, settings in options.items():
        parser.add_argument(f"--{name}", **settings)
    arguments = parser.parse_args()
    keep_stdout_for_the_record()
    use_one_core()
    limit_memory(arguments.memory_limit)
    return arguments


def keep_stdout_for_the_record() -> None:
    """Send what peers print to stderr; only the record goes to the real stdout."""
    global _record
    sys.stdout.flush()
    _record = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)


_record = sys.stdout


def use_one_core() -> None:
    """Pin the process to the first core that it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def limit_memory(mebibytes: float | None) -> None:
    """Let an allocation that is too large fail, so that the record can say it did.

    Without a limit the system would end the process, or another one, without a word.
    """
    if mebibytes is None:
        mebibytes = 0.9 * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE
    limit = int(mebibytes * MEBIBYTE)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def load(arguments: argparse.Namespace) -> Inputs:
    """The file's arrays; network and points in the dtype asked for, references in float64."""
    with np.load(arguments.inputs) as file:
        arrays = {name: file[name] for name in file.files}

    def given(name: str) -> np.ndarray:
        return np.ascontiguousarray(arrays.pop(name), dtype=arguments.dtype)

    layers = []
    while f"weight_{len(layers)}" in arrays:
        layers.append((given(f"weight_{len(layers)}"), given(f"bias_{len(layers)}")))
    shift, scale = given("shift"), given("scale")
    points = {name: given(name) for name in CONDITIONS}
    return Inputs(layers, shift, scale, points, arrays)


def run(peer: str, arguments: argparse.Namespace, prepare: Callable[[Inputs], Work]) -> None:
    """Measure what `prepare` makes and print the record; a failure is a record too."""
    inputs = load(arguments)
    record = {
        "peer": peer,
        "version": installed(peer),
        "task": arguments.task,
        "mode": arguments.mode,
        "implementation": getattr(arguments, "implementation", None),
        "derivatives": getattr(arguments, "derivatives", None),
        "dtype": arguments.dtype,
        "width": int(inputs.layers[0][0].shape[1]),
        "points": {name: len(points) for name, points in inputs.points.items()},
        "repeats": arguments.repeats,
    }
    try:
        record |= measure(prepare(inputs), arguments, inputs.reference)
    except Exception as failure:  # whatever a peer raises is its result
        first_line = (str(failure).strip().splitlines() or [""])[0]
        record["failed"] = f"{type(failure).__name__}: {first_line}"
    print(json.dumps(record), file=_record, flush=True)


def measure(
    work: Work, arguments: argparse.Namespace, reference: dict[str, np.ndarray]
) -> dict[str, Any]:
    """One uncounted call, some timed ones, and the memory that all of them took at most."""
    before = restart_peak()
    began = time.perf_counter()
    outcome = work.call()
    first = time.perf_counter() - began
    times = []
    for _ in range(arguments.repeats):
        began = time.perf_counter()
        outcome = work.call()
        times.append(1e3 * (time.perf_counter() - began) / work.steps)
    peak = peak_memory() - before
    results = work.results(outcome)
    if arguments.save:
        arrays = {name: np.asarray(value) for name, value in results.items()}
        np.savez(arguments.save, allow_pickle=False, **arrays)
    errors = {
        name: relative_error(value, reference[name])
        for name, value in results.items()
        if name in reference
    }
    return {
        "steps_per_call": work.steps,
        "first_call_s": first,
        "times_ms": times,
        "median_ms": statistics.median(times),
        "memory_before_mib": before / MEBIBYTE,
        "peak_over_baseline_mib": peak / MEBIBYTE,
        "error": errors,
        **work.facts(outcome),
    }


def relative_error(value: Any, reference: np.ndarray) -> float:
    """‖value − reference‖ / ‖reference‖ in the Frobenius norm, in float64."""
    difference = np.asarray(value, dtype=np.float64) - reference
    return float(np.linalg.norm(difference) / np.linalg.norm(reference))


def peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes.

    `ru_maxrss` is second choice: a process inherits it from the one that started it, so a large
    parent would hide everything that happens here.
    """
    return _from_status("VmHWM") or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def restart_peak() -> int:
    """Forget what imports took at most, where the system can; returns the peak from here on."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass
    return peak_memory()


def _from_status(field: str) -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            sizes = [line.split()[1] for line in lines if line.startswith(field)]
    except OSError:
        return 0
    return 1024 * int(sizes[0]) if sizes else 0


def installed(peer: str) -> dict[str, str]:
    """The versions that the record states: the peer's and of what it computes with."""
    packages = {
        "pinntk": ("pinntk", "jax", "jaxlib", "optax"),
        "plain_jax": ("jax", "jaxlib", "optax"),
        "neural_tangents": ("neural-tangents", "jax", "jaxlib"),
        "torch_func": ("torch",),
        "deepxde": ("deepxde", "torch"),
    }
    return {name: version(name) for name in (*packages[peer], "numpy")}


def parts_of_full(kernel: np.ndarray, sizes: Sequence[int]) -> dict[str, Any]:
    """What the full K contains that a reference may hold: itself, its last block, its traces."""
    ends = np.cumsum(sizes)
    blocks = {
        name: kernel[end - size : end, end - size : end]
        for name, size, end in zip(CONDITIONS, sizes, ends, strict=True)
    }
    traces = {f"trace_{name}": np.trace(block) for name, block in blocks.items()}
    return {"full": kernel, "kernel": blocks["residual"], **traces}
