"""The tables of docs/numbers.md on what kernels cost, from the record of `kernel_cost.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Record = dict[str, Any]
ALLOCATORS = ("default", "retained")
FORMS = ("dense", "factored", "implicit")


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def milliseconds(value: float) -> str:
    """In ms or s, three figures."""
    return f"{value:.3g} ms" if value < 1000 else f"{value / 1000:.3g} s"


def find(records: Iterable[Record], **wanted: Any) -> Record | None:
    """The one record with these fields."""
    found = [r for r in records if all(r.get(key) == value for key, value in wanted.items())]
    return found[0] if found else None


def both(records: list[Record], read: Callable[[Record], float], **wanted: Any) -> str:
    """A time under both allocators, or why there is none."""
    cells = []
    for allocator in ALLOCATORS:
        record = find(records, allocator=allocator, **wanted)
        if record is None:
            cells.append("–")
        else:
            cells.append("fails" if "failed" in record else milliseconds(read(record)))
    return " / ".join(cells) if set(cells) != {"–"} else "–"


def median_ms(record: Record) -> float:
    return record["median_ms"]


WAYS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "K_rr": [
        ("pinntk, `u.d`", {"peer": "pinntk", "derivatives": "field"}),
        ("pinntk, nested forward", {"peer": "pinntk", "derivatives": "nested", "mode": "forward"}),
        ("pinntk, nested reverse", {"peer": "pinntk", "derivatives": "nested", "mode": "reverse"}),
        ("plain JAX, J Jᵀ", {"peer": "plain_jax"}),
        ("neural-tangents, structured, forward", {"peer": "neural_tangents", "mode": "forward"}),
        ("neural-tangents, structured, reverse", {"peer": "neural_tangents", "mode": "reverse"}),
        ("torch.func, forward", {"peer": "torch_func", "mode": "forward"}),
        ("torch.func, reverse", {"peer": "torch_func", "mode": "reverse"}),
    ],
    "traces": [
        ("pinntk", {"peer": "pinntk"}),
        ("plain JAX, gradient of every point (as jaxpi does)", {"peer": "plain_jax"}),
        ("neural-tangents, structured", {"peer": "neural_tangents"}),
        ("torch.func", {"peer": "torch_func"}),
    ],
    "full": [("pinntk", {"peer": "pinntk"}), ("plain JAX, J Jᵀ", {"peer": "plain_jax"})],
    "step": [
        ("pinntk", {"peer": "pinntk"}),
        ("plain JAX", {"peer": "plain_jax"}),
        ("torch.func", {"peer": "torch_func"}),
        ("DeepXDE on PyTorch", {"peer": "deepxde"}),
    ],
    "step_with_traces": [("pinntk", {"peer": "pinntk"}), ("plain JAX", {"peer": "plain_jax"})],
}


def widths_of(records: list[Record]) -> list[int]:
    return sorted({record["width"] for record in records if "width" in record})


def task_table(record: Record, what: str) -> str:
    """One task by code and width, default / retained allocator."""
    records, widths = record["peers"], widths_of(record["peers"])
    task = "kernel" if what == "K_rr" else what
    rows = []
    for label, wanted in WAYS[what]:
        times = [both(records, median_ms, task=task, width=w, **wanted) for w in widths]
        rows.append([label, *times])
    return table(["", *(f"width {w}" for w in widths)], rows)


def ratio_table(record: Record) -> str:
    """Steps with Algorithm 1 at each over plain steps."""
    records, widths = record["peers"], widths_of(record["peers"])

    def ours(allocator: str, width: int) -> str:
        found = find(
            records, allocator=allocator, peer="pinntk", task="step_with_traces", width=width
        )
        return f"{found['median_over_plain_steps']:.2f}" if found else "–"

    def theirs(allocator: str, width: int) -> str:
        pair = [
            find(records, allocator=allocator, peer="plain_jax", task=task, width=width)
            for task in ("step_with_traces", "step")
        ]
        return f"{pair[0]['median_ms'] / pair[1]['median_ms']:.1f}" if all(pair) else "–"  # type: ignore[index]

    rows = [
        [label, *(" / ".join(way(a, w) for a in ALLOCATORS) for w in widths)]
        for label, way in (("pinntk", ours), ("plain JAX, as jaxpi does", theirs))
    ]
    return table(["", *(f"width {w}" for w in widths)], rows)


def memory_and_limit(record: Record) -> str:
    """Memory over baseline of our tasks, and their operations at the machine's rate over their time."""
    rows = []
    for width in widths_of(record["peers"]):
        for task, label in (("kernel", "K_rr"), ("full", "full K"), ("traces", "traces")):
            found = find(
                record["peers"],
                allocator="default",
                peer="pinntk",
                task=task,
                width=width,
                derivatives="field",
            )
            if found is None or "failed" in found:
                continue
            limit = 1e3 * found["operations"] / record["product_rates"][str(width)]
            errors = list(found["error"].values())
            rows.append(
                [
                    str(width),
                    label,
                    found["form"],
                    f"{found['operations'] / 1e9:.2g}",
                    milliseconds(limit),
                    f"{limit / found['median_ms']:.0%}",
                    f"{found['peak_over_baseline_mib']:.0f} MiB",
                    f"{max(errors):.0e}",
                ]
            )
    header = ["width", "what", "form", "GFLOP", "limit", "limit / time", "memory", "error"]
    return table(header, rows)


def grid_rows(record: Record) -> list[tuple[int, int, dict[str, Record]]]:
    """(width, points, record by form) of the grid."""
    grid: dict[tuple[int, int], dict[str, Record]] = {}
    for found in record["grid"]:
        if "median_ms" in found:
            key = found["width"], found["points"]["residual"]
            grid.setdefault(key, {})[found["form"]] = found
    return [(*key, forms) for key, forms in sorted(grid.items())]


def over_best(forms: dict[str, Record]) -> float:
    """The time of the chosen form over that of the fastest."""
    times = {form: f["median_ms"] for form, f in forms.items()}
    chosen = next(f["chosen"] for f in forms.values())
    return times[chosen] / min(times.values())


def grid_table(record: Record) -> str:
    """K_rr by every form, the automatic choice in bold."""
    rows = []
    for width, points, forms in grid_rows(record):
        chosen = next(f["chosen"] for f in forms.values())
        cells = []
        for form in FORMS:
            found = forms.get(form)
            cell = milliseconds(found["median_ms"]) if found else "–"
            cells.append(f"**{cell}**" if form == chosen else cell)
        memory = forms[chosen]["peak_over_baseline_mib"]
        an_entry = 1e6 * forms[chosen]["median_ms"] / points**2
        rows.append(
            [
                str(width),
                f"{points:,}",
                *cells,
                f"{over_best(forms):.2f}",
                f"{an_entry:.0f} ns",
                f"{memory:,.0f} MiB",
            ]
        )
    header = ["width", "points", *FORMS, "chosen / best", "time / N²", "memory"]
    return table(header, rows)


def kernel_rows(record: Record) -> list[list[str]]:
    """The README's lines: the widest network, the default allocator."""
    records, width = record["peers"], widths_of(record["peers"])[-1]

    def ours(task: str) -> Record:
        found = find(
            records,
            allocator="default",
            peer="pinntk",
            task=task,
            width=width,
            derivatives="field",
        )
        assert found is not None, f"no record of {task} at width {width}"
        return found

    others = [
        r["median_ms"]
        for r in records
        if r["task"] == "kernel"
        and r["peer"] != "pinntk"
        and r.get("width") == width
        and "median_ms" in r
    ]
    kernel = ours("kernel")["median_ms"]
    steps = ours("step_with_traces")["median_over_plain_steps"]
    return [
        [
            "the same: time per step with NTK weights updated at every step, relative to fixed weights",
            f"{steps:.2f}",
        ],
        [
            "the same: exact kernel K_rr, 300 × 300; the fastest other code measured",
            f"{milliseconds(kernel)}; {milliseconds(min(others))}",
        ],
    ]


def gain_by_retaining(records: list[Record], ours: bool) -> float:
    """The most that a task gains by the allocator that keeps its memory, as a ratio of times."""
    ratios = []
    for record in records:
        if record["allocator"] == "default" and "median_ms" in record:
            keys = ("peer", "task", "width", "mode", "derivatives")
            other = find(records, allocator="retained", **{k: record.get(k) for k in keys})
            if other and "median_ms" in other and (record["peer"] == "pinntk") == ours:
                ratios.append(record["median_ms"] / other["median_ms"])
    return max(ratios)


def section(record: Record) -> str:
    """Everything that docs/numbers.md says about the cost of kernels."""
    ours, theirs = (gain_by_retaining(record["peers"], whose) for whose in (True, False))
    worst = max(over_best(forms) for _, _, forms in grid_rows(record))
    return f"""The wave problem, [2, w, w, w, 1], 300 points for each of its three terms, float32, one core.
Each code runs in a process of its own, on the same points and weights. The two times are for two
settings of the memory allocator: glibc's default, and one that never returns memory to the system. The
second makes other codes up to {theirs:.1f} times as fast, and pinntk, which makes no large temporary
arrays, up to {ours:.1f} times; so pinntk leaves the allocator alone. The residual is written with
`u.d`, or as a JAX user would write it, with nested forward or reverse mode.

### K_rr, 300 × 300

{task_table(record, "K_rr")}
### The traces of all three terms

{task_table(record, "traces")}
### The whole K, 900 × 900

{task_table(record, "full")}
### A training step

{task_table(record, "step")}
### Algorithm 1 at every step, over plain training

For pinntk, both are measured alternately in one process; for plain JAX, in two processes.

{ratio_table(record)}
### Distance from the limit

The limit is the time for the counted operations at the speed at which this machine multiplies 2100 × w
by w × w. The error is relative to float64. Memory is the peak, less what the process held before.

{memory_and_limit(record)}
### The three forms of the Jacobian

K_rr over widths and numbers of points. Bold is what `choose` picks, at most {worst:.2f} times the best
time. A dash means not tried, because it would take more than 90 s at 50 GFLOP/s by the count of
operations, or too much memory.

{grid_table(record)}"""
