"""A residual that is NaN or infinite at some point: where, from which operation, and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from pinntk.problem.problem import Problem
from pinntk.problem.samples import Batch, Model, Sample
from pinntk.program import Cause, Trouble, cause_of
from pinntk.words import number

#: Digits of coordinates and fields: enough to find the point again, and few enough to read.
DIGITS = 3
#: What to do about a result that depends on the network, by what makes it not finite.
FIXES = {
    Trouble.NEGATIVE: "Where the unknown must be positive, say so: "
    "pk.Network(output=jax.nn.softplus), or --output softplus.",
    Trouble.ZERO: "Keep what is divided by away from zero, or multiply the equation by it.",
    Trouble.OUTSIDE: "Keep the argument within the range of the function.",
    Trouble.OVERFLOW: "Write the equation in units in which its terms are of order one.",
}
#: Where no operation was found, or one of which nothing more is known.
LOOK = "Look for a division by zero, or a root, logarithm or power of a negative number."
#: The same for a result that the points alone decide.
NOT_THE_NETWORK = (
    "It does not depend on the network: leave this place out of the condition's region, or multiply "
    "the equation by what vanishes there."
)


@dataclasses.dataclass(frozen=True)
class NotFiniteResidual:
    """The residual of one condition that is NaN or infinite at `bad` of `points` points.

    `where` is the first of them by coordinate, `fields` the values of the unknown there by name, and
    `cause` the operation; None where none was found.
    """

    condition: str
    bad: int
    points: int
    where: Mapping[str, float]
    fields: Mapping[str, float]
    cause: Cause | None

    @property
    def place(self) -> str:
        """The first point: `x = 0.158, t = 1.22`."""
        return _values(self.where)

    @property
    def of_the_network(self) -> bool:
        """Whether the operands of the operation depend on the network."""
        return self.cause is not None and 0 in self.cause.arguments

    @property
    def operation(self) -> str:
        """What is not finite: `a power of a negative number, (-0.37)^1.2, where u = -0.37`, or empty."""
        if self.cause is None:
            return ""
        shown = self.of_the_network and self.fields
        return self.cause.words + (f", where {_values(self.fields)}" if shown else "")

    @property
    def at(self) -> str:
        """The point with the operation and its line: `x = 0 (a division ...; mine.py, line 7: ...)`."""
        if self.cause is None:
            return self.place
        line = f"; {self.cause.line}" if self.cause.line else ""
        return f"{self.place} ({self.operation}{line})"

    @property
    def fix(self) -> str:
        """What to do."""
        if self.cause is None:
            return LOOK
        if self.cause.trouble is Trouble.GIVEN:
            return "Remove it, or give a finite number."
        return FIXES.get(self.cause.trouble, LOOK) if self.of_the_network else NOT_THE_NETWORK


def not_finite_residual(
    problem: Problem, model: Model, batch: Batch, residuals: Mapping[str, Any]
) -> NotFiniteResidual | None:
    """The first condition whose residual, as found at the points of a batch, is not finite somewhere.

    `residuals` maps names to numbers (n,) or (n, m). Call it in the precision of the model.
    """
    for name, values in residuals.items():
        found = np.asarray(values)
        bad: np.ndarray = np.logical_not(np.isfinite(found.reshape(len(found), -1)).all(axis=1))
        if bad.any():
            first = int(bad.argmax())
            row = jax.tree.map(lambda a, i=first: jnp.asarray(a)[i], batch[name])
            fields, cause = _explained(problem, name, model, row)
            coordinates = problem.domain.coordinates
            where = dict(zip(coordinates, np.asarray(row.points).tolist(), strict=True))
            return NotFiniteResidual(name, int(bad.sum()), len(bad), where, fields, cause)
    return None


def _explained(
    problem: Problem, name: str, model: Model, row: Sample
) -> tuple[dict[str, float], Cause | None]:
    """The fields at a point, and why the residual of a condition is not finite there."""
    condition = problem.condition(name)
    arrays, rest = eqx.partition(model, eqx.is_array)

    def residual(arrays: Any, row: Sample) -> Any:
        # Without merging of equal parts, which forgets the lines of the user's code.
        field = problem.field(eqx.combine(arrays, rest))
        extra = () if row.targets is None else (row.targets,)
        return jnp.asarray(condition.residual(field, row.points, *extra))

    try:
        values = np.ravel(np.asarray(problem.field(model)(row.points), float)).tolist()
        return dict(zip(problem.fields, values, strict=True)), cause_of(residual, arrays, row)
    except Exception:  # an explanation that fails must not hide what it explains
        return {}, None


def _values(named: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {number(float(value), DIGITS)}" for name, value in named.items())
