"""How many threads LAPACK gets while a compiled program runs: one, where its matrices are small.

JAX factorizes with SciPy's OpenBLAS, which shares even a matrix of 181 rows among all cores. Its threads
wait for each other in a loop around `sched_yield`, many times in one factorization. Where another process
holds a core, each of those waits can last a time slice of the scheduler: milliseconds, in a
factorization that takes a tenth of one. XLA's own threads sleep while they wait and are left alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable
from typing import ClassVar, NamedTuple, ParamSpec, TypeVar

import jax
import scipy.linalg.cython_lapack

P = ParamSpec("P")
R = TypeVar("R")

#: Matrices with fewer rows are factorized by one thread. At 181 and 501 rows a second thread made whole
#: steps slower on an idle two-core machine; how far above that it pays was not measured.
ROWS = 1500


class Count(NamedTuple):
    """OpenBLAS' number of threads: `get()` and `set(number)`. It belongs to the process."""

    get: Callable[[], int]
    set: Callable[[int], None]


@functools.cache
def lapack_count() -> Count | None:
    """The number of threads of the LAPACK that JAX calls; None where that is not an OpenBLAS.

    JAX takes the addresses of its functions from `scipy.linalg.cython_lapack`, and so does this: a
    symbol is looked for in the libraries that the module depends on (not on Windows).
    """
    library = ctypes.CDLL(scipy.linalg.cython_lapack.__file__)
    for prefix in ("scipy_openblas", "openblas"):
        if hasattr(library, f"{prefix}_set_num_threads"):
            return Count(
                *(getattr(library, f"{prefix}_{verb}_num_threads") for verb in Count._fields)
            )
    return None


class OneThread(contextlib.AbstractContextManager[None]):
    """A context in which JAX's LAPACK uses one thread. Contexts may nest, and overlap in time.

    The first to open saves the number of threads and the last to close restores it, in whichever
    Python threads they are.
    """

    _lock: ClassVar = threading.Lock()
    _open: ClassVar[int] = 0
    _saved: ClassVar[int] = 0

    def __enter__(self) -> None:
        count = lapack_count()
        with OneThread._lock:
            if OneThread._open == 0 and count is not None:
                OneThread._saved = count.get()
                count.set(1)
            OneThread._open += 1

    def __exit__(self, *_: object) -> None:
        count = lapack_count()
        with OneThread._lock:
            OneThread._open -= 1
            if OneThread._open == 0 and count is not None:
                count.set(OneThread._saved)


def for_rows(rows: int) -> contextlib.AbstractContextManager[None]:
    """The context for LAPACK's work on a matrix of so many rows, by SciPy or in a compiled program."""
    return OneThread() if rows < ROWS else contextlib.nullcontext()


def sized(function: Callable[P, R], rows: int) -> Callable[P, R]:
    """`function`, which runs a compiled program, with the LAPACK threads that `rows` deserve.

    `rows` is the size of the matrices that the program factorizes. Below `ROWS` the result runs
    `function` in `OneThread` and waits for its arrays; otherwise it is `function` itself.
    """
    if rows >= ROWS:
        return function

    @functools.wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with OneThread():
            return jax.block_until_ready(function(*args, **kwargs))

    return limited
