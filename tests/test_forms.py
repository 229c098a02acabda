"""Every form of the Jacobian on every library problem and network, and the identities that J Jᵀ obeys."""

import functools
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from each import each
from helpers import CASES, NETWORKS, assert_close, double_case, poisson, sample, wave
from pinntk.jacobian import (
    FORMS,
    Use,
    block_traces,
    cast,
    choose,
    dense,
    diagonal,
    factored,
    gram,
    implicit,
    jacobian,
    jvp,
    symmetric_product,
    trainable,
    vjp,
)
from pinntk.library import PROBLEMS
from pinntk.nets import MLP
from pinntk.paper.sweep import first_points
from pinntk.problem import Sample

PLANS = sys.modules["pinntk.jacobian.plans"]
TILES = sys.modules["pinntk.jacobian.tiles"]


@pytest.fixture
def all_products_factored(monkeypatch):
    """Also those of narrow networks, for which it would not pay."""
    monkeypatch.setattr(PLANS, "_pays", lambda matrix, use: True)


def few_points(name, network):
    """A library problem with three points of every condition and a small network for it."""
    problem = PROBLEMS[name].problem()
    outputs = len(problem.fields)
    d = len(problem.domain.coordinates)
    model = NETWORKS[network](jax.random.key(3), d, None if outputs == 1 else outputs)
    return problem, model, first_points(sample(problem), 3)


def compiled_quickly(function, *arguments):
    """A compiled program that XLA was not asked to make fast."""
    options = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(function).lower(*arguments).compile(compiler_options=options)


def gradients_one_by_one(problem, model, batch):
    """K from the gradient of one residual at one point after the other, by reverse mode alone."""
    parameters, rest = trainable(model)
    flat, unravel = ravel_pytree(parameters)

    def rows(name):
        def residual(theta, row, component):
            found = problem.residual_at(name, eqx.combine(unravel(theta), rest), row)
            return jnp.atleast_1d(found)[component]

        first = jax.tree.map(lambda a: a[0], batch[name])
        m = jax.eval_shape(lambda: problem.residual_at(name, model, first)).size
        gradient = jax.grad(residual)
        return jax.lax.map(
            lambda row: jax.lax.map(lambda c: gradient(flat, row, c), jnp.arange(m)), batch[name]
        ).reshape(-1, flat.size)

    j = jnp.concatenate([rows(name) for name in problem.names])
    return j @ j.T


#: Every problem with the plain network; every network with two problems that differ in the order of the
#: equation, in the number of fields and in what is nonlinear, with the plain one in both precisions.
DIFFERENT = ("burgers1d", "kovasznay2d")
PAIRS = [(name, "mlp") for name in PROBLEMS]
PAIRS += [(name, network) for network in NETWORKS if network != "mlp" for name in DIFFERENT]


@pytest.mark.parametrize(("name", "network"), PAIRS)
def test_all_forms_agree_on_the_library(name, network, x64, all_products_factored):
    problem, model, batch = few_points(name, network)

    def forms(model, batch):
        return {form: build(problem, model, batch, Use.GRAM) for form, build in FORMS.items()}

    both_precisions = network == "mlp" and name in DIFFERENT

    def everything(batch):
        low = cast(model, jnp.float32), cast(batch, jnp.float32)
        return (
            gradients_one_by_one(problem, model, batch),
            {form: (gram(j).matrix, diagonal(j)) for form, j in forms(model, batch).items()},
            {form: gram(j).matrix for form, j in forms(*low).items()} if both_precisions else {},
        )

    expected, double, single = compiled_quickly(everything, batch)(batch)
    plan = choose(problem, model, batch).plans[problem.names[-1]]
    assert any(name.endswith("weight") for name in plan.factored)
    for form in FORMS:
        matrix, squares = double[form]
        for found, kind in ((matrix, np.float64), (single.get(form), np.float32)):
            if found is None:
                continue
            assert found.dtype == kind
            assert_close(found, np.asarray(expected, kind), 20_000)
        assert_close(jnp.concatenate([squares[n] for n in problem.names]), np.diag(matrix))


def other_points(batch):
    """The same conditions at points moved towards the middle."""
    return {n: Sample(0.1 + 0.8 * s.points, s.targets) for n, s in batch.items()}


@each(("name", "form"), [("wave", "factored"), *(("cauchy_riemann", form) for form in FORMS)])
def test_identities(name, form, x64, all_products_factored):
    case, batch = double_case(name)
    problem, model = CASES[name]().problem, case.model
    last = problem.names[-1]
    direction = jax.tree.map(lambda a: jnp.cos(jnp.arange(a.size * 1.0)).reshape(a.shape), model)
    direction = trainable(direction)[0]

    def build(batch):
        return FORMS[form](problem, model, batch, Use.GRAM)

    def everything(batch):
        j, moved = build(batch), build(other_points(batch))
        alone = build({last: batch[last]})
        backwards = build({last: jax.tree.map(lambda a: a[::-1], batch[last])})
        vectors = {n: jnp.sin(jnp.arange(1.0, rows + 1)) for n, rows in j.rows.items()}
        kernels = gram(j), gram(j, moved), gram(moved, j), gram(alone), gram(alone, moved)
        products = vectors, jvp(j, direction), vjp(j, vectors)
        return kernels, gram(backwards).matrix, block_traces(j), products

    kernels, turned, traces, (vectors, images, back) = compiled_quickly(everything, batch)(batch)
    whole, cross, crossed, alone, alone_moved = kernels
    k = np.asarray(whole.matrix)
    np.testing.assert_array_equal(k, k.T)
    assert np.linalg.eigvalsh(k).min() > -1e-13 * np.linalg.norm(k, 2)
    assert_close(cross.matrix, crossed.matrix.T)
    assert_close(alone.matrix, whole.block(last))
    assert_close(alone_moved.matrix, jnp.hstack([cross.block(last, n) for n in problem.names]))

    points = len(batch[last].points)
    shape = (points, len(turned) // points) * 2
    assert_close(turned.reshape(shape)[::-1, :, ::-1], whole.block(last).reshape(shape))

    for condition, trace in traces.items():
        assert_close(trace, np.trace(whole.block(condition)))
    inner = sum(jnp.vdot(images[n], vectors[n]) for n in problem.names)
    assert_close(inner, ravel_pytree(back)[0] @ ravel_pytree(direction)[0])
    assert_close(
        sum(jnp.vdot(v, v) for v in jax.tree.leaves(back)),
        sum(vectors[a] @ whole.block(a, b) @ vectors[b] for a in vectors for b in vectors),
    )


def test_tiles_of_any_size_give_the_same(x64, monkeypatch, all_products_factored):
    """One point at a time, a remainder, and one tile for all; also between two sets of points."""
    case, batch = double_case("wave")

    def kernels(build, batch):
        j, moved = (build(wave(), case.model, b) for b in (batch, other_points(batch)))
        return gram(j).matrix, gram(j, moved).matrix

    expected = compiled_quickly(functools.partial(kernels, dense), batch)(batch)
    for rows, tiles in [(1, 1), (9, 2), (10_000, 1)]:
        monkeypatch.setattr(TILES, "TILE_ROWS", rows)
        monkeypatch.setattr(TILES, "TILES", tiles)
        matrix, crossed = compiled_quickly(functools.partial(kernels, factored), batch)(batch)
        np.testing.assert_array_equal(matrix, matrix.T)
        assert_close(matrix, expected[0])
        assert_close(crossed, expected[1])


@each("rows", [3, 300])
@each("columns", [5, 2048, 2500])
def test_a_matrix_times_its_transpose(rows, columns, x64):
    """In blocks and in groups of columns, with a remainder and without, against NumPy."""
    left = np.random.default_rng(rows).normal(size=(rows, columns))
    found = jax.jit(symmetric_product)(left)
    np.testing.assert_array_equal(found, found.T)
    assert_close(found, left @ left.T)
    with pytest.raises(AssertionError):  # a control: the last column is missed
        assert_close(found, left[:, :-1] @ left[:, :-1].T)


def test_sums_in_float64_of_float32_factors(x64):
    """Exact to float64 but for the factors; sums in float32 are not."""
    problem = wave()
    model = MLP(2, width=60, depth=2, key=jax.random.key(7))
    batch = sample(problem, dtype=jnp.float32)
    j = factored(problem, cast(model, jnp.float32), batch)
    high, low = gram(j, dtype=jnp.float64).matrix, gram(j).matrix
    assert high.dtype == jnp.float64
    gradients = jax.tree.map(lambda a: a.astype(float), j.gradients)
    expected = gram(
        eqx.tree_at(lambda j: (j.gradients, j.residuals), j, (gradients, cast(j.residuals, float)))
    )
    assert_close(high, expected.matrix)
    with pytest.raises(AssertionError):
        assert_close(np.asarray(low, float), expected.matrix)


def test_one_matrix_for_many_vectors_at_once(x64, all_products_factored):
    """A residual that multiplies W with a matrix of 12 rows: more pairs than are written out."""

    class Rows(eqx.Module):
        matrix: jax.Array

        def __call__(self, x):
            return jnp.sum(
                jnp.tanh(jnp.outer(jnp.arange(1.0, 13.0), jnp.ones(5) * x[0]) @ self.matrix)
            )

    problem = poisson()
    model = Rows(0.1 * jax.random.normal(jax.random.key(1), (5, 4)))
    batch = sample(problem)
    assert choose(problem, model, batch).plans["boundary"].factored[".matrix"].count == 12
    mine, exact = factored(problem, model, batch), dense(problem, model, batch)
    assert_close(gram(mine).matrix, gram(exact).matrix)
    jax.tree.map(assert_close, diagonal(mine), diagonal(exact))
    jax.tree.map(assert_close, diagonal(implicit(problem, model, batch)), diagonal(exact))


def temporary_bytes(form, points, width):
    """What a kernel's program holds besides its arguments and its result, by XLA's own count."""
    problem = poisson()
    model = MLP(1, width=width, depth=2, key=jax.random.key(0))
    residual = Sample(jnp.linspace(0, 1, points)[:, None], None)

    def kernel(model, residual):
        return gram(FORMS[form](problem, model, {"residual": residual}, Use.GRAM)).matrix

    compiled = eqx.filter_jit(kernel).lower(model, residual).compile()
    return compiled.compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(("points", "width"), [(1000, 64), (2000, 64), (2000, 200)])
def test_memory_beside_the_kernel_is_bounded(points, width):
    """Twice the factors and four tiles; the rows of J, or all pairs of products, take far more."""
    problem = poisson()
    model = MLP(1, width=width, depth=2, key=jax.random.key(0))
    residual = Sample(jnp.linspace(0, 1, points)[:, None], None)
    held = choose(problem, model, {"residual": residual}).costs["factored"].held
    bound = 2 * held + 4 * TILES.TILE_ROWS**2 * 4
    assert temporary_bytes("factored", points, width) < bound
    assert temporary_bytes("dense", points, width) > 2 * bound or width == 64
    assert 3**2 * points**2 * 4 > bound or points == 1000


def test_the_choice_follows_use_and_memory():
    problem = wave()
    model = MLP(2, width=100, depth=3, key=jax.random.key(0))
    batch = sample(problem)
    assert choose(problem, model, batch).form == "factored"
    assert choose(problem, model, batch, memory_limit=10.0).form == "implicit"
    narrow = MLP(2, width=8, depth=2, key=jax.random.key(0))
    assert choose(problem, narrow, batch).form == "dense"  # no matrix has smaller factors
    assert choose(problem, model, batch, Use.DIAGONAL).form == "implicit"
    found = jacobian(problem, model, batch)
    assert type(found) is type(factored(problem, model, batch))
    text = str(choose(problem, model, batch))
    assert "GFLOP" in text
    assert ".layers[1].weight factored" in text
