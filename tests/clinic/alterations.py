"""Ways to make a healthy problem sick: one change each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from pinntk.calculus import Field, Point
from pinntk.conditions import Condition, observations
from pinntk.domain import Box
from pinntk.nets import MLP, InputScaling
from pinntk.problem import Problem
from pinntk.training import Drawn

Residual = Callable[..., Array]


def with_residual(problem: Problem, name: str, change: Callable[[Residual], Residual]) -> Problem:
    """The problem with the residual of one condition changed."""
    conditions = [
        dataclasses.replace(c, residual=change(c.residual)) if c.name == name else c
        for c in problem.conditions
    ]
    return dataclasses.replace(problem, conditions=conditions)


def times(problem: Problem, name: str, factor: float) -> Problem:
    """One condition in other units: its residual multiplied by a number."""
    return with_residual(problem, name, lambda r: lambda u, p: factor * r(u, p))


def offset(problem: Problem, name: str, big: float) -> Problem:
    """A Laplace residual as the difference of two sums with a large number, which rounding eats."""
    assert problem.solution is not None
    exact = Field(problem.solution, problem.domain.coordinates)
    return with_residual(
        problem,
        name,
        lambda _: lambda u, p: (u.laplacian()(p) + big) - (exact.laplacian()(p) + big),
    )


def differenced(problem: Problem, kappa: float, h: float) -> Problem:
    """u_t − κ u_xx by central differences of step h: rounding is divided by h²."""

    def heat(u: Any, p: Point) -> Array:
        x, t = (jnp.asarray(step, p.dtype) for step in ((h, 0.0), (0.0, h)))
        slope = (u(p + t) - u(p - t)) / (2 * h)
        return slope - kappa * (u(p + x) - 2 * u(p) + u(p - x)) / h**2

    return with_residual(problem, "residual", lambda _: heat)


def with_more(problem: Problem, *conditions: Condition) -> Problem:
    """The problem with further conditions."""
    return dataclasses.replace(problem, conditions=[*problem.conditions, *conditions])


def given_twice(problem: Problem, name: str, value: float) -> Problem:
    """The region of one condition is given a second value, too: u = u* + value."""
    solution = problem.solution
    assert solution is not None
    first = problem.condition(name)
    again = dataclasses.replace(
        first, name=f"{name}_again", residual=lambda u, p: u(p) - solution(p) - value
    )
    return with_more(problem, again)


def with_data(problem: Problem, error: float, count: int = 30) -> Problem:
    """Measurements of u inside the domain that are all off by `error`."""
    solution, domain = problem.solution, problem.domain
    assert solution is not None
    assert isinstance(domain, Box)
    low, high = np.array(domain.lower), np.array(domain.upper)
    share = np.random.default_rng(7).uniform(0.1, 0.9, (count, len(low)))
    points = low + share * (high - low)
    values = np.array([float(solution(jnp.asarray(p))) for p in points]) + error
    return with_more(problem, observations("data", domain, points, values))


def own_network(
    problem: Problem,
    *,
    factor: float = 1.0,
    inputs: float = 1.0,
    activation: Callable[[Array], Array] = jnp.tanh,
) -> Drawn:
    """A network of one's own: hidden weights, or inputs, multiplied by a number; another activation."""
    domain = problem.domain
    assert isinstance(domain, Box)
    scaling = InputScaling.to_unit(domain.lower, domain.upper)

    def network(key: PRNGKeyArray) -> Any:
        before = eqx.nn.Lambda(lambda x: inputs * scaling(x))
        size = len(domain.coordinates)
        model = MLP(size, width=20, depth=2, scaling=before, activation=activation, key=key)
        hidden = lambda m: [layer.weight for layer in m.layers[:-1]]
        return eqx.tree_at(hidden, model, [factor * weight for weight in hidden(model)])

    return Drawn(network)


def without_unknown(problem: Problem, name: str) -> Problem:
    """One residual that has the solution in place of the unknown: it does not depend on u."""
    solution = problem.solution
    assert solution is not None
    exact = Field(solution, problem.domain.coordinates)
    return with_residual(problem, name, lambda r: lambda u, p: r(exact, p))


def blocked(problem: Problem, name: str) -> Problem:
    """One residual through which no gradient passes."""
    return with_residual(problem, name, lambda r: lambda u, p: jax.lax.stop_gradient(r(u, p)))
