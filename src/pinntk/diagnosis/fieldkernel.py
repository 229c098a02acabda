"""The tangent kernel of the field itself, and of an equation beside it at the same points."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pinntk.conditions import Condition
from pinntk.domain import Points
from pinntk.kernel import TangentKernel, tangent_kernel
from pinntk.problem import Model, Problem, Sample

#: What the field is called among the conditions of such a kernel.
FIELD = "the_field_itself"


def field_kernels(
    problem: Problem, points: np.ndarray, *equations: str
) -> Callable[[Model], TangentKernel]:
    """A function that maps models to K = J Jᵀ of u at points (n, d), and of residuals of equations there.

    The block of u is `FIELD`, its rows by point and then by field. One function for all models of the same
    structure compiles once.
    """
    domain = problem.domain
    where = Points(points, domain.coordinates)
    among = [
        dataclasses.replace(problem.condition(n), where=where, points=len(points))
        for n in equations
    ]
    conditions = [Condition(FIELD, lambda u, x: u(x), where, len(points)), *among]
    asked = dataclasses.replace(problem, conditions=conditions, hard=None)

    def kernel(model: Model) -> TangentKernel:
        with jax.enable_x64(True):
            sample = Sample(jnp.asarray(np.asarray(points, np.float64)))
            return tangent_kernel(asked, model, {c.name: sample for c in conditions})

    return kernel
