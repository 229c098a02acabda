"""A hook of MkDocs: fills in references and tables from the code itself.

A page holds a marker such as `<!-- commands -->` where the text goes.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.structure.files import File, Files

from pinntk.cli.app import app
from pinntk.cli.options import Options, flag
from pinntk.diagnosis import FINDINGS
from pinntk.diagnosis.record import KEYS
from pinntk.library import PROBLEMS

#: The modules of the diagnosis whose constants decide what is found; those of the findings come after them.
JUDGING = (
    "effort",
    "evidence",
    "forecast",
    "reach",
    "examination",
    "laziness",
    "findings.joint",
    "claim",
    "dense",
    "growth",
    "propagation",
    "conditioning",
)
#: A public constant, or a field of a finding, with the comment that says why.
CONSTANT = re.compile(r"((?:^#:.*\n)+)^([A-Z][A-Z_, ]*) = (.+)$", re.MULTILINE)
FIELD = re.compile(r"((?:^    #:.*\n)+)^    (\w+): \w+ = (.+)$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page."""
    made = {
        "commands": commands,
        "options": options,
        "problems": problems,
        "rules": rules,
        "thresholds": thresholds,
        "record": record,
    }
    for marker, make in made.items():
        comment = f"<!-- {marker} -->"
        if comment in markdown:
            markdown = markdown.replace(comment, make())
    return markdown


def on_files(files: Files, config: Any) -> Files:
    """Called by MkDocs with all files: adds the figures from where they are kept."""
    results = Path(config["config_file_path"]).parent / "results"
    for folder, kept in {"reproduction": results / "paper", "measured": results}.items():
        for figure in sorted(kept.glob("*.png")):
            name = f"{folder}/{figure.name}"
            files.append(File.generated(config, name, abs_src_path=str(figure)))
    return files


def commands() -> str:
    """Every command with its arguments and options, as Markdown."""
    group: Any = typer.main.get_command(app)
    return "\n".join(_command(name, command) for name, command in group.commands.items())


def options() -> str:
    """The options of `train` and `diagnose` that change a setup, as Markdown tables by panel."""
    lines: list[str] = []
    panel = ""
    for field in dataclasses.fields(Options):
        meta = field.metadata
        if meta["panel"] != panel:
            panel = meta["panel"]
            lines += ["", f"### {panel}", "", "| option | what it is |", "|---|---|"]
        shown = " or ".join(meta["flags"]) or f"{flag(field.name)} {_value(field)}"
        lines.append(f"| `{shown}` | {meta['help']} |")
    return "\n".join([*lines, ""])


def _value(field: dataclasses.Field[Any]) -> str:
    kinds = {"int | None": "COUNT", "float | None": "NUMBER", "str | None": "NAME"}
    return field.metadata["metavar"] or kinds[str(field.type)]


def problems() -> str:
    """The problems of the library with their options and presets, as a Markdown table."""
    lines = ["| name | equation | conditions | options | presets |", "|---|---|---|---|---|"]
    for name, entry in PROBLEMS.items():
        conditions = ", ".join(f"`{condition}`" for condition in entry.problem().names)
        options = ", ".join(f"`{option}={value:.4g}`" for option, value in entry.options.items())
        presets = ", ".join(f"`{preset}`" for preset in entry.presets)
        lines.append(f"| `{name}` | {entry.description} | {conditions} | {options} | {presets} |")
    return "\n".join(lines)


def rules() -> str:
    """Every finding with what it looks for, in the order in which they are reported."""
    lines = ["| finding | what it is |", "|---|---|"]
    for finding in FINDINGS:
        text = (inspect.getdoc(type(finding)) or "").partition("\n\n")[0]
        lines.append(f"| {finding.name} | {' '.join(text.split())} |")
    return "\n".join(lines)


def thresholds() -> str:
    """The named constants that decide, with the reasons that the source gives before them."""
    lines = ["| threshold | value | reason |", "|---|---|---|"]
    modules = [importlib.import_module(f"pinntk.diagnosis.{name}") for name in JUDGING]
    for module in dict.fromkeys([*modules, *(inspect.getmodule(type(f)) for f in FINDINGS)]):
        source = inspect.getsource(module)  # type: ignore[arg-type]
        lines += [_threshold(names, value, why) for why, names, value in CONSTANT.findall(source)]
    for finding in FINDINGS:
        kind = type(finding)
        for why, name, value in FIELD.findall(inspect.getsource(kind)):
            lines.append(_threshold(f"{kind.__name__}.{name}", value, why))
    return "\n".join(lines)


def record() -> str:
    """Every key of a diagnosis' record, as Markdown tables: one for each key at the top."""
    lines: list[str] = []
    for key in KEYS:
        if "." not in key.path and "[" not in key.path:
            lines += ["", f"## {key.path}", "", "| key | what it is | meaning |", "|---|---|---|"]
        lines.append(f"| `{key.path}` | {key.described} | {key.meaning} |")
    return "\n".join([*lines, ""])


def _threshold(names: str, value: str, reason: str) -> str:
    text = " ".join(line.strip().removeprefix("#:").strip() for line in reason.splitlines())
    return f"| `{names}` | {value} | {text} |"


def _command(name: str, command: Any) -> str:
    required = [_shown(parameter) for parameter in command.params if not _is_option(parameter)]
    usage = " ".join(["pinntk", name, *required])
    rest = " [OPTIONS]" if any(map(_is_option, command.params)) else ""
    lines = [f"## {name}", "", f"`{usage}{rest}`", "", command.help, ""]
    shared = {field.name for field in dataclasses.fields(Options)}
    own = [parameter for parameter in command.params if parameter.name not in shared]
    if len(own) < len(command.params):
        lines += ["Takes the [options of a run](#options-of-a-run) too.", ""]
    if own:
        lines += ["| argument or option | what it is |", "|---|---|"]
        lines += [f"| `{_shown(p)}` | {_described(p)} |" for p in own]
    return "\n".join([*lines, ""])


def _is_option(parameter: Any) -> bool:
    return parameter.opts[0].startswith("-")


def _shown(parameter: Any) -> str:
    value = parameter.metavar or parameter.name.upper()
    if getattr(parameter, "is_flag", False):
        return parameter.opts[0]
    return f"{parameter.opts[0]} {value}" if _is_option(parameter) else value


def _described(parameter: Any) -> str:
    default = parameter.default
    return parameter.help + (
        "" if default in (None, [], False) or callable(default) else f" Default: {default}."
    )
