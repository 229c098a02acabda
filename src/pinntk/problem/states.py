"""The residuals of a problem at states of its fields, as rows of terms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pinntk.problem.probing import Probe, Probes, Response

#: A term is absent below this share of a row's largest: what rounding leaves of a derivative.
ABSENT = 1e-9

#: The least and the greatest value of a field.
Range = tuple[float, float]


class Row(NamedTuple):
    """One component of a condition at a state: r (n,) and terms (n, fields, K), where both are finite."""

    name: str
    r: np.ndarray
    terms: np.ndarray
    points: np.ndarray

    @property
    def coefficients(self) -> np.ndarray:
        """The largest |c_α| of each field: shape (fields, K), zero where it is rounding."""
        largest = np.abs(self.terms).max(axis=0, initial=0.0)
        return np.where(largest > ABSENT * largest.max(initial=0.0), largest, 0.0)

    @property
    def sizes(self) -> np.ndarray:
        """The largest coefficient of each field: shape (fields,)."""
        return self.coefficients.max(axis=1)

    @property
    def value_of(self) -> int | None:
        """The field of which the row asks for a value, and nothing else; None for other rows."""
        fields, indices = np.nonzero(self.coefficients)
        return int(fields[0]) if len(fields) == 1 and indices[0] == 0 else None


def constant(probes: Probes, values: np.ndarray) -> np.ndarray:
    """Constant fields as coefficients about 0: shape (fields, K)."""
    found = np.zeros((probes.fields, len(probes.powers)))
    found[:, 0] = values
    return found


def respond(probes: Probes, probe: Probe, state: np.ndarray, points: np.ndarray) -> Response:
    """A condition at points, for fields with coefficients (fields, K) about 0."""
    about = np.einsum("nba,fa->nfb", probes.moved(points), state)
    return probe.at(about, points)


def rows_at(probes: Probes, state: np.ndarray) -> list[Row]:
    """Every component of every condition at its own points, where it is finite."""
    found = []
    for name, each in probes.probes.items():
        r, terms = respond(probes, each, state, each.points)
        for component in range(r.shape[1]):
            finite = np.isfinite(r[:, component]) & np.isfinite(terms[:, component]).all((1, 2))
            found.append(
                Row(name, r[finite, component], terms[finite, component], each.points[finite])
            )
    return found


def rms(values: np.ndarray) -> float:
    """The root mean square, 0 of nothing."""
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0
