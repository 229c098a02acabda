"""Strict by default: rank promotion raises, and warnings are errors (see pyproject.toml)."""

import gc
import importlib.metadata
import os
import shutil

# Most of the time of these tests is compilation, and an optimized program gives the same numbers. Commands
# that tests start inherit it. Before JAX is imported, which reads it.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# XLA's older emitter takes half of the time; a version that does not know the flag ends the process.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

import jax
import pytest

from checked import Switch, unchecked
from pinntk.errors import PinntkError

jax.config.update("jax_numpy_rank_promotion", "raise")

#: Types are not checked where pinntk's own error for a wrong one is expected.
_raises = pytest.raises


def raises(expected, *arguments, **options):
    """`pytest.raises`, with the type checks off where it expects an error of pinntk."""
    kinds = expected if isinstance(expected, tuple) else (expected,)
    context = _raises(expected, *arguments, **options)
    ours = any(issubclass(kind, PinntkError) for kind in kinds)
    return unchecked(context) if ours and not arguments else context


pytest.raises = raises
os.environ["PINNTK_CACHE"] = "0"  # commands do not change the cache of the tests


def _own_cache() -> None:
    """What was compiled before, if it is kept anywhere, in a copy for this worker alone.

    JAX does not lock its cache: who reads what another one is writing is warned.
    """
    kept, worker = (os.environ.get(n) for n in ("JAX_COMPILATION_CACHE_DIR", "PYTEST_XDIST_WORKER"))
    if kept and worker:
        own = f"{kept}-{worker}"
        if os.path.isdir(kept):
            shutil.copytree(kept, own, dirs_exist_ok=True)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = own
        jax.config.update("jax_compilation_cache_dir", own)


_own_cache()
# JAX traces programs into many small objects, which the collector looks through again and again.
gc.set_threshold(100_000, 50, 100)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What opens a browser is slow."""
    for item in items:
        if "browser" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def untyped(monkeypatch):
    """Types are not checked: pinntk's own error for a wrong one is expected."""
    monkeypatch.setattr(Switch, "on", False)


@pytest.fixture
def x64():
    """Run a test in float64."""
    with jax.enable_x64(True):
        yield


PRECISION = jax.config.read("jax_enable_x64")


@pytest.fixture(autouse=True)
def same_precision():
    """A float64 recipe switches JAX to 64 bits for the whole process; not for the tests after it.

    Nor for those that share a fixture of wider scope, which is made before this one.
    """
    jax.config.update("jax_enable_x64", PRECISION)
    yield
    jax.config.update("jax_enable_x64", PRECISION)
