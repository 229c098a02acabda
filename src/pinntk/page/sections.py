"""The sections of the page that show numbers: which figures and tables a record makes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pinntk.page.figure import Axes, Plot
from pinntk.page.plots import Series, curves
from pinntk.page.words import (
    columns,
    factor,
    floats,
    number,
    percent,
    quoted,
    seconds,
    went,
)
from pinntk.words import listed

Record = Mapping[str, Any]
NO_TRAINING = "No network was trained for this record, so there is nothing to show here."
NO_CURVES = "No network was trained for this record, so there are no curves over the steps."
#: The name of the whole kernel's spectrum, which is None so that no condition can have it.
WHOLE = None


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that stands open, its first column the heading of each row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Section:
    """One part of the page. `absent` says why it has no figures, where it has none."""

    id: str
    title: str
    lead: str = ""
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()
    absent: str = ""


def spectra(record: Record) -> Section:
    """Eigenvalues of the kernel and its blocks, before and after, log–log."""
    found, floors = record["spectra"], record["spectra"]["noise_floor"]
    times = {
        time: {WHOLE: b["kernel"], **b["conditions"]}
        for time, b in (("before training", found["before"]), ("after training", found["after"]))
        if b
    }
    known = [f for f in (floors["before"], floors["after"]) if f]
    floor = max(known, default=None)
    largest = [max((v for v in b if v), default=0.0) for t in times.values() for b in t.values()]
    low = None if floor is None else floor * 1e-2
    axes = Axes("index", "eigenvalue", "log", "log", floor, low, max(largest, default=0.0) or None)
    plots = []
    for place, block in enumerate(times["before training"]):
        there = {time: floats(b[block]) for time, b in times.items() if block in b}
        series = [
            Series(time, np.arange(1.0, len(values) + 1), values, style=i, marked=False)
            for i, (time, values) in enumerate(there.items())
        ]
        item, legend = curves(series, axes)
        longest = max(there.values(), key=len)
        index = np.arange(1, len(longest) + 1)
        plots.append(
            Plot(
                id=f"spectrum-{place}",
                title="The whole kernel K" if block is WHOLE else f"Block of {quoted(block)}",
                text=" ".join(_spectrum(t, v, floor) for t, v in there.items()),
                item=item,
                legend=legend,
                head=["index", *there],
                rows=columns(index, list(there.values()), logarithmic=True, whole=True),
                wide=block is WHOLE,
            )
        )
    lead = "Gradient descent learns a direction at the speed of its eigenvalue: what stands low is slow."
    if floor is not None:
        lead += f" The shaded band, below {number(floor)}, is rounding noise."
    return Section("spectra", "Spectra of the kernel", lead, plots)


def _spectrum(time: str, values: np.ndarray, floor: float | None) -> str:
    if not len(values):
        return f"{time.capitalize()}: no eigenvalue."
    text = (
        f"{time.capitalize()}: {len(values):,} eigenvalues, the largest {number(float(values[0]))}"
    )
    if floor is not None:
        text += f", {int(np.sum(values > floor)):,} of them above the noise"
    return text + f", the median {number(float(np.median(values)))}."


def rates(record: Record) -> Section:
    """Rates and weights of the conditions: a table at the start, curves over the steps."""
    look, baseline = record["forecast"], record["baseline"]
    lead = "The rate of a condition, tr K/N of its block, is how fast gradient descent reduces it. "
    if look is None:
        lead += "A condition has no gradient at all, so there is nothing to compare."
        return Section("rates", "Rates and weights", lead, (), [], NO_CURVES)
    rows = [
        [
            name,
            *(number(c[k]) for k in ("loss", "rate", "weight", "ntk_weight", "largest_eigenvalue")),
            f"{number(c['rank'])} of {number(c['residuals'])}",
        ]
        for name, c in look["conditions"].items()
    ]
    head = ["condition", "loss", "rate", "weight", "weight by Algorithm 1", "largest eigenvalue"]
    table = Table("The conditions before training", [*head, "rank"], rows)
    lead += f"Before training the fastest weighted rate is {number(look['imbalance'])} times the slowest."
    if baseline is None:
        return Section("rates", "Rates and weights", lead, (), [table], NO_CURVES)
    history, seen = baseline["history"], baseline["rates"]
    there = {name: floats(v) for name, v in seen["conditions"].items()}
    weights = {name: floats(v) for name, v in history["weights"].items()}
    plots = [
        _over_steps("rates-steps", "Rates over the steps", floats(seen["steps"]), there, "rate"),
        _over_steps(
            "weights-steps",
            "Weights over the steps",
            floats(history["steps"]),
            weights,
            "loss weight",
        ),
    ]
    return Section("rates", "Rates and weights", lead, plots, [table])


def losses(record: Record) -> Section:
    """Losses of every condition: trained on, held out, and what the frozen kernel predicts."""
    baseline = record["baseline"]
    title = "Losses, predicted and observed"
    if baseline is None:
        return Section("losses", title, absent=NO_TRAINING)
    history = baseline["history"]
    steps = floats(history["steps"])
    plots = []
    for index, name in enumerate(history["losses"]):
        kinds = {
            "observed": history["losses"],
            "predicted": history["predicted"] or {},
            "held out": history["held_out"],
        }
        there = {kind: floats(values[name]) for kind, values in kinds.items() if name in values}
        plots.append(
            _over_steps(f"loss-{index}", f"Loss of {quoted(name)}", steps, there, "mean square")
        )
    if history["relative_l2"] is not None:
        error = {"relative error": floats(history["relative_l2"])}
        plots.append(_over_steps("error-steps", "Error", steps, error, "relative L2 error"))
    lead = (
        f"A training as planned: {number(baseline['steps'])} steps in {seconds(baseline['seconds'])}, "
        f"outcome: {baseline['outcome']}."
    )
    if baseline["message"]:
        lead += f" {baseline['message']}"
    if history["predicted"] is None:
        lead += " No prediction is drawn: the optimiser planned is not the one that the kernel predicts."
    else:
        lead += (
            " Observed and held out apart: the points are too few. Predicted and observed apart: "
            "the kernel moved."
        )
    return Section("losses", title, lead, plots)


def _over_steps(
    id: str, title: str, steps: np.ndarray, found: Mapping[str, np.ndarray], label: str
) -> Plot:
    series = [
        Series(name, steps, y, i, marked=len(found) > 1)
        for i, (name, y) in enumerate(found.items())
    ]
    item, legend = curves(series, Axes("step", label))
    return Plot(
        id=id,
        title=title,
        text=" ".join(went(name, steps, y, "step") for name, y in found.items()),
        item=item,
        legend=legend,
        head=["step", *found],
        rows=columns(steps, list(found.values()), whole=True),
    )


def trials(record: Record) -> Section:
    """The short trainings with a remedy each, over the time that they took."""
    found = record["trials"]
    title = "Comparison of remedies"
    if not found:
        return Section("trials", title, absent="No remedy was tried in this diagnosis.")
    plots = []
    for key, name in (("held_out", "Held-out residual"), ("relative_l2", "Relative L2 error")):
        series, said, table = [], [], []
        for style, trial in enumerate(found):
            history = trial["history"]
            if history[key] is None:
                continue
            x, y = floats(history["seconds"]), floats(history[key])
            series.append(Series(trial["name"], x, y, style))
            said.append(went(trial["name"], x, y, "second"))
            table += [[trial["name"], *row] for row in columns(x, [y])[:: max(1, len(x) // 6)]]
        if series:
            item, legend = curves(series, Axes("seconds", name.lower()))
            head = ["remedy", "seconds", name.lower()]
            text = " ".join(said)
            plots.append(Plot(f"trial-{key}", f"{name} over time", text, item, legend, head, table))
    head = ["remedy", "options", "held-out residual", "relative error", "steps", "time", "outcome"]
    rows = [
        [
            trial["name"] + (" (kept)" if trial["kept"] else ""),
            trial["option"] or "none",
            number(trial["held_out"]),
            number(trial["relative_l2"]),
            f"{number(trial['steps'])} of {number(trial['planned'])}",
            seconds(trial["seconds"]),
            trial["outcome"]
            + (f": {trial['reason']}" if trial["reason"] else f", round {trial['rounds']}"),
        ]
        for trial in found
    ]
    kept = [trial["name"] for trial in found if trial["kept"]]
    lead = (
        f"{len(found)} trainings in turns, the first as planned, ranked by error where the solution is "
        f"known and by the residual at points that none was trained on where not. Kept to the end: "
        f"{listed([quoted(k) for k in kept]) or 'none'}."
    )
    return Section("trials", title, lead, plots, [Table("All trials", head, rows)])


def settings(record: Record) -> Section:
    """Network, training and precision, and where the numbers come from."""
    source = record["provenance"]
    names = {"pinntk": "pinntk", "jax": "JAX", "python": "Python", "dtype": "precision"}
    rows = [
        [
            names.get(key, key),
            seconds(value) if key == "seconds" else number(value),
        ]
        for key, value in source.items()
        if key != "command"
    ]
    rows += [
        ["seed", str(record["seed"])],
        ["repeated draws", number(record["draws"])],
        ["parameters", number(record["parameters"])],
    ]
    plain = [[name.replace("_", " "), text] for name, text in _flat(record["settings"])]
    tables = [
        Table("Settings", ["setting", "value"], plain),
        Table("Provenance", ["what", "value"], rows),
    ]
    return Section("settings", "Settings and provenance", tables=tables)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The settings one by one, those inside others by their path: `training weighting every`."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path} {key}".strip())
    else:
        yield path, _setting(value)


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_setting(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else number(value)


def subject(record: Record) -> str:
    """What was looked for: u and v over x and t."""
    problem = record["problem"]
    return f"{listed(problem['fields'])} over {listed(problem['coordinates'])}"


def facts(record: Record) -> list[tuple[str, str]]:
    """The few numbers that stand beside the verdict."""
    baseline, winner = record["baseline"], record["winner"]
    found = [
        ("conditions", number(len(record["problem"]["conditions"]))),
        ("parameters", number(record["parameters"])),
    ]
    if record["forecast"] is not None:
        apart = f"{number(record['forecast']['imbalance'])}×"
        found.append(("rates apart before training", apart))
    if baseline is not None and baseline["relative_l2"] is not None:
        steps = number(record["baseline"]["steps"])
        found.append((f"error after {steps} steps as planned", number(baseline["relative_l2"])))
    if winner is not None and winner["relative_l2_after"] is not None:
        found.append(("error with the remedy", number(winner["relative_l2_after"])))
    return found


def improvement(winner: Mapping[str, Any]) -> str:
    """What the best trial gained and what may be claimed of it, in sentences."""
    parts = []
    for what, key in (("held-out residual", "held_out"), ("relative error", "relative_l2")):
        before, after = winner[f"{key}_before"], winner[f"{key}_after"]
        if before is None or after is None:
            continue
        text = f"the {what} went from {number(before)} to {number(after)}"
        times = factor(before, after)
        parts.append(f"{text}, {times}" if times else text)
    if not parts:
        return ""
    said = [f"In the comparison {'; '.join(parts)}."]
    if not winner["cure"]:
        said.append(f"It is not a cure: {winner['doubt']}.")
    if winner["gap"] is not None:
        where = ", ".join(number(float(value)) for value in winner["gap"]["point"])
        said.append(
            f"Against that solution the training as planned is off by "
            f"{percent(winner['gap']['relative_l2'])}, most at ({where})."
        )
    return " ".join(said)


def seen_in(confidence: float | None, draws: int) -> str:
    """How sure a finding is, in words."""
    if confidence is None:
        return "confidence unknown"
    if draws == 1:
        return f"confidence {percent(confidence)}, one draw"
    seen = round(confidence * draws)
    return f"seen in all {draws} draws" if seen == draws else f"seen in {seen} of {draws} draws"
