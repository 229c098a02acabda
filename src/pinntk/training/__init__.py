"""The only training loop, its history, and run directories."""

from pinntk.training.build import (
    NATURAL,
    build_dtype,
    build_model,
    build_optimizer,
    build_resampling,
    build_weighting,
)
from pinntk.training.compiled import TrainState, first_points
from pinntk.training.directory import RunDirectory, environment
from pinntk.training.history import Outcome, Result, Row
from pinntk.training.loop import (
    Observer,
    Resumption,
    check_sensitivity,
    start,
    train,
)
from pinntk.training.progress import describe_row, progress_bar
from pinntk.training.resampling import (
    AbstractResampling,
    AsConditioned,
    ProgressivePoints,
    ResidualAdaptive,
    resized,
)

__all__ = [
    "NATURAL",
    "AbstractResampling",
    "AsConditioned",
    "Observer",
    "Outcome",
    "ProgressivePoints",
    "ResidualAdaptive",
    "Result",
    "Resumption",
    "Row",
    "RunDirectory",
    "TrainState",
    "build_dtype",
    "build_model",
    "build_optimizer",
    "build_resampling",
    "build_weighting",
    "check_sensitivity",
    "describe_row",
    "environment",
    "first_points",
    "progress_bar",
    "resized",
    "start",
    "train",
]
