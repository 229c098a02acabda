"""The tangent kernel against finite differences, its spectrum, and the descent that it predicts."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from each import each
from helpers import (
    CASES,
    LinearModel,
    assert_close,
    double_case,
    double_jacobian,
    frozen,
    poisson,
    sample,
)
from pinntk.conditions import Condition, dirichlet
from pinntk.domain import Interval
from pinntk.errors import MemoryLimitError, PinntkError, ResidualError
from pinntk.jacobian import cast, dense, trainable
from pinntk.kernel import (
    Spectrum,
    TangentKernel,
    average_rates,
    largest_eigenvalue,
    largest_stable_step,
    remaining,
    spectrum,
    tangent_kernel,
)
from pinntk.optim import gradient_descent
from pinntk.problem import Problem, Sample

pytestmark = pytest.mark.fast

LINE = Interval(x=(0.0, 1.0))


@functools.cache
def kernel(name):
    """K of a case, computed once for all tests."""
    case, batch = double_case(name)
    with jax.enable_x64(True):
        return tangent_kernel(case.problem, case.model, batch)


def stacked_residuals(problem, model, batch):
    residuals = problem.residuals(model, batch)
    return jnp.concatenate([residuals[name].ravel() for name in problem.names])


# The matrix


@each("name", CASES)
def test_the_kernel_is_that_of_finite_differences(name, x64):
    case, batch = double_case(name)
    parameters, rest = trainable(case.model)
    flat, unravel = ravel_pytree(parameters)
    h = 1e-5

    @jax.jit
    def residuals(theta):
        return stacked_residuals(case.problem, eqx.combine(unravel(theta), rest), batch)

    steps = h * np.eye(flat.size)[~frozen(case.model)]
    columns = [(residuals(flat + step) - residuals(flat - step)) / (2 * h) for step in steps]
    jacobian = np.stack(columns, axis=1)
    expected = jacobian @ jacobian.T
    # Central differences leave h² ≈ 1e-10 of the third derivative and eps/h ≈ 2e-11 of rounding.
    assert kernel(name).matrix.shape == expected.shape
    np.testing.assert_allclose(kernel(name).matrix, expected, rtol=0, atol=1e-8 * expected.max())


@each("name", CASES)
def test_the_kernel_is_symmetric_and_positive_semidefinite(name):
    matrix = kernel(name).matrix
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, matrix.T)
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert eigenvalues[0] > -len(matrix) * np.finfo(np.float64).eps * eigenvalues[-1]


@each("name", CASES)
def test_blocks_tile_the_matrix_by_name(name, x64):
    case, _ = double_case(name)
    k = kernel(name)
    assert dict(k.rows) == case.rows
    assert k.names == case.problem.names
    jacobian = double_jacobian(name)
    for a in k.names:
        assert_close(k.block(a), jacobian[a] @ jacobian[a].T)
        for b in k.names:
            assert_close(k.block(a, b), jacobian[a] @ jacobian[b].T)
            np.testing.assert_array_equal(k.block(a, b), k.block(b, a).T)
    np.testing.assert_array_equal(
        np.block([[k.block(a, b) for b in k.names] for a in k.names]), k.matrix
    )


def test_the_kernel_of_one_condition_is_its_block(x64):
    case, batch = double_case("wave")
    alone = tangent_kernel(case.problem, case.model, {"residual": batch["residual"]})
    assert alone.names == ("residual",)
    assert_close(alone.matrix, kernel("wave").block("residual"))


def test_permuted_points_permute_rows_and_columns(x64):
    case, batch = double_case("cauchy_riemann")
    order = np.array([2, 0, 5, 1, 4, 3])
    points = Sample(batch["system"].points[order])
    permuted = tangent_kernel(case.problem, case.model, {**batch, "system": points}).matrix
    rows = np.concatenate([np.arange(8), 8 + (2 * order[:, None] + [0, 1]).ravel()])
    assert_close(permuted, kernel("cauchy_riemann").matrix[np.ix_(rows, rows)])


@each("name", CASES)
def test_traces_and_rates(name):
    k = kernel(name)
    for condition, count in k.rows.items():
        trace = np.sum(np.linalg.eigvalsh(k.block(condition)))
        assert_close(k.traces()[condition], trace)
        assert_close(k.rates()[condition], trace / count)
    assert_close(sum(k.traces().values()), np.trace(k.matrix))


def test_average_rates_by_hand():
    assert average_rates({"a": 6.0, "b": 8.0}, {"a": 3, "b": 16}) == {"a": 2.0, "b": 0.5}


def test_a_float32_model_has_a_float64_kernel():
    case, batch = double_case("poisson")
    single, single_batch = cast(case.model, jnp.float32), cast(batch, jnp.float32)
    ours = tangent_kernel(case.problem, single, single_batch)
    assert ours.matrix.dtype == np.float64
    with jax.enable_x64(True):
        exact = tangent_kernel(
            case.problem, cast(single, jnp.float64), cast(single_batch, jnp.float64)
        )
    assert_close(ours.matrix, exact.matrix)
    # Control: J in float32 does not reach that.
    jacobian = dense(case.problem, single, single_batch)
    rows = jnp.concatenate([jacobian.blocks[name] for name in jacobian.names])
    rough = np.asarray(rows, np.float64) @ np.asarray(rows, np.float64).T
    with pytest.raises(AssertionError):
        assert_close(rough, exact.matrix)


HAND = TangentKernel(
    np.array([[4.0, 1.0, 0.0], [1.0, 9.0, 2.0], [0.0, 2.0, 1.0]]), {"a": 2, "b": 1}
)


def test_names_find_their_rows():
    assert (HAND.slice_of("a"), HAND.slice_of("b")) == (slice(0, 2), slice(2, 3))
    np.testing.assert_array_equal(HAND.block("a", "b"), [[0.0], [2.0]])
    assert HAND.traces() == {"a": 13.0, "b": 1.0}
    assert HAND.rates() == {"a": 6.5, "b": 1.0}
    with pytest.raises(PinntkError, match=r"condition: got 'c'; expected one of a, b"):
        HAND.block("a", "c")


def test_the_weighted_kernel_by_hand():
    """Λ = (8/2, 8/2, 9/1), so √Λ = (2, 2, 3)."""
    weights = {"a": 8.0, "b": 9.0}
    np.testing.assert_allclose(HAND.root_weights(weights), [2.0, 2.0, 3.0])
    expected = [[16.0, 4.0, 0.0], [4.0, 36.0, 12.0], [0.0, 12.0, 9.0]]
    np.testing.assert_allclose(HAND.weighted(weights), expected)


def test_a_kernel_that_is_not_finite_names_its_condition():
    root = Condition("root", lambda u, x: jnp.sqrt(jnp.maximum(x[0] - 0.5, 0.0) * u(x)), LINE, 3)
    problem = Problem("p", LINE, [dirichlet("good", LINE, 0.0, 2), root])
    batch = {"good": Sample(jnp.ones((2, 1))), "root": Sample(jnp.array([[0.1], [0.2], [0.9]]))}
    with pytest.raises(PinntkError) as error:
        tangent_kernel(problem, LinearModel(jnp.ones(2)), batch)
    assert str(error.value) == (
        "kernel of condition 'root': got NaN or infinity at 2 of 3 residuals; expected finite "
        "derivatives with respect to the parameters."
    )


def test_a_bad_residual_is_named_before_anything_is_computed():
    bad = Condition("bad", lambda u, x: u.d("y")(x), LINE, 2)
    with pytest.raises(ResidualError, match=r"residual of condition 'bad'"):
        tangent_kernel(
            Problem("p", LINE, [bad]), LinearModel(jnp.ones(2)), {"bad": Sample(jnp.ones((2, 1)))}
        )


def test_a_kernel_over_the_memory_limit_is_refused():
    batch = {"residual": Sample(jnp.ones((7, 1)))}
    with pytest.raises(MemoryLimitError, match=r"kernel: got 7 residuals of 2 parameters"):
        tangent_kernel(poisson(), LinearModel(jnp.ones(2)), batch, memory_limit=100)


# The spectrum


def with_spectrum(eigenvalues, seed=0):
    """A symmetric matrix of given eigenvalues, and its eigenvectors."""
    generator = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(generator.normal(size=(len(eigenvalues), len(eigenvalues))))
    return basis @ np.diag(eigenvalues) @ basis.T, basis


def test_the_spectrum_is_the_prescribed_one_largest_first():
    given = np.array([1.0, 100.0, 1e-3, 0.0, 5.0, 0.0])
    matrix, _ = with_spectrum(given)
    result = spectrum(matrix)
    # eigh is backward stable: errors of some n·eps·λ_max.
    np.testing.assert_allclose(result.eigenvalues, np.sort(given)[::-1], atol=1e-13 * 100)
    assert result.largest == result.eigenvalues[0]
    assert np.all(np.diff(result.eigenvalues) <= 0)
    vectors = result.eigenvectors
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(6), atol=1e-13)
    np.testing.assert_allclose(vectors * result.eigenvalues @ vectors.T, matrix, atol=1e-11)


def test_rank_counts_what_stands_above_the_noise():
    result = Spectrum(np.array([2.0, 1.0, 1e-14, 5e-16, -3e-16]), np.eye(5))
    assert result.noise_floor == pytest.approx(5 * 2.220446049250313e-16 * 2.0)  # 2.2e-15
    assert (result.rank, result.below_noise) == (3, 2)
    matrix, _ = with_spectrum(np.array([3.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0]))
    assert spectrum(matrix).rank == 3


def test_energy_is_the_share_of_each_mode_and_sums_to_one():
    matrix, basis = with_spectrum(np.array([4.0, 3.0, 2.0, 1.0]))
    residual = basis @ np.array([1.0, 0.0, 2.0, -2.0])
    energy = spectrum(matrix).energy(residual)
    np.testing.assert_allclose(energy, [1 / 9, 0.0, 4 / 9, 4 / 9], atol=1e-14)
    assert energy.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_array_equal(spectrum(matrix).energy(np.zeros(4)), np.zeros(4))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_matrix_that_is_not_finite_has_no_spectrum(bad):
    with pytest.raises(PinntkError, match=r"kernel: got NaN or infinity; expected finite entries"):
        spectrum(np.array([[1.0, bad], [bad, 1.0]]))


def test_a_float32_matrix_is_solved_in_float64():
    result = spectrum(np.diag([1.0, 2.0]).astype(np.float32))
    assert result.eigenvalues.dtype == result.eigenvectors.dtype == np.float64


@pytest.mark.parametrize("name", ["poisson", "cauchy_riemann"])
def test_the_largest_eigenvalue_without_the_kernel(name, x64):
    case, batch = double_case(name)
    weights = {condition: 0.5 + 2.0 * i for i, condition in enumerate(case.problem.names)}
    exact = spectrum(kernel(name).weighted(weights)).largest
    ours = largest_eigenvalue(case.problem, case.model, batch, weights)
    assert 0.99 * exact < ours <= exact * (1 + 1e-12)
    # Control: the weights matter.
    assert abs(spectrum(kernel(name).matrix).largest / ours - 1) > 0.1


# Descent on a model that is linear in its parameters: the kernel is constant, so predictions are exact

WEIGHTS = {"boundary": 30.0, "residual": 0.02}


@functools.cache
def linear_setting():
    """Problem, model, batch, kernel and the eigenbasis of the weighted kernel; N_k = 4 and 7."""
    with jax.enable_x64(True):
        problem = poisson()
        model = LinearModel(jnp.array([0.5, -0.3, 0.2, 0.1, -0.4]))
        batch = sample(problem)
        k = tangent_kernel(problem, model, batch)
        return problem, model, batch, k, spectrum(k.weighted(WEIGHTS))


@functools.cache
def descent():
    """(learning rate, steps) ↦ the weighted residual √Λ r after that much gradient descent."""
    problem, model, batch, k, _ = linear_setting()

    def objective(model):
        losses = problem.losses(model, batch)
        return sum(WEIGHTS[name] * loss for name, loss in losses.items()), losses

    @jax.jit
    def run(learning_rate, steps):
        optimizer = gradient_descent(1.0)  # its update is −∇L, scaled below

        def body(_, carry):
            model, state = carry
            done = optimizer.step(model, state, jax.value_and_grad(objective, has_aux=True))
            step = lambda a, b: a + learning_rate * (b - a)
            return jax.tree.map(step, model, done.parameters), done.state

        last, _ = jax.lax.fori_loop(0, steps, body, (model, optimizer.init(model)))
        return stacked_residuals(problem, last, batch)

    return lambda rate, steps: k.root_weights(WEIGHTS) * np.asarray(run(rate, steps))


@each(("share", "steps"), [(0.2, 1), (0.2, 7), (0.8, 4), (0.8, 5)])
def test_every_mode_decays_as_predicted(share, steps, x64):
    """With weights and unequal N_k: mode i keeps (1 − 2ημ_i)ⁿ of itself; share is ημ_max."""
    *_, modes = linear_setting()
    rate = share / modes.largest
    before = modes.eigenvectors.T @ descent()(rate, 0)
    after = modes.eigenvectors.T @ descent()(rate, steps)
    left = remaining(modes.eigenvalues, rate, steps)
    np.testing.assert_allclose(after, left * before, atol=1e-11 * np.abs(before).max())
    assert modes.rank == 5  # five parameters, eleven residuals: six modes cannot move
    np.testing.assert_allclose(left[5:], 1.0, atol=1e-12)


def test_larger_eigenvalues_decay_faster():
    *_, modes = linear_setting()
    left = remaining(modes.eigenvalues[: modes.rank], 0.3 / modes.largest, 10)
    assert np.all(np.diff(left) > 0)


@pytest.mark.parametrize("wrong", ["no weights", "no 1/N", "no factor 2"])
def test_another_normalisation_does_not_predict_the_descent(wrong, x64):
    """Control: the prediction above fails without the weights, the 1/N_k or the factor two."""
    *_, k, right = linear_setting()
    rate, steps = 0.2 / right.largest, 7
    modes, speed = right, 1.0
    if wrong == "no weights":
        modes = spectrum(k.weighted(dict.fromkeys(WEIGHTS, 1.0)))
    elif wrong == "no 1/N":
        modes = spectrum(k.weighted({name: w * k.rows[name] for name, w in WEIGHTS.items()}))
    else:
        speed = 0.5
    before = modes.eigenvectors.T @ descent()(rate, 0)
    after = modes.eigenvectors.T @ descent()(rate, steps)
    predicted = remaining(modes.eigenvalues, speed * rate, steps) * before
    assert np.abs(after - predicted).max() > 1e-2 * np.abs(before).max()


def test_descent_is_stable_just_below_the_largest_step_and_not_above(x64):
    *_, modes = linear_setting()
    limit = largest_stable_step(modes.largest)
    first = np.abs(modes.eigenvectors[:, 0] @ descent()(limit, 0))
    # |1 − 2·0.99|³⁰⁰ = 2e-3 and |1 − 2·1.01|³⁰⁰ = 4e2
    assert np.abs(modes.eigenvectors[:, 0] @ descent()(0.99 * limit, 300)) < 0.01 * first
    assert np.abs(modes.eigenvectors[:, 0] @ descent()(1.01 * limit, 300)) > 100 * first


def test_remaining_by_hand():
    eigenvalues = np.array([1.0, 0.5, 0.25, 0.0, -1e-20])
    np.testing.assert_allclose(remaining(eigenvalues, 0.5, 2), [0.0, 0.25, 0.5625, 1.0, 1.0])
    np.testing.assert_allclose(remaining(eigenvalues, 2.0, 3), [-27.0, -1.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(remaining(eigenvalues, 0.5, 0), np.ones(5))
    assert np.isinf(remaining(np.array([10.0]), 1.0, 10_000)[0])  # overflow without a warning
    assert largest_stable_step(4.0) == 0.25
