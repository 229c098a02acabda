"""A finding of your own, with a remedy: points that are too far apart for the solution's waves.

pinntk diagnose poisson1d:a=4 --finding examples/own_finding.py:sparse
"""

import dataclasses

import pinntk as pk

#: Points for each wave of the residual below which it cannot be followed: twice Shannon's two.
PER_WAVE = 4


@dataclasses.dataclass(frozen=True)
class Sparse(pk.AbstractFinding):
    """Fewer points than four for each wave of the residual."""

    name = "sparse points"

    def judge(self, evidence):
        waves = evidence.median(lambda i: max(evidence.after[i].waves.values(), default=0.0))
        regions = {c.name: c.where.dimension for c in evidence.problem.conditions}
        name = max(regions, key=lambda condition: regions[condition])  # the equation
        points = evidence.counts[name]
        if points >= PER_WAVE * waves:
            return None
        return pk.Found(
            name=self.name,
            severity=pk.Severity.SEVERE,
            confidence=1.0,
            sentence=f"Sparse points: {points} of '{name}' for {waves:.1f} waves of the residual.",
            reason="A wave between two points is not seen.",
            evidence={"points": points, "waves of the residual": waves},
            plot="maps",
            remedies=(more_points(evidence.setup, name, round(2 * PER_WAVE * waves)),),
        )


def more_points(setup, name, count):
    """The same setup with more points of one condition."""
    problem = setup.problem.with_points({name: count})
    return pk.Proposal(
        f"Use {count} points for '{name}'.",
        setup.replace(problem=problem),
        f'problem = problem.with_points({{"{name}": {count}}})',
    )


sparse = Sparse()
