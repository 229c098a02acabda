"""A training as one object: optimizer, steps, loss weights, points."""

from __future__ import annotations

import dataclasses
from typing import Any

from pinntk.errors import PinntkError, check_name
from pinntk.optim import AbstractOptimizer
from pinntk.training.resampling import AbstractResampling, AsConditioned
from pinntk.training.slabs import TimeSlabs
from pinntk.weighting import AbstractWeighting, Fixed

#: What users write where an object is wanted, and the object.
_EXPECTED = {
    "optimizer": (
        AbstractOptimizer,
        "an optimizer, like pk.adam(1e-3) or pk.NaturalGradient()",
        "Wrap an Optax transformation: pk.FirstOrder(optax.lion(1e-4)).",
    ),
    "weighting": (
        AbstractWeighting,
        "a weighting rule, like pk.NTKWeights(every=100)",
        'Constant weights are pk.Fixed({"boundary": 100.0}).',
    ),
    "resampling": (
        AbstractResampling,
        "a resampling rule, like pk.ResidualAdaptive(every=50)",
        "",
    ),
}


@dataclasses.dataclass(frozen=True)
class Training:
    """How to train: `Training(pk.adam(2e-3), steps=5_000)`.

    `train`, `diagnose`, the trials of remedies, and the command line all take this object.

    **Arguments:**

    - `optimizer`: `pk.adam(...)`, `pk.NaturalGradient()`, `pk.FirstOrder(optax...)`, or your own.
    - `steps`: the number of steps.
    - `weighting`: the rule for the loss weights; all are 1 by default.
    - `resampling`: how collocation points change; by default as each condition says.
    - `log_every`: steps between two rows of history.
    - `slabs`: solve slab after slab of time, each in at most `steps` steps: `pk.TimeSlabs()`.
    """

    optimizer: AbstractOptimizer
    _: dataclasses.KW_ONLY
    steps: int = 10_000
    weighting: AbstractWeighting = Fixed()
    resampling: AbstractResampling = AsConditioned()
    log_every: int = 100
    slabs: TimeSlabs | None = None

    def __post_init__(self) -> None:
        for name, (kind, expected, fix) in _EXPECTED.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise PinntkError(name, got=value, expected=expected, fix=fix)
        for name in ("steps", "log_every"):
            check_count(name, getattr(self, name))
        if self.slabs is not None and not isinstance(self.slabs, TimeSlabs):
            raise PinntkError(
                "slabs",
                got=self.slabs,
                expected="pk.TimeSlabs(), with as many slabs as are needed, or None",
                fix="For equal ones write pk.TimeSlabs(8).",
            )

    def replace(self, **changes: Any) -> Training:
        """A copy with other values: `plan.replace(weighting=pk.NTKWeights(every=1))`."""
        for name in changes:
            check_name("argument of Training", name, [f.name for f in dataclasses.fields(self)])
        return dataclasses.replace(self, **changes)


def check_count(argument: str, value: object) -> None:
    """Raise unless `value` is a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise PinntkError(argument, got=value, expected="a whole number, 1 or more")
