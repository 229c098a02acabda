"""docs/reproduction.md from the records of `pinntk reproduce --out results/paper`.

    python benchmarks/reproduction.py [--check]

Every experiment of the package has a section; one without a record says so. The figures are shown
from results/paper, which the documentation's build copies.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pinntk.paper import EXPERIMENTS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "paper"
PAGE = ROOT / "docs" / "reproduction.md"


def number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def escaped(text: str) -> str:
    """Formulas such as L[u](x) are no links."""
    return text.replace("[", "\\[").replace("]", "\\]")


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def training_time(arrays: dict[str, Any]) -> float:
    """Seconds of the long training behind a figure, which another figure may have needed as well."""
    return arrays.get("training_seconds", 0.0)


def section(name: str) -> str:
    """The statement, our figure, and every claim with its number."""
    experiment, file = EXPERIMENTS[name], RESULTS / f"{name}.json"
    head = f"## {experiment.title}\n\nThe paper: {escaped(experiment.statement)}\n\n"
    if not file.exists():
        return head + f"Not measured yet: `pinntk reproduce {name} --out DIR`.\n"
    record = json.loads(file.read_text())
    lines = ["| claim | measured | claimed | holds |", "| --- | --- | --- | --- |"]
    remarks = []
    for claim in record["claims"]:
        spread = f"<br>{claim['spread']}" if claim["spread"] else ""
        holds = "yes" if claim["holds"] else "**no**"
        cells = (
            f"**{claim['name']}**: {escaped(claim['paper'])}",
            f"{number(claim['measured'])}{spread}",
            claim["required"],
            holds,
        )
        lines.append(f"| {' | '.join(cells)} |")
        if claim["remark"] and claim["remark"] not in remarks:
            remarks.append(claim["remark"])
    environment = record["environment"]
    versions = environment["versions"]
    seconds = max(record["seconds"], training_time(record["arrays"]))
    provenance = (
        f"`pinntk reproduce {name} --size {record['size']}`, {duration(seconds)} on "
        f"{', '.join(environment['devices'])}, JAX {versions['jax']}, Python {environment['python']}."
    )
    picture = f"![{experiment.title}](reproduction/{name}.png)"
    return head + "\n\n".join([picture, "\n".join(lines), *remarks, provenance]) + "\n"


def page() -> str:
    """docs/reproduction.md."""
    sections = "\n".join(section(name) for name in EXPERIMENTS)
    return f"""# The paper, claim by claim

Every figure of Wang, Yu and Perdikaris, *When and why PINNs fail to train: A neural tangent kernel
perspective*, J. Comput. Phys. 449 (2022) 110768, reproduced by `pinntk reproduce NAME --out DIR`, with
each statement of the paper as a number and a bound. `--size smoke` makes all of them within minutes,
too small for conclusions. Figures 6 to 8 share their training runs; the time given for a figure is that
of all its runs.

Where the authors' published notebooks say more than the paper, the settings are theirs: the standard
parametrization (weights N(0, 1/fan_in), biases N(0, 1)) for the Poisson problem, normalized inputs,
mean-squared losses. **The parametrization matters**: in the NTK parametrization, the same learning rate
and number of steps hardly change the loss. The theorems about wide networks are stated for the NTK
parametrization and checked in it. [Theory](theory.md) has the derivations.

This page is written by `python benchmarks/reproduction.py` from the records under `results/paper`.

{sections}"""


def main() -> int:
    """Write the page, or with `--check` say whether it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = page()
    if parser.parse_args().check:
        if PAGE.read_text() != text:
            print(f"{PAGE.name} is not what results/ says: run python benchmarks/reproduction.py")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
