"""Time slabs as a part of a training: how many, or how well each is to be solved."""

from __future__ import annotations

import dataclasses
import math

from pinntk.errors import PinntkError

#: A slab's error is carried into all later ones, where the problem may amplify it: a thousandth leaves
#: room for fifty-fold growth before it is seen in a plot (5%).
TOLERANCE = 1e-3
#: Ten halvings of the whole extent are a slab of a thousandth of it; a failed attempt costs a training.
HALVINGS = 10
#: Equal slabs are solved one after the other, each for at least a step of training.
MOST = 2**20


@dataclasses.dataclass(frozen=True)
class TimeSlabs:
    """Solve in slabs of time, each from the end of the one before: `Training(..., slabs=TimeSlabs())`.

    Slab i covers [a, b] and has a network of its own, which sees t mapped from [a, b] to the time of the
    whole domain. A condition at the first instant becomes, in a later slab, r(u) = r(v) at t = a, with v
    the solution of the slab before.

    By default lengths adapt. A slab is solved where the residual, on ten times as many points as it was
    trained on, is at most `tolerance` of that of the solution held still at t = a, both as root mean
    squares. One that is not solved is tried again at half its length; after easy ones the length doubles.

    **Arguments:**

    - `count`: so many equal slabs, whatever their residuals; None adapts the lengths.
    - `tolerance`: what may be left of the residual.
    - `halvings`: how often the whole extent may be halved before the march gives up.
    """

    count: int | None = None
    _: dataclasses.KW_ONLY
    tolerance: float = TOLERANCE
    halvings: int = HALVINGS

    def __post_init__(self) -> None:
        whole = lambda value, low, high: (
            isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        )
        if self.count is not None and not whole(self.count, 1, MOST):
            raise PinntkError(
                "count",
                got=self.count,
                expected="a number of slabs, 1 or more, or None to adapt their lengths",
            )
        if not (math.isfinite(self.tolerance) and 0 < self.tolerance < 1):
            raise PinntkError("tolerance", got=self.tolerance, expected="a share between 0 and 1")
        if not whole(self.halvings, 0, 20):
            raise PinntkError("halvings", got=self.halvings, expected="a whole number from 0 to 20")

    @property
    def ticks(self) -> int:
        """In how many parts the extent is divided; the ends of slabs are whole numbers of them."""
        return 2**self.halvings if self.count is None else self.count

    @property
    def first(self) -> int:
        """The length of the first slab in ticks: a tick of equal ones, else half of the halvings are left.

        A short slab is easy, also for a fresh network, and longer ones start from what it has learned.
        """
        return 2 ** (self.halvings - self.halvings // 2) if self.adapts else 1

    @property
    def adapts(self) -> bool:
        """Whether the lengths follow the residuals."""
        return self.count is None
