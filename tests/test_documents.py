"""What the documents promise: examples run and print what they say, commands and links exist, pins hold."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pinntk
from each import each
from pinntk.cli.app import app
from pinntk.cli.loading import load
from pinntk.errors import PinntkError
from pinntk.library import PROBLEMS
from test_architecture import FLOORS

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]

#: How far a number may be from the one in the document. What is shown are the ends of float32
#: trainings, which another processor rounds differently at every step; two figures cannot be kept,
#: the order of magnitude can.
FACTOR = 3.0


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


class Block(NamedTuple):
    """A fenced block: its language, its title where it is a file, its text."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    fences = re.findall(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', page.read_text(), re.M | re.S)
    return [Block(*fence) for fence in fences]


NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def agree(printed: str, promised: str, factor: float = FACTOR) -> bool:
    """Whether two texts are the same up to line breaks and up to a factor in their numbers."""
    texts = [" ".join(text.split()) for text in (printed, promised)]
    if NUMBER.sub("#", texts[0]) != NUMBER.sub("#", texts[1]):
        return False
    numbers = ([float(n.replace(",", "")) for n in NUMBER.findall(text)] for text in texts)
    return all(
        a == b or (a > 0 and b > 0 and 1 / factor <= a / b <= factor)
        for a, b in zip(*numbers, strict=True)
    )


def run_blocks(page: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Run a page's Python blocks in order; yields what each printed and what the page says it prints."""
    namespace: dict[str, object] = {"__name__": "page"}
    all_blocks = blocks(page)
    for block, following in zip(all_blocks, [*all_blocks[1:], None], strict=True):
        if block.language != "python":
            continue
        if block.title:
            (folder / block.title).write_text(block.text)
            continue
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(block.text, page.name, "exec"), namespace)
        if following is not None and following.language == "text":
            yield output.getvalue(), following.text
        else:
            yield output.getvalue(), ""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory from which modules can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if (tmp_path / f"{name}.py").exists():
            del sys.modules[name]


WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_PYTHON[1:], ids=page_name)  # the README is below
def test_python_blocks_print_what_the_page_says(page, folder):
    for printed, promised in run_blocks(page, folder):
        assert agree(printed, promised), f"printed:\n{printed}\nthe page says:\n{promised}"


def test_the_readme_prints_what_it_says_and_its_cure_cures(folder):
    """Its numbers may differ by `FACTOR`; what they say may not."""
    said = ""
    for printed, promised in run_blocks(ROOT / "README.md", folder):
        assert agree(printed, promised), f"printed:\n{printed}\nthe page says:\n{promised}"
        said += printed
    errors = [float(e) for e in re.findall(r"relative L2 error (\d\S*?e[+-]\d+)", said)]
    assert len(errors) == 2
    assert errors[1] < errors[0] / 100


def test_control_other_words_or_numbers_are_noticed():
    assert agree("error 5.5e-02,\n4,900 times", "error 5.1e-02, 4,700 times")
    assert not agree("error 5.5e-02", "error 5.5e-03")
    assert not agree("error 5.5e-02", "loss 5.5e-02")
    assert not agree("0 of 3", "1 of 3")
    assert not agree("error 5.5e-02", "")


def commands_in(page: Path) -> Iterator[str]:
    """Everything on a page that starts with `pinntk `: lines of shell blocks, and inline code."""
    text = page.read_text()
    shell = [block.text for block in blocks(page) if block.language == "bash"]
    lines = [part.strip() for block in shell for part in re.split(r"\n|&&", block)]
    inline = re.findall(r"(?<!`)`(pinntk [^`\n]+)`", text)
    for line in [*lines, *inline]:
        command = line.removeprefix("$ ")
        if command.startswith("pinntk "):
            yield command


def check_command(command: str, files: set[str]) -> None:
    """Fail unless the command, its options and its problem exist. `...` stands for anything."""
    _, name, *words = shlex.split(command)
    assert name in COMMANDS, f"{command}: no command {name}"
    known = {spelling for parameter in COMMANDS[name].params for spelling in parameter.opts}
    for word in words:
        assert not word.startswith("-") or word in known, f"{command}: no option {word}"
    if name in ("diagnose", "train") and words and words[0] not in ("PROBLEM", "..."):
        preset = words[words.index("--preset") + 1] if "--preset" in words else None
        file = words[0].partition(":")[0]
        if file not in files:
            load(str(ROOT / words[0]) if ".py:" in words[0] else words[0], preset)


@each("page", PAGES)
def test_commands_on_the_page_exist(page):
    files = {block.title for block in blocks(page) if block.title} | {"path/to/file.py"}
    for command in commands_in(page):
        check_command(command, files)


def test_the_readme_shows_every_command():
    shown = {shlex.split(command)[1] for command in commands_in(ROOT / "README.md")}
    assert shown == set(COMMANDS)


@each(
    "command",
    [
        "pinntk diagnoze poisson1d",
        "pinntk diagnose poison1d",
        "pinntk diagnose poisson1d --presets paper",
        "pinntk diagnose poisson1d --preset papers",
        "pinntk train examples/heat_road.py:problem",
    ],
)
def test_control_a_command_that_does_not_exist_is_caught(command):
    with pytest.raises((AssertionError, PinntkError)):
        check_command(command, set())


def slug(heading: str) -> str:
    """The anchor that MkDocs gives to a heading."""
    words = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
    return re.sub(r"[\s-]+", "-", words)


#: Where the documentation's build puts figures, and where they are kept.
FIGURES = {"reproduction/": ROOT / "results" / "paper", "measured/": ROOT / "results"}


def broken_links(text: str, folder: Path) -> list[str]:
    """The relative links of a page whose file or heading does not exist."""
    broken = []
    prose = re.sub(r"```.*?```|^ {4}.*?$|`[^`\n]*`", "", text, flags=re.S | re.M)
    for link in re.findall(r"(?<!\\)\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = folder / target
        for place, kept in FIGURES.items():
            if target.startswith(place):
                file = kept / target.removeprefix(place)
        if not file.is_file():
            broken.append(link)
        elif anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
            if anchor not in map(slug, headings):
                broken.append(link)
    return broken


@each("page", PAGES)
def test_links_resolve(page):
    assert not broken_links(page.read_text(), page.parent)


def test_control_a_broken_link_is_caught():
    text = "[a](docs/nowhere.md) [b](docs/training.md#no-such-heading) [c](docs/training.md)"
    assert broken_links(text, ROOT) == ["docs/nowhere.md", "docs/training.md#no-such-heading"]


def test_every_room_has_a_page_and_a_place_in_the_menu():
    source = ROOT / "src" / "pinntk"
    rooms = {path.stem for path in source.iterdir() if not path.name.startswith(("_", "py."))}
    pages = {path.stem for path in (ROOT / "docs" / "api").glob("*.md")} - {"index"}
    assert pages == rooms - {"cli"}  # which has a page of its own
    menu = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs")) in menu


def test_the_reference_is_made_from_the_code():
    specification = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert specification is not None
    assert specification.loader is not None
    generate = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(generate)
    commands = generate.on_page_markdown((ROOT / "docs/cli.md").read_text())
    for name, command in COMMANDS.items():
        assert f"## {name}\n" in commands
        assert all(parameter.opts[0].lower() in commands.lower() for parameter in command.params)
    library = generate.on_page_markdown((ROOT / "docs/problems.md").read_text())
    assert all(f"| `{name}` |" in library for name in PROBLEMS)


def requirements() -> list[Requirement]:
    """What the package and its extras ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return [Requirement(line) for line in lines if not line.startswith("pinntk")]


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-newest.txt"])
def test_constraints_pin_what_the_package_asks_for(file):
    lines = (ROOT / file).read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    pins = {canonicalize_name(n): v for n, _, v in (line.partition("==") for line in lines)}
    assert len(pins) == len(lines)
    for requirement in requirements():
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_contributing_tells_the_floors_and_the_reason_of_every_dependency():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| \d+ \| (.+) \|$", text, re.M)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [set(floor) for floor in FLOORS]
    reasons = " ".join(re.findall(r"^\| (.+?) \| .+ \|$", text, re.M)).replace(",", "").split()
    for requirement in requirements():
        assert requirement.name in reasons


@pytest.mark.parametrize("file", ["CITATION.cff", "CHANGELOG.md"])
def test_the_version_is_named(file):
    assert pinntk.__version__ in (ROOT / file).read_text()


def test_the_checks_install_and_test_as_the_readme_says():
    checks = (ROOT / ".ci" / "run").read_text()
    for block in blocks(ROOT / "README.md"):
        if block.language == "bash":
            parts = [part.strip() for part in block.text.split("&&")]
            said = [part for part in parts if part.startswith(("python -m p", "pinntk "))]
            assert len(said) == 2
            assert all(part in checks for part in said)
