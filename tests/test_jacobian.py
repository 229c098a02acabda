"""The dense Jacobian against one plain gradient per residual, and its limits on memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from each import each
from helpers import CASES, assert_close, double_case, double_jacobian, frozen, mlp, poisson
from pinntk.errors import MemoryLimitError
from pinntk.jacobian import (
    block_traces,
    cast,
    check_memory,
    dense,
    factored,
    implicit,
    memory,
    parameter_count,
    trainable,
)
from pinntk.kernel import tangent_kernel
from pinntk.problem import Problem, Sample

pytestmark = pytest.mark.fast


@each("name", CASES)
def test_rows_are_plain_gradients_in_the_order_of_points_then_components(name, x64):
    case, batch = double_case(name)
    parameters, rest = trainable(case.model)
    flat, unravel = ravel_pytree(parameters)

    def gradients(condition):
        def residual(theta, row):
            return jnp.atleast_1d(case.plain[condition](eqx.combine(unravel(theta), rest), *row))

        return jax.lax.map(lambda row: jax.jacrev(residual)(flat, row), batch[condition])

    expected = jax.jit(lambda: {condition: gradients(condition) for condition in case.plain})()
    blocks = double_jacobian(name)
    assert tuple(blocks) == case.problem.names
    for condition, rows in expected.items():
        assert blocks[condition].shape == (case.rows[condition], parameter_count(case.model))
        assert_close(blocks[condition], rows.reshape(-1, flat.size))


def test_another_order_of_rows_fails_the_comparison(x64):
    """Control: components first, then points, is not what the rows are."""
    block = double_jacobian("cauchy_riemann")["system"]
    swapped = block.reshape(6, 2, -1).swapaxes(0, 1).reshape(block.shape)
    with pytest.raises(AssertionError):
        assert_close(swapped, block)


@pytest.mark.parametrize("points", [1, 3, 100])
def test_chunks_of_any_size_give_the_same(points, x64, monkeypatch):
    """One point at a time, a remainder, and more than there are."""
    case, batch = double_case("poisson")
    count = parameter_count(case.model)
    monkeypatch.setattr(memory, "CHUNK_BYTES", points * count * 8)
    only = {"residual": batch["residual"]}
    problem = poisson()  # a new one, for which the program is traced again
    block = dense(problem, case.model, only).blocks["residual"]
    traces = jax.jit(lambda model: block_traces(implicit(problem, model, only)))(case.model)
    assert_close(block, double_jacobian("poisson")["residual"])
    assert_close(traces["residual"], np.sum(np.square(block)))


def test_a_chunk_holds_one_point_at_least():
    assert memory.chunk_points(10**10) == 1
    assert memory.chunk_points(1600) == memory.CHUNK_BYTES // 1600


@pytest.mark.parametrize("name", ["cauchy_riemann", "measured"])
def test_traces_are_sums_of_squares(name, x64):
    case, batch = double_case(name)
    jacobian = jax.jit(lambda model: implicit(case.problem, model, batch))
    traces = block_traces(jacobian(case.model))
    blocks = double_jacobian(name)
    assert set(traces) == set(blocks)
    for condition, block in blocks.items():
        assert_close(traces[condition], np.sum(np.square(block)))


def test_the_jacobian_has_the_dtype_of_the_model():
    batch = {"residual": Sample(jnp.linspace(0.1, 0.9, 3)[:, None])}
    block = dense(poisson(), mlp(jax.random.key(1), 1), batch).blocks["residual"]
    assert block.dtype == jnp.float32
    double = double_jacobian("poisson")["residual"]
    assert block.shape == (3, double.shape[1])


def test_frequencies_that_are_not_trained_have_zero_columns(x64):
    case, _ = double_case("measured")
    columns = frozen(case.model)
    assert columns.sum() == case.model.embedding.frequencies.size
    for block in double_jacobian("measured").values():
        assert jnp.all(block[:, columns] == 0.0)
        assert jnp.any(block[:, ~columns] != 0.0)


def test_a_second_jacobian_of_a_problem_is_not_compiled_again(monkeypatch):
    problem, traced = poisson(), []
    original = Problem.residual_at
    monkeypatch.setattr(
        Problem, "residual_at", lambda *args: traced.append(args[1]) or original(*args)
    )
    counts = []
    for seed in range(3):
        points = jax.random.uniform(jax.random.key(seed), (3, 1))
        model = jax.tree.map(lambda a, s=seed: a + s, mlp(jax.random.key(1), 1))
        dense(problem, model, {"boundary": Sample(points)})
        factored(problem, model, {"boundary": Sample(points)})
        counts.append(len(traced))
    assert counts[0] == counts[1] == counts[2]


def test_cast_changes_floating_point_arrays_alone():
    tree = {"a": jnp.ones(2), "n": jnp.arange(2), "f": jnp.tanh, "none": None}
    half = cast(tree, jnp.float16)
    assert half["a"].dtype == jnp.float16
    assert half["n"].dtype == jnp.int32
    assert half["f"] is jnp.tanh
    assert half["none"] is None


# Memory


def test_the_memory_error_says_how_much_and_what_would_fit():
    rows = {"boundary": 10_000, "residual": 30_000}
    # J is given as 320 GB; K, its eigenvectors and work space of 40,000 rows take 51.2 GB.
    with pytest.raises(MemoryLimitError) as error:
        check_memory(rows, 10**6, 320 * 10**9, limit=8e9)
    text = str(error.value)
    share = 0.9 * 8e9 / (320e9 + 51.2e9)
    assert text == (
        "kernel: got 40000 residuals of 1000000 parameters, which take 371 GB; expected at most "
        f"8 GB. Use a subsample of the points (boundary: {int(share * 10_000)}, "
        f"residual: {int(share * 30_000)}) or a narrower network."
    )


@pytest.mark.parametrize("limit", [1e5, 1e7, 3e8])
def test_the_subsample_in_the_message_does_fit(limit):
    rows = {"a": 500, "b": 2000}
    held = 20_000 * 4
    with pytest.raises(MemoryLimitError) as error:
        check_memory(rows, 20_000, held * sum(rows.values()), limit)
    inside = str(error.value).split("(")[1].split(")")[0]
    suggested = {part.split(": ")[0]: int(part.split(": ")[1]) for part in inside.split(", ")}
    assert set(suggested) == set(rows)
    if min(suggested.values()) > 1:
        check_memory(suggested, 20_000, held * sum(suggested.values()), limit)


def test_a_kernel_over_the_limit_is_not_begun():
    batch = {"residual": Sample(jnp.ones((7, 1)))}
    with pytest.raises(MemoryLimitError, match=r"GB; expected at most 1e-06 GB.*residual: "):
        tangent_kernel(poisson(), mlp(jax.random.key(1), 1), batch, memory_limit=1000)


def test_the_default_limit_is_what_the_machine_has():
    assert memory.available_memory() > 1e6
    check_memory({"a": 10}, 100, 8000)
    with pytest.raises(MemoryLimitError, match=r"e\+\d+ GB"):
        check_memory({"a": 10**9}, 10**9, 8)
