"""Checkpoints: bit for bit, whole or not at all, never pickle."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinntk.errors import RunError
from pinntk.problem import Sample
from pinntk.training import TrainState
from pinntk.training.checkpoint import load_checkpoint, save_checkpoint, write_atomically
from pinntk.weighting import WeightingState


def state(seed=0, width=3):
    """Every kind of array that a run carries: floats, counters, awkward values."""
    weights = jax.random.normal(jax.random.key(seed), (2, width))
    return TrainState(
        step=jnp.asarray(7),
        parameters={"w": weights, "b": jnp.array([0.0, -0.0, 1e-42, 3e38])},
        optimizer=(jnp.asarray(3, jnp.int32), [weights**2]),
        weighting=WeightingState({"boundary": jnp.asarray(1 / 3), "residual": jnp.asarray(2.0)}),
        batch={"boundary": Sample(jnp.linspace(0, 1, 4)[:, None])},
        status=jnp.asarray(0, jnp.int32),
    )


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def assert_same_bits(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(leaves(actual), leaves(expected), strict=True):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_state_comes_back_bit_for_bit(tmp_path):
    save_checkpoint(tmp_path / "c", state(), 7, 1.25)
    found, step, seconds, warnings = load_checkpoint(tmp_path / "c", state(seed=1))
    assert_same_bits(found, state())
    assert (step, seconds, warnings) == (7, 1.25, [])


def test_float64_comes_back_bit_for_bit(tmp_path, x64):
    save_checkpoint(tmp_path / "c", state(), 7, 0.0)
    assert leaves(state())[1].dtype == np.float64
    assert_same_bits(load_checkpoint(tmp_path / "c", state(seed=1))[0], state())


def test_the_two_newest_are_kept_by_number_not_by_spelling(tmp_path):
    for step in (8, 9, 10, 100):
        save_checkpoint(tmp_path, state(step), step, 0.0)
    assert names(tmp_path) == ["step-10.json", "step-10.npz", "step-100.json", "step-100.npz"]
    assert load_checkpoint(tmp_path, state())[1] == 100


def test_a_run_that_goes_back_drops_what_lies_ahead(tmp_path):
    for step in (5, 10, 9):
        save_checkpoint(tmp_path, state(step), step, 0.0)
    assert names(tmp_path) == ["step-5.json", "step-5.npz", "step-9.json", "step-9.npz"]


def damage_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-50])


def change_manifest(path, **changes):
    manifest = path.with_suffix(".json")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))


DAMAGES = {
    "one bit": (damage_bit, "checksum"),
    "truncated": (truncate, "checksum"),
    "empty": (lambda path: path.write_bytes(b""), "checksum"),
    "missing": (lambda path: path.unlink(), "No such file"),
    "manifest cut short": (lambda path: truncate(path.with_suffix(".json")), "line"),
    "manifest is no record": (lambda path: path.with_suffix(".json").write_text("[]"), "list"),
    "manifest without seconds": (lambda path: change_manifest(path, seconds=None), "NoneType"),
    "manifest with nonsense": (lambda path: change_manifest(path, step="seven"), "seven"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path, damage):
    break_it, word = DAMAGES[damage]
    save_checkpoint(tmp_path, state(1), 10, 1.0)
    save_checkpoint(tmp_path, state(2), 20, 2.0)
    break_it(tmp_path / "step-20.npz")
    found, step, seconds, warnings = load_checkpoint(tmp_path, state())
    assert_same_bits(found, state(1))
    assert (step, seconds) == (10, 1.0)
    assert len(warnings) == 1
    assert warnings[0].startswith("passed over the damaged checkpoint step-20")
    assert word in warnings[0]


def test_when_all_are_damaged_there_is_nothing_to_resume(tmp_path):
    for step in (10, 20):
        save_checkpoint(tmp_path, state(), step, 0.0)
        truncate(tmp_path / f"step-{step}.npz")
    with pytest.raises(RunError, match=r"step-20.*step-10.*cannot be resumed"):
        load_checkpoint(tmp_path, state())


def test_no_checkpoint_at_all_is_said(tmp_path):
    with pytest.raises(RunError, match="got no checkpoint"):
        load_checkpoint(tmp_path / "never", state())


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (lambda s: s._replace(parameters={"w": s.parameters["w"]}), "another problem or network"),
        (
            lambda s: s._replace(weighting=WeightingState({**s.weights, "more": jnp.ones(())})),
            "another problem",
        ),
        (lambda s: state(width=4), r"parameters.*shape \(2, 3\).*expected shape \(2, 4\)"),
        (
            lambda s: s._replace(step=jnp.asarray(1.0)),
            "step of shape .* dtype int32; expected .* float32",
        ),
    ],
    ids=["missing array", "extra array", "shape", "dtype"],
)
def test_arrays_of_another_network_are_refused(tmp_path, other, text):
    save_checkpoint(tmp_path, state(), 1, 0.0)
    with pytest.raises(RunError, match=text):
        load_checkpoint(tmp_path, other(state()))


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_partial_one(tmp_path, monkeypatch, failing):
    file = tmp_path / "config.json"
    write_atomically(file, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(RunError, match=r"config\.json: got OSError: No space left on device"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["config.json"]


def test_a_full_disk_leaves_the_checkpoint_before_it_usable(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, state(1), 10, 0.0)
    written, real = [], os.replace

    def full_at_the_second(source, target):
        written.append(target)
        if len(written) == 2:  # the arrays are there, the manifest is not
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full_at_the_second)
    with pytest.raises(RunError):
        save_checkpoint(tmp_path, state(2), 20, 0.0)
    found, step, _, warnings = load_checkpoint(tmp_path, state())
    assert (step, warnings) == (10, [])
    assert_same_bits(found, state(1))


def test_the_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    calls, sync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), sync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    write_atomically(tmp_path / "file", b"content")
    assert calls == ["fsync", "replace"]


def test_nothing_is_pickled(tmp_path):
    save_checkpoint(tmp_path, state(), 1, 0.0)
    with np.load(tmp_path / "step-1.npz", allow_pickle=False) as arrays:
        assert len(arrays.files) == len(leaves(state()))
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_a_pickle_under_a_matching_checksum_is_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    save_checkpoint(tmp_path, state(), 1, 0.0)
    stream = io.BytesIO()
    np.savez(stream, **{".step": np.array([Bomb()], dtype=object)})
    (tmp_path / "step-1.npz").write_bytes(stream.getvalue())
    change_manifest(tmp_path / "step-1.npz", sha256=hashlib.sha256(stream.getvalue()).hexdigest())
    with pytest.raises(RunError, match="allow_pickle"):
        load_checkpoint(tmp_path, state())
    assert not (tmp_path / "exploded").exists()
