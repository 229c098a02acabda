"""Steps that are too long, or too short to get anywhere."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import ClassVar

import numpy as np

from pinntk.diagnosis.baseline import Baseline, run_baseline
from pinntk.diagnosis.code import replaced
from pinntk.diagnosis.evidence import FAILED, MAJORITY, STUCK, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.findings.scaling import Scaling
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.optim import Adaptive, GradientDescent, SecondOrder, adam, rate_of
from pinntk.training import Setup
from pinntk.words import number, times

#: Losses that rise again by this much between rows of the last quarter of a run are not descending.
SWINGING = 10.0
#: A smaller step is a tenth of the planned one.
GENTLER = 0.1
#: Adam's learning rate that trains most networks.
USUAL = 1e-3


@dataclasses.dataclass(frozen=True)
class StepSize(AbstractFinding):
    """A step above the stable one, or one that cannot get anywhere in the planned steps."""

    name: ClassVar[str] = "step size"

    #: Gradient descent with a step this far below the stable one wastes the budget: two decimal orders.
    far_below: float = 100.0

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        kind, rate = e.training.optimizer.kind, rate_of(e.training.optimizer)
        if isinstance(kind, SecondOrder):
            return None
        descent = isinstance(kind, GradientDescent)
        stable = e.median(lambda i: e.before[i].reach.descent.stable_step)
        moved = e.share(lambda i: e.baseline.diverged[i])
        known = {} if rate is None else {"learning rate": rate}
        measured = known | {
            "largest stable step of gradient descent": stable,
            "draws that diverged": moved,
        }
        found = functools.partial(self._found, e, stable, measured)
        step = "the step" if rate is None else f"a learning rate of {number(rate)}"
        unstable = descent and rate is not None and rate > stable
        if unstable or e.enough(moved):
            bound = f"; it is stable up to {number(stable)}" if descent else ""
            return found(
                1.0 if unstable else moved,
                f"Step size: {step} diverges{bound}.",
                "A step longer than 2 over the curvature overshoots, further every time.",
            )
        # Inputs or outputs far from order one make steep directions: a smaller step helps, and is no cure.
        smaller = None if Scaling().certain(e) else e.measured(_gain_of_smaller_step)
        if smaller is not None and smaller > e.orders(1 / STUCK):
            measured["loss over that with a tenth of the step"] = smaller
            return found(
                1.0,
                f"Step size: {step} is too large; with a tenth of it the loss is {times(smaller)} lower "
                f"after {e.baseline.done:,} steps.",
                "The loss swings instead of falling: every step overshoots in the steep directions.",
            )
        stuck = e.share(lambda i: bool(e.stuck(i)))
        if rate is None or not e.enough(stuck):
            return None
        if descent and rate * e.orders(self.far_below) < stable:
            measured["stable step over it"] = stable / rate
            return found(
                stuck,
                f"Step size: {number(rate)} is {times(stable / rate)} below the largest stable step, "
                f"{number(stable)}.",
                "Gradient descent needs as many times more steps.",
            )
        travel = rate * e.baseline.planned
        if not descent and travel < e.parameter_rms:
            measured["way of a parameter in all steps, at most"] = travel
            measured["size of the parameters (rms)"] = e.parameter_rms
            return found(
                stuck,
                f"Step size: {e.baseline.planned:,} steps of {number(rate)} move a parameter by "
                f"{number(travel)} at most, less than its own size, {number(e.parameter_rms)}.",
                "An adaptive method moves every parameter by about its learning rate a step, whatever "
                "the gradient.",
            )
        return None

    def _found(
        self,
        e: Evidence,
        stable: float,
        measured: dict[str, float],
        share: float,
        sentence: str,
        reason: str,
    ) -> Found:
        remedies = e.proposals(functools.partial(other_step, stable), use_adam, natural_gradient)
        return Found(
            self.name, Severity.SEVERE, share, sentence, reason, measured, "losses", remedies
        )


def _gain_of_smaller_step(e: Evidence) -> float | None:
    """The factor by which a tenth of the step lowers the loss; None where none is tried."""
    kind = e.training.optimizer.kind
    if isinstance(kind, SecondOrder) or kind.rescaled is None:
        return None
    if not e.baseline.told or not _unsteady(e.baseline):
        return None
    training = e.training.replace(optimizer=kind.rescaled(GENTLER))
    gentler = run_baseline(e.subject, training, e.baseline.done, points=e.baseline.points)
    return _gain(e.baseline, gentler)


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


def other_step(stable: float, setup: Setup, evidence: Evidence) -> Proposal | None:
    """A learning rate that is stable and gets somewhere."""
    del evidence
    training = setup.training
    kind, rate = training.optimizer.kind, rate_of(training.optimizer)
    if isinstance(kind, SecondOrder) or kind.rescaled is None:
        return None
    if rate is None:
        factor, text = GENTLER, "Take steps a tenth as long."
    else:
        better = float(f"{0.5 * stable:.1g}") if isinstance(kind, GradientDescent) else USUAL
        if better == rate:
            return None
        factor, text = better / rate, f"Use a learning rate of {number(better)}."
    changed = training.replace(optimizer=kind.rescaled(factor))
    code = replaced("training", optimizer=f"training.optimizer.kind.rescaled({factor:.6g})")
    return Proposal(text, setup.replace(training=changed), code, "learning-rate")


def use_adam(setup: Setup, evidence: Evidence) -> Proposal | None:
    """Adam instead of gradient descent."""
    del evidence
    if isinstance(setup.training.optimizer.kind, Adaptive | SecondOrder):
        return None
    changed = setup.replace(training=setup.training.replace(optimizer=adam(USUAL)))
    code = replaced("training", optimizer=f"pk.adam({USUAL:g})")
    return Proposal("Use Adam.", changed, code, "adam")
