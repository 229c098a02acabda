"""Examine a setup or a model: draws, their measurements, and the verdict on them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from pinntk.diagnosis.diagnosis import Diagnosis
from pinntk.diagnosis.effort import DRAWS, STEPS, Effort
from pinntk.diagnosis.examination import PATIENCE, Progress, gather, judge, no_progress
from pinntk.diagnosis.finding import AbstractFinding
from pinntk.diagnosis.findings import FINDINGS
from pinntk.diagnosis.findings.not_finite import NotFiniteAt, not_finite
from pinntk.diagnosis.subject import Draw, JaxSubject, precision_of
from pinntk.errors import PinntkError
from pinntk.problem import Batch, Model, Problem
from pinntk.training import Given, Setup, Training, precision
from pinntk.training.plan import check_count


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
        diagnosis = _look(setup, subject, findings, steps=steps, patience=patience)
    return dataclasses.replace(diagnosis, seconds=time.perf_counter() - began)


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
        diagnosis = _look(
            setup,
            subject,
            findings,
            seed=seed,
            alternatives=dict(alternatives or {}),
            steps=steps,
            patience=patience,
            progress=progress,
            announce=announce,
        )
    return dataclasses.replace(diagnosis, seconds=time.perf_counter() - began)


def _look(
    setup: Setup,
    subject: JaxSubject,
    findings: Sequence[AbstractFinding],
    *,
    seed: int = 0,
    alternatives: Mapping[str, Setup] | None = None,
    progress: Progress = no_progress,
    **limits: Any,
) -> Diagnosis:
    """Gather and judge: the draws that are finite, or a form of the setup whose draws are.

    Where no draw is finite and no form is known, what is gathered raises.
    """
    at = not_finite(subject)
    if at is not None and at.every:
        finite = _finite_form(at, setup)
        if finite is not None:
            options = {
                "draws": len(subject.draws),
                "alternatives": alternatives,
                "progress": progress,
            }
            other = examine(finite, seed, findings=findings, **options, **limits)
            first = at.found(setup)
            return dataclasses.replace(other, findings=(first, *other.findings), setup=setup)
    elif at is not None:
        subject = subject.chosen([i for i in range(at.of) if i not in at.draws])
    evidence = gather(
        setup, subject, alternatives=alternatives or {}, progress=progress, not_finite=at, **limits
    )
    progress("judging", 0.9)
    return Diagnosis(judge(evidence, findings), evidence, setup, seed, 0.0)


def _finite_form(at: NotFiniteAt, setup: Setup) -> Setup | None:
    """The setup that the first remedy makes of one that is not finite."""
    proposed = (remedy.setup for remedy in at.found(setup).remedies)
    return next((changed for changed in proposed if changed is not None), None)


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
