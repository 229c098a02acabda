"""The optimizers that benchmarks compare: formulas, line search, and each on a small problem."""

import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize

from each import each
from pinntk.jacobian import trainable
from pinntk.library import poisson1d
from pinntk.optim import FirstOrder, rate_of
from pinntk.training import Network, Setup, Training, initial_state, precision
from pinntk.training.compiled import compile_chunk

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from broyden import Scalars, SelfScaledBroyden, tau_self_scaled, theta_broyden, updated
from optimizers import OWN, PEERS
from time_to_accuracy import prepare
from wolfe import search

SIZE = 6
METHODS = {
    "bfgs": SelfScaledBroyden(("a",), broyden=False, scaled=False, curvature=1e-10),
    "ssbfgs": SelfScaledBroyden(("a",), broyden=False, curvature=1e-10),
    "ssbroyden": SelfScaledBroyden(("a",), curvature=1e-10),
}


def random_step(seed):
    """A positive definite H, and s and y with s·y > 0."""
    rng = np.random.default_rng(seed)
    root, other = rng.normal(size=(2, SIZE, SIZE))
    inverse, curvature = root @ root.T + np.eye(SIZE), other @ other.T + 0.1 * np.eye(SIZE)
    s = rng.normal(size=SIZE)
    return inverse, s, curvature @ s


def scalars(inverse, s, y):
    n = s @ y
    b, h = s @ np.linalg.solve(inverse, s) / n, y @ inverse @ y / n
    return Scalars(jnp.asarray(b), jnp.asarray(h), jnp.asarray(b * h - 1))


def by_formula(inverse, s, y, theta, tau):
    """The update with its scalars from H⁻¹ itself, as the optimizer does not compute them."""
    k, hy = scalars(inverse, s, y), inverse @ y
    phi = (1 - theta) / (1 + k.a * theta)
    return np.asarray(updated(jnp.asarray(inverse), s, hy, s @ y, y @ hy, phi, jnp.asarray(tau)))


def bfgs_by_products(inverse, s, y, sign=1.0):
    """(I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ, Nocedal and Wright (6.17)."""
    rho = 1 / (s @ y)
    left = np.eye(SIZE) - sign * rho * np.outer(s, y)
    return left @ inverse @ left.T + rho * np.outer(s, s)


@pytest.mark.parametrize("seed", range(3))
def test_theta_0_and_tau_1_is_bfgs(seed, x64):
    inverse, s, y = random_step(seed)
    ours, oracle = by_formula(inverse, s, y, 0.0, 1.0), bfgs_by_products(inverse, s, y)
    # Sums of P² products of numbers of size ten: some hundred roundings.
    np.testing.assert_allclose(ours, oracle, rtol=0, atol=1e-12 * np.abs(oracle).max())
    strategy = scipy.optimize.BFGS(init_scale=1.0)
    strategy.initialize(SIZE, "inv_hess")
    strategy.update(s, y)
    scipys = by_formula(np.eye(SIZE), s, y, 0.0, 1.0)
    np.testing.assert_allclose(scipys, strategy.get_matrix(), rtol=1e-10, atol=1e-10)


def test_control_a_wrong_sign_is_not_bfgs(x64):
    inverse, s, y = random_step(0)
    wrong = bfgs_by_products(inverse, s, y, sign=-1.0)
    assert np.abs(by_formula(inverse, s, y, 0.0, 1.0) - wrong).max() > 0.1


def test_theta_1_is_dfp(x64):
    """H − H y yᵀH/(y·Hy) + s sᵀ/(s·y), Nocedal and Wright (6.15)."""
    inverse, s, y = random_step(1)
    hy = inverse @ y
    dfp = inverse - np.outer(hy, hy) / (y @ hy) + np.outer(s, s) / (s @ y)
    np.testing.assert_allclose(by_formula(inverse, s, y, 1.0, 1.0), dfp, rtol=1e-10)


@each("seed", range(20))
def test_the_secant_equation_holds_and_h_stays_positive_definite(seed, x64):
    inverse, s, y = random_step(seed)
    k = scalars(inverse, s, y)
    theta = theta_broyden(k)
    for theta_k in (theta, jnp.zeros(())):
        new = by_formula(inverse, s, y, theta_k, tau_self_scaled(k, theta_k, SIZE))
        np.testing.assert_allclose(new @ y, s, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(new, new.T)
        assert np.linalg.eigvalsh(new).min() > 0
    assert 1 + float(k.a * theta) > 0


@each("seed", range(5))
def test_theta_and_tau_are_those_of_the_authors(seed, x64):
    """In the form of their script, which subtracts: ρ⁻ = min(1, h(1 − c))."""
    k = Scalars(*map(float, scalars(*random_step(seed))))
    b, h, a = k
    rho = min(1, h * (1 - np.sqrt(a / (1 + a))))
    theta = max((rho - 1) / a, min(1 / rho, (1 - b) / b))
    sigma, scale = 1 + theta * a, min(1, 1 / b)
    power = sigma ** (1 / (1 - SIZE))
    tau = min(scale * power, sigma) if theta <= 0 else scale * min(power, 1 / theta)
    arrays = Scalars(*map(jnp.asarray, k))
    np.testing.assert_allclose(theta_broyden(arrays), theta, rtol=1e-8)
    np.testing.assert_allclose(tau_self_scaled(arrays, jnp.asarray(theta), SIZE), tau, rtol=1e-8)
    plain = tau_self_scaled(arrays, jnp.zeros(()), SIZE)
    np.testing.assert_allclose(plain, min(1, 1 / b), rtol=1e-12)


def quadratic(seed=0, size=12, condition=1e2):
    """x ↦ ((f, losses), ∇f) for f = ½ x·Ax, and A."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(size, size)))
    matrix = jnp.asarray(basis * np.geomspace(1, condition, size) @ basis.T)

    def objective(x):
        value = x @ matrix @ x / 2
        return (value, {"a": value}), matrix @ x

    return objective, matrix


@pytest.mark.parametrize("name", METHODS)
def test_a_quadratic_is_minimised_in_as_many_steps_as_it_has_unknowns(name, x64):
    """With exact line searches the directions are conjugate for every θ and τ (Dixon 1972).

    One step more looks at the start, and one mends what the searches leave.
    """
    objective, matrix = quadratic()
    optimizer, x = METHODS[name], jnp.ones(12)
    step = jax.jit(lambda x, state: optimizer.step(x, state, objective))
    state = optimizer.init(x)
    begun = float(objective(x)[0][0])
    for _ in range(1 + 12 + 1):
        before, done = x, step(x, state)
        x, state = done.parameters, done.state
        np.testing.assert_allclose(done.losses["a"], objective(before)[0][0], rtol=1e-10)
        np.testing.assert_array_equal(state.inverse, state.inverse.T)
        assert np.linalg.eigvalsh(state.inverse).min() > 0
    assert float(objective(x)[0][0]) < 1e-12 * begun
    if name == "bfgs":  # whose H is A⁻¹ by then
        identity = np.asarray(state.inverse @ matrix)
        assert np.abs(identity - np.eye(12)).max() < 1e-3


def test_control_steepest_descent_needs_more(x64):
    objective, matrix = quadratic()
    x = jnp.ones(12)
    for _ in range(14):
        gradient = matrix @ x
        x = x - gradient * (gradient @ gradient) / (gradient @ matrix @ gradient)
    assert objective(x)[0][0] > 1e-6 * objective(jnp.ones(12))[0][0]


CURVES = {
    "too short": (lambda t: (t - 30.0) ** 2, 1.0),
    "too long": (lambda t: (t - 0.01) ** 2, 1.0),
    "a wall": (lambda t: jnp.where(t > 0.3, jnp.nan, (t - 0.2) ** 2), 1.0),
    "many minima": (lambda t: -t / 4 + jnp.sin(3 * t) ** 2 / 3 + 0.002 * t**4, 2.0),
}


@each("name", CURVES)
def test_the_line_search_finds_a_strong_wolfe_point(name, x64):
    curve, first = CURVES[name]
    slope = jax.grad(lambda t: jnp.asarray(curve(t), float))
    found = search(
        lambda t: (curve(t), slope(t), t),
        (curve(jnp.zeros(())), slope(0.0), jnp.zeros(())),
        jnp.asarray(first),
        curvature=0.1,
    )
    assert found.success
    assert found.rest == found.step
    assert curve(found.step) <= curve(0.0) + 1e-4 * found.step * slope(0.0)
    assert abs(slope(found.step)) <= 0.1 * abs(slope(0.0))
    assert found.evaluations < 15


def test_uphill_nothing_is_found(x64):
    start = jnp.zeros(()), jnp.ones(()), jnp.zeros(())
    found = search(lambda t: (t, jnp.ones(()), t), start, jnp.ones(()))
    assert not found.success
    assert found.step == 0
    assert found.evaluations == 0


@pytest.fixture(scope="module")
def poisson():
    training = Training(FirstOrder(optax.lbfgs()))
    setup = Setup(poisson1d(), training, Network(width=8, depth=1), "float64")
    with precision(setup.dtype):
        return setup.start()


@each("name", ["bfgs", "lbfgs", "lbfgs-wolfe", "ssbroyden", "optax"])
def test_every_peer_trains_from_a_state_of_arrays(name, poisson, x64):
    names = tuple(poisson.problem.names)
    optimizer = FirstOrder(optax.lbfgs()) if name == "optax" else PEERS[name](names)
    parameters, rest = trainable(poisson.model)
    state = optimizer.init(parameters)
    assert all(eqx.is_array(leaf) for leaf in jax.tree.leaves(state))
    assert rate_of(optimizer) is None
    training = Training(optimizer)
    run = compile_chunk(poisson.problem, rest, training, poisson.key)
    begun = initial_state(poisson.problem, poisson.model, training, poisson.batch)
    chunk = run(begun, 150)
    first, last = (sum(moment.losses.values()) for moment in (chunk.first, chunk.last))
    assert chunk.finite
    assert last < 1e-2 * first
    again = run(chunk.state, 1)
    assert jax.tree.structure(again.state) == jax.tree.structure(begun)


def test_all_optimizers_start_from_one_network_and_the_same_points():
    assert not set(OWN) & set(PEERS)
    found = {name: prepare("burgers1d", name) for name in ("adam", "adam-ntk", "ssbroyden")}
    for setup in found.values():
        assert setup.network == found["adam"].network
        assert all(condition.redraw_every is None for condition in setup.problem.conditions)
        assert setup.training.resampling.next_change(0) is None
    assert rate_of(found["adam"].training.optimizer, 1000) == pytest.approx(0.9e-3)
    assert found["adam"].training.optimizer is found["adam-ntk"].training.optimizer
    assert found["ssbroyden"].training.optimizer.names == ("residual",)
