"""The sizes of a problem's fields and residuals, computed from the problem alone."""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from pinntk.problem.initial_values import ranges_from_the_start
from pinntk.problem.polynomial_ranges import ranges_of_a_polynomial
from pinntk.problem.probing import Probes, probe
from pinntk.problem.problem import Problem
from pinntk.problem.states import ABSENT, Row, constant, respond, rms, rows_at
from pinntk.words import number, table

#: A field's own rows, whose forcing drives it, are those in which it is within a decimal order of the
#: field that weighs most.
OWN = 0.1
#: Step of the differences that show how fast a forcing varies, of a half-extent: well below any variation
#: that points could resolve, and far above rounding.
STEP = 1e-4
#: Significant digits of a scale. More would tell apart what machines round differently.
DIGITS = 2


class FieldScale(NamedTuple):
    """A field is `shift` + `scale` times something of order one."""

    shift: float
    scale: float


@dataclasses.dataclass(frozen=True)
class Scales:
    """The sizes of a problem, in its own units.

    `fields` are shift and scale by field; `conditions` the sizes of residuals by condition, one for each
    component; `coordinates` the centre and half-extent of the domain. `notes` say what could not be
    determined and is taken as 1.
    """

    fields: Mapping[str, FieldScale]
    conditions: Mapping[str, tuple[float, ...]]
    coordinates: Mapping[str, FieldScale]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = lambda value: number(float(value), 3)
        rows = [
            [name, size(found.shift), size(found.scale)]
            for name, found in (*self.fields.items(), *self.coordinates.items())
        ]
        sizes = [
            [name, ", ".join(size(value) for value in values)]
            for name, values in self.conditions.items()
        ]
        parts = [table(["", "middle", "size"], rows), table(["residual of", "size"], sizes)]
        return "\n\n".join([*parts, *(["\n".join(self.notes)] if self.notes else [])])


_KNOWN: weakref.WeakKeyDictionary[Problem, Scales] = weakref.WeakKeyDictionary()


def scales(problem: Problem) -> Scales:
    """The sizes of fields and residuals, in the units of the problem. They are estimates, within a factor.

    Each residual is linearized at some points, where its response to polynomials (ξ − ξ(p))^α/α! in
    dimensionless coordinates ξ ∈ [−1, 1]^d gives the coefficient of every derivative ∂^α u_j.

    **A field's** shift and scale are the middle of a range and half of it. Of an initial value problem in
    one coordinate, the range is found by integrating it. Elsewhere, it is that of a polynomial that solves
    the (linearized) problem up to 1%, where there is one; or else that of the values which conditions ask
    for, if need be widened to the size that sources give a field:
    rms(r)/max_α |c_α| κ^α, with r the residual at a constant field and κ ≥ 1 its wavenumber. Where they
    ask for one value and there is no source, its magnitude.

    **A residual's** size is its largest term: max over fields and α of |c_α| times the field's scale, or
    its rms at the constant field if that is larger.
    """
    if problem not in _KNOWN:
        with jax.enable_x64(True), np.errstate(all="ignore"):
            _KNOWN[problem] = _Search(problem).scales()
    return _KNOWN[problem]


class _Search:
    """The search for the scales of one problem: its probes, and what is known so far."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.probes: Probes = probe(problem)
        self.count = len(problem.fields)
        self.notes: list[str] = [
            f"{name!r} could not be probed ({why}); its scale is 1."
            for name, why in self.probes.refused.items()
        ]

    def scales(self) -> Scales:
        """All of it."""
        shift = np.zeros(self.count)
        asked = [(0.0, 0.0)] * self.count
        for _ in range(2):  # an equation that is not linear asks for other values at other states
            rows = rows_at(self.probes, constant(self.probes, shift))
            asked = self._asked(rows, shift)
            shift = np.array([(low + high) / 2 for low, high in asked])
        rows = rows_at(self.probes, constant(self.probes, shift))
        shift, scale = self._ranges(rows, asked, shift)
        conditions = self._sizes(shift, scale)
        fields = {
            name: _rounded(float(middle), float(size))
            for name, middle, size in zip(self.problem.fields, shift, scale, strict=True)
        }
        box = self.problem.domain.bounds
        middles, halves = self.probes.scaling.shift, self.probes.scaling.scale
        coordinates = {n: FieldScale(m, h) for n, m, h in zip(box, middles, halves, strict=True)}
        return Scales(fields, conditions, coordinates, tuple(self.notes))

    # --- states and rows

    def _slope(self, shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Fields that rise from shift − scale to shift + scale: there the terms of products show."""
        found = constant(self.probes, shift)
        linear = np.array(self.probes.powers).sum(axis=1) == 1
        found[:, linear] = (scale / linear.sum())[:, None]
        return found

    # --- what conditions ask for

    def _asked(self, rows: Sequence[Row], shift: np.ndarray) -> list[tuple[float, float]]:
        """The range of values that conditions ask for, by field; (0, 0) where they ask for none."""
        values: list[list[float]] = [[] for _ in range(self.count)]
        for row in rows:
            field = row.value_of
            if field is None:
                continue
            slope = row.terms[:, field, 0]
            there = np.abs(slope) > ABSENT * np.abs(slope).max()
            values[field] += (shift[field] - row.r[there] / slope[there]).tolist()
        return [(min(found), max(found)) if found else (0.0, 0.0) for found in values]

    def _driven(self, rows: Sequence[Row], shift: np.ndarray) -> np.ndarray:
        """The size that sources give each field at a constant state, 0 where there are none."""
        own = np.zeros(self.count)
        other = np.zeros(self.count)
        for index, row in enumerate(rows):
            if row.value_of is not None or not len(row.r):
                continue
            forcing = rms(row.r)
            if forcing == 0 or row.sizes.max() == 0:
                continue
            waves = np.prod(
                self._wavenumbers(rows, index, shift) ** np.array(self.probes.powers), 1
            )
            for field in np.flatnonzero(row.sizes):
                size = forcing / np.max(row.coefficients[field] * waves)
                near = row.sizes[field] >= OWN * row.sizes.max()
                target = own if near else other
                target[field] = max(target[field], size)
        return np.where(own > 0, own, other)

    def _wavenumbers(self, rows: Sequence[Row], index: int, shift: np.ndarray) -> np.ndarray:
        """How fast the forcing of a row varies along each coordinate: rms(∂r/∂ξ)/rms(r), at least 1."""
        row = rows[index]
        probe = self.probes.probes[row.name]
        component = sum(other.name == row.name for other in rows[:index])
        found = np.ones(len(self.probes.scaling.scale))
        if probe.condition.targets is not None:
            return found
        state = constant(self.probes, shift)
        names = list(self.problem.domain.bounds)
        for axis, half in enumerate(self.probes.scaling.scale):
            if names[axis] not in probe.condition.where.free:
                continue
            inwards = -np.where(self.probes.scaled(row.points)[:, axis] > 0, STEP, -STEP)
            moved = row.points.copy()
            moved[:, axis] += half * inwards
            r = respond(self.probes, probe, state, moved).residuals[:, component]
            slope = (r - row.r) / inwards
            slope = slope[np.isfinite(slope)]
            found[axis] = max(1.0, rms(slope) / rms(row.r))
        return found

    # --- fields

    def _ranges(
        self, rows: Sequence[Row], asked: Sequence[tuple[float, float]], shift: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale of every field."""
        driven = self._driven(rows, shift)
        halves = np.array([(high - low) / 2 for low, high in asked])
        spread = halves > ABSENT * np.abs(shift)
        lone = np.where(driven > 0, driven, np.abs(shift))
        prior = np.where(spread, np.maximum(halves, driven), lone)
        prior = self._balanced(rows, shift, np.where(np.isfinite(prior), prior, 0.0))
        solved = ranges_from_the_start(self.problem, self.probes)
        if solved is None:
            solved = ranges_of_a_polynomial(self.probes, shift, np.where(prior > 0, prior, 1.0))
        scale = prior.copy()
        for field, name in enumerate(self.problem.fields):
            found = solved[field] if solved is not None else None
            if found is not None and found[1] > found[0]:
                low, high = found
                if spread[field]:
                    low, high = min(low, asked[field][0]), max(high, asked[field][1])
                shift[field], scale[field] = (low + high) / 2, (high - low) / 2
            elif prior[field] == 0:
                scale[field] = 1.0
                self.notes.append(
                    f"Nothing in the conditions gives {name!r} a size; its scale is 1."
                )
        return shift, scale

    def _balanced(self, rows: Sequence[Row], shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Scales, where those that are zero give a field terms as large as those of the others."""
        for _ in range(self.count if (scale == 0).any() else 0):
            found = scale.copy()
            for row in [*rows, *rows_at(self.probes, self._slope(shift, scale))]:
                known = float(np.max(row.sizes * scale))
                for field in np.flatnonzero((row.sizes > 0) & (scale == 0)):
                    found[field] = max(found[field], known / row.sizes[field])
            scale = found
        return scale

    # --- residuals

    def _sizes(self, shift: np.ndarray, scale: np.ndarray) -> dict[str, tuple[float, ...]]:
        """The size of every residual: its largest term at the shifts and at a slope through them."""
        found: dict[str, list[float]] = {name: [] for name in self.probes.probes}
        here = rows_at(self.probes, constant(self.probes, shift))
        there = rows_at(self.probes, self._slope(shift, scale))
        for low, high in zip(here, there, strict=True):
            terms = max(float(np.max(row.sizes * scale)) for row in (low, high))
            size = max(terms, rms(low.r))
            if not (math.isfinite(size) and size > 0):
                size = 1.0
                self.notes.append(f"The residual of {low.name!r} has no size; its scale is 1.")
            found[low.name].append(_digits(size))
        return {name: tuple(found.get(name, (1.0,))) for name in self.problem.names}


def _digits(value: float) -> float:
    return float(f"{value:.{DIGITS - 1}e}")


def _rounded(shift: float, scale: float) -> FieldScale:
    """Both rounded to the second digit of the scale."""
    return FieldScale(round(shift, DIGITS - 1 - math.floor(math.log10(scale))), _digits(scale))
