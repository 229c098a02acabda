"""The shape of the package: which room may import which, what importing costs, how big a module gets."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from each import each

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "pinntk"
MODULES = sorted(SOURCE.rglob("*.py"))

#: The rooms, lowest floor first. A room imports itself and rooms on floors below, never its
#: neighbors on the same floor or anything above. (`public` is the package's own `__init__`.)
FLOORS = (
    ("arrays", "errors", "words"),
    ("program", "threads"),
    ("domain", "calculus", "nets"),
    ("conditions",),
    ("problem",),
    ("jacobian",),
    ("kernel", "weighting", "optim", "inverse"),
    ("training",),
    ("diagnosis", "library"),
    ("report", "page"),
    ("paper",),
    ("cli",),
)
ROOMS = [room for floor in FLOORS for room in floor]
#: What the top level may show to users: all but the rooms that draw and the command line.
PUBLIC = "public"
NOT_PUBLIC = {"report", "page", "paper", "cli"}

#: Imports inside functions, and why they are there.
LATE_IMPORTS = {
    ("cli.app", "pinntk.report"): "Matplotlib is loaded by the commands that draw",
    ("cli.doctor", "pinntk.page"): "Bokeh is loaded where a page is made",
    ("cli.app", "pinntk.paper"): "it draws",
    ("paper.lemma", "diffrax"): "an extra, for one experiment",
    ("jacobian.machine", "psutil"): "asked where memory is, not by `import pinntk`",
    ("domain.samplers", "scipy.stats"): "it takes a third of the time of `import pinntk`",
    ("training.observer", "rich.console"): "Rich is loaded only where a bar is shown",
    ("training.observer", "rich.progress"): "Rich is loaded only where a bar is shown",
    ("cli.main", "pinntk.cli.app"): "JAX takes a second, in which Ctrl-C prints one line too",
}

#: Third-party packages that belong to certain rooms only.
KEPT_TO = {
    "psutil": {"jacobian"},
    "matplotlib": {"report"},
    "bokeh": {"page"},
    "jinja2": {"page"},
    "typer": {"cli"},
    "platformdirs": {"cli"},
    "rich": {"cli", "training"},
    "optax": {"optim"},
    "diffrax": {"paper"},
}

LINES = 400


class Import(NamedTuple):
    """One imported module, where it stands, and whether inside a function."""

    module: str
    line: int
    late: bool


def imports(tree: ast.AST, late: bool = False) -> Iterator[Import]:
    """Every import below a node of a syntax tree, `from a import b` as `a` unless a is `pinntk`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            if node.module == "pinntk":
                yield from (Import(f"pinntk.{a.name}", node.lineno, late) for a in node.names)
            else:
                yield Import(str(node.module), node.lineno, late)
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports(node, late or function)


def name_of(path: Path) -> str:
    """`src/pinntk/training/loop.py` as `training.loop`, the package's `__init__` as ``."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room_of(module: str) -> str:
    """The room of `training.loop` (`training`)."""
    return module.split(".")[0] or PUBLIC


def floor_of(room: str) -> int:
    """How high a room lies."""
    return next(height for height, rooms in enumerate(FLOORS) if room in rooms)


def upward(module: str, tree: ast.AST) -> list[str]:
    """The imports of a module that break the order of the floors, in words."""
    room = room_of(module)
    found = []
    for item in imports(tree):
        if item.module.split(".")[0] != "pinntk":
            continue
        other = room_of(item.module.removeprefix("pinntk").lstrip("."))
        if other not in ROOMS:  # `from pinntk import train`
            other = PUBLIC
        if room == PUBLIC:
            bad = other in NOT_PUBLIC
        else:
            bad = other != room and (other == PUBLIC or floor_of(other) >= floor_of(room))
        if bad:
            found.append(f"{module}, line {item.line}: {room} imports {other}")
    return found


def late(module: str, tree: ast.AST) -> list[str]:
    """The imports inside functions that are not on the list, in words."""
    hidden = (item for item in imports(tree) if item.late)
    return [
        f"{module}, line {item.line}: {item.module} is imported inside a function"
        for item in hidden
        if (module, item.module) not in LATE_IMPORTS
    ]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def third_party() -> dict[str, set[str]]:
    """Top-level package → rooms that import it, standard library and pinntk left out."""
    found: dict[str, set[str]] = {}
    for path in MODULES:
        for item in imports(parsed(path)):
            top = item.module.split(".")[0]
            if top != "pinntk" and top not in sys.stdlib_module_names:
                found.setdefault(top, set()).add(room_of(name_of(path)))
    return found


def test_every_room_has_one_floor():
    there = {room_of(name_of(path)) for path in MODULES} - {PUBLIC}
    assert sorted(ROOMS) == sorted(there)


def test_imports_go_down():
    assert [line for path in MODULES for line in upward(name_of(path), parsed(path))] == []


def test_no_import_hides_in_a_function():
    assert [line for path in MODULES for line in late(name_of(path), parsed(path))] == []


def test_the_list_of_late_imports_is_not_stale():
    there = {
        (name_of(path), item.module)
        for path in MODULES
        for item in imports(parsed(path))
        if item.late
    }
    assert set(LATE_IMPORTS) == there


@each(
    ("module", "code"),
    [
        ("kernel.spectrum", "from pinntk.training import train"),
        ("kernel.spectrum", "import pinntk.report.figures"),
        ("kernel.spectrum", "from pinntk.optim import adam"),  # the same floor
        ("kernel.spectrum", "from pinntk import train"),  # the roof
        ("kernel.spectrum", "def f():\n    from pinntk.training import train"),
        ("kernel.spectrum", "if TYPE_CHECKING:\n    from pinntk.training import train"),
        ("", "from pinntk.cli import app"),
    ],
)
def test_control_an_upward_import_is_caught(module, code):
    assert upward(module, ast.parse(code))


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("kernel.spectrum", "from pinntk.jacobian import gram"),
        ("kernel.spectrum", "from pinntk.kernel.tangent import TangentKernel\nimport numpy"),
        ("", "from pinntk.training import train"),
    ],
)
def test_control_a_downward_import_is_not(module, code):
    assert not upward(module, ast.parse(code))


@pytest.mark.parametrize(
    "code", ["def f():\n    import scipy", "class A:\n    def f(self):\n        import scipy"]
)
def test_control_a_hidden_import_is_caught(code):
    assert late("kernel.spectrum", ast.parse(code))
    assert not late("kernel.spectrum", ast.parse("import scipy"))


def test_nobody_imports_the_command_line():
    """Text becomes objects there and nowhere else."""
    for path in MODULES:
        if room_of(name_of(path)) != "cli":
            found = [item.module for item in imports(parsed(path))]
            assert not [name for name in found if name.startswith("pinntk.cli")], path


def test_third_party_packages_stay_in_their_rooms():
    found = third_party()
    for package, rooms in KEPT_TO.items():
        assert found[package] <= rooms, f"{package} is imported in {found[package] - rooms}"


def test_what_is_imported_is_declared_and_the_other_way_round():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["paper"]]
    declared = {re.split(r"[<>=\[ ]", line)[0] for line in lines}
    assert set(third_party()) == declared


def test_a_module_can_be_seen_across():
    lines = {name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in MODULES}
    assert {name: count for name, count in lines.items() if count > LINES} == {}


IMPORT_IS_FREE = """
import ctypes
import os
import sys
import jax
import scipy.linalg.cython_lapack
openblas = ctypes.CDLL(scipy.linalg.cython_lapack.__file__)
threads = lambda: getattr(openblas, "scipy_openblas_get_num_threads", lambda: None)()
set_threads = lambda number: openblas.scipy_openblas_set_num_threads(number)
before = dict(jax.config.values)
threads_before, environment = threads(), dict(os.environ)
import pinntk
assert threads() == threads_before, "the threads of LAPACK changed"
assert dict(os.environ) == environment, "the environment changed"
changed = {k: v for k, v in jax.config.values.items() if before.get(k) != v}
assert not changed, f"jax settings changed: {changed}"
unwanted = {"matplotlib", "bokeh", "jinja2", "rich", "typer", "click", "torch", "flax", "deepxde"}
unwanted |= {"tensorflow", "platformdirs"}
loaded = unwanted & {name.partition(".")[0] for name in sys.modules} | {"scipy.stats"} & set(sys.modules)
assert not loaded, f"loaded: {loaded}"
"""


def fresh_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter in which warnings are shown."""
    command = [sys.executable, "-W", "default", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_import_prints_nothing_and_loads_nothing_optional():
    done = fresh_python(IMPORT_IS_FREE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@each(
    ("spoiler", "complaint"),
    [
        ("import matplotlib", "loaded"),
        ("import scipy.stats", "loaded"),
        ("jax.config.update('jax_enable_x64', True)", "settings changed"),
        ("os.environ['XLA_FLAGS'] = ''", "the environment changed"),
        ("set_threads(threads() + 1)", "the threads of LAPACK changed"),
    ],
)
def test_control_a_costly_import_is_caught(spoiler, complaint):
    done = fresh_python(IMPORT_IS_FREE.replace("import pinntk", f"import pinntk\n{spoiler}"))
    assert done.returncode == 1
    assert complaint in done.stderr


def test_the_version_is_the_one_of_the_metadata():
    import pinntk

    assert pinntk.__version__ == importlib.metadata.version("pinntk")
