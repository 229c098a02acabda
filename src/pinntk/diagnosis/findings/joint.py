"""Conditions that are fitted alone but not together: what conflict and disagreement have in common."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

from pinntk.diagnosis.evidence import BALANCED, FAILED, STUCK, Evidence
from pinntk.words import percent

#: Gradients oppose each other where their cosine is below this: more than half of each is undone.
OPPOSED = -0.5
#: The kernel uses all parameters where its rank is this share of their number.
FULL_RANK = 0.9


class Opposition(NamedTuple):
    """A condition that another one keeps from being fitted, in words, with the share of draws."""

    share: float
    lead: str
    evidence: dict[str, Any]


def opposition(e: Evidence) -> Opposition | None:
    """The condition that cancels with another though it is learned alone, and how often so.

    Each asks for a change of the field, the sum of which is above `FAILED`, and together they ask for
    little: a stationary point of the loss that solves nothing.
    """

    def found(i: int) -> list[str]:
        after, asked = e.after[i].reach, e.after[i].linearized
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
    name = statistics.mode(names)
    other, cosine = _most_opposed(e, name)
    alone = e.median(lambda i: e.after[i].reach.alone[name])
    together = e.median(lambda i: e.after[i].reach.balanced[name])
    lead = (
        f"'{name}' and '{other}' pull the parameters in opposite directions (cosine {cosine:.2f}): alone "
        f"'{name}' would keep {percent(alone)} of its loss, together {percent(together)}"
    )
    measured = {
        "left of the loss, learned alone": alone,
        "left of the loss, learned together with equal rates": together,
        f"cosine between the gradients of '{name}' and '{other}'": cosine,
        "rank of the kernel": e.median(lambda i: e.after[i].reach.rank),
        "parameters": e.parameters,
    }
    return Opposition(share, lead, measured)


def rank_is_full(e: Evidence) -> bool:
    """Whether the kernel has no parameters to spare."""
    rows = sum(e.before[0].rows.values())
    rank = e.median(lambda i: e.after[i].reach.rank)
    return e.parameters < rows and rank >= FULL_RANK * e.parameters


def _most_opposed(e: Evidence, name: str) -> tuple[str, float]:
    means: dict[str, float] = {}
    for pair in e.after[0].cosines:
        if name in pair:
            other = pair[0] if pair[1] == name else pair[1]
            means[other] = e.median(lambda i, p=pair: e.after[i].cosines[p])
    other = min(means, key=lambda k: means[k])
    return other, means[other]
