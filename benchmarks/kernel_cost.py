"""What kernels and Algorithm 1 cost: pinntk and its peers, each in a process of its own, on one core.

The wave problem, [2, w, w, w, 1], the same points, weights and residual for all, float32. Every kernel
is compared with one in float64. The memory allocator decides about code with large temporary arrays,
so all run twice: with glibc's defaults, and with memory that is kept once it was taken (`RETAINED`).
Then the forms of the Jacobian over a grid of widths and points, with the automatic choice.

    python benchmarks/kernel_cost.py [--smoke] [--peers-only | --grid-only]

A part that is left out is taken over from the last record. Peers other than plain JAX run in
environments of their own, which are made at the first run. What fails says so in its record.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common import RESULTS, median, milliseconds, parse, use_one_core, write
from peers.environments import environment as environment_of

PEERS = Path(__file__).resolve().parent / "peers"
#: glibc keeps what it has, in one arena, in place of giving it back and taking it again at each call.
RETAINED = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
ALLOCATORS: dict[str, dict[str, str]] = {"default": {}, "retained": RETAINED}
CONDITIONS = ("values", "velocity", "residual")
TIMEOUT_S = 900
#: The grid leaves out a form whose counted operations take longer than this at 50 GFLOP/s.
LONGEST_S = 90


#: The task of a worker in the short form, which makes no environments.
SMOKE = {"pinntk_": "step_with_traces", "plain_jax": "kernel"}


class Job(NamedTuple):
    """One process: its worker, the environment that it needs (None: this one), task and options."""

    worker: str
    environment: str | None
    task: str
    options: tuple[str, ...] = ()


def jobs(width: int) -> list[Job]:
    """Everything that is measured at one width."""
    nested = ("--derivatives", "nested", "--mode")
    ours = [
        Job("pinntk_", None, t) for t in ("traces", "full", "step", "step_with_traces", "kernel")
    ]
    ours += [Job("pinntk_", None, "kernel", (*nested, mode)) for mode in ("forward", "reverse")]
    jax = [
        Job("plain_jax", None, t) for t in ("kernel", "traces", "full", "step", "step_with_traces")
    ]
    neural = [Job("neural_tangents_", "neural-tangents", t) for t in ("kernel", "traces")]
    if width <= 50:  # at twice the width it asks for 20 GB
        neural.append(Job("neural_tangents_", "neural-tangents", "kernel", ("--mode", "reverse")))
    torch = [Job("torch_func", "torch", "kernel", ("--mode", m)) for m in ("forward", "reverse")]
    torch += [Job("torch_func", "torch", t, ("--mode", "reverse")) for t in ("traces", "step")]
    return [*ours, *jax, *neural, *torch, Job("deepxde_step", "deepxde", "step")]


def inputs(width: int, points: int, folder: Path, residual_alone: bool = False) -> Path:
    """A file with network (Glorot, no biases) and uniform points; one of the other points if alone."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {"shift": np.array([0.5, 0.5]), "scale": np.array([2.0, 2.0])}
    sizes = [2, width, width, width, 1]
    for number, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        weight = rng.normal(scale=np.sqrt(2 / (rows + columns)), size=(rows, columns))
        arrays[f"weight_{number}"] = weight.astype(np.float32)
        arrays[f"bias_{number}"] = np.zeros(columns, np.float32)
    for name in CONDITIONS:
        count = 1 if residual_alone and name != "residual" else points
        arrays[name] = rng.uniform(size=(count, 2)).astype(np.float32)
    file = folder / f"width-{width}-points-{points}.npz"
    np.savez(file, **arrays)
    return file


def with_references(file: Path) -> Path:
    """The same with the kernels that all are compared with: per-point gradients in float64."""
    target = file.with_suffix(".reference.npz")
    options = ("--dtype", "float64", "--save", str(target), "--repeats", "1")
    record = run(Job("plain_jax", None, "full", options), file, {}, 1)
    if "failed" in record:
        raise RuntimeError(f"no reference: {record['failed']}")
    with np.load(file) as given, np.load(target) as found:
        arrays = {**given, **found}
    np.savez(target, allow_pickle=False, **arrays)
    return target


def run(job: Job, file: Path, allocator: dict[str, str], repeats: int) -> dict[str, Any]:
    """The record of one worker; one that ends without a record gets one that says how it ended."""
    python = sys.executable if job.environment is None else environment_of(job.environment)
    command = [str(python), str(PEERS / f"{job.worker}.py"), "--task", job.task]
    command += ["--inputs", str(file), "--repeats", str(repeats), *job.options]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    try:
        done = subprocess.run(
            command, env={**clean, **allocator}, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return {"peer": job.worker, "task": job.task, "failed": f"not done after {TIMEOUT_S} s"}
    if done.stdout.strip():
        return json.loads(done.stdout)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return {"peer": job.worker, "task": job.task, "failed": f"exit code {done.returncode}: {last}"}


def measured(todo: Iterable[tuple[str, Job, Path, int]], total: int) -> Iterator[dict[str, Any]]:
    """Run jobs one after the other, with progress and time left."""
    began = time.monotonic()
    for number, (allocator, job, file, repeats) in enumerate(todo, start=1):
        record = {"allocator": allocator, **run(job, file, ALLOCATORS[allocator], repeats)}
        left = (time.monotonic() - began) / number * (total - number)
        outcome = record.get("failed") or f"{record['median_ms']:.1f} ms"
        what = " ".join((job.worker.rstrip("_"), job.task, *job.options))
        print(
            f"[{number}/{total}, {left / 60:.0f} min left] {file.stem} {allocator} {what}: {outcome}"
        )
        yield record


def product_rates(widths: list[int], points: int) -> dict[str, float]:
    """Operations per second of the (7 N, w) by (w, w) products of a step, in float32, by width."""
    import jax
    import jax.numpy as jnp

    product, rates = jax.jit(jnp.matmul), {}
    for width in widths:
        factors = jnp.ones((7 * points, width)), jnp.ones((width, width))
        times = milliseconds(lambda pair=factors: jax.block_until_ready(product(*pair)), 20)
        rates[str(width)] = 2 * factors[0].size * width / (1e-3 * median(times))
    return rates


def against_peers(folder: Path, smoke: bool) -> list[dict[str, Any]]:
    """All jobs at all widths under both allocators."""
    widths, points = ([16], 20) if smoke else ([50, 100, 200, 500], 300)
    todo = []
    for width in widths:
        file = with_references(inputs(width, points, folder))
        if smoke:
            todo += [
                ("retained", job, file, 2)
                for job in jobs(width)
                if job.task == SMOKE.get(job.worker)
            ]
        else:
            todo += [(name, job, file, 7) for name in ALLOCATORS for job in jobs(width)]
    return list(measured(todo, len(todo)))


def over_the_grid(folder: Path, smoke: bool) -> list[dict[str, Any]]:
    """K_rr by every form, over widths and points."""
    widths = [16] if smoke else [50, 100, 200, 500]
    counts = [20] if smoke else [100, 300, 1000, 3000, 10_000]
    todo = []
    for width in widths:
        for points in counts:
            file = inputs(width, points, folder, residual_alone=True)
            repeats = 7 if points <= 300 else 3 if points <= 1000 else 1
            for form in ("factored",) if smoke else ("dense", "factored", "implicit"):
                options = ("--form", form, "--longest", str(LONGEST_S))
                todo.append(("default", Job("pinntk_", None, "kernel", options), file, repeats))
    return list(measured(todo, len(todo)))


def main() -> None:
    flags = {"peers-only": "leave the grid out", "grid-only": "leave the peers out"}
    arguments = parse(__doc__ or "", **flags)
    use_one_core()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    earlier = RESULTS / "kernel_cost.json"
    before = json.loads(earlier.read_text()) if earlier.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers = before["peers"] if arguments.grid_only else against_peers(folder, arguments.smoke)
        grid = before["grid"] if arguments.peers_only else over_the_grid(folder, arguments.smoke)
    rates = product_rates([16] if arguments.smoke else [50, 100, 200, 500], 300)
    record = {"dtype": "float32", "product_rates": rates, "peers": peers, "grid": grid}
    write("kernel_cost", arguments, record)


if __name__ == "__main__":
    main()
