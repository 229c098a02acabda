"""The options that several commands share, and how they become changes to a recipe."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from pinntk.errors import PinntkError

MODEL = "Network"
TRAINING = "Training"

ProblemArgument = Annotated[
    str,
    typer.Argument(
        metavar="PROBLEM",
        help="A library name with options, poisson1d:a=4, or a problem of yours, path/to/file.py:name.",
    ),
]
Preset = Annotated[
    str | None, typer.Option(help="Start from a named setting of the problem, such as 'paper'.")
]
Seed = Annotated[int, typer.Option(help="Draws points and network.")]
Dtype = Annotated[str | None, typer.Option(help="float32 or float64.")]
Network = Annotated[str | None, typer.Option(help="mlp or modified-mlp.", rich_help_panel=MODEL)]
Width = Annotated[int | None, typer.Option(help="Neurons per hidden layer.", rich_help_panel=MODEL)]
Depth = Annotated[int | None, typer.Option(help="Hidden layers.", rich_help_panel=MODEL)]
Activation = Annotated[
    str | None,
    typer.Option(help="tanh, sin, swish, gelu, softplus or sigmoid.", rich_help_panel=MODEL),
]
Parametrization = Annotated[
    str | None, typer.Option(help="standard or ntk.", rich_help_panel=MODEL)
]
Scaling = Annotated[
    str | None,
    typer.Option(help="Input scaling: unit, standard, points or none.", rich_help_panel=MODEL),
]
FourierFeatures = Annotated[
    int | None,
    typer.Option(
        help="Random Fourier features before the network; 0: none.", rich_help_panel=MODEL
    ),
]
FourierScale = Annotated[
    float | None,
    typer.Option(help="Standard deviation of their frequencies.", rich_help_panel=MODEL),
]
Weighting = Annotated[
    str | None,
    typer.Option(help="fixed, or ntk (Algorithm 1).", rich_help_panel=TRAINING),
]
WeightOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="NAME=VALUE",
        help="A fixed weight, such as boundary=100, or with --weighting ntk a factor on that of "
        "Algorithm 1; repeat or separate by commas.",
        rich_help_panel=TRAINING,
    ),
]
Every = Annotated[
    int | None,
    typer.Option(help="Steps between two updates of the weights.", rich_help_panel=TRAINING),
]
MovingAverage = Annotated[
    float | None,
    typer.Option(
        help="Share of the old weights that is kept at an update.", rich_help_panel=TRAINING
    ),
]
Subsample = Annotated[
    int | None,
    typer.Option(
        help="Points per condition that the weights are computed from; all by default.",
        rich_help_panel=TRAINING,
    ),
]
InputScale = Annotated[
    float | None,
    typer.Option(help="Stretch the scaled inputs by this factor.", rich_help_panel=MODEL),
]
Hard = Annotated[
    bool | None,
    typer.Option(
        "--hard/--soft",
        help="Build the conditions that the problem can build in into the model, or keep all as terms "
        "of the loss.",
        rich_help_panel=MODEL,
    ),
]
Harmonics = Annotated[
    int | None,
    typer.Option(
        help="Waves per coordinate in which the model is periodic (--hard).", rich_help_panel=MODEL
    ),
]
Optimizer = Annotated[
    str | None,
    typer.Option(
        help="sgd, adam, or natural-gradient (in float64, with settings of its own).",
        rich_help_panel=TRAINING,
    ),
]
Damping = Annotated[
    float | None,
    typer.Option(
        help="First damping of the natural gradient, in mean eigenvalues.", rich_help_panel=TRAINING
    ),
]
Solver = Annotated[
    str | None,
    typer.Option(
        help="How the natural gradient solves: auto, cholesky, or cg (forms no matrix).",
        rich_help_panel=TRAINING,
    ),
]
PointOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--points",
        metavar="NAME=COUNT",
        help="Points of a condition; repeat or separate by commas.",
        rich_help_panel=TRAINING,
    ),
]
Resampling = Annotated[
    str | None,
    typer.Option(
        help="How points change: conditions (as each says), residual (denser where it is large), or "
        "growing.",
        rich_help_panel=TRAINING,
    ),
]
ResampleEvery = Annotated[
    int | None,
    typer.Option(help="Steps between two changes of the points.", rich_help_panel=TRAINING),
]
LearningRate = Annotated[float | None, typer.Option(help="Step size.", rich_help_panel=TRAINING)]
DecayRate = Annotated[
    float | None,
    typer.Option(help="Factor on the learning rate per decay steps.", rich_help_panel=TRAINING),
]
DecaySteps = Annotated[int | None, typer.Option(help="Steps per decay.", rich_help_panel=TRAINING)]
Steps = Annotated[int | None, typer.Option(help="Training steps.", rich_help_panel=TRAINING)]
LogEvery = Annotated[
    int | None, typer.Option(help="Steps between two rows of history.", rich_help_panel=TRAINING)
]
CheckpointEvery = Annotated[
    int | None,
    typer.Option(help="Steps between two checkpoints; a twentieth of all by default."),
]
Budget = Annotated[
    str | None, typer.Option(metavar="TIME", help="Stop after this time: 60s, 5min, 2h.")
]
TrialBudget = Annotated[
    str,
    typer.Option(metavar="TIME", help="Time for trials of remedies: 60s, 5min; 0s tries none."),
]
DiagnosisOut = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for report.html; diagnosis-PROBLEM by default."),
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Run directory to write.")]
Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write everything as JSON; - for stdout."),
]


def parse_weights(options: list[str] | None) -> dict[str, float] | None:
    """`["boundary=100", "a=1,b=2"]` as a dictionary; None when nothing was given."""
    return _parse_numbers("--weights", "weight", options)


def parse_points(options: list[str] | None) -> dict[str, float] | None:
    """Like `parse_weights`, for numbers of points."""
    return _parse_numbers("--points", "points", options)


def _parse_numbers(option: str, noun: str, options: list[str] | None) -> dict[str, float] | None:
    if not options:
        return None
    numbers: dict[str, float] = {}
    for part in ",".join(options).split(","):
        name, _, text = part.partition("=")
        try:
            value = float(text) if name.strip() else None
        except ValueError:
            value = None
        if value is None:
            raise PinntkError(option, got=repr(part), expected="NAME=VALUE, like boundary=100")
        if not (math.isfinite(value) and value > 0):
            raise PinntkError(f"{noun} of {name!r}", got=text, expected="a positive finite number")
        if name.strip() in numbers:
            raise PinntkError(option, got=f"{name.strip()!r} twice", expected="it once")
        numbers[name.strip()] = value
    return numbers


def parse_budget(text: str | None, zero: bool = False) -> float | None:
    """`60s`, `5min`, `2h` or plain seconds, in seconds; 0 where `zero` is allowed."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|)", text.strip())
    value = float(match[1]) * {"s": 1, "": 1, "min": 60, "h": 3600}[match[2]] if match else 0.0
    if value <= 0 and not (zero and match):
        raise PinntkError("--budget", got=text, expected="a time above zero, like 60s, 5min or 2h")
    return value


def check_writable(option: str, file: Path) -> None:
    """Raise before the work is done where its result could not be written."""
    if file.is_dir() or not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise PinntkError(option, got=str(file), expected="a file in a folder that can be written")


def recipe_changes(**options: Any) -> dict[str, Any]:
    """The options that were given, by the recipe's names."""
    return {name: value for name, value in options.items() if value is not None}
