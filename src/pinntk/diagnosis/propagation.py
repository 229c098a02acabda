"""How far a change of the initial values reaches along time; whether neighboring points learn together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Array

from pinntk.diagnosis.fieldkernel import FIELD, field_kernels
from pinntk.diagnosis.linearized import rms
from pinntk.diagnosis.subject import AbstractSubject
from pinntk.kernel import TangentKernel
from pinntk.problem import Batch, Model, Problem

#: Bins of time of the reach: three in a tenth of the span.
BINS = 32
#: Pairs of neighboring points whose kernel is looked at.
PAIRS = 64


def initial_conditions(problem: Problem) -> list[str]:
    """The conditions at the first instant of a domain with a time."""
    if "t" not in problem.domain.free:
        return []
    first = problem.domain.bounds["t"][0]
    return [c.name for c in problem.conditions if c.where.bounds["t"] == (first, first)]


def initial_reach(
    subject: AbstractSubject, model: Model, batch: Batch, kernel: TangentKernel, points: Array
) -> float | None:
    """How far a gradient step on the initial values moves the field, as a share of the time span.

    The profile of |J_u J₀ᵀ 1| over time, its rms in bins over that in the first, counted to 1 at most and
    averaged: ℓ/T for a profile e^(−t/ℓ), 1 where all times move together. The furthest of all initial
    conditions; None where there is none.
    """
    initial = initial_conditions(subject.problem)
    domain = subject.problem.domain
    if not initial:
        return None
    vectors = {
        name: np.array([np.full(rows, float(name == other)) for other in kernel.names])
        for name, rows in kernel.rows.items()
    }
    moves = subject.moves(model, batch, vectors, points)
    low, high = domain.bounds["t"]
    share = (np.asarray(points, np.float64)[:, domain.coordinates.index("t")] - low) / (high - low)
    bins = np.minimum((share * BINS).astype(int), BINS - 1)
    if len(np.unique(bins)) < BINS:
        return None
    found = []
    for name in initial:
        move = moves[kernel.names.index(name)]
        profile = np.array([rms(move[bins == i]) for i in range(BINS)])
        if profile[0] > 0:
            found.append(float(np.mean(np.minimum(profile / profile[0], 1.0))))
    return max(found, default=None)


def neighbor_correlation(problem: Problem, count: int) -> Callable[[Model], float] | None:
    """A function of a model: the correlation of ∂u/∂θ at points that are neighbors in time.

    The median of tr K_u(x, x')/√(tr K_u(x, x) tr K_u(x', x')), traces over the fields, x' later than x by
    the mean spacing of `count` points (Daw, Bu, Wang, Perdikaris, Karpatne 2023, arXiv 2207.02338). None
    without a time or where no pair lies in the domain.
    """
    domain = problem.domain
    if "t" not in domain.free or domain.given is not None:
        return None
    axis, (low, high) = domain.coordinates.index("t"), domain.bounds["t"]
    here = np.asarray(domain.uniform(PAIRS), np.float64)
    there = here.copy()
    there[:, axis] += (high - low) * count ** (-1 / domain.dimension)
    inside = np.array(domain.contains(there), bool)
    pairs = int(inside.sum())
    if pairs == 0:
        return None
    kernels = field_kernels(problem, np.concatenate([here[inside], there[inside]]))

    def correlation(model: Model) -> float:
        block = kernels(model).block(FIELD)
        fields = len(block) // (2 * pairs)
        traces = np.trace(block.reshape(2 * pairs, fields, 2 * pairs, fields), axis1=1, axis2=3)
        own = np.diag(traces)
        size = np.sqrt(own[:pairs] * own[pairs:])
        cross = np.diag(traces[:pairs, pairs:])
        return float(np.median(np.divide(cross, size, out=np.zeros_like(cross), where=size > 0)))

    return correlation
