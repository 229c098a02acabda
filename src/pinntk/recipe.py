"""The settings of a run as plain data, so that they can be written to a file and read back.

Here, and at the command line that fills it, behaviour is named by strings; `pinntk.training.build`
turns them into objects.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pinntk.errors import PinntkError, check_name

#: What a field may hold, by its annotation: the types and a word for them.
_KINDS: Mapping[str, tuple[Any, str]] = {
    "bool": (bool, "true or false"),
    "str": (str, "a name"),
    "int": (int, "a whole number"),
    "int | None": (int | None, "a whole number"),
    "float": (int | float, "a number"),
    "float | None": (int | float | None, "a number"),
    "Mapping[str, float]": (Mapping, "numbers by name"),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a problem is trained unless told otherwise. Every field is an option of `pinntk train`.

    `learning_rate` decays by the factor `decay_rate` per `decay_steps` steps (continuously) where
    both are given. `scaling` maps the inputs: "unit" to [−1, 1], "standard" to mean 0 and deviation 1
    over the domain, "points" the same over the points of the condition `residual`, or "none";
    `input_scale` multiplies what it gives. `hard` builds the conditions that the problem knows how to
    build in into the model, with `harmonics` waves per periodic coordinate. `fourier_features` counts
    random Fourier features of scale `fourier_scale`; 0 for none.

    `points` are numbers of points by condition, the problem's own where not named; `resampling` is
    "conditions" (as each condition says), "residual" (`ResidualAdaptive`) or "growing" (`ProgressivePoints`), every
    `resample_every` steps. `damping` and `solver` ("auto", "cholesky", "cg") are those of the natural
    gradient, which has no learning rate. `every`, `moving_average` and `subsample` are those of
    `NTKWeights`; `weights` those of `Fixed`, or the `factors` of `NTKWeights`.
    """

    network: str = "mlp"
    width: int = 50
    depth: int = 3
    activation: str = "tanh"
    parametrization: str = "standard"
    initializer: str = "glorot"
    bias_std: float = 0.0
    scaling: str = "unit"
    input_scale: float = 1.0
    hard: bool = False
    harmonics: int = 1
    fourier_features: int = 0
    fourier_scale: float = 1.0
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    decay_rate: float | None = None
    decay_steps: int | None = None
    damping: float = 1e-2
    solver: str = "auto"
    steps: int = 10_000
    points: Mapping[str, float] = dataclasses.field(default_factory=dict)
    resampling: str = "conditions"
    resample_every: int = 50
    weighting: str = "ntk"
    every: int = 100
    moving_average: float = 0.0
    subsample: int | None = None
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    log_every: int = 100
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, (kind, expected) = getattr(self, field.name), _KINDS[str(field.type)]
            if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
                raise PinntkError(field.name, got=repr(value), expected=expected)
        for name in ("steps", "log_every"):
            if getattr(self, name) < 1:
                raise PinntkError(
                    name, got=getattr(self, name), expected="a whole number, 1 or more"
                )

    def replace(self, **changes: Any) -> Recipe:
        """A copy with the given settings changed; None leaves a setting as it is."""
        known = {field.name for field in dataclasses.fields(self)}
        for name in changes:
            check_name("setting", name, known)
        return dataclasses.replace(self, **{k: v for k, v in changes.items() if v is not None})

    def as_dict(self) -> dict[str, Any]:
        """The settings as a JSON-ready dictionary."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(settings: Mapping[str, Any]) -> Recipe:
        """The inverse of `as_dict`."""
        try:
            return Recipe().replace(**settings)
        except TypeError as error:
            raise PinntkError("settings", got=str(error), expected="what as_dict wrote") from error


def natural(**changes: Any) -> Recipe:
    """The settings of a natural-gradient run, unless changed: a small network in float64, no weights.

    One step solves for all parameters at once, which costs their number squared times the points, so
    the network is as small as the solution allows. The inputs are stretched and the biases spread, so
    that its units bend in different places from the start.
    """
    settings: dict[str, Any] = {
        "optimizer": "natural-gradient",
        "width": 20,
        "depth": 2,
        "input_scale": 3.0,
        "bias_std": 1.0,
        "dtype": "float64",
        "weighting": "fixed",
        "steps": 1000,
        "log_every": 10,
    }
    return Recipe(**{**settings, **changes})
