"""Why a PINN does not train: the record of an examination, and the functions that make one."""

from __future__ import annotations

import dataclasses
import platform
import textwrap
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import jax

from pinntk.diagnosis import views
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import Found, OptionOf
from pinntk.diagnosis.forecast import Forecast
from pinntk.diagnosis.record import SCHEMA, SCHEMA_VERSION
from pinntk.problem import Batch
from pinntk.training import Setup, precision, strict
from pinntk.training.describe import describe_setup

#: Columns of a terminal that a printed verdict fits.
COLUMNS = 80


@dataclasses.dataclass(frozen=True, eq=False)
class Diagnosis:
    """The findings and their evidence. Print it to read the verdict.

    `findings` are in order of importance; `evidence` holds the measurements; `setup` is what was
    diagnosed, from `seed` on; `seconds` is the time it took. `evidence.setup` is what was examined: where
    no draw of the setup is finite, a form of it that is.
    """

    findings: tuple[Found, ...]
    evidence: Evidence
    setup: Setup
    seed: int
    seconds: float

    @property
    def forecast(self) -> Forecast | None:
        """The forecast of the first draw; None where a condition has no gradient at all."""
        return self.evidence.forecast

    @property
    def batch(self) -> Batch:
        """The points of the first draw."""
        return self.evidence.subject.draws[0].batch

    @property
    def verdict(self) -> tuple[str, ...]:
        """The findings as sentences, most important first."""
        return tuple(finding.sentence for finding in self.findings)

    def __str__(self) -> str:
        return "\n\n".join(finding_text(finding, self.setup) for finding in self.findings)

    def as_dict(self, option_of: OptionOf | None = None) -> dict[str, Any]:
        """All of it, JSON-ready, by the schema `SCHEMA` in its version; see docs/record.md.

        `option_of(before, after)` writes a changed setup as options of a command line.
        """
        e, problem = self.evidence, self.evidence.problem
        with precision(self.setup.dtype):
            maps = views.maps(e.subject, e.baseline.models[0])
        record = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "problem": {
                "name": problem.name,
                "coordinates": list(problem.domain.coordinates),
                "fields": list(problem.fields),
                "conditions": {
                    name: {"points": e.counts[name], "residuals": e.residuals[name]}
                    for name in problem.names
                },
                "has_solution": problem.solution is not None,
            },
            "parameters": e.parameters,
            "seed": self.seed,
            "draws": e.draws,
            "settings": describe_setup(self.setup),
            "verdict": list(self.verdict),
            "findings": [finding.as_dict(self.setup, option_of) for finding in self.findings],
            "forecast": None if self.forecast is None else _forecast(self.forecast),
            "spectra": views.spectra(e),
            "baseline": views.baseline(e),
            "maps": maps,
            "points": views.points(self.batch),
            "modes": views.modes(e.after[0]),
            "trials": [],
            "winner": None,
            "expected": None,
            "provenance": provenance(self.setup.dtype, self.seconds),
        }
        return strict(record)


def _forecast(forecast: Forecast) -> dict[str, Any]:
    """Without what stands elsewhere in the record."""
    elsewhere = ("eigenvalues", "spectra", "problem", "parameters")
    return {k: v for k, v in forecast.as_dict().items() if k not in elsewhere}


def provenance(dtype: str, seconds: float) -> dict[str, Any]:
    """What the record was made with. The command line puts its own command in."""
    return {
        "pinntk": version("pinntk"),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(jax.devices()[0].device_kind),
        "dtype": dtype,
        "command": "pinntk.diagnose(problem, model, training)",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
    }


def finding_text(
    found: Found, before: Setup, columns: int = COLUMNS, option_of: OptionOf | None = None
) -> str:
    """A finding in a terminal, wrapped: what, why, and what to do.

    A remedy comes with its options of the command line where `option_of` gives some, and with its code
    otherwise.
    """

    def wrapped(text: str, lead: str) -> str:
        return textwrap.fill(
            text,
            columns,
            initial_indent=lead,
            subsequent_indent=" " * len(lead),
            break_long_words=False,
            break_on_hyphens=False,
        )

    lines = [wrapped(f"{found.severity.upper()}  {found.sentence}", "")]
    lines.append(wrapped(found.reason, "  why  "))
    for remedy in found.remedies:
        lines.append(wrapped(remedy.text, "  do   "))
        shown = remedy.option(before, option_of) or ("" if option_of else remedy.code)
        lines += [f"       {line}" for line in shown.splitlines()]
    return "\n".join(lines)
