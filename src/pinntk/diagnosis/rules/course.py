"""Rules about the course of training: step size, points, causality, spectral bias."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from pinntk.diagnosis import remedies as cure
from pinntk.diagnosis.evidence import FAILED, Evidence
from pinntk.diagnosis.findings import Finding, Illness, Severity
from pinntk.diagnosis.first_look import STUCK
from pinntk.diagnosis.laziness import VOID
from pinntk.diagnosis.measures import main_condition
from pinntk.diagnosis.words import number, percent, times
from pinntk.training import NATURAL

#: Sampling a band of m modes takes 2m points (Shannon); fewer than m cannot even see them all.
NYQUIST = 2.0
#: Held-out over trained loss that calls a residual overfitted: its rms is then three times larger.
OVERFIT = 10.0
#: Points for every mode that the planned steps learn beyond which they are many: 25 times Shannon's two.
REDUNDANT = 50.0
#: First over last quarter of the mean square residual over time that calls causality violated: an order,
#: in most draws and in their geometric mean.
CAUSAL = 10.0
#: Keeps the logarithm of a ratio finite.
_TINY = 1e-30
#: Gradient descent with a step this far below the stable one wastes the budget: two decimal orders.
FAR_BELOW = 100.0


def step_size(e: Evidence) -> Finding | None:
    """A step above the stable one, or one that cannot get anywhere in the planned steps."""
    eta, planned = e.recipe.learning_rate, e.baseline.planned
    if e.recipe.optimizer == NATURAL:
        return None
    stable = e.median(lambda i: 1 / e.before[i].reach.modes.largest)
    moved = e.share(lambda i: e.baseline.diverged[i])
    evidence = {
        "learning rate": eta,
        "largest stable step of gradient descent": stable,
        "draws that diverged": moved,
    }
    descent = e.recipe.optimizer == "sgd"
    if (descent and eta > stable) or e.enough(moved):
        bound = f"; it is stable up to {number(stable)}" if descent else ""
        sentence = f"Step size: a learning rate of {number(eta)} diverges{bound}."
        reason = "A step longer than 2 over the curvature overshoots, further every time."
        share = 1.0 if descent and eta > stable else moved
        return Finding(
            Illness.STEP_SIZE,
            Severity.SEVERE,
            share,
            sentence,
            reason,
            evidence,
            "losses",
            cure.other_step(e, stable),
        )
    if e.smaller_step is not None and e.smaller_step > e.orders(1 / STUCK):
        evidence["loss over that with a tenth of the step"] = e.smaller_step
        sentence = (
            f"Step size: {number(eta)} is too large; with a tenth of it the loss is "
            f"{times(e.smaller_step)} lower after {e.baseline.done:,} steps."
        )
        reason = (
            "The loss swings instead of falling: every step overshoots in the steep directions."
        )
        return Finding(
            Illness.STEP_SIZE,
            Severity.SEVERE,
            1.0,
            sentence,
            reason,
            evidence,
            "losses",
            cure.other_step(e, stable),
        )
    stuck = e.share(lambda i: bool(e.stuck(i)))
    if descent and eta * e.orders(FAR_BELOW) < stable and e.enough(stuck):
        evidence["stable step over it"] = stable / eta
        sentence = (
            f"Step size: {number(eta)} is {times(stable / eta)} below the largest stable step, "
            f"{number(stable)}."
        )
        reason = "Gradient descent needs as many times more steps."
        return Finding(
            Illness.STEP_SIZE,
            Severity.SEVERE,
            stuck,
            sentence,
            reason,
            evidence,
            "losses",
            cure.other_step(e, stable),
        )
    travel = eta * planned
    if not descent and travel < e.parameter_rms and e.enough(stuck):
        evidence["way of a parameter in all steps, at most"] = travel
        evidence["size of the parameters (rms)"] = e.parameter_rms
        sentence = (
            f"Step size: {planned:,} steps of {number(eta)} move a parameter by {number(travel)} at most, "
            f"less than its own size, {number(e.parameter_rms)}."
        )
        reason = (
            "Adam moves every parameter by about its learning rate a step, whatever the gradient."
        )
        return Finding(
            Illness.STEP_SIZE,
            Severity.SEVERE,
            stuck,
            sentence,
            reason,
            evidence,
            "losses",
            cure.other_step(e, stable),
        )
    return None


def points(e: Evidence) -> Finding | None:
    """Too few collocation points for what the network can learn."""
    name = main_condition(e.problem)
    count = e.problem.condition(name).points
    modes = e.median(lambda i: e.before[i].reach.learnable[name])
    ratio = e.median(lambda i: _overfit(e, i, name))
    wrong = e.median(lambda i: _between(e, i, name))
    evidence = {
        "points": count,
        "modes that the planned steps learn": modes,
        "held-out loss over trained loss": ratio,
        "residual between the points over that before training (rms)": wrong,
    }
    overfit = lambda i: _overfit(e, i, name) > e.orders(OVERFIT) and _between(e, i, name) > FAILED
    few = lambda i: count < NYQUIST * e.before[i].reach.learnable[name]
    severe, share = e.share(overfit), e.share(lambda i: overfit(i) or few(i))
    if not e.enough(share):
        return _redundant(name, count, modes, evidence)
    seen = (
        f"between them the loss is {times(ratio)} that on them"
        if ratio > OVERFIT
        else "the network can fit each of them by itself"
    )
    sentence = (
        f"Too few points: {count} for '{name}', where the network learns about {number(modes)} modes; "
        f"{seen}."
    )
    reason = "A residual that vanishes on the points says nothing about the field between them."
    severity = Severity.SEVERE if e.enough(severe) else Severity.MODERATE
    needed = int(2 ** math.ceil(math.log2(max(2 * NYQUIST * modes, 4 * count))))
    return Finding(
        Illness.POINTS,
        severity,
        share,
        sentence,
        reason,
        evidence,
        "maps",
        cure.more_points(e, name, needed),
    )


def _redundant(
    name: str, count: int, modes: float, evidence: Mapping[str, float]
) -> Finding | None:
    if count <= REDUNDANT * max(modes, 1.0):
        return None
    sentence = (
        f"Many points: {count:,} for '{name}', where the planned steps learn about {number(modes)} modes; "
        "a quarter of them would do at first."
    )
    reason = "Points beyond twice the modes that are learned cost time and tell nothing new, until later."
    remedies = cure.grow_points()
    return Finding(
        Illness.POINTS, Severity.NOTE, 1.0, sentence, reason, evidence, "spectra", remedies
    )


def laziness(e: Evidence) -> Finding | None:
    """How far the kernel moved in the short training: whether the network is linear in its parameters."""

    def change(i: int) -> float:
        before, after = e.before[i].kernel.matrix, e.after[i].kernel.matrix
        return float(np.linalg.norm(after - before) / np.linalg.norm(before))

    if any(e.baseline.diverged) or not all(np.any(m.kernel.matrix) for m in e.before):
        return None
    moved = e.median(change)
    lazy = moved < VOID
    sentence = (
        f"Lazy training: in {e.baseline.done:,} steps the kernel changed by {percent(moved)}"
        if lazy
        else f"Not lazy: in {e.baseline.done:,} steps the kernel changed by {percent(moved)}"
    )
    sentence += (
        ", so the network stays near linear and what it can learn was decided at the start."
        if lazy
        else ", so forecasts from the untrained network hold for its first steps only."
    )
    reason = "A frozen kernel learns its own modes in their own time; a kernel that moves makes new ones."
    share = e.share(lambda i: (change(i) < VOID) is lazy)
    evidence = {"change of the kernel over its norm": moved}
    return Finding(Illness.LAZY, Severity.NOTE, share, sentence, reason, evidence, "spectra")


def _overfit(e: Evidence, draw: int, name: str) -> float:
    held = e.baseline.held_out.get(name)
    if held is None:
        return 1.0
    trained = e.baseline.losses[name][-1, draw]
    return float(held[-1, draw] / trained) if trained > 0 else 1.0


def _between(e: Evidence, draw: int, name: str) -> float:
    """The rms residual on held-out points after the baseline over that before training."""
    held, before = e.baseline.held_out.get(name), e.before[draw].losses[name]
    return math.sqrt(float(held[-1, draw]) / before) if held is not None and before > 0 else 0.0


def causality(e: Evidence) -> Finding | None:
    """A residual that is fitted late in time while early times are not."""

    def ratio(i: int) -> float:
        profile = e.after[i].profile
        if profile is None:
            return 1.0
        quarter = len(profile) // 4
        early, late = float(profile[:quarter].mean()), float(profile[-quarter:].mean())
        return early / max(late, _TINY)

    stuck = [i for i in range(e.draws) if e.stuck(i)]
    share = e.share(lambda i: ratio(i) > e.orders(CAUSAL) and i in stuck)
    # Local fits lie early in one draw and late in another; what follows from time has one direction.
    logarithms = [math.log(max(ratio(i), _TINY)) for i in stuck]
    size = math.exp(float(np.mean(logarithms))) if stuck else 1.0
    if not e.enough(share) or size <= e.orders(CAUSAL):
        return None
    sentence = (
        f"Causality: the equation is fitted {times(size)} better late in time than early, though what is "
        "late follows from what is early."
    )
    reason = (
        "A field that is right for the equation but grew from wrong early values solves nothing."
    )
    evidence = {
        "mean square residual, first quarter of time over last": size,
        "stuck conditions": ", ".join(e.stuck(0)) or "none",
    }
    return Finding(
        Illness.CAUSALITY,
        Severity.SEVERE,
        share,
        sentence,
        reason,
        evidence,
        "maps",
        cure.follow_time(e),
    )


def spectral_bias(e: Evidence) -> Finding | None:
    """Residual energy in modes that the planned steps do not learn, however the conditions are weighted."""
    if e.recipe.optimizer == NATURAL:
        return None

    def slow(i: int) -> list[str]:
        alone = e.after[i].reach.alone
        return [name for name in e.stuck(i) if alone[name] > STUCK]

    share = e.share(lambda i: bool(slow(i)))
    if not e.enough(share):
        return None
    names = [name for i in range(e.draws) for name in slow(i)]
    name = max(set(names), key=names.count)
    alone = e.median(lambda i: e.after[i].reach.alone[name])
    waves = _waves(e)
    fastest = max(waves, key=lambda k: waves[k]) if waves else None
    evidence = {
        "share of the residual out of reach": alone,
        "relative error expected to stay": e.median(e.error),
    } | {f"waves of the residual along {k}": v for k, v in waves.items()}
    tail = f", most of it near {number(waves[fastest])} waves along {fastest}" if fastest else ""
    sentence = (
        f"Spectral bias: {percent(alone)} of what is left of '{name}' lies in modes that "
        f"{e.baseline.planned:,} steps do not learn{tail}."
    )
    reason = (
        "Networks learn slow waves first; the kernel's eigenvalues fall steeply with frequency."
    )
    return Finding(
        Illness.SPECTRAL_BIAS,
        Severity.SEVERE,
        share,
        sentence,
        reason,
        evidence,
        "modes",
        cure.raise_frequencies(e, waves),
    )


def _waves(e: Evidence) -> dict[str, float]:
    names = e.after[0].waves
    return {k: e.median(lambda i, k=k: e.after[i].waves[k]) for k in names}
