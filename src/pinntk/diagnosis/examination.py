"""The examination: look, train a little, look again, over several draws; then the findings."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from pinntk.diagnosis.baseline import Baseline, run_baseline, weights_at
from pinntk.diagnosis.effort import STEPS, Effort, effort_of
from pinntk.diagnosis.evidence import MAJORITY, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity, ordered
from pinntk.diagnosis.findings.not_finite import NotFiniteAt
from pinntk.diagnosis.forecast import first_weights, forecast_of
from pinntk.diagnosis.measures import check_finite, measure, observed
from pinntk.diagnosis.subject import AbstractSubject
from pinntk.diagnosis.track_record import calibration
from pinntk.errors import PinntkError
from pinntk.problem import Batch
from pinntk.training import Setup
from pinntk.words import percent

#: Seconds after which an examination stops to train and judges what it has seen.
PATIENCE = 600.0

#: (what is being done, the share that is done)
Progress = Callable[[str, float], None]
HEALTHY, UNEXPLAINED, UNSEEN = "healthy", "unexplained", "training not seen"


def no_progress(what: str, done: float) -> None:
    """Ignore progress."""


def gather(
    setup: Setup,
    subject: AbstractSubject,
    *,
    alternatives: Mapping[str, Setup],
    steps: int = STEPS,
    patience: float = PATIENCE,
    progress: Progress = no_progress,
    announce: Callable[[Effort], None] | None = None,
    not_finite: NotFiniteAt | None = None,
) -> Evidence:
    """Measure every draw, train them all a little, measure again.

    How much is done follows from the size of the problem (`effort_of`), not from the machine; it is
    announced before. `not_finite` says which draws were left out.
    """
    deadline = time.perf_counter() + patience
    planned = subject.training.steps
    effort = effort_of(subject, len(subject.draws), steps)
    if announce is not None:
        announce(effort)
    subject = subject.chosen(range(effort.draws))
    draws = subject.draws
    for draw in draws:
        check_finite(subject, draw.model, draw.batch)
    start = first_weights(subject)
    progress(f"training {effort.steps:,} steps", 0.0)
    baseline = run_baseline(
        subject, subject.training, effort.steps, points=effort.points, deadline=deadline
    )
    progress("computing the kernels of the untrained networks", 0.4)
    seen = _finite_rows(subject, observed(subject.problem, subject.dtype), baseline)
    before = [measure(subject, draw.model, seen, start, planned) for draw in draws]
    first, forecast = before[0], None
    if all(rate > 0 for rate in first.rates.values()):
        forecast = forecast_of(
            subject, draws[0].model, seen, first.kernel, first.residuals, first.reach
        )
    progress("computing the kernels of the trained networks", 0.7)
    after, gone = [], list(baseline.diverged)
    for i, model in enumerate(baseline.models):
        try:
            if not gone[i]:
                given = weights_at(baseline, -1, i)
                after.append(measure(subject, model, seen, given, planned))
                continue
        except PinntkError:  # numbers so large that the kernel overflows
            gone[i] = True
        # A draw that diverged is looked at as it was: its last finite numbers say nothing.
        after.append(before[i])
    baseline = dataclasses.replace(baseline, diverged=tuple(gone))
    try:
        midway = subject.kernel(baseline.midway, seen).rates()
    except PinntkError:
        midway = {}
    flat = subject.parameters(draws[0].model)
    return Evidence(
        setup=setup,
        subject=subject,
        before=before,
        after=after,
        baseline=baseline,
        forecast=forecast,
        midway_rates=midway,
        counts={name: len(sample.points) for name, sample in draws[0].batch.items()},
        parameters=flat.size,
        parameter_rms=float(np.sqrt(np.mean(flat**2))),
        alternatives=alternatives,
        not_finite=not_finite,
    )


def _finite_rows(subject: AbstractSubject, seen: Batch, baseline: Baseline) -> Batch:
    """The points at which the residuals of all draws are finite, before and after the short training.

    A condition that has hardly any keeps all, so that what is measured there raises.
    """
    models = [draw.model for draw in subject.draws]
    models += [m for m, gone in zip(baseline.models, baseline.diverged, strict=True) if not gone]
    finite = {name: np.ones(len(sample.points), bool) for name, sample in seen.items()}
    for model in models:
        for name, r in subject.residuals(model, seen).items():
            finite[name] &= np.isfinite(r).all(axis=1)
    kept = dict(seen)
    for name, rows in finite.items():
        if len(rows) > rows.sum() >= len(rows) / 2:
            kept[name] = jax.tree.map(lambda a, rows=rows: a[rows], seen[name])
    return kept


def judge(evidence: Evidence, findings: Sequence[AbstractFinding]) -> tuple[Found, ...]:
    """All that is found, most important first; healthy where nothing is severe and no error stays."""
    found = _judged(evidence, findings)
    if not evidence.baseline.told:
        return (_unseen(evidence), *_in_order(found))
    if _severe(found):
        return _in_order(found)
    share = evidence.share(lambda i: bool(evidence.stuck(i)))
    if share > MAJORITY:
        likely = _likely(evidence, findings)
        if not likely:
            return ordered([*_in_order(found), _unexplained(evidence, share)])
        names = [each.name for each in likely.values()]
        others = {index: each for index, each in found.items() if each.name not in names}
        return _in_order({**others, **likely})
    return (_healthy(evidence, 1 - share), *_in_order(found))


def _judged(evidence: Evidence, findings: Sequence[AbstractFinding]) -> dict[int, Found]:
    """What is found, by the finding's place; findings that are `last` only where nothing is severe."""
    found: dict[int, Found] = {}
    for last in (False, True):
        if last and _severe(found):
            break
        for index, finding in enumerate(findings):
            untold = finding.needs_training and not evidence.baseline.told
            each = finding.judge(evidence) if finding.last is last and not untold else None
            if each is not None:
                found[index] = each
    return found


def _severe(found: Mapping[int, Found]) -> bool:
    return any(each.severity is Severity.SEVERE for each in found.values())


def _in_order(found: Mapping[int, Found]) -> tuple[Found, ...]:
    return ordered([found[index] for index in sorted(found)])


def _likely(e: Evidence, findings: Sequence[AbstractFinding]) -> dict[int, Found]:
    """The first cause that a second look finds, where an error stays and the first look found none."""
    again = dataclasses.replace(e, second_look=True)
    for index, finding in enumerate(findings):
        each = finding.judge(again)
        if each is None or each.severity is not Severity.SEVERE:
            continue
        sentence = (
            f"{each.sentence} This is the likeliest cause, not a certain one: it shows less clearly than "
            "a finding must, and nothing else explains the error that is expected."
        )
        return {index: dataclasses.replace(each, severity=Severity.MODERATE, sentence=sentence)}
    return {}


def _expected(e: Evidence) -> dict[str, float]:
    return {
        f"relative error after {e.baseline.done:,} steps, estimated": e.median(
            lambda i: e.after[i].linearized.error
        ),
        f"relative error expected after {e.baseline.planned:,} steps": e.median(e.error),
    }


def _unseen(e: Evidence) -> Found:
    sentence = (
        f"{e.baseline.done:,} of {e.baseline.asked:,} steps were seen before the time was up: nothing is "
        "said about training."
    )
    reason = (
        "What a few steps show is not what training does; findings that rest on it are left out."
    )
    remedy = Proposal("Give the examination more time: --patience, or patience= in Python.")
    measured = {"steps seen": e.baseline.done, "steps that it takes": e.baseline.asked}
    return Found(UNSEEN, Severity.MODERATE, 1.0, sentence, reason, measured, "losses", (remedy,))


def _healthy(e: Evidence, confidence: float) -> Found:
    sentence = (
        f"Healthy: the kernel estimates a relative error of "
        f"{percent(e.median(lambda i: e.after[i].linearized.error))} after {e.baseline.done:,} steps, and "
        f"{percent(e.median(e.error))} is expected after {e.baseline.planned:,}."
    )
    reason = f"Nothing that was looked for stands in the way of training. {calibration()}"
    return Found(HEALTHY, Severity.NOTE, confidence, sentence, reason, _expected(e), "losses")


def _unexplained(e: Evidence, share: float) -> Found:
    names = [name for i in range(e.draws) for name in e.stuck(i)]
    worst = statistics.mode(names)
    sentence = (
        f"An error of {percent(e.median(e.error))} is expected after {e.baseline.planned:,} steps, most of "
        f"it from '{worst}', and none of the known causes explains it."
    )
    advice = "Longer training may help; trials of remedies show whether something else does."
    reason = f"{advice} {calibration()}"
    return Found(UNEXPLAINED, Severity.MODERATE, share, sentence, reason, _expected(e), "losses")
