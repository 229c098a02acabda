"""Threads of LAPACK: one for small matrices while a program runs, and afterwards what it was before."""

import concurrent.futures
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import CASES, train_with
from pinntk import threads
from pinntk.optim import NaturalGradient, adam
from pinntk.training import Observer, loop

BEFORE = 3


pytestmark = [
    pytest.mark.fast,
    pytest.mark.skipif(threads.lapack_count() is None, reason="LAPACK is no OpenBLAS"),
]


def count():
    """The number of threads in force."""
    return threads.lapack_count().get()


@pytest.fixture(autouse=True)
def three_threads():
    """A number that is neither one nor what most machines have."""
    found = count()
    threads.lapack_count().set(BEFORE)
    yield
    threads.lapack_count().set(found)


def test_contexts_nest_and_an_error_restores():
    within = []

    def fail():
        with threads.OneThread():
            with threads.OneThread():
                pass
            within.append(count())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert within == [1]
    assert count() == BEFORE


def test_contexts_of_several_python_threads_overlap():
    """The first to open closes first: the other one still has one thread, and then all is as before."""
    opened, closed = threading.Event(), threading.Event()

    def first():
        with threads.OneThread():
            opened.wait(60)
        closed.set()

    def second():
        with threads.OneThread():
            opened.set()
            closed.wait(60)
            return count()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        one, two = pool.submit(first), pool.submit(second)
        one.result(60)
        assert two.result(60) == 1
    assert count() == BEFORE


@pytest.mark.parametrize(
    ("rows", "inside"), [(threads.ROWS - 1, 1), (threads.ROWS, BEFORE)], ids=["small", "large"]
)
def test_the_size_decides(rows, inside):
    assert threads.sized(count, rows)() == inside
    assert count() == BEFORE


def test_the_result_has_been_waited_for():
    """Else the program would go on after the limit is gone."""
    ready = []
    slow = lambda x: jax.pure_callback(lambda y: (ready.append(count()), y)[1], x, x)
    threads.sized(jax.jit(slow), 1)(jnp.ones(2))
    assert ready == [1]


@pytest.mark.parametrize("optimizer", [NaturalGradient(), adam(1e-3)], ids=["natural", "adam"])
@pytest.mark.filterwarnings("ignore::pinntk.errors.PinntkWarning")  # of a model this small
def test_training_limits_its_steps_and_nothing_else(optimizer, monkeypatch, x64):
    """The steps run on one thread, the user's own code between them on what it has."""
    within, between = [], []
    compiled = loop.compile_chunk

    def compile_chunk(*arguments):
        run = compiled(*arguments)
        return lambda state, n: (within.append(count()), run(state, n))[1]

    told = lambda *_: between.append(count())
    monkeypatch.setattr(loop, "compile_chunk", compile_chunk)
    case = CASES["poisson"]()
    train_with(
        case.problem,
        case.model,
        optimizer=optimizer,
        steps=3,
        log_every=2,
        key=jax.random.key(0),
        observers=[Observer(told, told, told)],
    )
    assert within
    assert all(found == 1 for found in within)
    assert between
    assert all(found == BEFORE for found in between)


def test_one_thread_factorizes_to_the_same_numbers(x64):
    """To rounding: threads divide a matrix into other blocks, which adds in another order.

    Backward stable either way, so that both factors reproduce the matrix to n · eps of its norm.
    """
    n = 300
    draws = np.random.default_rng(0).standard_normal((n, n))
    matrix = jnp.asarray(draws @ draws.T + n * np.eye(n))
    factorize = jax.jit(jnp.linalg.cholesky)
    several, one = factorize(matrix).block_until_ready(), threads.sized(factorize, n)(matrix)
    tolerance = n * np.finfo(np.float64).eps
    for factor in (several, one):
        error = np.linalg.norm(factor @ factor.T - matrix) / np.linalg.norm(matrix)
        assert error <= tolerance
