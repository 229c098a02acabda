"""The examination: look, train a little, look again, over several draws; then the rules."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PRNGKeyArray

from pinntk.diagnosis.baseline import Baseline, Draw, run_baseline
from pinntk.diagnosis.contradiction import find_clash
from pinntk.diagnosis.evidence import FAILED, MAJORITY, Evidence, weights_of
from pinntk.diagnosis.findings import Finding, Illness, Severity, ordered
from pinntk.diagnosis.measures import measure, observed, product_error
from pinntk.diagnosis.rules import LAST_RULES, RULES
from pinntk.diagnosis.words import percent
from pinntk.errors import PinntkError
from pinntk.jacobian import model_dtype, parameter_count, trainable
from pinntk.kernel import tangent_kernel
from pinntk.problem import Problem
from pinntk.recipe import Recipe
from pinntk.training import NATURAL, build_optimizer, build_weighting

#: Draws of network and points; a finding must hold in most of them.
DRAWS = 5
#: Steps of the short training: enough for Adam to move every parameter of a usual network by its own
#: size at a rate of 1e-3, and a fifth of the 10,000 that a plain recipe plans.
STEPS = 2000
#: Seconds that it may take; slower ones are cut at the row in which they pass it.
SECONDS = 15.0

#: Losses that rise again by this much between rows of the last quarter of a run are not descending.
SWINGING = 10.0

Progress = Callable[[str, float], None]


def no_progress(what: str, done: float) -> None:
    """Tell nobody what is done and which share of it."""


def examine_draws(
    problem: Problem,
    draws: Sequence[Draw],
    recipe: Recipe,
    key: PRNGKeyArray,
    *,
    steps: int = STEPS,
    seconds: float = SECONDS,
    progress: Progress = no_progress,
) -> Evidence:
    """Measure every draw, train them all a little, measure again. `recipe` is the training planned."""
    optimizer, weighting = build_optimizer(recipe), build_weighting(recipe)
    planned = recipe.steps
    start = weighting.initial(problem.names)

    progress("computing the kernels of the untrained networks", 0.0)
    clash = find_clash(problem, draws[0].model)
    seen = observed(problem, model_dtype(draws[0].model))
    before = [measure(problem, item.model, seen, start, planned) for item in draws]
    progress("training a little", 0.3)
    short = min(steps, planned)
    run = lambda optimizer, draws: run_baseline(
        problem, draws, optimizer, weighting, short, planned, key, seconds
    )
    baseline = run(optimizer, draws)
    progress("computing the kernels of the trained networks", 0.7)
    after, gone = [], list(baseline.diverged)
    for i, model in enumerate(baseline.models):
        try:
            if not gone[i]:
                given = weights_of(baseline, -1, i)
                after.append(measure(problem, model, seen, given, planned))
                continue
        except PinntkError:  # numbers so large that the kernel overflows
            gone[i] = True
        # A draw that diverged is looked at as it was: its last finite numbers say nothing.
        after.append(before[i])
    baseline = dataclasses.replace(baseline, diverged=tuple(gone))
    try:
        midway = tangent_kernel(problem, baseline.midway, seen).rates()
    except PinntkError:
        midway = {}
    smaller = None
    if recipe.optimizer != NATURAL and _unsteady(baseline):
        progress("trying a tenth of the step", 0.85)
        gentler = build_optimizer(recipe.replace(learning_rate=recipe.learning_rate / 10))
        smaller = _gain(baseline, run(gentler, draws))
    flat = ravel_pytree(trainable(draws[0].model)[0])[0]
    return Evidence(
        problem=problem,
        recipe=recipe,
        before=before,
        after=after,
        baseline=baseline,
        clash=clash,
        midway_rates=midway,
        product_error=product_error(model_dtype(draws[0].model)),
        smaller_step=smaller,
        counts={name: len(sample.points) for name, sample in draws[0].batch.items()},
        parameters=parameter_count(draws[0].model),
        parameter_rms=float(np.sqrt(np.mean(np.asarray(flat, np.float64) ** 2))),
    )


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """All findings, most important first; `healthy` where none is severe and the error is to be small."""
    found = [finding for rule in RULES if (finding := rule(evidence)) is not None]
    severe = lambda: any(finding.severity is Severity.SEVERE for finding in found)
    if not severe():
        found += [finding for rule in LAST_RULES if (finding := rule(evidence)) is not None]
    if severe():
        return ordered(found)
    share = evidence.share(lambda i: bool(evidence.stuck(i)))
    if share > MAJORITY:
        likely = _likely(evidence) or _unexplained(evidence, share)
        return ordered([*(f for f in found if f.illness is not likely.illness), likely])
    return (_healthy(evidence, 1 - share), *ordered(found))


def _likely(e: Evidence) -> Finding | None:
    """The first cause that a second look finds, where an error stays and the first look found none."""
    again = dataclasses.replace(e, second_look=True)
    found = [f for rule in (*RULES, *LAST_RULES) if (f := rule(again)) is not None]
    severe = [finding for finding in ordered(found) if finding.severity is Severity.SEVERE]
    if not severe:
        return None
    sentence = (
        f"{severe[0].sentence} This is the likeliest cause, not a certain one: it is seen less clearly "
        "than is asked for, and nothing else explains the error that is expected."
    )
    return dataclasses.replace(severe[0], severity=Severity.MODERATE, sentence=sentence)


def _expected(e: Evidence) -> dict[str, float]:
    return {
        f"relative error after {e.baseline.done:,} steps, estimated": e.median(
            lambda i: e.after[i].linearised.error
        ),
        f"relative error expected after {e.baseline.planned:,} steps": e.median(e.error),
    }


def _healthy(e: Evidence, confidence: float) -> Finding:
    sentence = (
        f"Healthy: the relative error is {percent(e.median(lambda i: e.after[i].linearised.error))} after "
        f"{e.baseline.done:,} steps by the kernel's estimate, and expected to be "
        f"{percent(e.median(e.error))} after {e.baseline.planned:,}."
    )
    reason = "Nothing that was looked for stands in the way of training."
    return Finding(
        Illness.HEALTHY, Severity.NOTE, confidence, sentence, reason, _expected(e), "losses"
    )


def _unexplained(e: Evidence, share: float) -> Finding:
    names = [name for i in range(e.draws) for name in e.stuck(i)]
    worst = max(set(names), key=names.count)
    sentence = (
        f"An error of {percent(e.median(e.error))} is expected after {e.baseline.planned:,} steps, most of "
        f"it from '{worst}', and none of the causes looked for explains it."
    )
    reason = "Longer training may do; the trials say whether something else does."
    return Finding(
        Illness.UNEXPLAINED, Severity.MODERATE, share, sentence, reason, _expected(e), "losses"
    )


def _unsteady(baseline: Baseline) -> bool:
    """Whether most draws diverged, rose, or rose again by an order in the last quarter of the rows.

    A loss that has come down to the square of `FAILED` may do as it likes.
    """
    with np.errstate(invalid="ignore"):  # a block of zeros has an infinite weight
        total = sum(baseline.losses[name] * baseline.weights[name] for name in baseline.losses)
    assert isinstance(total, np.ndarray)
    tail = total[-max(2, len(total) // 4) :]
    with np.errstate(invalid="ignore"):
        lowest = np.minimum.accumulate(tail, axis=0)
        swings = (tail / np.maximum(lowest, np.finfo(float).tiny)).max(axis=0)
    large = ~(total[-1] < FAILED**2 * total[0])
    bad = np.array(baseline.diverged) | ~(total[-1] < total[0]) | (large & (swings > SWINGING))
    return bool(np.mean(bad) > MAJORITY)


def _gain(baseline: Baseline, gentler: Baseline) -> float:
    """The median over draws of the loss over that of a run with another step."""

    def end(run: Baseline) -> np.ndarray:
        total = sum(run.losses[name] for name in run.losses)
        assert isinstance(total, np.ndarray)
        return np.where(np.array(run.diverged), math.inf, total[-1])

    before, after = end(baseline), end(gentler)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(np.isfinite(after), before / after, 1.0)
    return float(np.median(ratio))
