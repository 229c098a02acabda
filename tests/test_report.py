"""Reports: the files of a run, the numbers in them, and figures that survive a grey print."""

from __future__ import annotations

import json
import shutil

import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from pinntk.cli.loading import load
from pinntk.errors import MemoryLimitError, RunError
from pinntk.kernel import tangent_kernel
from pinntk.report import figures, write, write_report
from pinntk.training import start_run, trained_model

FILE = """
import jax.numpy as jnp
import pinntk as pk

def setup_of(problem):
    plan = pk.Training(pk.adam(1e-3), steps=6, log_every=2, weighting=pk.NTKWeights(every=2))
    return pk.Setup(problem, plan, pk.Network(width=3, depth=1))


x = pk.Interval(x=(0.0, 2.0))
start = pk.dirichlet("start", x.face(x=0.0), 1.0, 1)
decay = pk.Condition("residual", lambda u, p: u.d("x")(p) + u(p), x, 5)
line = setup_of(pk.Problem("line", x, [start, decay], solution=lambda p: jnp.exp(-p[0])))

xy = pk.Box(x=(0.0, 1.0), y=(0.0, 2.0))
system = lambda w, p: jnp.stack([w["u"].d("x")(p) - p[1], w["v"].d("y")(p)])
plane = setup_of(
    pk.Problem("plane", xy, [pk.Condition("system", system, xy, 4)], fields=("u", "v"))
)

xyt = pk.SpaceTime(x=(0.0, 1.0), y=(0.0, 1.0), t=(0.0, 3.0))
flow = pk.Condition("flow", lambda u, p: u.d("t")(p) - u.d("x")(p), xyt, 4)
volume = setup_of(pk.Problem("volume", xyt, [flow], solution=lambda p: jnp.sin(p[0] + p[2])))

given = pk.Points([[0.0], [1.0]], ("x",))
data = setup_of(
    pk.Problem("data", given, [pk.observations("data", given, given.points, [0.0, 1.0])])
)
"""
BOTH = ("png", "pdf")


@pytest.fixture(scope="module")
def setups(tmp_path_factory):
    """The setups in the file, by name."""
    file = tmp_path_factory.mktemp("user") / "mine.py"
    file.write_text(FILE)
    return {name: load(f"{file}:{name}").setup for name in ("line", "plane", "volume", "data")}


@pytest.fixture(scope="module")
def run_of(setups, tmp_path_factory):
    """A function from the name of a setup to a run of it."""
    folder = tmp_path_factory.mktemp("runs")

    def make(name):
        if not (folder / name).exists():
            start_run(setups[name], out=folder / name, checkpoint_every=4)
        return folder / name

    return make


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Small pictures: what is drawn is looked at, not how finely."""
    monkeypatch.setattr(write, "GRID", 5)
    monkeypatch.setitem(figures.SETTINGS, "savefig.dpi", 30)


def names(files, folder):
    assert {file.parent for file in files} == {folder / "report"}
    assert sorted(files) == sorted((folder / "report").iterdir())
    return {file.name for file in files}


def both(*stems):
    return {f"{stem}.{ending}" for stem in stems for ending in BOTH}


def test_a_report_of_one_coordinate(run_of, setups):
    run = run_of("line")
    files = write_report(run, setups["line"])
    expected = both("losses", "weights", "error", "solution", "spectra") | {"spectra.json"}
    assert names(files, run) == expected
    for file in files:
        start = {".png": b"\x89PNG", ".pdf": b"%PDF-", ".json": b'{"st'}[file.suffix]
        assert file.read_bytes().startswith(start)


def test_a_report_of_several_fields_without_a_solution(run_of, setups):
    run = run_of("plane")
    expected = both("losses", "weights", "solution_u", "solution_v", "spectra")
    assert names(write_report(run, setups["plane"]), run) == expected | {"spectra.json"}


def test_a_report_on_given_points_draws_no_solution(run_of, setups):
    run = run_of("data")
    assert names(write_report(run, setups["data"]), run) == both("losses", "weights", "spectra") | {
        "spectra.json"
    }


def test_the_spectra_written_are_those_of_the_kernel(run_of, setups):
    run = run_of("line")
    write_report(run, setups["line"])
    found = json.loads((run / "report" / "spectra.json").read_text())
    _, start, model, state = trained_model(run, setups["line"])
    assert list(found) == ["start", "step 6"]
    for label, network in (("start", start.model), ("step 6", model)):
        kernel = tangent_kernel(start.problem, network, state.batch)
        assert list(found[label]) == ["K", "start", "residual"]
        blocks = {"K": kernel.matrix, **{name: kernel.block(name) for name in kernel.names}}
        for name, block in blocks.items():
            expected = np.linalg.eigvalsh(block)[::-1]
            np.testing.assert_allclose(
                found[label][name], expected, rtol=0, atol=1e-12 * expected[0]
            )
    assert found["start"]["K"] != found["step 6"]["K"]


def copied(run_of, tmp_path):
    """The run on given points once more, without a report."""
    ignore = shutil.ignore_patterns("report")
    return shutil.copytree(run_of("data"), tmp_path / "copy", ignore=ignore)


def test_the_label_is_the_step_of_the_state_not_of_the_last_row(run_of, tmp_path, setups):
    """After a kill there are rows after the newest checkpoint, and no result."""
    run = copied(run_of, tmp_path)
    (run / "result.json").unlink()
    for ending in ("json", "npz"):
        (run / "checkpoints" / f"step-6.{ending}").unlink()
    write_report(run, setups["data"])
    assert list(json.loads((run / "report" / "spectra.json").read_text())) == ["start", "step 4"]


def test_a_kernel_that_does_not_fit_leaves_out_the_spectra_only(
    run_of, tmp_path, monkeypatch, setups
):
    def too_large(*_):
        raise MemoryLimitError("kernel", got="much", expected="less")

    monkeypatch.setattr(write, "tangent_kernel", too_large)
    run = copied(run_of, tmp_path)
    assert names(write_report(run, setups["data"]), run) == both("losses", "weights")


def test_a_report_is_written_again_over_the_old_one(run_of, setups):
    run = run_of("data")
    first = write_report(run, setups["data"])
    assert write_report(run, setups["data"]) == first


def test_what_cannot_be_reported_is_an_error(run_of, tmp_path, setups):
    run = copied(run_of, tmp_path)
    (run / "report").write_text("in the way")
    with pytest.raises(RunError, match=r"report: got .*expected a folder that can be written"):
        write_report(run, setups["data"])
    (run / "history.jsonl").write_text("")
    with pytest.raises(RunError, match="got no history"):
        write_report(run, setups["data"])


# --- what is drawn --------------------------------------------------------------------------------


def drawn_solutions(run_of, setups, name):
    _, start, model, _ = trained_model(run_of(name), setups[name])
    return model, write._solution_figures(start.problem, model)


def test_the_line_shows_network_exact_solution_and_error(run_of, setups):
    model, drawn = drawn_solutions(run_of, setups, "line")
    values, error = drawn["solution"].axes
    lines = {line.get_label(): line for line in values.lines}
    x = np.linspace(0.0, 2.0, 5)
    prediction = np.array([float(model(jnp.array([at]))) for at in x])
    np.testing.assert_allclose(lines["network"].get_xydata().T, [x, prediction], rtol=1e-6)
    np.testing.assert_allclose(lines["exact"].get_ydata(), np.exp(-x), rtol=1e-6)
    np.testing.assert_allclose(
        error.lines[0].get_ydata(), np.abs(prediction - np.exp(-x)), rtol=1e-5
    )
    assert (values.get_xlabel(), error.get_ylabel()) == ("x", "absolute error")


def test_the_maps_show_each_field_over_the_first_two_coordinates(run_of, setups):
    model, drawn = drawn_solutions(run_of, setups, "plane")
    assert list(drawn) == ["solution_u", "solution_v"]
    for index, figure in enumerate(drawn.values()):
        panel = figure.axes[0]
        (mesh,) = panel.collections
        x, y = np.linspace(0.0, 1.0, 5), np.linspace(0.0, 2.0, 5)
        coordinates = mesh.get_coordinates()
        np.testing.assert_allclose(coordinates[0, :, 0], x)
        np.testing.assert_allclose(coordinates[:, 0, 1], y)
        expected = [[float(model(jnp.array([a, b]))[index]) for a in x] for b in y]
        np.testing.assert_allclose(
            np.reshape(mesh.get_array(), (5, 5)), expected, rtol=1e-5, atol=1e-6
        )
        assert (panel.get_xlabel(), panel.get_ylabel()) == ("x", "y")


def test_further_coordinates_are_held_at_their_last_value(run_of, setups):
    _, drawn = drawn_solutions(run_of, setups, "volume")
    panels = {axes.get_title(): axes for axes in drawn["solution"].axes if axes.get_title()}
    assert list(panels) == [f"{name} (t = 3)" for name in ("network", "exact", "absolute error")]
    x = np.linspace(0.0, 1.0, 5)
    exact = np.reshape(panels["exact (t = 3)"].collections[0].get_array(), (5, 5))
    np.testing.assert_allclose(exact, np.tile(np.sin(x + 3.0), (5, 1)), rtol=1e-5)
    limits = [panels[f"{name} (t = 3)"].collections[0].get_clim() for name in ("network", "exact")]
    assert limits[0] == limits[1]  # one scale, so that the eye compares values


def luminance(colour):
    return float(np.dot(to_rgb(colour), [0.2126, 0.7152, 0.0722]))


def test_curves_differ_without_colour():
    figure = figures.curves([0, 1], {f"c{i}": [1.0, 2.0 + i] for i in range(7)}, "loss")
    (axes,) = figure.axes
    assert [line.get_linestyle() for line in axes.lines[:4]] == ["-", "--", "-.", ":"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        f"c{i}" for i in range(7)
    ]
    assert axes.get_yscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training step", "loss")


def test_all_lines_are_dark_enough_for_white_paper():
    assert all(luminance(colour) < 0.7 for colour in figures.COLOURS)
    styles = set(map(str, figures.STYLES))
    assert len(set(figures.COLOURS)) == len(styles) == len(set(figures.MARKERS)) == 8


def test_maps_use_colours_of_monotone_lightness():
    values = np.linspace(0.0, 1.0, 9).reshape(3, 3)
    axes = (np.arange(3.0), np.arange(3.0))
    figure = figures.solution_map(axes, ("x", "t"), values, values + 0.1)
    for panel in figure.axes[:3]:
        colours = panel.collections[0].get_cmap()(np.linspace(0, 1, 32))
        steps = np.diff([luminance(colour[:3]) for colour in colours])
        assert (steps > 0).all() or (steps < 0).all()


def test_a_single_curve_needs_no_legend():
    (axes,) = figures.curves([0, 1], {"relative L2": [1.0, 0.5]}, "error").axes
    assert axes.get_legend() is None


def test_spectra_shade_the_noise_and_compare_snapshots():
    values = {"start": np.array([4.0, 1.0, 0.0]), "step 9": np.array([2.0, 0.5, 1e-20])}
    figure = figures.spectra({"K": values, "residual": values}, {"K": 1e-15, "residual": 1e-14})
    whole, block = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["K", "residual"]
    assert (whole.get_xscale(), whole.get_yscale()) == ("log", "log")
    first, second = whole.lines
    np.testing.assert_array_equal(first.get_xydata(), [[1, 4.0], [2, 1.0]])  # zero has no logarithm
    assert first.get_linestyle() != second.get_linestyle()
    (band,) = block.patches
    assert band.get_y() + band.get_height() == pytest.approx(1e-14)


def test_the_figures_leave_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    figures.curves([0, 1], {"a": [1.0, 2.0]}, "loss")
    assert dict(mpl.rcParams) == before


def test_the_text_of_a_pdf_is_no_drawing(tmp_path):
    file = tmp_path / "figure.pdf"
    figures.save(figures.curves([0, 1], {"a": [1.0, 2.0]}, "loss"), file)
    assert b"/CIDFontType2" in file.read_bytes()
    assert b"/Type3" not in file.read_bytes()
