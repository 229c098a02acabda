"""The record of a diagnosis: its table of keys, the check, and the page that describes it."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path

import pytest

from each import each
from pinntk.diagnosis.record import ITEM, KEYS, KINDS, check_record
from pinntk.errors import PinntkError
from sample_record import sample_record, without_optional

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_whole_record_passes_also_after_a_file(dimensions):
    for record in (sample_record(dimensions), without_optional(sample_record(dimensions))):
        check_record(record)
        check_record(json.loads(json.dumps(record, allow_nan=False)))


def set_at(record, path, value):
    """A copy of a record with one value changed, or (`...`) taken out."""
    changed = copy.deepcopy(record)
    *way, last = path
    place = changed
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return changed


@each(
    ("path", "value", "message"),
    [
        (["schema"], "other", r"record\['schema'\]: got 'other'"),
        (["schema_version"], 1, r"record\['schema_version'\]: got 1; expected 3"),
        (["verdict"], ..., r"record: got no key 'verdict'"),
        (["verdict"], "a sentence", r"record\['verdict'\]: .*a list of texts"),
        (["winer"], None, r"unknown key 'winer'.*Did you mean 'winner'\?"),
        (["problem"], None, r"record\['problem'\]: got None"),
        (["parameters"], 1.5, "a whole number"),
        (["parameters"], True, "a whole number"),
        (["baseline", "seconds"], float("nan"), "a finite number, or null"),
        (
            ["baseline", "history", "losses", "boundary", 3],
            "x",
            r"\['boundary'\].*a list of numbers",
        ),
        (["findings", 1, "remedies", 0, "code"], None, r"\['findings'\]\[1\]\['remedies'\]\[0\]"),
        (["findings", 0, "evidence", "ratio"], [1], "a number, a text, true or false"),
        (["trials", 0, "kept"], 1, "true or false"),
        (["maps", "error", "u", 0], "x", "numbers in lists"),
        (["modes"], None, "a list of what is below"),
        (["settings", "network", "width"], {1, 2}, "anything that JSON can hold"),
        (["forecast", "imbalance"], ..., "no key 'imbalance'"),
    ],
)
def test_what_is_wrong_is_named(path, value, message):
    with pytest.raises(PinntkError, match=message):
        check_record(set_at(sample_record(1), path, value))


def test_numbers_that_are_not_finite_are_null_and_open_objects_may_grow():
    record = sample_record(1)
    check_record(set_at(record, ["baseline", "relative_l2"], None))
    check_record(set_at(record, ["baseline", "history", "losses", "boundary", 3], None))
    check_record(set_at(record, ["forecast", "more"], [1, 2]))


def test_a_record_is_an_object():
    with pytest.raises(PinntkError, match="got list"):
        check_record([])  # type: ignore[arg-type]


def test_every_key_can_be_reached_and_has_a_known_kind():
    paths = [key.path for key in KEYS]
    assert len(paths) == len(set(paths))
    for key in KEYS:
        assert key.kind in KINDS
        assert key.meaning
        parent = (
            key.path.removesuffix(ITEM) if key.path.endswith(ITEM) else key.path.rpartition(".")[0]
        )
        assert not parent or parent in paths


def test_the_page_describes_every_key():
    pytest.importorskip("mkdocs", reason="the page is made by a hook of MkDocs")
    specification = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert specification is not None
    assert specification.loader is not None
    generate = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(generate)
    page = generate.on_page_markdown((ROOT / "docs/record.md").read_text())
    for key in KEYS:
        assert f"| `{key.path}` | {key.described} | {key.meaning} |" in page
