"""The command `pinntk`. Thin: it parses, calls and prints."""

from __future__ import annotations

import contextlib
import functools
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

import pinntk.cli.options as o
from pinntk.cli import doctor, tables
from pinntk.errors import PinntkError, PinntkWarning
from pinntk.runs import (
    Setup,
    plain_setup,
    resume_run,
    set_up,
    start_run,
    step_size_warning,
)
from pinntk.training import NATURAL, Outcome, Result, progress_bar

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Why does my PINN not train, and what makes it train?",
)

#: Exit codes: 0 done (also when a time budget ended it), 2 bad input, 3 diverged, 130 interrupted.
EXIT_CODES = {Outcome.DIVERGED: 3, Outcome.INTERRUPTED: 130}


@app.command(name="list")
def list_problems() -> None:
    """Show the problems of the library."""
    tables.console.print(tables.problem_table())


@app.command()
def diagnose(
    problem: o.ProblemArgument,
    preset: o.Preset = None,
    network: o.Network = None,
    width: o.Width = None,
    depth: o.Depth = None,
    activation: o.Activation = None,
    parametrization: o.Parametrization = None,
    scaling: o.Scaling = None,
    input_scale: o.InputScale = None,
    hard: o.Hard = None,
    harmonics: o.Harmonics = None,
    fourier_features: o.FourierFeatures = None,
    fourier_scale: o.FourierScale = None,
    weighting: o.Weighting = None,
    weights: o.WeightOptions = None,
    every: o.Every = None,
    optimizer: o.Optimizer = None,
    points: o.PointOptions = None,
    resampling: o.Resampling = None,
    learning_rate: o.LearningRate = None,
    decay_rate: o.DecayRate = None,
    decay_steps: o.DecaySteps = None,
    steps: o.Steps = None,
    dtype: o.Dtype = None,
    seed: o.Seed = 0,
    budget: o.TrialBudget = "60s",
    out: o.DiagnosisOut = None,
    json_file: o.Json = None,
) -> None:
    """Say why a PINN does not train, try what would help, and leave a page with the evidence.

    Looks at the training that is planned with all loss weights 1, unless weights are asked for.
    """
    changes = o.recipe_changes(
        network=network,
        width=width,
        depth=depth,
        activation=activation,
        parametrization=parametrization,
        scaling=scaling,
        input_scale=input_scale,
        hard=hard,
        harmonics=harmonics,
        fourier_features=fourier_features,
        fourier_scale=fourier_scale,
        weighting=weighting,
        weights=o.parse_weights(weights),
        every=every,
        optimizer=optimizer,
        points=o.parse_points(points),
        resampling=resampling,
        learning_rate=learning_rate,
        decay_rate=decay_rate,
        decay_steps=decay_steps,
        steps=steps,
        dtype=dtype,
    )
    seconds = o.parse_budget(budget, zero=True) or 0.0
    doctor.check_budget(seconds)
    setup = plain_setup(problem, preset, changes, seed)
    if json_file is not None and str(json_file) != "-":
        o.check_writable("--json", json_file)
    where = doctor.destination(setup.spec, out, json_file)
    if not where.to_stdout:
        _print_setup(setup)
    if doctor.run(setup, seconds, where, shlex.join(["pinntk", *sys.argv[1:]])):
        raise typer.Exit(EXIT_CODES[Outcome.INTERRUPTED])


@app.command()
def train(
    problem: o.ProblemArgument,
    preset: o.Preset = None,
    network: o.Network = None,
    width: o.Width = None,
    depth: o.Depth = None,
    activation: o.Activation = None,
    parametrization: o.Parametrization = None,
    scaling: o.Scaling = None,
    input_scale: o.InputScale = None,
    hard: o.Hard = None,
    harmonics: o.Harmonics = None,
    fourier_features: o.FourierFeatures = None,
    fourier_scale: o.FourierScale = None,
    weighting: o.Weighting = None,
    weights: o.WeightOptions = None,
    every: o.Every = None,
    moving_average: o.MovingAverage = None,
    subsample: o.Subsample = None,
    optimizer: o.Optimizer = None,
    damping: o.Damping = None,
    solver: o.Solver = None,
    points: o.PointOptions = None,
    resampling: o.Resampling = None,
    resample_every: o.ResampleEvery = None,
    learning_rate: o.LearningRate = None,
    decay_rate: o.DecayRate = None,
    decay_steps: o.DecaySteps = None,
    steps: o.Steps = None,
    log_every: o.LogEvery = None,
    dtype: o.Dtype = None,
    seed: o.Seed = 0,
    budget: o.Budget = None,
    checkpoint_every: o.CheckpointEvery = None,
    out: o.Out = None,
) -> None:
    """Train a PINN; with --out, keep everything in a directory that can be resumed."""
    setup = set_up(
        problem,
        preset,
        o.recipe_changes(
            network=network,
            width=width,
            depth=depth,
            activation=activation,
            parametrization=parametrization,
            scaling=scaling,
            input_scale=input_scale,
            hard=hard,
            harmonics=harmonics,
            fourier_features=fourier_features,
            fourier_scale=fourier_scale,
            weighting=weighting,
            weights=o.parse_weights(weights),
            every=every,
            moving_average=moving_average,
            subsample=subsample,
            optimizer=optimizer,
            damping=damping,
            solver=solver,
            points=o.parse_points(points),
            resampling=resampling,
            resample_every=resample_every,
            learning_rate=learning_rate,
            decay_rate=decay_rate,
            decay_steps=decay_steps,
            steps=steps,
            log_every=log_every,
            dtype=dtype,
        ),
        seed,
    )
    seconds = o.parse_budget(budget)
    _print_setup(setup)
    warning = step_size_warning(setup)
    if warning:
        tables.print_warning(warning)
    with progress_bar(setup.recipe.steps, tables.errors) as bar, _notes_at_the_end():
        result = start_run(
            setup,
            out,
            budget=seconds,
            checkpoint_every=checkpoint_every,
            command=sys.argv,
            observers=[bar],
        )
    _print_result(result, out)


@app.command()
def resume(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    budget: o.Budget = None,
) -> None:
    """Go on with an interrupted run, as if it had not been interrupted."""
    with progress_bar(1, tables.errors) as bar, _notes_at_the_end():
        result, warnings = resume_run(directory, budget=o.parse_budget(budget), observers=[bar])
    for warning in warnings:
        tables.print_warning(warning)
    _print_result(result, directory)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
) -> None:
    """Draw losses, weights, error, spectra and solution of a run into DIR/report."""
    from pinntk.report import write_report  # Matplotlib is loaded by the commands that draw

    with tables.errors.status("drawing"):
        files = write_report(directory)
    for file in files:
        tables.console.print(str(file), markup=False, highlight=False, soft_wrap=True)


@app.command()
def reproduce(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAMES...", help="fig1 to fig8, figures, theory (or one of its parts), all."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results and figures are kept.")],
    size: Annotated[
        str, typer.Option(help="paper: the paper's size; smoke: seconds, and nothing to conclude.")
    ] = "paper",
) -> None:
    """Make figures of the paper with their numbers, and say claim by claim whether it holds."""
    from pinntk.paper import names_of  # Matplotlib is loaded by the commands that draw
    from pinntk.paper import reproduce as make

    watch = functools.partial(progress_bar, console=tables.errors)
    for made in make(
        names_of(names), size, out, lambda steps, label: watch(steps, label=label), sys.argv
    ):
        tables.console.print(tables.claims_table(made.experiment.name, made.claims, size))
        came = "was there already" if made.reused else f"took {tables.duration(made.seconds)}"
        line = f"{made.experiment.name} {came}: {made.files[0]}"
        tables.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _notes_at_the_end() -> Iterator[None]:
    """Python's warnings of pinntk are silent: the result holds them, and they are printed with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PinntkWarning)
        yield


def _print_setup(setup: Setup) -> None:
    recipe = setup.recipe
    weights = ", ".join(f"{name} {value:g}" for name, value in recipe.weights.items())
    weighting = " × ".join(filter(None, (recipe.weighting, weights)))
    if recipe.weighting == "fixed" and weights:
        weighting = weights
    shape = f"{recipe.network} {recipe.depth}×{recipe.width} {recipe.activation}"
    line = tables.settings_line(
        {
            setup.spec: shape,
            "parameters": f"{setup.parameters:,}",
            recipe.optimizer: "" if recipe.optimizer == NATURAL else f"{recipe.learning_rate:g}",
            "weighting": weighting,
            "steps": f"{recipe.steps:,}",
            "dtype": recipe.dtype,
            "seed": setup.seed,
        }
    )
    tables.console.print(line, markup=False, highlight=False)


def _print_result(result: Result, out: Path | None) -> None:
    tables.console.print(tables.result_table(result))
    for line in [*tables.coefficient_lines(result), tables.result_line(result)]:
        tables.console.print(line, markup=False, highlight=False)
    for note in result.notes:
        tables.print_warning(note)
    if out is not None:
        unfinished = result.outcome in (Outcome.INTERRUPTED, Outcome.BUDGET)
        verb = "Go on with: pinntk resume" if unfinished else "Figures: pinntk report"
        tables.console.print(f"{verb} {out}", markup=False, highlight=False, soft_wrap=True)
    code = EXIT_CODES.get(result.outcome, 0)
    if code:
        raise typer.Exit(code)


def main() -> None:
    """The entry point: errors become one message and exit code 2, never a traceback."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except PinntkError as error:
        tables.print_error(str(error))
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        tables.print_error("interrupted")
        raise SystemExit(130) from None
