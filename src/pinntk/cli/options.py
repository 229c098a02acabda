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
Optimizer = Annotated[str | None, typer.Option(help="sgd or adam.", rich_help_panel=TRAINING)]
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
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Run directory to write.")]
Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write everything as JSON; - for stdout."),
]


def parse_weights(options: list[str] | None) -> dict[str, float] | None:
    """`["boundary=100", "a=1,b=2"]` as a dictionary; None when nothing was given."""
    if not options:
        return None
    weights: dict[str, float] = {}
    for part in ",".join(options).split(","):
        name, _, text = part.partition("=")
        try:
            value = float(text) if name.strip() else None
        except ValueError:
            value = None
        if value is None:
            raise PinntkError("--weights", got=repr(part), expected="NAME=VALUE, like boundary=100")
        if not (math.isfinite(value) and value > 0):
            raise PinntkError(f"weight of {name!r}", got=text, expected="a positive finite number")
        if name.strip() in weights:
            raise PinntkError("--weights", got=f"{name.strip()!r} twice", expected="it once")
        weights[name.strip()] = value
    return weights


def parse_budget(text: str | None) -> float | None:
    """`60s`, `5min`, `2h` or plain seconds, in seconds."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|)", text.strip())
    value = float(match[1]) * {"s": 1, "": 1, "min": 60, "h": 3600}[match[2]] if match else 0.0
    if value <= 0:
        raise PinntkError("--budget", got=text, expected="a time above zero, like 60s, 5min or 2h")
    return value


def check_writable(option: str, file: Path) -> None:
    """Raise before the work is done where its result could not be written."""
    if file.is_dir() or not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise PinntkError(option, got=str(file), expected="a file in a folder that can be written")


def recipe_changes(**options: Any) -> dict[str, Any]:
    """The options that were given, by the recipe's names."""
    return {name: value for name, value in options.items() if value is not None}
