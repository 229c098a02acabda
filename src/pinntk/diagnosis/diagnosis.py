"""Why a PINN does not train: the record of an examination, and the functions that make one."""

from __future__ import annotations

import dataclasses
import platform
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from pinntk.diagnosis import views
from pinntk.diagnosis.effort import DRAWS, STEPS, Effort
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.examination import PATIENCE, Progress, gather, judge, no_progress
from pinntk.diagnosis.finding import AbstractFinding, Found, OptionOf
from pinntk.diagnosis.findings import FINDINGS
from pinntk.diagnosis.forecast import Forecast
from pinntk.diagnosis.record import SCHEMA, SCHEMA_VERSION
from pinntk.diagnosis.subject import Draw, JaxSubject, precision_of
from pinntk.errors import PinntkError
from pinntk.problem import Batch, Model, Problem
from pinntk.training import Given, Setup, Training, precision, strict
from pinntk.training.describe import describe_setup
from pinntk.training.plan import check_count

#: Columns of a terminal that a printed verdict fits.
COLUMNS = 80


@dataclasses.dataclass(frozen=True, eq=False)
class Diagnosis:
    """The findings and their evidence. Print it to read the verdict.

    `findings` are in order of importance; `evidence` holds the measurements; `setup` is what was
    examined, from `seed` on; `seconds` is the time it took.
    """

    findings: tuple[Found, ...]
    evidence: Evidence
    seed: int
    seconds: float

    @property
    def setup(self) -> Setup:
        """What was examined."""
        return self.evidence.setup

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


def diagnose(
    problem: Problem,
    model: Model,
    training: Training,
    *,
    batch: Batch | None = None,
    findings: Sequence[AbstractFinding] = FINDINGS,
    draws: int = DRAWS,
    steps: int = STEPS,
    patience: float = PATIENCE,
    key: PRNGKeyArray | None = None,
) -> Diagnosis:
    """Diagnose any model of a problem: its kernels, a short training, its kernels again; then the verdict.

    The model is examined on `draws` sets of points; the first is `batch` if given. The short training
    follows the plan, with its optimizer, weights and points.

    **Arguments:** `model`: an Equinox module or any callable pytree from a point (d,) to the fields;
    `training`: the plan; `findings`: what to look for, causes before what they cause; `draws` and
    `steps`: the most of them that the short training takes, which takes fewer where the problem is large;
    `patience`: seconds after which it stops.

    **Raises:** `PinntkError` where `draws` or `steps` is below 1 or `patience` is not positive;
    `ResidualError` where a residual cannot be used or is not finite at some point.
    """
    _check_limits(draws, steps, patience)
    setup = Setup(problem, training, Given(model), precision_of(model))
    began = time.perf_counter()
    with precision(setup.dtype):
        key = jax.random.key(0) if key is None else key
        keys = [jax.random.fold_in(key, i) if i else key for i in range(draws)]
        batches = [problem.sample(each, setup.dtype) for each in keys]
        if batch is not None:
            batches[0] = batch
        made = [Draw(model, points) for points in batches]
        subject = JaxSubject(problem, made, training, key)
        evidence = gather(setup, subject, alternatives={}, steps=steps, patience=patience)
        found = judge(evidence, findings)
    return Diagnosis(found, evidence, 0, time.perf_counter() - began)


def examine(
    setup: Setup,
    seed: int = 0,
    *,
    findings: Sequence[AbstractFinding] = FINDINGS,
    alternatives: Mapping[str, Setup] | None = None,
    draws: int = DRAWS,
    steps: int = STEPS,
    patience: float = PATIENCE,
    progress: Progress = no_progress,
    announce: Callable[[Effort], None] | None = None,
) -> Diagnosis:
    """Examine a setup with `draws` networks and sets of points: those of its seed and of the next ones.

    `alternatives` are tuned setups of the same problem by name, which remedies may propose, such as
    "natural-gradient"; `announce` is told what the short training takes before it begins; the other
    arguments are those of `diagnose`.
    """
    _check_limits(draws, steps, patience)
    if not isinstance(setup, Setup):
        raise PinntkError("setup", got=setup, expected="a pinntk.Setup")
    began = time.perf_counter()
    with precision(setup.dtype):
        starts = [setup.start(seed + i) for i in range(draws)]
        first = starts[0]
        made = [Draw(_alike(start.model, first.model), start.batch) for start in starts]
        subject = JaxSubject(first.problem, made, setup.training, first.key)
        evidence = gather(
            setup,
            subject,
            alternatives=dict(alternatives or {}),
            steps=steps,
            patience=patience,
            progress=progress,
            announce=announce,
        )
        progress("judging", 0.9)
        found = judge(evidence, findings)
    return Diagnosis(found, evidence, seed, time.perf_counter() - began)


def _alike(model: Model, first: Model) -> Model:
    """A draw with the constants of the first one, so that both are trained by one program.

    Networks that are scaled to their own points differ in nothing else.
    """
    leaves, structure = jax.tree.flatten(first)
    own = jax.tree.leaves(model)
    return jax.tree.unflatten(structure, own) if len(own) == len(leaves) else model


def _check_limits(draws: int, steps: int, patience: float) -> None:
    for name, value in {"draws": draws, "steps": steps}.items():
        check_count(name, value)
    if not patience > 0:
        raise PinntkError("patience", got=patience, expected="a positive number of seconds")
