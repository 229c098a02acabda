"""Rules about the conditions between each other: contradiction, conflict, imbalance."""

from __future__ import annotations

from collections.abc import Mapping

from pinntk.diagnosis import remedies as cure
from pinntk.diagnosis.evidence import FAILED, Evidence, weights_of
from pinntk.diagnosis.findings import Finding, Illness, Severity
from pinntk.diagnosis.first_look import BALANCED, STUCK
from pinntk.diagnosis.words import number, percent, times
from pinntk.training import NATURAL

#: A clash between two demands counts from a hundredth of the residuals, and is severe from a tenth:
#: that is the relative error that it forces on the solution nearby.
CLASH, CLASH_SEVERE = 0.01, 0.1
#: Gradients oppose each other where their cosine is below this: more than half of each is undone.
OPPOSED = -0.5
#: The kernel uses all parameters where its rank is this share of their number.
FULL_RANK = 0.9


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
        return Finding(
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
    """The condition that cancels with another though it is learned alone, and how often so.

    Each asks for a change of the field, the sum of which is above `FAILED`, and together they ask for
    little: a stationary point of the loss that solves nothing.
    """

    def found(i: int) -> list[str]:
        after, asked = e.after[i].reach, e.after[i].linearised
        demands = sum(asked.shares.values())
        if e.baseline.diverged[i] or demands <= FAILED or asked.error > 0.5 * demands:
            return []
        opposed = [pair for pair, cosine in e.after[i].cosines.items() if cosine < OPPOSED]
        involved = {name for pair in opposed for name in pair}
        return [
            name
            for name in involved
            if after.balanced[name] > max(STUCK, BALANCED * after.alone[name])
        ]

    share = e.share(lambda i: bool(found(i)))
    if not e.enough(share):
        return None
    names = sorted(name for i in range(e.draws) for name in found(i))
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
    return Finding(illness, Severity.SEVERE, share, sentence, reason, evidence, "losses", remedies)


def _most_opposed(e: Evidence, name: str) -> tuple[str, float]:
    means: dict[str, float] = {}
    for pair in e.after[0].cosines:
        if name in pair:
            other = pair[0] if pair[1] == name else pair[1]
            means[other] = e.median(lambda i, p=pair: e.after[i].cosines[p])
    other = min(means, key=lambda k: means[k])
    return other, means[other]


def imbalance(e: Evidence) -> Finding | None:
    """Average rates that differ, under the weights in force."""
    if e.recipe.optimizer == NATURAL or len(e.problem.names) == 1:
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
        return [n for n in e.stuck(i) if found[n] * e.orders(BALANCED) < fastest]

    share = e.share(lambda i: spread(i) > e.orders(BALANCED))
    if not e.enough(share):
        return None
    first = rates(0)
    slowest, fastest = min(first, key=lambda n: first[n]), max(first, key=lambda n: first[n])
    left = e.share(lambda i: bool(behind(i)))
    severe = e.enough(left)
    names = [n for i in range(e.draws) for n in behind(i)]
    worst = max(set(names), key=names.count) if severe else slowest
    ratio = e.median(spread)
    untrained = e.median(lambda i: _spread(e.before[i].rates))
    kept = e.median(lambda i: e.errors(i)[worst])
    evidence = {
        "rate of the fastest over the slowest": ratio,
        "the same before training, without weights": untrained,
        f"relative error that '{worst}' is expected to leave": kept,
        f"left of '{worst}' by the kernel, weights as given": e.median(
            lambda i: e.before[i].reach.given[worst]
        ),
        f"left of '{worst}' by the kernel, equal rates": e.median(
            lambda i: e.before[i].reach.balanced[worst]
        ),
    }
    sentence = (
        f"Imbalance: the condition '{slowest}' converges about {times(ratio)} slower than "
        f"'{fastest}'"
    )
    sentence += (
        f", and '{worst}' is left behind: an error of {percent(kept)} is expected to stay."
        if severe
        else ", which costs steps but lets it follow."
    )
    reason = (
        "Gradient descent fits what the kernel makes fast and leaves the rest; the weights decide "
        "which."
    )
    severity = Severity.SEVERE if severe else Severity.MODERATE
    return Finding(
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
