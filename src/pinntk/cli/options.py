"""The options of a run, each written once: `train` and `diagnose` are made from the fields of `Options`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import os
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pinntk.cli import names
from pinntk.errors import PinntkError, check_name

MODEL = "Network"
TRAINING = "Training"


def parse_numbers(noun: str, option: str, parts: list[str]) -> dict[str, float] | None:
    """`["boundary=100", "a=1,b=2"]` as positive numbers by name; None for an empty list.

    `noun` is what a number is called in the error for a bad one.
    """
    if not parts:
        return None
    numbers: dict[str, float] = {}
    for part in ",".join(parts).split(","):
        name, _, text = part.partition("=")
        try:
            value = float(text) if name.strip() else None
        except ValueError:
            value = None
        if value is None:
            raise PinntkError(option, got=repr(part), expected="NAME=VALUE, like boundary=100")
        if not (math.isfinite(value) and value > 0):
            raise PinntkError(
                f"{noun} of {name.strip()!r}", got=text, expected="a positive finite number"
            )
        if name.strip() in numbers:
            raise PinntkError(option, got=f"{name.strip()!r} twice", expected="it once")
        numbers[name.strip()] = value
    return numbers


def _option(
    help: str,
    panel: str,
    metavar: str | None = None,
    *,
    flags: tuple[str, ...] = (),
    parser: Callable[[str, list[str]], Any] | None = None,
) -> Any:
    """A field of `Options`; `parser` makes its value from the texts of an option that can be repeated."""
    metadata = {"help": help, "panel": panel, "metavar": metavar, "flags": flags, "parser": parser}
    return dataclasses.field(default=None, metadata=metadata)


#: What a field may hold, by its annotation: the types, a word for them.
_KINDS: Mapping[str, tuple[Any, str]] = {
    "bool | None": (bool, "true or false"),
    "str | None": (str, "a name"),
    "int | None": (int, "a whole number"),
    "float | None": (int | float, "a number"),
    "Mapping[str, float] | None": (Mapping, "numbers by name"),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """The options that change a setup, None where an option is not given.

    A field is an option of `train` and `diagnose`, a row of the documentation, and a key of the
    `options` in config.json. `pinntk.cli.settings` says what each does.
    """

    network: str | None = _option(f"{names.listed(names.ARCHITECTURES)}.", MODEL)
    width: int | None = _option("Neurons per hidden layer.", MODEL)
    depth: int | None = _option("Hidden layers.", MODEL)
    activation: str | None = _option(f"{names.listed(names.ACTIVATIONS)}.", MODEL)
    parametrization: str | None = _option(f"{names.listed(names.PARAMETRIZATIONS)}.", MODEL)
    initializer: str | None = _option(
        f"Draws the weights of the standard parametrization: {names.listed(names.INITIALIZERS)}.",
        MODEL,
    )
    bias_std: float | None = _option(
        "Standard deviation of the first biases in the standard parametrization.", MODEL
    )
    scaling: str | None = _option(f"Input scaling: {names.listed(names.SCALINGS)}.", MODEL)
    input_scale: float | None = _option("Stretch the scaled inputs by this factor.", MODEL)
    hard: bool | None = _option(
        "Build the conditions that the problem can build in into the model, or keep all as terms of "
        "the loss.",
        MODEL,
        flags=("--hard", "--soft"),
    )
    harmonics: int | None = _option(
        "Waves per coordinate in which the model is periodic (--hard).", MODEL
    )
    fourier_features: int | None = _option(
        "Random Fourier features before the network; 0: none.", MODEL
    )
    fourier_scale: float | None = _option("Standard deviation of their frequencies.", MODEL)
    output: str | None = _option(
        f"Function of the last layer, which keeps the fields positive: {names.listed(names.OUTPUTS)}.",
        MODEL,
    )
    nondimensional: bool | None = _option(
        "Scale fields and residuals to order one inside, as natural-gradient does where they are far "
        "from it, or keep both in the problem's units.",
        MODEL,
        flags=("--nondimensional", "--dimensional"),
    )
    fourier_scales: Mapping[str, float] | None = _option(
        "The same along each coordinate, such as x=0.75,t=0.125.",
        MODEL,
        "NAME=VALUE",
        parser=functools.partial(parse_numbers, "scale"),
    )
    weighting: str | None = _option(
        "fixed, ntk (Algorithm 1), or a rule of yours, FILE.py:NAME.", TRAINING
    )
    weights: Mapping[str, float] | None = _option(
        "A fixed weight, such as boundary=100, or with --weighting ntk a factor on that of "
        "Algorithm 1; repeat or separate by commas.",
        TRAINING,
        "NAME=VALUE",
        parser=functools.partial(parse_numbers, "weight"),
    )
    every: int | None = _option("Steps between two updates of the weights.", TRAINING)
    moving_average: float | None = _option(
        "Share of the old weights that is kept at an update.", TRAINING
    )
    subsample: int | None = _option(
        "Points per condition that the weights are computed from; all by default.", TRAINING
    )
    optimizer: str | None = _option(
        "sgd, adam, natural-gradient (with a network and settings of its own, in float64), spring, "
        "or an optimizer of yours, FILE.py:NAME.",
        TRAINING,
    )
    learning_rate: float | None = _option("Step size.", TRAINING)
    decay_rate: float | None = _option("Factor on the learning rate per decay steps.", TRAINING)
    decay_steps: int | None = _option("Steps per decay.", TRAINING)
    damping: float | None = _option(
        "Damping of the natural gradient (the first one) or of SPRING, in mean eigenvalues.",
        TRAINING,
    )
    momentum: float | None = _option("Share of the last direction that SPRING keeps.", TRAINING)
    solver: str | None = _option(
        f"How the natural gradient solves: {names.listed(names.SOLVERS)} (forms no matrix).",
        TRAINING,
    )
    points: Mapping[str, float] | None = _option(
        "Points of a condition; repeat or separate by commas.",
        TRAINING,
        "NAME=COUNT",
        parser=functools.partial(parse_numbers, "points"),
    )
    redraw_every: int | None = _option(
        "Steps between two draws of new points, for every condition; 0: fixed points.", TRAINING
    )
    resampling: str | None = _option(
        "How points change: conditions (as each says), residual (denser where it is large), or "
        "growing.",
        TRAINING,
    )
    resample_every: int | None = _option("Steps between two changes of the points.", TRAINING)
    steps: int | None = _option("Training steps.", TRAINING)
    log_every: int | None = _option("Steps between two rows of history.", TRAINING)
    slabs: int | None = _option(
        "Solve in so many equal slabs of time, each from the end of the one before; 0: as many as it "
        "takes.",
        TRAINING,
    )
    dtype: str | None = _option("float32 or float64.", TRAINING)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, (kind, expected) = getattr(self, field.name), _KINDS[str(field.type)]
            if value is None:
                continue
            if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
                raise PinntkError(flag(field.name), got=repr(value), expected=expected)

    def given(self) -> dict[str, Any]:
        """The options that were given, JSON-ready."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in found.items() if value is not None}

    @staticmethod
    def from_saved(given: Mapping[str, Any]) -> Options:
        """The inverse of `given`. **Raises** `PinntkError` for unknown names and values of other types."""
        for name in given:
            check_name("option", name, [field.name for field in dataclasses.fields(Options)])
        return Options(**given)

    def replace(self, **changes: Any) -> Options:
        """A copy with other values."""
        return dataclasses.replace(self, **changes)

    def text(self) -> str:
        """As a user writes them: `--width 20 --points residual=500`."""
        words: list[str] = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                words.append(field.metadata["flags"][0 if value else 1])
            elif isinstance(value, Mapping):
                pairs = ",".join(f"{name}={_shortest(item)}" for name, item in value.items())
                words += [flag(field.name), shlex.quote(pairs)]
            elif value is not None:
                text = value if isinstance(value, str) else _shortest(value)
                words += [flag(field.name), shlex.quote(text)]
        return " ".join(words)


def flag(name: str) -> str:
    """`--decay-rate` for `decay_rate`."""
    return "--" + name.replace("_", "-")


def _shortest(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command for Typer: each field of `Options` takes the place of its parameter `options`."""
    fields = dataclasses.fields(Options)

    @functools.wraps(command)
    def called(**values: Any) -> None:
        given = {field.name: values.pop(field.name) for field in fields}
        for field in fields:
            parse = field.metadata["parser"]
            if parse is not None and given[field.name] is not None:
                given[field.name] = parse(flag(field.name), given[field.name])
        command(**values, options=Options(**given))

    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.name == "options":
            parameters += map(_parameter, fields)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    return called


def _parameter(field: dataclasses.Field[Any]) -> inspect.Parameter:
    meta = field.metadata
    kinds = {"Mapping[str, float] | None": list[str], "bool | None": bool, "int | None": int}
    kind = kinds.get(str(field.type), float if field.type == "float | None" else str)
    info = typer.Option(
        "/".join(meta["flags"]) or flag(field.name),
        help=meta["help"],
        metavar=meta["metavar"],
        rich_help_panel=meta["panel"],
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, info],
    )


# --- what belongs to a command and not to the setup ---------------------------------------------

ProblemArgument = Annotated[
    str,
    typer.Argument(
        metavar="PROBLEM",
        help="A library name with options, poisson1d:a=4, or a Problem or Setup of yours, "
        "path/to/file.py:name.",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(help="Start from a named setup of the problem, such as paper; else from default."),
]
Seed = Annotated[int, typer.Option(help="Draws points and network.")]
CheckpointEvery = Annotated[
    int | None,
    typer.Option(help="Steps between two checkpoints; a twentieth of all by default."),
]
Budget = Annotated[
    str | None, typer.Option(metavar="TIME", help="Stop after this time: 60s, 5min, 2h.")
]
TrialBudget = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="Time for trials of remedies, compilation aside: 60s, 5min; 0s tries none.",
    ),
]
Patience = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="The examination stops to train after this time and says what it saw."
    ),
]
FirstOrderOnly = Annotated[
    bool,
    typer.Option(
        "--first-order", help="Try no second-order optimizer, for networks too large for one."
    ),
]
DiagnosisOut = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for report.html; diagnosis-PROBLEM by default."),
]
Findings = Annotated[
    list[str] | None,
    typer.Option(
        "--finding", metavar="FILE.py:NAME", help="A finding of yours to look for too; repeat."
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Run directory to write.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")]
Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write everything as JSON; - for stdout."),
]
NoCache = Annotated[
    bool,
    typer.Option("--no-cache", help="Neither read nor keep compiled programs."),
]


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
