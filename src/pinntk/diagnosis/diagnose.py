"""Why a PINN does not train: the record of an examination, and the function that makes one."""

from __future__ import annotations

import dataclasses
import platform
import textwrap
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from pinntk.diagnosis import views
from pinntk.diagnosis.baseline import Draw
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.examination import (
    DRAWS,
    SECONDS,
    STEPS,
    Progress,
    examine_draws,
    judge,
    no_progress,
)
from pinntk.diagnosis.findings import Finding
from pinntk.diagnosis.first_look import FirstLook, first_look
from pinntk.diagnosis.measures import check_finite, observed
from pinntk.diagnosis.record import SCHEMA, SCHEMA_VERSION
from pinntk.errors import PinntkError
from pinntk.jacobian import model_dtype
from pinntk.problem import Batch, Model, Problem
from pinntk.recipe import Recipe

#: Columns of a terminal that a printed verdict fits.
COLUMNS = 80


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What was found, with all that it rests on. `print` of it is the verdict.

    `findings` are in order of importance; `first` is the kernel's first look at the first draw, None where
    a condition has no gradient at all; `evidence` the measurements; `seconds` what it took.
    """

    findings: tuple[Finding, ...]
    first: FirstLook | None
    evidence: Evidence
    batch: Batch
    seed: int
    seconds: float

    @property
    def verdict(self) -> tuple[str, ...]:
        """The findings as sentences, most important first."""
        return tuple(finding.sentence for finding in self.findings)

    def __str__(self) -> str:
        blocks = [finding_text(finding) for finding in self.findings]
        return "\n\n".join(blocks)

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-ready, by the schema `SCHEMA` in its version; see docs/record.md."""
        e, problem = self.evidence, self.evidence.problem
        record = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "problem": {
                "name": problem.name,
                "coordinates": list(problem.domain.coordinates),
                "fields": list(problem.fields),
                "conditions": {
                    name: {
                        "points": len(self.batch[name].points),
                        "residuals": e.residuals[name],
                    }
                    for name in problem.names
                },
                "has_solution": problem.solution is not None,
            },
            "parameters": e.parameters,
            "seed": self.seed,
            "draws": e.draws,
            "settings": e.recipe.as_dict(),
            "verdict": list(self.verdict),
            "findings": [finding.as_dict() for finding in self.findings],
            "first_look": None if self.first is None else _first(self.first),
            "spectra": views.spectra(e),
            "baseline": views.baseline(e),
            "maps": views.maps(problem, e.baseline.models[0]),
            "points": views.points(self.batch),
            "modes": views.modes(e.after[0]),
            "trials": [],
            "winner": None,
            "provenance": provenance(e.recipe.dtype, self.seconds),
        }
        return views.plain(record)


def _first(look: FirstLook) -> dict[str, Any]:
    record = look.as_dict()
    return {
        k: v for k, v in record.items() if k not in ("spectra", "verdict", "problem", "parameters")
    }


def provenance(dtype: str, seconds: float) -> dict[str, Any]:
    """What the record was made with. The command line puts its own command in."""
    return {
        "pinntk": version("pinntk"),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(jax.devices()[0].device_kind),
        "dtype": dtype,
        "command": "pinntk.diagnose(problem, model)",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
    }


def finding_text(finding: Finding, columns: int = COLUMNS) -> str:
    """A finding in a terminal: what, why, and what to do, wrapped."""

    def wrapped(text: str, lead: str) -> str:
        return textwrap.fill(
            text,
            columns,
            initial_indent=lead,
            subsequent_indent=" " * len(lead),
            break_long_words=False,
            break_on_hyphens=False,
        )

    lines = [wrapped(f"{finding.severity.upper()}  {finding.sentence}", "")]
    lines.append(wrapped(finding.reason, "  why  "))
    for remedy in finding.remedies:
        lines.append(wrapped(remedy.text, "  do   "))
        if remedy.option:
            lines.append(f"       {remedy.option}")
    return "\n".join(lines)


def diagnose(
    problem: Problem,
    model: Model,
    batch: Batch | None = None,
    *,
    recipe: Recipe | None = None,
    draws: int = DRAWS,
    steps: int = STEPS,
    seconds: float = SECONDS,
    key: PRNGKeyArray | None = None,
) -> Diagnosis:
    """Examine any model of a problem: its kernels, a short training, its kernels again; then the rules.

    The model is looked at with `draws` sets of points; the first is `batch` where that is given.

    **Arguments:** `model`: an Equinox module or any callable pytree from a point (d,) to the fields;
    `recipe`: the training that is planned (optimiser, learning rate, steps, weighting), by default the
    problem's own with all weights 1; `steps` and `seconds`: how long the short training may be.

    **Raises:** `PinntkError` where `draws` or `steps` is below 1; `ResidualError` where a residual cannot
    be used or is not finite at some point.
    """
    for name, value in {"draws": draws, "steps": steps}.items():
        if not isinstance(value, int) or value < 1:
            raise PinntkError(name, got=value, expected="a whole number, 1 or more")
    plan = problem.recipe.replace(weighting="fixed") if recipe is None else recipe
    key = jax.random.key(0) if key is None else key
    dtype = model_dtype(model)
    batches = [
        problem.sample(jax.random.fold_in(key, i) if i else key, dtype) for i in range(draws)
    ]
    if batch is not None:
        batches[0] = batch
    made = [Draw(model, points) for points in batches]
    return examined(problem, made, plan, key, steps=steps, seconds=seconds)


def examined(
    problem: Problem,
    draws: Sequence[Draw],
    recipe: Recipe,
    key: PRNGKeyArray,
    *,
    seed: int = 0,
    steps: int = STEPS,
    seconds: float = SECONDS,
    progress: Progress = no_progress,
) -> Diagnosis:
    """Draws of network and points, all of one shape, examined and judged."""
    began = time.perf_counter()
    problem.check(draws[0].model, draws[0].batch)
    for item in draws:
        check_finite(problem, item.model, item.batch)
    evidence = examine_draws(
        problem, draws, recipe, key, steps=steps, seconds=seconds, progress=progress
    )
    alive = all(rate > 0 for rate in evidence.before[0].rates.values())
    first = None
    if alive:
        progress("reading the spectra", 0.9)
        first = first_look(
            problem,
            draws[0].model,
            observed(problem, model_dtype(draws[0].model)),
            steps=recipe.steps,
            learning_rate=recipe.learning_rate if recipe.optimizer == "sgd" else None,
            weights=recipe.weights if recipe.weighting == "fixed" else None,
        )
    findings = judge(evidence)
    took = time.perf_counter() - began
    return Diagnosis(findings, first, evidence, draws[0].batch, seed, took)
