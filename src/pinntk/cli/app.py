"""The commands. Thin: each parses, calls and prints."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import pinntk.cli.options as o
from pinntk.cli import doctor, tables
from pinntk.cli.cache import keep_programs
from pinntk.cli.loading import load
from pinntk.cli.main import INTERRUPTED
from pinntk.cli.origin import origin, setup_of
from pinntk.cli.settings import apply, plain
from pinntk.cli.summary import coefficient_lines, print_setup, step_size_warning
from pinntk.diagnosis.trained import trained_notes
from pinntk.errors import PinntkError
from pinntk.training import (
    Outcome,
    Result,
    Setup,
    open_run,
    precision,
    progress_bar,
    resume_run,
    start_run,
)
from pinntk.words import duration

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Why does my PINN not train, and how do I fix it?",
)

#: Exit codes: 0 done (also when a time budget ended it), 2 bad input, 3 diverged, 130 interrupted.
EXIT_CODES = {Outcome.DIVERGED: 3, Outcome.INTERRUPTED: INTERRUPTED}


@app.command(name="list")
def list_problems() -> None:
    """Show the problems of the library, with their presets beside default and natural-gradient."""
    tables.console.print(tables.problem_table())


@app.command()
@o.takes_options
def diagnose(
    problem: o.ProblemArgument,
    options: o.Options,
    preset: o.Preset = None,
    seed: o.Seed = 0,
    budget: o.TrialBudget = "60s",
    patience: o.Patience = "10min",
    first_order: o.FirstOrderOnly = False,
    finding: o.Findings = None,
    out: o.DiagnosisOut = None,
    json_file: o.Json = None,
    no_cache: o.NoCache = False,
) -> None:
    """Say why a PINN does not train, try the remedies, and write a page with the evidence.

    Examines the planned training with all loss weights 1, unless you ask for weights or name a Setup of
    your own.
    """
    seconds = o.parse_budget(budget, zero=True) or 0.0
    doctor.check_budget(seconds)
    loaded = load(problem, preset)
    setup = apply(loaded.setup, options, loaded.presets)
    if not loaded.own:
        setup = plain(setup, options)
    own_findings = doctor.load_findings(finding or [])
    if json_file is not None and str(json_file) != "-":
        o.check_writable("--json", json_file)
    where = doctor.destination(loaded.spec, out, json_file)
    _cached(no_cache)
    if not where.to_stdout:
        print_setup(loaded.spec, setup, seed)
    limit = o.parse_budget(patience) or 0.0
    case = doctor.Case(loaded, options, setup, seed, own_findings, limit, first_order)
    command = shlex.join(["pinntk", *sys.argv[1:]])
    if doctor.run(case, seconds, where, command):
        raise typer.Exit(EXIT_CODES[Outcome.INTERRUPTED])


@app.command()
@o.takes_options
def train(
    problem: o.ProblemArgument,
    options: o.Options,
    preset: o.Preset = None,
    seed: o.Seed = 0,
    budget: o.Budget = None,
    checkpoint_every: o.CheckpointEvery = None,
    out: o.Out = None,
    no_cache: o.NoCache = False,
) -> None:
    """Train a PINN; with --out, keep everything in a directory that can be resumed."""
    seconds = o.parse_budget(budget)
    loaded = load(problem, preset)
    setup = apply(loaded.setup, options, loaded.presets)
    _cached(no_cache)
    print_setup(loaded.spec, setup, seed)
    warning = step_size_warning(setup, seed)
    if warning:
        tables.print_warning(warning)
    with progress_bar(setup.training.steps, tables.errors) as bar:
        result = start_run(
            setup,
            seed,
            out,
            origin=origin(loaded, options),
            budget=seconds,
            checkpoint_every=checkpoint_every,
            command=sys.argv,
            observers=[bar],
        )
    found = coefficient_lines(setup, seed, result)
    _print_result(result, out, found, _closer_look(setup, seed, result))


@app.command()
def resume(directory: o.Directory, budget: o.Budget = None, no_cache: o.NoCache = False) -> None:
    """Continue an interrupted run, as if it had not been interrupted."""
    seconds = o.parse_budget(budget)
    setup = setup_of(directory)
    _cached(no_cache)
    with progress_bar(setup.training.steps, tables.errors) as bar:
        result, warnings = resume_run(directory, setup, budget=seconds, observers=[bar])
    for warning in warnings:
        tables.print_warning(warning)
    seed = open_run(directory).config["seed"]
    _print_result(result, directory, coefficient_lines(setup, seed, result))


@app.command()
def report(directory: o.Directory) -> None:
    """Draw losses, weights, error, spectra and solution of a run into DIR/report."""
    from pinntk.report import write_report  # Matplotlib is loaded by the commands that draw

    setup = setup_of(directory)
    with tables.errors.status("drawing"):
        files = write_report(directory, setup)
    for file in files:
        tables.show(str(file))


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
    no_cache: o.NoCache = False,
) -> None:
    """Reproduce figures of the paper with their numbers, and say which claims hold."""
    from pinntk import paper  # Matplotlib is loaded by the commands that draw

    _cached(no_cache)
    watch = functools.partial(progress_bar, console=tables.errors)
    bar = lambda steps, label: watch(steps, label=label)
    for made in paper.reproduce(paper.names_of(names), size, out, bar, sys.argv):
        if isinstance(made, paper.Skipped):
            tables.show(f"{made.experiment.name} skipped: {made.reason}")
            continue
        tables.console.print(tables.claims_table(made.experiment.name, made.claims, size))
        came = "was there already" if made.reused else f"took {duration(made.seconds)}"
        tables.show(f"{made.experiment.name} {came}: {made.files[0]}")


def _cached(no_cache: bool) -> None:
    if not no_cache:
        keep_programs()


def _closer_look(setup: Setup, seed: int, result: Result) -> tuple[str, ...]:
    """What the small loss of a run that ended by itself does not tell."""
    if result.outcome not in (Outcome.COMPLETED, Outcome.CONVERGED, Outcome.STALLED):
        return ()
    with tables.errors.status("looking between the points"), precision(setup.dtype):
        start = setup.start(seed)
        return trained_notes(start.problem, result.model, start.model, start.batch)


def _print_result(
    result: Result, out: Path | None, found: Sequence[str], notes: Sequence[str] = ()
) -> None:
    """Losses, the coefficients that were `found`, how it ended, and notes beside those of the result."""
    tables.console.print(tables.result_table(result))
    for line in [*found, tables.result_line(result)]:
        tables.console.print(line, markup=False, highlight=False)
    for note in (*result.notes, *notes):
        tables.print_warning(note)
    if out is not None:
        unfinished = result.outcome in (Outcome.INTERRUPTED, Outcome.BUDGET)
        verb = "Go on with: pinntk resume" if unfinished else "Figures: pinntk report"
        tables.show(f"{verb} {shlex.quote(str(out))}")
    code = EXIT_CODES.get(result.outcome, 0)
    if code:
        raise typer.Exit(code)


def run_app() -> int:
    """Run the command that `sys.argv` asks for; its exit code."""
    with tables.one_printer():
        try:
            app()
        except PinntkError as error:
            tables.print_error(str(error))
            return 2
        except SystemExit as stop:
            # Typer makes an exit of Ctrl-C, without a word.
            if isinstance(getattr(stop.__context__, "__cause__", None), KeyboardInterrupt):
                raise KeyboardInterrupt from None
            return stop.code if isinstance(stop.code, int) else 0
    return 0
