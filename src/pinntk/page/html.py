"""The page of a diagnosis: one HTML file from its record, that works offline and in print."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from bokeh.resources import Resources

from pinntk.diagnosis.record import check_record
from pinntk.errors import PinntkError, RunError
from pinntk.page import maps, sections
from pinntk.page.words import number
from pinntk.training.checkpoint import write_atomically


def write_page(record: Mapping[str, Any], path: Path) -> Path:
    """Write the record of a diagnosis as one HTML file that loads nothing else; returns its path.

    `record` is `Diagnosis.as_dict()`, or the JSON file that `pinntk diagnose --json` wrote. The file is
    either the old one or the whole new one. **Raises** `PinntkError` for a record of another kind or
    version, and where `path` cannot be written.
    """
    check_record(record)
    content = render(record).encode()
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        write_atomically(path, content)
    except (OSError, RunError) as error:
        got = (
            error.got
            if isinstance(error, RunError)
            else f"{type(error).__name__}: {error.strerror}"
        )
        raise PinntkError(
            f"page {path}",
            got=str(got),
            expected="a file that can be written",
            fix="Name another folder, or make room and try again.",
        ) from error
    return path


def render(record: Mapping[str, Any]) -> str:
    """The page as text."""
    parts = [
        sections.spectra(record),
        sections.rates(record),
        sections.losses(record),
        maps.maps(record),
        maps.modes(record),
        sections.trials(record),
        sections.settings(record),
    ]
    winner = record["winner"]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pinntk.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    # Bokeh reads a figure in the order that it was written in: a model stands before what refers to it.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":")}
    return environment.get_template("report.html.j2").render(
        record=record,
        sections=parts,
        drawn={section.id for section in parts if section.plots or section.tables},
        items={plot.id: plot.item for section in parts for plot in section.plots},
        subject=sections.subject(record),
        facts=sections.facts(record),
        improvement=sections.improvement(winner) if winner else "",
        seen_in=sections.seen_in,
        library=_library(),
    )


def _library() -> str:
    """Bokeh's script, as it ships with the package, without its optional parts."""
    return "\n".join(Resources(mode="inline", components=["bokeh"], log_level="error").js_raw)
