"""Reported problems of several unknowns: coefficients from data, porous media, flow, complex waves."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from clinic.reported.report import Report, as_asked, cubic
from pinntk.conditions import Condition, dirichlet, initial_value, observations, periodic
from pinntk.domain import Box, SpaceTime, Union
from pinntk.nets import Unknown
from pinntk.problem import Problem
from pinntk.training import Setup


def three_coefficients(walls: bool) -> Setup:
    """Unknown a, b, c of u_t = a u_xx + b u_x + c u from data of e^((c − aπ²)t) sin(π(x + bt)).

    That formula solves the equation and is not zero at the walls, where the problem says it is. It has
    one wave, so that it determines c − aπ² and not both.
    """
    true = {"a": 0.2, "b": 0.5, "c": 0.3}
    domain = SpaceTime(x=(0, 1), t=(0, 1))

    def formula(p):
        growth = true["c"] - true["a"] * math.pi**2
        return jnp.exp(growth * p[1]) * jnp.sin(math.pi * (p[0] + true["b"] * p[1]))

    def equation(u, p):
        a, b, c = map(u.coefficient, true)
        return u.d("t")(p) - (a * u.d("x", "x")(p) + b * u.d("x")(p) + c * u(p))

    places = np.random.default_rng(1).uniform(size=(100, 2))
    data = observations("data", domain, places, np.array(jax.vmap(formula)(jnp.asarray(places))))
    border = [dirichlet("walls", domain.walls(), 0.0, 50)] if walls else []
    problem = Problem(
        "three_coefficients" if walls else "three_coefficients_free",
        domain,
        [
            Condition("equation", equation, domain, 500),
            *border,
            initial_value("start", domain, lambda p: jnp.sin(math.pi * p[0]), 50),
            data,
        ],
        solution=formula,
        coefficients={name: Unknown(1.0, true=value) for name, value in true.items()},
    )
    return as_asked(problem, 32, 3, 20_000)


def porous() -> Setup:
    """u_t = (u^1.2)_xx from t = 1 to 2, Barenblatt's solution: the power of a negative number is NaN."""
    power, domain = 1.2, SpaceTime(x=(-1, 1), t=(1, 2))
    spread = 1 / (power + 1)

    def exact(p):
        """t^(−s) (1 − s(m − 1)/(2m) · x²/t^(2s))^(1/(m − 1)), s = 1/(m + 1)."""
        x, t = p[0], p[1]
        inside = 1 - spread * (power - 1) / (2 * power) * (x / t**spread) ** 2
        return inside ** (1 / (power - 1)) / t**spread

    problem = Problem(
        "porous",
        domain,
        [
            Condition(
                "diffusion", lambda u, p: (u.d("t") - (u**power).d("x", "x"))(p), domain, 500
            ),
            dirichlet("walls", domain.walls(), exact, 64),
            initial_value("start", domain, exact, 64),
        ],
        solution=exact,
    )
    return as_asked(problem, 20, 3, 5000)


def cavity() -> Setup:
    """Steady flow under a lid at Re = 1,000: stream function ψ and pressure q, no solution given.

    On the vertical center line, the least horizontal velocity is −0.383 (Ghia, Ghia, Shin 1982).
    """
    reynolds, square = 1000.0, Box(x=(0, 1), y=(0, 1))

    def momentum(w, p):
        psi, q = w.components()
        along, across = psi.d("y"), -psi.d("x")
        velocity = along(p), across(p)

        def balance(speed, pressure):
            carried = velocity[0] * speed.d("x")(p) + velocity[1] * speed.d("y")(p)
            return carried + pressure(p) - speed.laplacian()(p) / reynolds

        return jnp.stack([balance(along, q.d("x")), balance(across, q.d("y"))])

    def at_speed(speed):
        return lambda w, p: jnp.stack([w["psi"].d("y")(p) - speed, -w["psi"].d("x")(p)])

    still = Union([square.faces("x"), square.face(y=0)], shares=[2, 1])
    problem = Problem(
        "cavity",
        square,
        [
            Condition("momentum", momentum, square, 1000),
            Condition("lid", at_speed(1.0), square.face(y=1), 100),
            Condition("walls", at_speed(0.0), still, 150),
            Condition("zero", lambda w, p: w(p), square.face(x=0, y=0), 1),
        ],
        fields=("psi", "q"),
    )
    return as_asked(problem, 32, 4, 10_000)


#: Half the period in x of the soliton, and the end of its time.
HALF, END = 5.0, math.pi / 2


@functools.cache
def spectral() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a_k of h = Σ a_k(t) e^(ikx − ik²t/2) at 401 even instants, their slopes, and k.

    Strang's splitting in 16,000 steps on 256 points; the splitting error is about 1e-7. Without the cubic
    term a_k would be constant: what is left of it in time is slow.
    """
    count, frames, every = 256, 401, 40
    x = np.arange(count) * 2 * HALF / count - HALF
    k = np.fft.fftfreq(count, 1 / count) * math.pi / HALF
    step = END / (frames - 1) / every
    drift = np.exp(-0.5j * step * k**2)
    turn = lambda h: h * np.exp(0.5j * step * np.abs(h) ** 2)
    h, found = 2 / np.cosh(x) + 0j, []
    for frame in range(frames):
        # x begins at −5, and the coefficients are those of e^(ikx).
        back = np.exp(1j * k * HALF + 0.5j * k**2 * frame * every * step) / count
        found.append(back * np.stack([np.fft.fft(h), 1j * np.fft.fft(np.abs(h) ** 2 * h)]))
        for _ in range(every):
            h = turn(np.fft.ifft(drift * np.fft.fft(turn(h))))
    values, slopes = np.stack(found, axis=1)
    return values, slopes, k


def soliton() -> Setup:
    """i h_t + h_xx/2 + |h|²h = 0, periodic, from 2 sech x: real and imaginary part as two fields."""
    domain = SpaceTime(x=(-HALF, HALF), t=(0, END))
    values, slopes, k = spectral()
    parts = lambda table: np.stack([table.real, table.imag], axis=1)
    curve = cubic(END, parts(values), parts(slopes))

    def solution(p):
        a, waves = curve(p[1]), jnp.asarray(k, p.dtype)
        phase = waves * p[0] - waves**2 / 2 * p[1]
        cos, sin = jnp.cos(phase), jnp.sin(phase)
        real = jnp.dot(a[0], cos) - jnp.dot(a[1], sin)
        return jnp.stack([real, jnp.dot(a[0], sin) + jnp.dot(a[1], cos)])

    def wave(w, p):
        h, h_t, h_xx = w(p), w.d("t")(p), w.d("x", "x")(p)
        # Multiplication by i takes (re, im) to (−im, re).
        turned = jnp.stack([-h_t[1], h_t[0]])
        return turned + h_xx / 2 + jnp.sum(h**2) * h

    start = lambda p: jnp.stack([2 / jnp.cosh(p[0]), jnp.zeros_like(p[0])])
    problem = Problem(
        "soliton",
        domain,
        [
            Condition("schroedinger", wave, domain, 2000),
            periodic("periodic", domain, "x", 50),
            initial_value("start", domain, start, 50),
        ],
        fields=("re", "im"),
        solution=solution,
    )
    return as_asked(problem, 100, 5, 20_000)


CASES = [
    Report(
        "three_coefficients",
        "https://github.com/lululxvi/deepxde/issues/1829",
        lambda: three_coefficients(True),
        frozenset({"given solution", "contradictory conditions", "coefficients"}),
        "The answer: the exact solution is not zero at the walls, as the problem and the data say.",
        curable=False,
        counts=False,
        unmet=("walls",),
    ),
    Report(
        "three_coefficients_free",
        "https://github.com/lululxvi/deepxde/issues/1829",
        lambda: three_coefficients(False),
        frozenset({"coefficients"}),
        "Without the walls u can be found, and of a and c only c − aπ².",
        curable=True,
        judged=False,
    ),
    Report(
        "porous",
        "https://github.com/prateekbhustali/Physics-Informed-Neural-Networks/issues/1",
        porous,
        frozenset({"not finite"}),
        "The answer: the network is negative at first, and its power 1.2 is NaN; keep it positive.",
        curable=True,
    ),
    Report(
        "cavity",
        "https://github.com/okada39/pinn_cavity/issues/1",
        cavity,
        frozenset({"contradictory conditions", "imbalance", "spurious solution"}),
        "Lid and walls give two velocities in each upper corner; at Re = 1,000 the flow hardly moves.",
        curable=True,
    ),
    Report(
        "soliton",
        "https://github.com/SciML/NeuralPDE.jl/issues/479",
        soliton,
        frozenset({"unexplained", "spectral bias", "causality", "imbalance", "healthy"}),
        "Nothing is wrong with the statement; plain Adam is slow, and h focuses at t = π/4.",
        curable=True,
        # 2 sech x has a kink where the period ends, and 256 waves round it off.
        exact=1e-3,
    ),
]
