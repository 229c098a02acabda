"""What a small loss of a trained model does not tell: residuals between its points, growth of errors."""

from __future__ import annotations

from pinntk.diagnosis.dense import MATTERS, dense_residual_of
from pinntk.diagnosis.growth import GROWS, initial_growth
from pinntk.problem import Batch, Model, Problem
from pinntk.words import number, times


def trained_notes(problem: Problem, model: Model, start: Model, batch: Batch) -> tuple[str, ...]:
    """Sentences about a model trained on a batch, of which `start` is the model before training.

    One where a residual is large between its points (`dense_residual_of`), or else one where residuals
    are small and an error at the start grows so much that they do not tell the error (`initial_growth`).
    None on clouds of points, and of the growth only for initial value problems in one coordinate.

    Call it within the precision of the model.
    """
    found, before = (dense_residual_of(problem, each, batch) for each in (model, start))
    hidden = [name for name, dense in found.items() if dense.unseen(before[name])]
    if hidden:
        name = max(hidden, key=lambda each: found[each].ratio)
        return (
            f"The residual of '{name}' is {number(found[name].largest)} at {found[name].where}, between "
            f"its points, and at most {number(found[name].on_points)} on them: the model is wrong there, "
            "however small its loss. Use more points.",
        )
    small = all(
        dense.mean_square <= MATTERS**2 * before[name].mean_square for name, dense in found.items()
    )
    growth = initial_growth(problem, model) if found and small else None
    if growth is None or not growth > GROWS:
        return ()
    return (
        f"An error at the start grows {times(growth)} along this solution: its small residual does not say "
        "that it is right, and neither does an estimate of its error. Solve it in slabs of time.",
    )
