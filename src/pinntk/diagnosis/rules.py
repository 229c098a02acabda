"""The rules: from measured numbers to findings. Every threshold has a name and a reason.

A rule returns a finding where the evidence passes its threshold in more than half of the draws; the
share of draws that agree is the finding's confidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from pinntk.diagnosis import remedies as cure
from pinntk.diagnosis.evidence import Evidence, weights_of
from pinntk.diagnosis.findings import Finding, Illness, Severity
from pinntk.diagnosis.first_look import BALANCED, STUCK
from pinntk.diagnosis.measures import Measures, main_condition
from pinntk.diagnosis.words import number, percent, times

#: A clash between two demands counts from a hundredth of the residuals, and is severe from a tenth:
#: that is the relative error that it forces on the solution nearby.
CLASH, CLASH_SEVERE = 0.01, 0.1
#: Rounding over the residual of the untrained network: the relative error below which no training in
#: this precision can go. 1e-3 is what PINNs reach at ease; a tenth of the digits lost is severe.
ROUNDING, ROUNDING_SEVERE = 1e-3, 1e-2
#: Inputs are of order one within a decimal order, outputs within one (moderate) or two (severe).
ORDER_ONE, ORDER_ONE_SEVERE = 10.0, 100.0
#: What the inputs should make of a first layer's argument: less than a twentieth of a unit is a straight
#: line to float32's eye, more than the bend of tanh on either side saturates.
SWING = (0.05, 6.0)
#: Share of hidden (unit, point) pairs beyond their bend that makes a network dead: most of them.
SATURATED = 0.5
#: The field's deviation over its rms, below which it is constant: float32 keeps 1e-7, and two networks
#: out of a thousand draws had less than a hundredth.
CONSTANT = 1e-4
#: Sampling a band of m modes takes 2m points (Shannon); fewer than m cannot even see them all.
NYQUIST = 2.0
#: Held-out over trained loss that calls a residual overfitted: its rms is then 3 (10) times larger.
OVERFIT, OVERFIT_SEVERE = 10.0, 100.0
#: Early over late residual that calls causality violated: the mean square differs by an order.
CAUSAL = 10.0
#: Losses that rise again by this much between rows of the last quarter of a run are not descending.
SWINGING = 10.0
#: Gradient descent with a step this far below the stable one wastes the budget: two decimal orders.
FAR_BELOW = 100.0
#: Gradients oppose each other where their cosine is below this: more than half of each is undone.
OPPOSED = -0.5
#: The kernel uses all parameters where its rank is this share of their number.
FULL_RANK = 0.9

Rule = Callable[[Evidence], Finding | None]


def dead(e: Evidence) -> Finding | None:
    """A model that cannot learn: zero blocks, saturated units, a constant field."""
    zero = [name for name in e.problem.names if all(m.rates[name] == 0 for m in e.before)]
    saturated = e.median(lambda i: e.before[i].units.saturated or 0.0)
    constant = e.median(lambda i: _constancy(e.before[i]))
    evidence = {
        "conditions without a gradient": ", ".join(zero) or "none",
        "saturated share of hidden units": saturated,
        "deviation of the field over its rms": constant,
    }
    if zero:
        sentence = (
            f"No parameter changes the residual of {_quoted(zero)}: its kernel block is zero, so no "
            "training can lower it."
        )
        reason = (
            "The residual does not depend on u where it should, or the activation has no second "
            "derivative (ReLU)."
        )
        return _finding(
            Illness.DEAD,
            Severity.SEVERE,
            1.0,
            sentence,
            reason,
            evidence,
            "spectra",
            cure.revive(e),
        )
    scaled = not _badly_scaled(e.before[0])
    share = e.share(lambda i: (e.before[i].units.saturated or 0.0) > SATURATED)
    if share > 0.5 and scaled:
        sentence = (
            f"The network is saturated: {percent(saturated)} of its hidden units are in the flat part of "
            "their activation, where gradients vanish."
        )
        reason = "Weights are far too large for the inputs, so units switch instead of bending."
        return _finding(
            Illness.DEAD,
            Severity.SEVERE,
            share,
            sentence,
            reason,
            evidence,
            "modes",
            cure.revive(e),
        )
    flat = e.share(lambda i: _constancy(e.before[i]) < CONSTANT)
    if flat > 0.5 and e.median(lambda i: _constancy(e.after[i])) < CONSTANT:
        sentence = "The field is constant over the domain, before and after a short training."
        reason = (
            "The inputs do not reach the output: a zero layer, or units that are all saturated."
        )
        return _finding(
            Illness.DEAD, Severity.SEVERE, flat, sentence, reason, evidence, "maps", cure.revive(e)
        )
    return None


def _constancy(m: Measures) -> float:
    return m.field_swing / m.field_rms if m.field_rms > 0 else 0.0


def contradiction(e: Evidence) -> Finding | None:
    """Conditions that no function can meet together."""
    clash = e.clash
    if clash is not None and clash.relative > CLASH:
        severity = Severity.SEVERE if clash.relative > CLASH_SEVERE else Severity.MODERATE
        where = ", ".join(number(value) for value in clash.point)
        pair = (
            f"'{clash.first}' and '{clash.second}'"
            if clash.first != clash.second
            else f"'{clash.first}' with itself"
        )
        sentence = (
            f"Contradiction: at ({where}) the conditions {pair} ask for values that differ by "
            f"{number(clash.gap)}, and no network can meet both."
        )
        reason = "A floor stays on the loss that no weights, optimiser or network can pass."
        evidence = {
            "gap": clash.gap,
            "gap over rms residual": clash.relative,
            "point": f"({where})",
        }
        return _finding(
            Illness.CONTRADICTION,
            severity,
            1.0,
            sentence,
            reason,
            evidence,
            "maps",
            cure.reconcile(e),
        )
    return None


def disagreement(e: Evidence) -> Finding | None:
    """Conditions that are fitted alone but not together, with parameters to spare: asked last of all."""
    floor = _joint_floor(e)
    if floor is None or _rank_is_full(e):
        return None
    return _joint(e, floor, Illness.CONTRADICTION)


def conflict(e: Evidence) -> Finding | None:
    """Conditions that are fitted alone but not together, for want of parameters."""
    floor = _joint_floor(e)
    if floor is None or not _rank_is_full(e):
        return None
    return _joint(e, floor, Illness.CONFLICT)


def _rank_is_full(e: Evidence) -> bool:
    rows = sum(e.before[0].rows.values())
    rank = e.median(lambda i: e.after[i].reach.rank)
    return e.parameters < rows and rank >= FULL_RANK * e.parameters


def _joint_floor(e: Evidence) -> tuple[str, float] | None:
    """The condition that balanced weights leave stuck though it is learned alone, and how often so."""

    def found(i: int) -> list[str]:
        after, stuck = e.after[i].reach, e.stuck(i)
        opposed = [pair for pair, cosine in e.after[i].cosines.items() if cosine < OPPOSED]
        involved = {name for pair in opposed for name in pair}
        return [
            name
            for name in stuck
            if name in involved
            and after.balanced[name] > STUCK
            and after.balanced[name] > BALANCED * after.alone[name]
        ]

    share = e.share(lambda i: bool(found(i)))
    if share <= 0.5:
        return None
    names = [name for i in range(e.draws) for name in found(i)]
    return max(set(names), key=names.count), share


def _joint(e: Evidence, floor: tuple[str, float], illness: Illness) -> Finding:
    name, share = floor
    other, cosine = _most_opposed(e, name)
    alone = e.median(lambda i: e.after[i].reach.alone[name])
    together = e.median(lambda i: e.after[i].reach.balanced[name])
    evidence = {
        "left of the loss, learned alone": alone,
        "left of the loss, learned together with equal rates": together,
        f"cosine between the gradients of '{name}' and '{other}'": cosine,
        "rank of the kernel": e.median(lambda i: e.after[i].reach.rank),
        "parameters": e.parameters,
    }
    lead = (
        f"'{name}' and '{other}' pull the parameters in opposite directions (cosine {cosine:.2f}): alone "
        f"'{name}' would keep {percent(alone)} of its loss, together {percent(together)}"
    )
    if illness is Illness.CONFLICT:
        sentence = f"Conflict: {lead}, and all {e.parameters} parameters are in use already."
        reason = "The network is too small to fit all conditions at once."
        remedies = cure.enlarge(e)
    else:
        sentence = f"Contradiction: {lead}, with parameters to spare."
        reason = "The conditions seem to describe different solutions: data against equation, say."
        remedies = cure.reconcile(e)
    return _finding(illness, Severity.SEVERE, share, sentence, reason, evidence, "losses", remedies)


def _most_opposed(e: Evidence, name: str) -> tuple[str, float]:
    means: dict[str, float] = {}
    for pair in e.after[0].cosines:
        if name in pair:
            other = pair[0] if pair[1] == name else pair[1]
            means[other] = e.median(lambda i, p=pair: e.after[i].cosines[p])
    other = min(means, key=lambda k: means[k])
    return other, means[other]


def precision(e: Evidence) -> Finding | None:
    """Rounding of the residual against the residual of the untrained network."""

    def floor(i: int) -> tuple[float, str]:
        noise = {n: max(e.before[i].noise[n], e.after[i].noise[n]) for n in e.problem.names}
        shares = {
            n: noise[n] / e.before[i].residual_rms[n] if e.before[i].residual_rms[n] > 0 else 0.0
            for n in noise
        }
        name = max(shares, key=lambda n: shares[n])
        return shares[name], name

    share = e.share(lambda i: floor(i)[0] > ROUNDING)
    if share <= 0.5:
        return None
    size, name = e.median(lambda i: floor(i)[0]), floor(0)[1]
    severity = Severity.SEVERE if size > ROUNDING_SEVERE else Severity.MODERATE
    sentence = (
        f"Precision: rounding in {e.recipe.dtype} is {percent(size)} of the residual of '{name}' that "
        "training starts from, and the loss cannot fall below it."
    )
    reason = "Large numbers cancel in the residual, and their last digits are all that is left."
    evidence = {
        "rounding of the residual (rms)": e.median(lambda i: e.after[i].noise[name]),
        "residual before training (rms)": e.median(lambda i: e.before[i].residual_rms[name]),
        "residual after the baseline (rms)": e.median(lambda i: e.after[i].residual_rms[name]),
    }
    return _finding(
        Illness.PRECISION, severity, share, sentence, reason, evidence, "losses", cure.double(e)
    )


def _badly_scaled(m: Measures) -> bool:
    half, largest = m.extents
    swing = m.units.swing
    odd = swing is None or not SWING[0] <= swing <= SWING[1]
    return odd and (largest > ORDER_ONE or half < 1 / ORDER_ONE)


def scaling(e: Evidence) -> Finding | None:
    """Inputs or outputs far from order one."""
    share = e.share(lambda i: _badly_scaled(e.before[i]))
    if share > 0.5:
        half, largest = e.before[0].extents
        swing = e.median(lambda i: e.before[i].units.swing or math.nan)
        evidence = {
            "largest input": largest,
            "smallest half-range of an input": half,
            "range of a first unit's argument": swing,
        }
        what = (
            f"reach {number(largest)}, so that most units are saturated"
            if largest > ORDER_ONE
            else f"vary by {number(half)} only, so that units hardly bend"
        )
        sentence = f"Scaling: the network's inputs {what}."
        reason = "Initialisations are made for inputs of order one."
        return _finding(
            Illness.SCALING,
            Severity.SEVERE,
            share,
            sentence,
            reason,
            evidence,
            "maps",
            cure.rescale_inputs(e),
        )
    wanted = e.median(lambda i: _wanted(e, i))
    off = lambda i, factor: not 1 / factor <= _wanted(e, i) <= factor
    share = e.share(lambda i: off(i, ORDER_ONE))
    if share <= 0.5:
        return None
    severe = e.share(lambda i: off(i, ORDER_ONE_SEVERE)) > 0.5
    evidence = {
        "size of the solution asked for (rms)": wanted,
        "size of the untrained network (rms)": e.median(lambda i: e.before[i].field_rms),
    }
    sentence = f"Scaling: the solution asked for is of size {number(wanted)}, while a network starts at order one."
    reason = "Steps of one size must build outputs of another, and the losses weigh by the square of the unit."
    severity = Severity.SEVERE if severe else Severity.MODERATE
    return _finding(
        Illness.SCALING,
        severity,
        share,
        sentence,
        reason,
        evidence,
        "maps",
        cure.rescale_outputs(e, wanted),
    )


def _wanted(e: Evidence, draw: int) -> float:
    """Of the sizes asked for before and after the baseline that which is nearer to one."""
    sizes = [e.before[draw].wanted_rms, e.after[draw].wanted_rms]
    return min(sizes, key=lambda size: abs(math.log(size)) if size > 0 else math.inf)


def step_size(e: Evidence) -> Finding | None:
    """A step above the stable one, or one that cannot get anywhere in the planned steps."""
    eta, planned = e.recipe.learning_rate, e.baseline.planned
    if e.recipe.optimizer == "natural-gradient":
        return None
    stable = e.median(lambda i: 1 / e.before[i].reach.modes.largest)
    moved = e.share(lambda i: e.baseline.diverged[i])
    evidence = {
        "learning rate": eta,
        "largest stable step of gradient descent": stable,
        "draws that diverged": moved,
    }
    descent = e.recipe.optimizer == "sgd"
    if (descent and eta > stable) or moved > 0.5:
        bound = f"; it is stable up to {number(stable)}" if descent else ""
        sentence = f"Step size: a learning rate of {number(eta)} diverges{bound}."
        reason = "A step longer than 2 over the curvature overshoots, further every time."
        share = 1.0 if descent and eta > stable else moved
        return _finding(
            Illness.STEP_SIZE,
            Severity.SEVERE,
            share,
            sentence,
            reason,
            evidence,
            "losses",
            cure.other_step(e, stable),
        )
    if e.smaller_step is not None and e.smaller_step > 1 / STUCK:
        evidence["loss over that with a tenth of the step"] = e.smaller_step
        sentence = (
            f"Step size: {number(eta)} is too large; with a tenth of it the loss is "
            f"{times(e.smaller_step)} lower after {e.baseline.done:,} steps."
        )
        reason = (
            "The loss swings instead of falling: every step overshoots in the steep directions."
        )
        return _finding(
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
    if descent and eta * FAR_BELOW < stable and stuck > 0.5:
        evidence["stable step over it"] = stable / eta
        sentence = f"Step size: {number(eta)} is {times(stable / eta)} below the largest stable step, {number(stable)}."
        reason = "Gradient descent needs as many times more steps."
        return _finding(
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
    if not descent and travel < e.parameter_rms and stuck > 0.5:
        evidence["way of a parameter in all steps, at most"] = travel
        evidence["size of the parameters (rms)"] = e.parameter_rms
        sentence = (
            f"Step size: {planned:,} steps of {number(eta)} move a parameter by {number(travel)} at most, "
            f"less than its own size, {number(e.parameter_rms)}."
        )
        reason = (
            "Adam moves every parameter by about its learning rate a step, whatever the gradient."
        )
        return _finding(
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
    rows = e.before[0].rows[name]
    count = e.problem.condition(name).points
    held = lambda i: _overfit(e, i, name)
    ratio = e.median(held)
    modes = e.median(lambda i: e.dense_learnable[i])
    evidence = {
        "points": count,
        "modes that the planned steps learn": modes,
        "held-out loss over trained loss": ratio,
    }
    few = count < NYQUIST * modes
    share = e.share(lambda i: count < NYQUIST * e.dense_learnable[i] or held(i) > OVERFIT)
    if share <= 0.5 or not (few or ratio > OVERFIT_SEVERE):
        return None
    severe = e.share(lambda i: held(i) > OVERFIT) > 0.5
    seen = (
        f"between them the loss is {times(ratio)} that on them"
        if ratio > OVERFIT
        else "the network can fit each of them by itself"
    )
    sentence = f"Too few points: {count} for '{name}', where the network learns about {number(modes)} modes; {seen}."
    reason = "A residual that vanishes on the points says nothing about the field between them."
    severity = Severity.SEVERE if severe else Severity.MODERATE
    needed = int(2 ** math.ceil(math.log2(max(NYQUIST * 2 * modes, 4 * rows))))
    return _finding(
        Illness.POINTS,
        severity,
        share,
        sentence,
        reason,
        evidence,
        "maps",
        cure.more_points(e, name, needed),
    )


def _overfit(e: Evidence, draw: int, name: str) -> float:
    held = e.baseline.held_out.get(name)
    if held is None:
        return 1.0
    trained = e.baseline.losses[name][-1, draw]
    return float(held[-1, draw] / trained) if trained > 0 else 1.0


def imbalance(e: Evidence) -> Finding | None:
    """Average rates that differ, under the weights in force."""
    if e.recipe.optimizer == "natural-gradient" or len(e.problem.names) == 1:
        return None

    def rates(i: int) -> dict[str, float]:
        """At the time when they differ more: with weights that are set anew, that is the end."""
        after = {n: w * e.after[i].rates[n] for n, w in weights_of(e.baseline, -1, i).items()}
        if e.recipe.weighting == "ntk":
            return after
        before = {n: w * e.before[i].rates[n] for n, w in weights_of(e.baseline, 0, i).items()}
        return max(before, after, key=_spread)

    def spread(i: int) -> float:
        return _spread(rates(i))

    def behind(i: int) -> list[str]:
        found = rates(i)
        fastest = max(found.values())
        return [n for n in e.stuck(i) if found[n] * BALANCED < fastest]

    share = e.share(lambda i: spread(i) > BALANCED)
    if share <= 0.5:
        return None
    first = rates(0)
    slowest, fastest = min(first, key=lambda n: first[n]), max(first, key=lambda n: first[n])
    left = e.share(lambda i: bool(behind(i)))
    severe = left > 0.5
    names = [n for i in range(e.draws) for n in behind(i)]
    worst = max(set(names), key=names.count) if severe else slowest
    ratio = e.median(spread)
    untrained = e.median(lambda i: _spread(e.before[i].rates))
    kept = e.median(lambda i: e.left(i)[worst])
    evidence = {
        "rate of the fastest over the slowest": ratio,
        "the same before training, without weights": untrained,
        f"share of its loss that '{worst}' is expected to keep": kept,
        f"left of '{worst}' by the kernel, weights as given": e.median(
            lambda i: e.before[i].reach.given[worst]
        ),
        f"left of '{worst}' by the kernel, equal rates": e.median(
            lambda i: e.before[i].reach.balanced[worst]
        ),
    }
    sentence = f"Imbalance: the condition '{slowest}' converges about {times(ratio)} slower than '{fastest}'"
    sentence += (
        f", and '{worst}' is left behind: it is expected to keep {percent(kept)} of its loss."
        if severe
        else ", which costs steps but lets it follow."
    )
    reason = "Gradient descent fits what the kernel makes fast and leaves the rest; the weights decide which."
    severity = Severity.SEVERE if severe else Severity.MODERATE
    return _finding(
        Illness.IMBALANCE,
        severity,
        left if severe else share,
        sentence,
        reason,
        evidence,
        "rates",
        cure.balance(e),
    )


def _spread(rates: Mapping[str, float]) -> float:
    values = [rate for rate in rates.values() if rate > 0]
    return max(values) / min(values) if values else 1.0


def causality(e: Evidence) -> Finding | None:
    """A residual that is fitted late in time while early times are not."""

    def ratio(i: int) -> float:
        profile = e.after[i].profile
        if profile is None:
            return 1.0
        late = float(np.median(profile[len(profile) // 2 :]))
        return float(profile[: len(profile) // 4].mean()) / late if late > 0 else math.inf

    share = e.share(lambda i: ratio(i) > CAUSAL and bool(e.stuck(i)))
    if share <= 0.5:
        return None
    size = e.median(ratio)
    sentence = (
        f"Causality: the equation is fitted {times(size)} better late in time than early, though what is "
        "late follows from what is early."
    )
    reason = (
        "A field that is right for the equation but grew from wrong early values solves nothing."
    )
    evidence = {
        "early over late mean square residual": size,
        "stuck conditions": ", ".join(e.stuck(0)) or "none",
    }
    return _finding(
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
    if e.recipe.optimizer == "natural-gradient":
        return None

    def slow(i: int) -> list[str]:
        alone = e.after[i].reach.alone
        return [name for name in e.stuck(i) if alone[name] > STUCK]

    share = e.share(lambda i: bool(slow(i)))
    if share <= 0.5:
        return None
    names = [name for i in range(e.draws) for name in slow(i)]
    name = max(set(names), key=names.count)
    alone = e.median(lambda i: e.after[i].reach.alone[name])
    waves = _waves(e)
    fastest = max(waves, key=lambda k: waves[k]) if waves else None
    evidence: dict[str, float | str] = {
        "share of the residual out of reach": alone,
        "share of its loss that is expected to stay": e.median(lambda i: e.left(i)[name]),
    } | {f"waves of the residual along {k}": v for k, v in waves.items()}
    tail = f", most of it near {number(waves[fastest])} waves along {fastest}" if fastest else ""
    sentence = (
        f"Spectral bias: {percent(alone)} of what is left of '{name}' lies in modes that "
        f"{e.baseline.planned:,} steps do not learn{tail}."
    )
    reason = (
        "Networks learn slow waves first; the kernel's eigenvalues fall steeply with frequency."
    )
    return _finding(
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


def _quoted(names: list[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def _finding(
    illness: Illness,
    severity: Severity,
    confidence: float,
    sentence: str,
    reason: str,
    evidence: Mapping[str, float | str],
    plot: str,
    remedies: tuple,
) -> Finding:
    return Finding(illness, severity, confidence, sentence, reason, evidence, plot, remedies)


#: The rules that stand for themselves; `findings.ordered` says in which order their findings are told.
RULES: tuple[Rule, ...] = (
    dead,
    contradiction,
    precision,
    scaling,
    step_size,
    points,
    imbalance,
    conflict,
    causality,
    spectral_bias,
)
#: Asked where none of the others has a severe finding: what they find would look the same to them.
LAST_RULES: tuple[Rule, ...] = (disagreement,)
