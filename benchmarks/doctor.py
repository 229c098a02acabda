"""What the benchmarks read of an examination and of trials: the one place that knows their interface."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any

Record = dict[str, Any]


def findings_of(diagnosis: Any) -> list[Record]:
    """The findings, most important first."""
    return [
        {
            "failure_mode": finding.name,
            "severity": str(finding.severity),
            "confidence": finding.confidence,
            "sentence": finding.sentence,
            "remedies": [remedy.code or remedy.text for remedy in finding.remedies],
        }
        for finding in diagnosis.findings
    ]


def estimates_of(diagnosis: Any) -> list[Record]:
    """Estimated and true error of every draw, before and after the short training.

    The estimate is the examination's own, which sees no solution; the truth is the relative L2 error.
    """
    evidence = diagnosis.evidence
    if diagnosis.setup.problem.solution is None:
        return []
    models = {
        "before": [draw.model for draw in evidence.subject.draws],
        "after": list(evidence.baseline.models),
    }
    found = []
    for stage, measured in (("before", evidence.before), ("after", evidence.after)):
        for draw, (measures, model) in enumerate(zip(measured, models[stage], strict=False)):
            estimate = finite(getattr(getattr(measures, "linearized", None), "error", None))
            truth = true_error(diagnosis, model)
            if estimate is not None and truth is not None:
                found.append({"stage": stage, "draw": draw, "estimate": estimate, "true": truth})
    return found


def true_error(diagnosis: Any, model: Any) -> float | None:
    """The relative L2 error of a model of the problem that is examined, in the model's precision."""
    import jax.numpy as jnp

    from pinntk.diagnosis.subject import field_at
    from pinntk.jacobian import model_dtype
    from pinntk.problem import relative_l2
    from pinntk.training import precision

    problem, dtype = diagnosis.setup.problem, model_dtype(model)
    with precision("float64" if dtype == jnp.float64 else "float32"):
        points = problem.test_points(dtype)
        values = (jnp.asarray(field_at(problem, f, points)) for f in (model, problem.solution))
        return finite(float(relative_l2(*values)))


def expected_of(diagnosis: Any) -> float | None:
    """The relative error that is expected after the planned steps, the median over the draws."""
    evidence = diagnosis.evidence
    return finite(evidence.median(evidence.error)) if evidence.baseline.told else None


def treatment_of(diagnosis: Any, budget: float, first_order: bool) -> Record:
    """The trials of the remedies, with or without the natural gradient, and the best of them."""
    from pinntk.diagnosis import treat

    options: Record = {"first_order": True} if first_order else {}
    if first_order and "first_order" not in inspect.signature(treat).parameters:
        return {"failed": "treat has no first_order"}
    treatment: Any = treat(diagnosis, budget, **options)
    trials = [trial_of(trial) for trial in treatment.trials]
    baseline = trials[0] if trials else {}
    winner = treatment.winner
    best = None if winner is None else winner.remedy
    after = next((t for t in trials[1:] if best is not None and t["name"] == best.text), {})
    return {
        "remedy": None if best is None else best.code or best.text,
        "before": baseline.get("relative_l2"),
        "after": after.get("relative_l2"),
        "held_out_before": baseline.get("held_out"),
        "held_out_after": after.get("held_out"),
        # Whether the doctor calls it a cure; the page counts by error where there is one.
        "claimed": bool(getattr(winner, "cure", winner is not None)),
        # What the training as planned is expected to end with, from what it reached in its trial.
        "expected": finite(treatment.expected),
        "trials": trials,
    }


def trial_of(trial: Any) -> Record:
    """What counts of a trial; numbers that are not finite are None."""
    return {
        "name": trial.name,
        "outcome": str(trial.outcome),
        "reason": getattr(trial, "reason", ""),
        "steps": trial.steps,
        "seconds": finite(trial.seconds),
        "held_out": finite(trial.held_out),
        "relative_l2": finite(trial.relative_l2),
        "estimate": finite(getattr(trial, "estimate", None)),
    }


def finite(value: float | None) -> float | None:
    """The number, None for NaN, infinity and nothing."""
    return None if value is None or not math.isfinite(value) else float(value)


def pairs(visit: Record) -> Iterator[tuple[str, float, float]]:
    """(stage, estimated error, true error) of all that a visit looked at."""
    for each in visit.get("estimates", ()):
        yield each["stage"], each["estimate"], each["true"]
    for trial in visit.get("treatment", {}).get("trials", ()):
        if trial["estimate"] is not None and trial["relative_l2"] is not None:
            yield "trial", trial["estimate"], trial["relative_l2"]
