"""Numbers with error bars."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float

#: More of the information than this from the prior, and the residuals do not determine a number.
PRIOR_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number or array with its standard deviation.

    `std` is infinite where it is not `identifiable`: where more than half of the information about it
    is in the prior on the network's weights (`prior_share`), or nothing holds it at all. `shift` is
    what one Gauss–Newton step would add to the value: where it is larger than `std`, the model does
    not stand at the minimum that the error bar is about.
    """

    value: Float[np.ndarray, "*shape"]
    std: Float[np.ndarray, "*shape"]
    prior_share: Float[np.ndarray, "*shape"]
    shift: Float[np.ndarray, "*shape"]

    @property
    def identifiable(self) -> Bool[np.ndarray, "*shape"]:
        """Whether the residuals determine it, by entry."""
        return np.asarray(np.isfinite(self.std))

    def __str__(self) -> str:
        entries = zip(*map(np.ravel, (self.value, self.std, self.shift)), strict=True)
        return "; ".join(_shown(*entry) for entry in entries)


def _shown(value: float, std: float, shift: float) -> str:
    if not math.isfinite(std):
        return f"{value:.6g}, not identifiable from these residuals"
    text = f"{value:.6g} ± {std:.2g}"
    if abs(shift) > std:
        text += f" (not at the minimum: a Gauss–Newton step would move it by {shift:.2g})"
    return text
