"""The record of a diagnosis as JSON: every key, what it holds, and a check that a record has them all.

`KEYS` is the one table of them: the check walks it, and the page `docs/record.md` is made from it.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pinntk.errors import PinntkError

SCHEMA = "pinntk-diagnosis"
SCHEMA_VERSION = 3

#: A key in angle brackets stands for any name, `[]` for every item of a list.
ANY = "<name>"
ITEM = "[]"

#: What a value may be. JSON cannot write a number that is not finite: it is null, so null is a number
#: everywhere.
KINDS = {
    "text": "a text",
    "whole": "a whole number",
    "number": "a finite number, or null",
    "truth": "true or false",
    "scalar": "a number, a text, true or false, or null",
    "free": "anything that JSON can hold",
    "numbers": "a list of numbers",
    "table": "numbers in lists in lists, as deep as there are axes; null off the domain",
    "texts": "a list of texts",
    "object": "an object with the keys below",
    "open": "an object with the keys below and perhaps others",
    "list": "a list of what is below",
}


class Key(NamedTuple):
    """One row: where the value stands, what it is (`KINDS`), what it means, whether it may be null."""

    path: str
    kind: str
    meaning: str
    nullable: bool = False

    @property
    def described(self) -> str:
        """The kind in words."""
        word = KINDS[self.kind]
        return f"{word}, or null" if self.nullable else word


KEYS = (
    Key("schema", "text", f'"{SCHEMA}"'),
    Key("schema_version", "whole", f"{SCHEMA_VERSION}; another number means other keys"),
    Key("problem", "object", "what was diagnosed"),
    Key("problem.name", "text", "its name"),
    Key("problem.coordinates", "texts", "the names of the coordinates"),
    Key("problem.fields", "texts", "the names of the unknown functions"),
    Key("problem.conditions", "object", "the conditions by name"),
    Key("problem.conditions.<name>", "object", "one condition"),
    Key("problem.conditions.<name>.points", "whole", "how many collocation points it has"),
    Key("problem.conditions.<name>.residuals", "whole", "how many residuals they make"),
    Key("problem.has_solution", "truth", "whether a solution is known to measure the error by"),
    Key("parameters", "whole", "how many numbers are trained"),
    Key("seed", "whole", "the seed of all random draws"),
    Key("draws", "whole", "how many times the diagnosis was repeated, with other random numbers"),
    Key("settings", "free", "problem, network, training and precision, by type and fields"),
    Key("verdict", "texts", "what is wrong in plain sentences, the most important first"),
    Key("findings", "list", "what was found, the most important first; at least one"),
    Key("findings[]", "object", "one finding"),
    Key("findings[].failure_mode", "text", "what is wrong, or `healthy`, or `unexplained`"),
    Key("findings[].title", "text", "the name as a heading"),
    Key("findings[].severity", "text", '"severe", "moderate" or "note"'),
    Key("findings[].confidence", "number", "the share of the draws that show it, 0 to 1"),
    Key("findings[].sentence", "text", "what was found"),
    Key("findings[].reason", "text", "why it keeps the network from training"),
    Key("findings[].evidence", "object", "the numbers that the finding rests on, by what they are"),
    Key("findings[].evidence.<name>", "scalar", "one of them"),
    Key("findings[].plot", "text", "the section of the page that shows it"),
    Key("findings[].remedies", "list", "what helps, the best first"),
    Key("findings[].remedies[]", "object", "one remedy"),
    Key("findings[].remedies[].text", "text", "what to do, in words"),
    Key(
        "findings[].remedies[].changes", "texts", "the settings to change, as `what: old, now new`"
    ),
    Key(
        "findings[].remedies[].option",
        "text",
        "the same as options of `pinntk train`; may be empty",
    ),
    Key("findings[].remedies[].code", "text", "the same in Python; may be empty"),
    Key(
        "findings[].remedies[].record",
        "text",
        "how often it helped on planted failures; empty where that was not measured",
    ),
    Key("forecast", "open", "what the kernel at the start says, as `forecast` finds it", True),
    Key("forecast.conditions", "object", "by condition"),
    Key("forecast.conditions.<name>", "open", "one condition"),
    Key("forecast.conditions.<name>.loss", "number", "the mean of its squared residuals"),
    Key("forecast.conditions.<name>.trace", "number", "the trace of its kernel block"),
    Key("forecast.conditions.<name>.rate", "number", "its average rate, tr K_kk/N_k"),
    Key("forecast.conditions.<name>.largest_eigenvalue", "number", "that of its block"),
    Key("forecast.conditions.<name>.rank", "whole", "eigenvalues above the rounding noise"),
    Key("forecast.conditions.<name>.residuals", "whole", "the size of its block"),
    Key("forecast.conditions.<name>.weight", "number", "the weight in the loss"),
    Key("forecast.conditions.<name>.ntk_weight", "number", "the weight by Algorithm 1"),
    Key("forecast.imbalance", "number", "the fastest weighted rate over the slowest"),
    Key("forecast.largest_eigenvalue", "number", "that of the whole kernel"),
    Key("forecast.noise_floor", "number", "eigenvalues below it are rounding"),
    Key("forecast.stable_step", "number", "the largest stable step of gradient descent"),
    Key("forecast.learning_rate", "number", "the step of the forecast"),
    Key("forecast.planned_learning_rate", "number", "the step planned; null: none is"),
    Key("forecast.steps", "whole", "the steps planned"),
    Key("spectra", "object", "eigenvalues of the kernel, largest first"),
    Key("spectra.before", "object", "before training"),
    Key("spectra.before.kernel", "numbers", "those of the whole kernel"),
    Key("spectra.before.conditions", "object", "those of its blocks by condition"),
    Key("spectra.before.conditions.<name>", "numbers", "those of one block"),
    Key("spectra.after", "object", "the same after training", True),
    Key("spectra.after.kernel", "numbers", "those of the whole kernel"),
    Key("spectra.after.conditions", "object", "those of its blocks by condition"),
    Key("spectra.after.conditions.<name>", "numbers", "those of one block"),
    Key("spectra.noise_floor", "object", "eigenvalues below it are rounding"),
    Key("spectra.noise_floor.before", "number", "before training"),
    Key("spectra.noise_floor.after", "number", "after training"),
    Key("baseline", "object", "a short training as planned; null: none was made", True),
    Key("baseline.steps", "whole", "the steps made"),
    Key("baseline.seconds", "number", "the time they took"),
    Key("baseline.outcome", "text", "how it ended"),
    Key("baseline.message", "text", "the same in a sentence; may be empty"),
    Key("baseline.relative_l2", "number", "the relative error at the end; null: no solution known"),
    Key("baseline.history", "object", "what was seen on the way; lists of one length"),
    Key("baseline.history.steps", "numbers", "the steps that were looked at"),
    Key("baseline.history.losses", "object", "the mean squared residuals by condition"),
    Key("baseline.history.losses.<name>", "numbers", "at these steps"),
    Key("baseline.history.predicted", "object", "what the frozen kernel predicts for them", True),
    Key("baseline.history.predicted.<name>", "numbers", "at these steps"),
    Key("baseline.history.weights", "object", "the weights by condition"),
    Key("baseline.history.weights.<name>", "numbers", "at these steps"),
    Key("baseline.history.held_out", "object", "the losses at points that are not trained on"),
    Key("baseline.history.held_out.<name>", "numbers", "at these steps"),
    Key("baseline.history.relative_l2", "numbers", "the relative errors", True),
    Key("baseline.rates", "object", "the rates on the way"),
    Key("baseline.rates.steps", "numbers", "the steps at which the kernel was computed"),
    Key("baseline.rates.conditions", "object", "the rates by condition"),
    Key("baseline.rates.conditions.<name>", "numbers", "tr K_kk/N_k at these steps"),
    Key("maps", "object", "the trained network over the domain; null: not drawn", True),
    Key("maps.axes", "list", "one or two coordinates; the others are held"),
    Key("maps.axes[]", "object", "one of them"),
    Key("maps.axes[].name", "text", "the coordinate"),
    Key("maps.axes[].values", "numbers", "its values, equally spaced"),
    Key("maps.title", "text", "where the other coordinates are held; may be empty"),
    Key("maps.prediction", "object", "the fields by name"),
    Key("maps.prediction.<name>", "table", "its values, indexed as the axes"),
    Key("maps.error", "object", "prediction minus solution by field; null: no solution", True),
    Key("maps.error.<name>", "table", "its values, indexed as the axes"),
    Key("maps.residual", "object", "the residuals of conditions that hold over the domain"),
    Key("maps.residual.<name>", "table", "its values, indexed as the axes"),
    Key("points", "object", "the collocation points by condition"),
    Key("points.<name>", "table", "a row of coordinates for each point"),
    Key("modes", "list", "the slow directions, the largest share of the residual first"),
    Key("modes[]", "object", "one eigenvector of the kernel"),
    Key("modes[].eigenvalue", "number", "its eigenvalue"),
    Key("modes[].share", "number", "its share of the residual's energy, 0 to 1"),
    Key("modes[].condition", "text", "the condition that it mostly lives in"),
    Key("modes[].points", "table", "the points of that condition"),
    Key("modes[].values", "numbers", "the eigenvector there"),
    Key("trials", "list", "short trainings with a remedy each: first without, then by rank"),
    Key("trials[]", "object", "one of them"),
    Key("trials[].name", "text", "the remedy"),
    Key("trials[].option", "text", "as options of `pinntk train`; may be empty"),
    Key("trials[].code", "text", "in Python; may be empty"),
    Key("trials[].changes", "texts", "the settings changed, as `what: old, now new`"),
    Key("trials[].outcome", "text", "how it ended"),
    Key("trials[].reason", "text", "why it was refused or not tried; empty where it was"),
    Key("trials[].steps", "whole", "the steps made"),
    Key("trials[].planned", "whole", "the steps planned"),
    Key("trials[].seconds", "number", "the time they took"),
    Key("trials[].compilation", "number", "the part of it before the first step was done"),
    Key(
        "trials[].held_out", "number", "the residual at points that are not trained on, at the end"
    ),
    Key("trials[].relative_l2", "number", "the relative error at the end; null: no solution known"),
    Key("trials[].estimate", "number", "the estimated relative error; null: not asked for"),
    Key("trials[].rounds", "whole", "how many rounds of the comparison it stayed in"),
    Key("trials[].kept", "truth", "whether it stayed to the end"),
    Key("trials[].history", "object", "what was seen on the way; lists of one length"),
    Key("trials[].history.seconds", "numbers", "the times that were looked at"),
    Key("trials[].history.held_out", "numbers", "the residuals at these times"),
    Key("trials[].history.relative_l2", "numbers", "the relative errors", True),
    Key("winner", "object", "the best trial; null: none was better, or none was made", True),
    Key("winner.name", "text", "the remedy"),
    Key("winner.option", "text", "as options of `pinntk train`; may be empty"),
    Key("winner.command", "text", "the whole command; empty where it was called from Python"),
    Key("winner.code", "text", "in Python"),
    Key("winner.held_out_before", "number", "the held-out residual without it"),
    Key("winner.held_out_after", "number", "and with it"),
    Key("winner.relative_l2_before", "number", "the relative error without it"),
    Key("winner.relative_l2_after", "number", "and with it"),
    Key(
        "winner.expected_before",
        "number",
        "the error, or the held-out residual where no solution is known, expected without it",
    ),
    Key("winner.estimate_before", "number", "the estimated relative error without it"),
    Key("winner.estimate_after", "number", "and with it"),
    Key("winner.cure", "truth", "whether it may be called a cure"),
    Key("winner.doubt", "text", "why not; empty for a cure"),
    Key("winner.sentence", "text", "the claim in words"),
    Key("winner.gap", "object", "how far the training as planned is from a cure's solution", True),
    Key("winner.gap.relative_l2", "number", "relative to the size of that solution"),
    Key("winner.gap.point", "numbers", "where it is furthest"),
    Key("winner.gap.largest", "number", "how far there"),
    Key(
        "expected",
        "number",
        "what the training as planned is expected to end with, after its trial",
    ),
    Key("provenance", "object", "where the numbers come from"),
    Key("provenance.pinntk", "text", "the version of pinntk"),
    Key("provenance.jax", "text", "the version of JAX"),
    Key("provenance.python", "text", "the version of Python"),
    Key("provenance.platform", "text", "the operating system and processor"),
    Key("provenance.device", "text", "what JAX computed on"),
    Key("provenance.dtype", "text", "the precision of training"),
    Key("provenance.command", "text", "the command; empty where it was called from Python"),
    Key("provenance.date", "text", "when, ISO 8601"),
    Key("provenance.seconds", "number", "how long it took in all"),
)


@dataclasses.dataclass
class _Node:
    """A key with the keys below it, by name, by `<name>` or by `[]`."""

    key: Key
    below: dict[str, _Node] = dataclasses.field(default_factory=dict)


def check_record(record: Mapping[str, Any]) -> None:
    """Raise `PinntkError` unless `record` has every key of `KEYS`, no other, and the right kinds."""
    if not isinstance(record, Mapping):
        raise PinntkError("record", got=type(record).__name__, expected="an object with keys")
    _check_schema(record)
    _check(record, _TREE, "record")


def _check_schema(record: Mapping[str, Any]) -> None:
    if record.get("schema") != SCHEMA:
        raise PinntkError(
            "record['schema']",
            got=repr(record.get("schema")),
            expected=repr(SCHEMA),
            fix="A record is what 'pinntk diagnose PROBLEM --json FILE' writes.",
        )
    if record.get("schema_version") != SCHEMA_VERSION:
        raise PinntkError(
            "record['schema_version']",
            got=repr(record.get("schema_version")),
            expected=f"{SCHEMA_VERSION}, which is what this version of pinntk reads",
            fix="Use the pinntk that wrote the record, or make the diagnosis again.",
        )


def _check(value: Any, node: _Node, place: str) -> None:
    key = node.key
    if value is None and key.nullable:
        return
    if not _is(value, key.kind):
        raise PinntkError(place, got=_shown(value), expected=key.described)
    for there, below, item in _children(value, node, place):
        _check(item, below, there)


def _children(value: Any, node: _Node, place: str) -> Iterator[tuple[str, _Node, Any]]:
    """What stands below a value, with its row of the table and its place."""
    if node.key.kind == "list":
        for index, item in enumerate(value):
            yield f"{place}[{index}]", node.below[ITEM], item
    elif node.key.kind in ("object", "open"):
        named = [name for name in node.below if name != ANY]
        missing = [name for name in named if name not in value]
        if missing:
            raise PinntkError(
                place, got=f"no key {missing[0]!r}", expected=f"the keys {', '.join(named)}"
            )
        for name, item in value.items():
            below = node.below.get(name, node.below.get(ANY))
            if below is not None:
                yield f"{place}[{name!r}]", below, item
            elif node.key.kind == "object":
                close = difflib.get_close_matches(str(name), named, n=1)
                raise PinntkError(
                    place,
                    got=f"the unknown key {name!r}",
                    expected=f"the keys {', '.join(named)}",
                    fix=f"Did you mean {close[0]!r}?" if close else "",
                )


def _is(value: Any, kind: str) -> bool:
    if kind == "text":
        return isinstance(value, str)
    if kind == "whole":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "truth":
        return isinstance(value, bool)
    if kind == "number":
        return _is_number(value)
    if kind == "scalar":
        return isinstance(value, str | bool) or _is_number(value)
    if kind in ("object", "open"):
        return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
    if kind == "free":
        return _is_json(value)
    if not isinstance(value, list | tuple):
        return False
    if kind == "texts":
        return all(isinstance(item, str) for item in value)
    if kind == "numbers":
        return all(map(_is_number, value))
    if kind == "table":
        return all(_is_number(item) or _is(item, "table") for item in value)
    return True  # a list of anything, whose items are looked at one by one


def _is_number(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_json(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(k, str) and _is_json(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return isinstance(value, str | bool) or _is_number(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _tree() -> _Node:
    root = _Node(Key("", "object", "the whole record"))
    for key in KEYS:
        node = root
        parts = key.path.replace(ITEM, f".{ITEM}").split(".")
        for part in parts[:-1]:
            node = node.below[part]
        node.below[parts[-1]] = _Node(key)
    return root


_TREE = _tree()
