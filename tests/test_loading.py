"""From a spec to a setup: the library's presets, files of the user's and their neighbors."""

from __future__ import annotations

import sys

import jax.numpy as jnp
import pytest

from each import each
from pinntk.cli.loading import load, user_object
from pinntk.cli.options import Options
from pinntk.cli.settings import apply
from pinntk.cli.specs import parse_number
from pinntk.errors import PinntkError
from pinntk.optim import AbstractOptimizer, NaturalGradient
from pinntk.training import Network, default_setup, natural_setup
from pinntk.training.describe import describe_setup

pytestmark = pytest.mark.fast

FILE = """
import optax
import pinntk as pk
from neighbor import domain, conditions

problem = pk.Problem("mine", domain, conditions)
setup = pk.Setup(problem, pk.Training(pk.adam(1e-2), steps=7))
own = setup.replace(network=lambda key: pk.MLP(1, width=2, depth=1, key=key))
made = []


def once():
    made.append(1)
    return problem


class Lion(pk.FirstOrder):
    def __init__(self):
        super().__init__(optax.lion(1e-4))
"""
NEIGHBOR = """
import pinntk as pk

domain = pk.Interval(x=(0.0, 1.0))
conditions = [pk.dirichlet("ends", domain.faces(), 0.0, 2)]
"""


@pytest.fixture
def file(tmp_path):
    """A file that imports the one beside it."""
    (tmp_path / "mine.py").write_text(FILE)
    (tmp_path / "neighbor.py").write_text(NEIGHBOR)
    yield tmp_path / "mine.py"
    sys.modules.pop("neighbor", None)


def test_a_file_can_import_its_neighbors(file):
    path = list(sys.path)
    assert load(f"{file}:problem").setup.problem.name == "mine"
    assert sys.path == path


def test_a_problem_has_the_default_setups_as_presets(file):
    spec = f"{file}:problem"
    found = load(spec)
    expected = default_setup(found.setup.problem)
    assert describe_setup(found.setup) == describe_setup(expected)
    natural = load(spec, "natural-gradient").setup
    assert describe_setup(natural) == describe_setup(natural_setup(natural.problem))
    with pytest.raises(PinntkError, match="got 'paper'; expected one of default, natural-gradient"):
        load(spec, "paper")


def test_a_setup_is_taken_as_it_is(file):
    found = load(f"{file}:setup")
    assert (found.own, found.setup.training.steps, found.preset) == (True, 7, None)
    assert load(f"{file}:problem").own is False


def test_the_natural_gradient_keeps_a_network_of_ones_own(file):
    found = load(f"{file}:own")
    natural = apply(found.setup, Options(optimizer="natural-gradient"), found.presets)
    assert isinstance(natural.training.optimizer, NaturalGradient)
    assert natural.network is found.setup.network
    assert isinstance(load(f"{file}:setup").presets["natural-gradient"]().network, Network)


def test_one_spec_gives_one_object_until_the_file_changes(file):
    get = lambda: user_object(f"{file}:Lion", "--optimizer", AbstractOptimizer, "an optimizer")
    first, sha256 = get(), load(f"{file}:problem").file_sha256
    assert get() is first
    file.write_text(FILE + "# changed")
    assert get() is not first
    assert load(f"{file}:problem").file_sha256 != sha256


def test_presets_of_the_library_are_made_once_and_with_the_same_options():
    point = jnp.array([0.37])
    found = load("poisson1d:a=3")
    assert found.presets["default"]() is found.setup
    exact = found.setup.problem.solution
    other = found.presets["natural-gradient"]().problem.solution
    assert exact(point) == other(point) != load("poisson1d").setup.problem.solution(point)
    # A preset's own value of an option goes with it: the paper has a = 4.
    paper = load("poisson1d", "paper").presets["natural-gradient"]().problem.solution
    assert paper(point) == load("poisson1d:a=4").setup.problem.solution(point)


@each(
    ("text", "value"),
    [("4", 4.0), ("1e-3", 1e-3), ("0.01/pi", 0.01 / 3.141592653589793), ("-(2+1)*2", -6.0)],
)
def test_numbers_may_be_terms(text, value):
    assert parse_number("nu", text) == value


@each("text", ["", "four", "2**9", "__import__", "1/0", "(", "pi()"])
def test_nothing_else_is_a_number(text):
    with pytest.raises(PinntkError, match=r"^nu: got .*expected a number like 4"):
        parse_number("nu", text)
