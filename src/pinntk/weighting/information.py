"""What a weighting rule may ask for: one type for each kind of information.

A rule names the kinds it reads in `needs`, and gets them by type: `information[Traces].values`.
Training has a table from each kind to how it comes out of the residual Jacobian.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from jaxtyping import Array, Float

from pinntk.errors import PinntkError

Kind = TypeVar("Kind")
ByCondition = Mapping[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class Losses:
    """The unweighted losses L_k = mean_i r_{k,i}², by condition."""

    values: ByCondition


@dataclasses.dataclass(frozen=True)
class GradientNorms:
    """Sizes of the gradients ∇L_k of the unweighted losses, by condition.

    `euclidean` is ‖∇L_k‖₂; `largest` and `mean` are the largest and the mean magnitude of its entries.
    """

    euclidean: ByCondition
    largest: ByCondition
    mean: ByCondition


@dataclasses.dataclass(frozen=True)
class Traces:
    """`values` are tr K_kk of the raw kernel, `rows` the numbers N_k of residuals, by condition."""

    values: ByCondition
    rows: Mapping[str, int]


class Information:
    """The information that a rule asked for, by type.

    **Raises** `PinntkError` for a kind that the rule does not name in its `needs`.
    """

    def __init__(self, *items: Any):
        self._items = {type(item): item for item in items}

    def __getitem__(self, kind: type[Kind]) -> Kind:
        if kind not in self._items:
            raise PinntkError(
                "needs",
                got=", ".join(sorted(found.__name__ for found in self._items)) or "nothing",
                expected=f"{kind.__name__} among them, since the rule reads it",
                fix=f"Write needs = ({kind.__name__},) in the weighting rule.",
            )
        return self._items[kind]
