"""More periods over the domain than points resolve, or than a plain network carries."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import ClassVar

from pinntk.diagnosis.evidence import MAJORITY, Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Remedy, Severity
from pinntk.diagnosis.findings.points import more_points
from pinntk.diagnosis.findings.spectral_bias import raise_frequencies
from pinntk.diagnosis.measures import main_condition
from pinntk.diagnosis.periods import periods, points_needed
from pinntk.training import Network, Setup
from pinntk.words import number

#: Points per period that are asked for: a quarter more than Shannon's two.
ENOUGH = 2.5


@dataclasses.dataclass(frozen=True)
class ManyPeriods(AbstractFinding):
    """More periods over the domain than its points resolve, or than a plain network learns.

    n_i are the periods along coordinate i, of the solution that is given, or of the free waves of a linear
    equation. A field of such waves needs Π_i max(1, 2 n_i) points (Shannon; Landau in more dimensions).
    """

    name: ClassVar[str] = "many periods"

    #: A few periods are learned if the points show them: then points are what is short, not the network.
    many: float = 5.0
    #: Shannon's: with fewer points per period, a slower wave has the same values on all of them.
    nyquist: float = 2.0
    #: Thirty periods of cos 15x on [−2π, 2π] are what plain networks up to 5×128 do not learn in Moseley,
    #: Markham, Nissen-Meyer, Adv. Comput. Math. 49 (2023) 62, section 5.2.
    carried: float = 30.0

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        found = e.measured(periods)
        along = {name: n for name, n in found.along.items() if n >= 1}
        fastest = max(along, key=lambda name: along[name], default=None)
        if fastest is None or along[fastest] < self.many:
            return None
        name = main_condition(e.problem)
        count, needed = int(e.problem.condition(name).points), points_needed(along, self.nyquist)
        aliased = count < needed and e.problem.condition(name).where.given is None
        plain = not (isinstance(e.setup.network, Network) and e.setup.network.fourier_features)
        stays = e.share(lambda i: bool(e.stuck(i))) > MAJORITY
        heavy = along[fastest] >= self.carried and plain and stays
        if not aliased and not heavy:
            return None
        whose = "the solution" if found.source == "solution" else "the equation"
        because = (
            f"its {count:,} points for '{name}' are fewer than the {number(float(needed))} that resolve it"
            if aliased
            else f"plain networks are known to fail from {number(self.carried)} on"
        )
        measured = {f"periods along {k}": n for k, n in found.along.items()}
        measured |= {"points": count, "points that two per period are": float(needed)}
        wanted = 2 ** math.ceil(math.log2(max(points_needed(along, ENOUGH), 1)))
        remedies: list[Remedy] = [shorten]
        if aliased or count < points_needed(along, ENOUGH):
            remedies.append(functools.partial(more_points, name, wanted))
        remedies.append(functools.partial(raise_frequencies, found.along))
        return Found(
            self.name,
            Severity.SEVERE,
            1.0,
            f"Many periods: {whose} has {number(along[fastest])} over the domain along {fastest}, and "
            f"{because}.",
            "Networks learn slow waves first, and a wave that points do not resolve not at all.",
            measured,
            "modes",
            e.proposals(*remedies),
        )


def shorten(setup: Setup, evidence: Evidence) -> Proposal:
    """A few periods at a time."""
    del setup, evidence
    return Proposal(
        "Solve for a few periods at a time: a shorter domain, or windows one after the other, each of "
        "which starts from the end of the one before."
    )
