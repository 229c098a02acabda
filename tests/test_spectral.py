"""The spectral reference solutions: against finer ones, another method, their formula at the start."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from each import each
from pinntk.library import PROBLEMS, kdv, kdv1d, reaction
from pinntk.library.spectral import Evolution, Kink, solve
from pinntk.problem import relative_l2

#: Problem → its series with its parameters, and what the docstring says of its error: relative L2
#: and the largest.
SERIES = {
    "allen_cahn1d": (functools.partial(reaction.allen_cahn_series, 1e-4), 1e-11, 3e-10),
    "reaction_diffusion1d": (
        *(functools.partial(reaction.reaction_diffusion_series, 5.0, 5.0), 4e-11, 4e-10),
    ),
    "kdv1d": (functools.partial(kdv.kdv_series, 0.022), 1.3e-10, 9e-10),
}
#: The ends of the parameters' ranges that are cheap or hard, as options, and the same figures.
ENDS = {
    ("allen_cahn1d", (("d", 0.01),)): (
        functools.partial(reaction.allen_cahn_series, 0.01),
        1e-11,
        3e-10,
    ),
    ("reaction_diffusion1d", (("nu", 0.5), ("rho", 10.0))): (
        *(functools.partial(reaction.reaction_diffusion_series, 0.5, 10.0), 4e-11, 4e-10),
    ),
    ("reaction_diffusion1d", (("nu", 10.0), ("rho", 0.0))): (
        *(functools.partial(reaction.reaction_diffusion_series, 10.0, 0.0), 4e-11, 4e-10),
    ),
    ("kdv1d", (("mu", 0.02),)): (functools.partial(kdv.kdv_series, 0.02), 3e-10, 2e-9),
    ("kdv1d", (("mu", 0.1),)): (functools.partial(kdv.kdv_series, 0.1), 1.3e-10, 9e-10),
}
OTHERS = {
    "allen_cahn1d": {"d": 1.01e-4},
    "reaction_diffusion1d": {"rho": 5.05},
    "kdv1d": {"mu": 0.0222},
}


def values(function, points):
    """A function of one point at many, on the host."""
    return np.asarray(jax.jit(jax.vmap(function))(jnp.asarray(points)))


def problem_of(name, **options):
    return PROBLEMS[name].problem(**options)


@functools.cache
def at_test_points(name, options=()):
    """The library's solution where errors are measured, in float64."""
    problem = problem_of(name, **dict(options))
    return values(problem.solution, problem.test_points(float))


@each(
    ("name", "options", "series", "l2", "largest"),
    [*((name, (), *v) for name, v in SERIES.items()), *((*k, *v) for k, v in ENDS.items())],
)
def test_a_finer_solution_is_the_same(x64, name, options, series, l2, largest):
    """1.5 times as many waves, panels and steps. The bounds are the figures in the docstrings."""
    found = at_test_points(name, options)
    finer = values(series(1.5), problem_of(name).test_points(float))
    assert float(relative_l2(found, finer)) < l2
    assert np.abs(found - finer).max() < largest


@pytest.mark.parametrize(("name", "options"), OTHERS.items())
def test_control_a_parameter_one_percent_off_is_another_solution(x64, name, options):
    points = problem_of(name).test_points(float)
    other = values(problem_of(name, **options).solution, points)
    assert float(relative_l2(other, at_test_points(name))) > 1e-5


def test_control_a_coarser_solution_is_worse(x64):
    """With half of everything the error grows by 2⁴ and more: the figure measures something."""
    coarse = values(kdv.kdv_series(0.022, 0.5), kdv1d().test_points(float))
    assert float(relative_l2(coarse, at_test_points("kdv1d"))) > 16 * 1.3e-10


def lines(name, points, times):
    """Method of lines: nodal values, derivatives by Fourier interpolation, Runge–Kutta of order 8.

    The products are taken as the equation reads, node by node: nothing of ETDRK4, of de-aliasing, of
    the kink's closed form, of series in time.
    """
    domain = problem_of(name).domain
    low, high = domain.bounds["x"]
    x = low + (high - low) * np.arange(points) / points
    waves = 2 * np.pi / (high - low) * np.arange(points // 2 + 1)
    slope = lambda u, order: np.fft.irfft((1j * waves) ** order * np.fft.rfft(u), points)
    start, rate = {
        "allen_cahn1d": (
            x**2 * np.cos(np.pi * x),
            lambda _, u: 1e-4 * slope(u, 2) + 5 * u - 5 * u**3,
        ),
        "reaction_diffusion1d": (
            np.exp(-((x - np.pi) ** 2) / (np.pi**2 / 8)),
            lambda _, u: 5 * slope(u, 2) + 5 * u * (1 - u),
        ),
        "kdv1d": (np.cos(np.pi * x), lambda _, u: -u * slope(u, 1) - 0.022**2 * slope(u, 3)),
    }[name]
    found = []
    for low, high in zip([0.0, *times[:-1]], times, strict=True):
        start = solve_ivp(rate, (low, high), start, "DOP853", rtol=1e-9, atol=1e-10).y[:, -1]
        found.append(start)
    return x, np.array(found)


@pytest.mark.parametrize(
    ("name", "points"), [("allen_cahn1d", 1024), ("reaction_diffusion1d", 64), ("kdv1d", 256)]
)
def test_another_method_agrees(x64, name, points):
    """Measured at t = 1: 1.2e-8, 6.8e-8 and 3e-8. Earlier the kink, which a grid does not see, is

    4e-5 of Allen–Cahn at t = 0.1, and 2e-6 of the Gaussian.
    """
    times = np.array([0.1, 0.35, 0.7, 1.0])
    x, u = lines(name, points, times)
    grid = np.stack(np.broadcast_arrays(x[None, :], times[:, None]), axis=-1).reshape(-1, 2)
    error = np.abs(values(problem_of(name).solution, grid).reshape(u.shape) - u).max(axis=1)
    assert error.max() < 1e-4
    assert error[-1] < 1e-6


@pytest.mark.parametrize("name", SERIES)
def test_the_start_is_the_formula(x64, name):
    """Also beside the kink. The waves that are left out sum to less than 1e-9 (and those beyond the

    last one, which fall like 1/k⁴, to about as much).
    """
    problem = problem_of(name)
    low, high = problem.domain.bounds["x"]
    x = np.unique(np.append(np.linspace(low, high, 2001), low + np.geomspace(1e-6, 1e-2, 50)))
    points = np.stack([x, np.zeros_like(x)], axis=1)
    start = {
        "allen_cahn1d": lambda x: x**2 * np.cos(np.pi * x),
        "reaction_diffusion1d": lambda x: np.exp(-((x - np.pi) ** 2) / (np.pi**2 / 8)),
        "kdv1d": lambda x: np.cos(np.pi * x),
    }[name]
    np.testing.assert_allclose(values(problem.solution, points), start(x), rtol=0, atol=2e-9)


@pytest.mark.parametrize("name", ["allen_cahn1d", "reaction_diffusion1d"])
def test_the_kink_at_early_times(x64, name):
    """Beside the wall just after the start, where a series of 1,024 waves alone is off by 4e-4."""
    series = SERIES[name][0]
    low, _ = problem_of(name).domain.bounds["x"]
    s, t = np.meshgrid(np.geomspace(1e-5, 0.05, 15), np.geomspace(1e-10, 1e-2, 17))
    points = np.stack([low + s.ravel(), t.ravel()], axis=1)
    np.testing.assert_allclose(
        values(series(), points), values(series(1.5), points), rtol=0, atol=1e-8
    )


def test_the_kink_solves_the_heat_equation_and_has_its_series(x64):
    """k_t = d k_xx + r k in closed form, and the sum of its Fourier series, which converges fast."""
    kink = Kink(strength=0.7, rate=-2.0, diffusivity=0.01, length=2.0)
    z, t = (a.ravel() for a in np.meshgrid(np.linspace(0.03, 1.99, 23), [0.01, 0.1, 0.6]))
    assert t.max() < kink.last
    points = np.stack([z, t], axis=1)
    function = lambda p: kink(p[0], p[1])
    slope = jax.grad(function)
    rate, bend = lambda p: slope(p)[1], lambda p: jax.grad(lambda q: slope(q)[0])(p)[0]
    equation = lambda p: rate(p) - kink.diffusivity * bend(p) - kink.rate * function(p)
    np.testing.assert_allclose(values(equation, points), 0, atol=1e-12)
    waves = np.pi * np.arange(400)
    coefficients = kink.series(t, waves) * np.where(np.arange(400), 2, 1)
    np.testing.assert_allclose(
        values(function, points), (coefficients * np.cos(np.outer(z, waves))).sum(1), atol=1e-13
    )


def heat(rate):
    """A linear equation: every wave on its own, by a factor known by hand."""
    return Evolution(
        low=0.0,
        length=2 * np.pi,
        initial=lambda x: np.cos(x) + 0.5 * np.sin(3 * x),
        linear=lambda k: -0.1 * k**2,
        reaction=lambda u: rate * u,
        degree=1,
    )


def test_a_linear_equation_by_hand(x64):
    """E^(Lt) exactly; a linear `reaction` goes through the Runge–Kutta stages: fourth order."""
    points = np.random.default_rng(0).uniform((0, 0), (2 * np.pi, 1), (50, 2))
    x, t = points.T
    decayed = np.exp(-0.1 * t) * np.cos(x) + 0.5 * np.exp(-0.9 * t) * np.sin(3 * x)
    exact = values(solve(heat(0.0), 8, panels=2, step=1.0), points)
    np.testing.assert_allclose(exact, decayed, rtol=0, atol=1e-13)
    coarse, fine = (
        np.abs(values(solve(heat(4.0), 8, 1, step, nodes=20), points) - decayed * np.exp(4 * t))
        for step in (0.02, 0.01)
    )
    assert 10 < coarse.max() / fine.max() < 25


@pytest.mark.parametrize("name", SERIES)
def test_float32(name):
    """Rounding x and t and every term. Measured: 1.1e-6 in relative L2 for the solitons, 4e-7, 6e-8."""
    problem = problem_of(name)
    low = values(problem.solution, problem.test_points(jnp.float32))
    assert low.dtype == np.float32
    with jax.enable_x64(True):
        assert float(relative_l2(low.astype(float), at_test_points(name))) < 5e-6


@pytest.mark.parametrize("name", SERIES)
def test_ten_thousand_points_fit_in_memory(name):
    """Products of matrices, not a table of amplitudes for every point: that would take gigabytes."""
    problem = problem_of(name)
    many = jax.jit(jax.vmap(problem.solution)).lower(problem.test_points(jnp.float32)).compile()
    assert many.memory_analysis().temp_size_in_bytes < 300e6


def test_a_problem_is_made_without_solving_it(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("solved")

    monkeypatch.setattr(reaction, "solve", refuse)
    monkeypatch.setattr(kdv, "solve", refuse)
    for entry in PROBLEMS.values():
        entry.problem()
        for preset in entry.presets.values():
            preset()
    with pytest.raises(AssertionError, match="solved"):
        kdv1d(mu=0.0321).solution(jnp.zeros(2))


def test_a_solution_is_computed_once():
    assert kdv.kdv_series(0.1) is kdv.kdv_series(0.1)
