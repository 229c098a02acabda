"""Sizes of fields and residuals from the problem alone, and setups in dimensionless form."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pinntk as pk
from helpers import assert_close
from pinntk.cli.names import NATURAL_GRADIENT
from pinntk.cli.options import Options
from pinntk.cli.settings import apply
from pinntk.cli.spelling import options_of, same
from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.scale_remedy import nondimensionalize
from pinntk.domain import Points
from pinntk.errors import PinntkError
from pinntk.library.registry import PROBLEMS
from pinntk.nets import MLP, OutputScaling, Scaled
from pinntk.problem import scales
from pinntk.problem.probing import MOST, multi_indices
from pinntk.training import dimensional, is_scaled, no_scaling, order_one
from pinntk.training.describe import describe_setup
from pinntk.training.nondimensional import nondimensional

#: A scale is right within this factor: initial weights vary as much from seed to seed.
FACTOR = 3.0

# Steel, a plate's half-wave cooling between walls: T = 300 + 700 sin(πx/L) exp(−κ(π/L)² t).
RHO_C, K, LENGTH, COLD, RISE = 4e6, 200.0, 0.04, 300.0, 700.0
END = 3 * RHO_C / K * (LENGTH / np.pi) ** 2
bar = pk.SpaceTime(x=(0, LENGTH), t=(0, END))


def temperature(p):
    decay = jnp.exp(-K / RHO_C * (jnp.pi / LENGTH) ** 2 * p[1])
    return COLD + RISE * jnp.sin(jnp.pi * p[0] / LENGTH) * decay


def steel(points=60):
    return pk.Problem(
        "steel",
        bar,
        [
            pk.Condition(
                "heat", lambda u, p: (RHO_C * u.d("t") - K * u.d("x", "x"))(p), bar, points
            ),
            pk.dirichlet("walls", bar.walls(), COLD, 20),
            pk.initial_value("start", bar, temperature, 20),
        ],
        solution=temperature,
    )


def within(found, expected, factor=FACTOR):
    assert expected / factor <= found <= expected * factor, (found, expected)


def field(found, name="u"):
    return found.fields[name]


def test_heat_in_si_units():
    found = scales(steel())
    # By hand: T goes from 300 to 1000; ρc T_t is 4e6 · 350 / (END/2), k T_xx is 200 · 350 / 0.02².
    assert_close(field(found).shift, np.float64(650.0), 1e13)
    within(field(found).scale, 350.0)
    within(found.conditions["heat"][0], max(RHO_C * 350 / (END / 2), K * 350 / 0.02**2))
    within(found.conditions["walls"][0], 350.0)
    assert found.coordinates["x"] == (0.02, 0.02)
    assert not order_one(found)
    assert "650" in str(found)


def test_beam_under_its_load():
    beam = pk.Interval(x=(0, 1))
    problem = pk.Problem(
        "beam",
        beam,
        [
            pk.Condition("load", lambda u, p: u.d("x", "x", "x", "x")(p) + 1.0, beam, 10),
            pk.dirichlet("ends", beam.faces(), 0.0, 2),
            pk.neumann("clamps", beam.faces(), 0.0, 2),
        ],
    )
    found = scales(problem)
    # Clamped at both ends it sinks by 1/384 in the middle (Euler and Bernoulli).
    within(field(found).scale, 1 / 768)
    within(-field(found).shift, 1 / 768)
    within(found.conditions["load"][0], 1.0)
    within(found.conditions["clamps"][0], 2 / 768)


def test_poisson_with_a_fast_source_takes_its_wavenumber():
    line = pk.Interval(x=(0, 1))
    wave = 6 * np.pi
    source = lambda p: 5000.0 * jnp.sin(wave * p[0])
    problem = pk.Problem(
        "poisson",
        line,
        [
            pk.Condition("residual", lambda u, p: u.d("x", "x")(p) + source(p), line, 50),
            pk.dirichlet("ends", line.faces(), 0.0, 2),
        ],
    )
    found = scales(problem)
    within(field(found).scale, 5000 / wave**2)
    # Without the wavenumber, as for a constant source, it would be far off.
    assert 20 * field(found).scale < 5000 / 4
    within(found.conditions["residual"][0], 5000.0)


def test_wave_by_its_first_values():
    box = pk.SpaceTime(x=(0, 2), t=(0, 1e-3))
    c = 5000.0
    problem = pk.Problem(
        "bar",
        box,
        [
            pk.Condition("wave", lambda u, p: (u.d("t", "t") - c**2 * u.d("x", "x"))(p), box, 50),
            pk.dirichlet("ends", box.faces("x"), 0.0, 20),
            pk.initial_value("start", box, lambda p: 1e-4 * jnp.sin(3 * jnp.pi * p[0] / 2), 20),
            pk.initial_velocity("rest", box, 0.0, 20),
        ],
    )
    found = scales(problem)
    within(field(found).scale, 1e-4)
    within(found.conditions["wave"][0], max(1e-4 / 5e-4**2, c**2 * 1e-4))
    within(found.conditions["rest"][0], 1e-4 / 5e-4)


def test_system_without_a_range_takes_its_rates():
    time = pk.Interval(t=(0, 10))

    def rates(r, q):
        return jnp.stack([2.0 * r - 0.04 * r * q, 0.02 * r * q - 1.06 * q])

    problem = pk.Problem(
        "lotka",
        time,
        [
            pk.Condition("system", lambda w, p: w.d("t")(p) - rates(*w(p)), time, 50),
            pk.initial_value("start", time, lambda p: jnp.array([100.0, 15.0]), 1),
        ],
        fields=("prey", "predator"),
    )
    found = scales(problem)
    within(field(found, "prey").scale, 100.0)
    within(field(found, "predator").scale, 50.0)
    within(found.conditions["system"][0], 200.0)


def slabs():
    """Two slabs of conductivity 1.38 and 400, cold below, a flux of 200 above."""
    whole = pk.Box(x=(0, 1), y=(0, 2))
    low, high = pk.Box(x=(0, 1), y=(0, 1)), pk.Box(x=(0, 1), y=(1, 2))
    meet = lambda w, p: jnp.stack(
        [
            w["below"](p) - w["above"](p),
            1.38 * w["below"].d("y")(p) - 400.0 * w["above"].d("y")(p),
        ]
    )
    return pk.Problem(
        "slabs",
        whole,
        [
            pk.Condition("below", lambda w, p: 1.38 * w["below"].laplacian()(p), low, 20),
            pk.Condition("above", lambda w, p: 400.0 * w["above"].laplacian()(p), high, 20),
            pk.Condition(
                "flux", lambda w, p: 400.0 * w["above"].d("y")(p) - 200.0, whole.face(y=2), 5
            ),
            pk.Condition("cold", lambda w, p: w["below"](p) - 293.15, whole.face(y=0), 5),
            pk.Condition("sides_below", lambda w, p: w["below"].d("x")(p), low.faces("x"), 5),
            pk.Condition("sides_above", lambda w, p: w["above"].d("x")(p), high.faces("x"), 5),
            pk.Condition("meet", meet, low.face(y=1), 5),
        ],
        fields=("below", "above"),
    )


def test_flux_sets_the_size_of_a_field_behind_an_interface():
    found = scales(slabs())
    rise = 200 / 1.38  # of the lower slab; the upper one adds 200/400
    within(field(found, "below").scale, rise / 2)
    assert abs(field(found, "below").shift - (293.15 + rise / 2)) < rise / 4
    within(field(found, "above").scale, 0.25)
    assert abs(field(found, "above").shift - (293.15 + rise)) < 1.0
    jump, flux = found.conditions["meet"]
    within(jump, rise / 2)
    within(flux, 200.0)


def test_library_is_of_order_one():
    """Presets of the library are not scaled, and need not be."""
    for name in ("poisson1d", "wave1d", "kovasznay2d", "reaction_diffusion1d"):
        problem = PROBLEMS[name].problem()
        assert order_one(scales(problem)), name
        setup = pk.default_setup(problem)
        assert nondimensional(setup) is setup, name


@pytest.mark.slow
def test_all_of_the_library_is_of_order_one():
    for name, entry in PROBLEMS.items():
        assert order_one(scales(entry.problem())), (name, str(scales(entry.problem())))


def test_what_cannot_be_probed_is_named():
    line = pk.Interval(x=(0, 1))

    def outside(u, p):
        shape = jax.ShapeDtypeStruct((), p.dtype)
        return u(p) - jax.pure_callback(lambda v: np.asarray(v), shape, u(p))

    nodes, weights = np.polynomial.legendre.leggauss(5)

    def norm(u, p):
        values = jax.vmap(u)(jnp.asarray(nodes[:, None] + 1) / 2)
        return jnp.sum(jnp.asarray(weights) / 2 * values**2) - 1.0

    problem = pk.Problem(
        "odd",
        line,
        [
            pk.Condition("callback", outside, line, 5),
            pk.Condition("norm", norm, line.face(x=0), 1),
            pk.Condition("root", lambda u, p: jnp.sqrt(u(p) - 1) * u.d("x")(p), line, 5),
            pk.Condition("rate", lambda u, p: u.d("x")(p) - u.coefficient("a"), line, 5),
            pk.observations("data", Points([[0.1], [0.5]], ("x",)), [[0.1], [0.5]], [0.1, 0.5]),
        ],
        coefficients={"a": pk.Positive(2.0)},
    )
    found = scales(problem)
    assert all(np.isfinite(size) and size > 0 for s in found.conditions.values() for size in s)
    assert found.conditions["callback"] == (1.0,)
    assert any("'callback' could not be probed" in note for note in found.notes)


def test_multi_indices_contain_all_below_them():
    for d in (1, 2, 3, 5, 20):
        found = set(multi_indices(d, 1))
        assert tuple([0] * d) in found
        assert len(found) <= MOST or d > 4
        for index in found:
            for axis in range(d):
                below = tuple(n - (i == axis) for i, n in enumerate(index))
                assert min(below) < 0 or below in found
        assert (4, *[0] * (d - 1)) in found


# --- the dimensionless form


def test_model_answers_in_the_problems_units():
    setup = pk.natural_setup(steel(), width=5)
    with pk.precision("float64"):
        start = setup.start()
        assert isinstance(start.model, Scaled)
        assert isinstance(start.model.network, MLP)
        found = jax.vmap(start.model)(start.batch["heat"].points)
        scale, shift = setup.network.output_scaling.scale[0], setup.network.output_scaling.shift[0]
        inner = jax.vmap(start.model.network)(start.batch["heat"].points)
        np.testing.assert_allclose(found, shift + scale * inner, rtol=1e-12)
        # Residuals of the exact solution are still zero, those of a network of order one.
        plain = dimensional(setup).problem.residuals(start.model, start.batch)
        scaled = setup.problem.residuals(start.model, start.batch)
        size = scales(steel()).conditions["heat"][0]
        np.testing.assert_allclose(scaled["heat"], plain["heat"] / size, rtol=1e-12)
        rms = float(jnp.sqrt(jnp.mean(scaled["heat"] ** 2)))
    assert 0.01 < rms < 30, rms


def test_steel_bar_converges_only_when_scaled():
    problem = steel(points=160)
    scaled = pk.start_run(pk.natural_setup(problem, width=10, steps=25))
    assert scaled.relative_l2 < 0.01
    plain = pk.natural_setup(problem, width=10, steps=25, nondimensional=False)
    assert not is_scaled(plain)
    assert pk.start_run(plain).relative_l2 > 0.1


def test_errors_of_a_result_are_by_field():
    """Two fields of sizes 100 and 0.01: each has its own error, and both count alike."""
    line = pk.Interval(x=(0, 1))
    sizes = jnp.array([100.0, 0.01])
    problem = pk.Problem(
        "two",
        line,
        [pk.Condition("slope", lambda w, p: w.d("x")(p) - sizes.astype(p.dtype), line, 8)],
        fields=("large", "small"),
        solution=lambda p: sizes.astype(p.dtype) * p[0],
    )
    network = pk.Network(width=4, depth=1)
    result = pk.start_run(pk.Setup(problem, pk.Training(pk.adam(1e-3), steps=2), network))
    x = problem.test_points(jnp.float32)
    found, exact = jax.vmap(result.model)(x), np.asarray(x) * np.asarray(sizes)
    by_hand = np.linalg.norm(found - exact, axis=0) / np.linalg.norm(exact, axis=0)
    assert_close(np.array([*result.errors.values()], np.float32), by_hand.astype(np.float32))
    assert list(result.errors) == ["large", "small"]
    assert_close(np.float32(result.relative_l2), np.float32(np.sqrt(np.mean(by_hand**2))))
    assert result.as_dict()["errors"] == result.errors
    pooled = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert pooled < 0.5 * result.relative_l2  # the small field would not show


def test_setup_is_described_by_its_scales():
    scaled, plain = (pk.natural_setup(steel(), nondimensional=wanted) for wanted in (True, False))
    found = describe_setup(scaled)
    assert found["network"]["output_scaling"]["scale"] == [350.0]
    assert found["problem"]["conditions"]["walls"]["scale"] == 350.0
    assert "scale" not in describe_setup(plain)["problem"]["conditions"]["walls"]
    assert describe_setup(dimensional(scaled)) == describe_setup(plain)


def test_inputs_are_scaled_where_they_are_not():
    setup = pk.natural_setup(steel(), scaling=no_scaling)
    assert setup.network.scaling is pk.training.unit_scaling
    own = pk.default_setup(steel()).replace(
        network=lambda key: pk.MLP(2, width=4, depth=1, key=key)
    )
    changed = nondimensional(own)
    assert changed.network is own.network
    assert is_scaled(changed)


def test_outputs_within_an_ansatz_have_its_slope():
    hard = pk.HardConstraints(
        ("start",), lambda x, v: temperature(x * jnp.array([1.0, 0.0])) + x[1] * v
    )
    problem = dataclasses.replace(steel(), hard=hard)
    natural = pk.natural_setup(problem, hard=True)
    outputs = natural.network.output_scaling
    within(outputs.scale[0], 350.0 / END)
    assert outputs.shift == (0.0,)
    soft = apply(natural, Options(hard=False))
    assert soft.network.output_scaling == OutputScaling((650.0,), (350.0,))
    assert apply(soft, Options(hard=True)).network.output_scaling == outputs


def test_own_scales_stay():
    setup = pk.natural_setup(steel().scaled({"heat": 1e8}))
    assert setup.problem.condition("heat").scale == 1e8
    assert setup.problem.condition("walls").scale == 350.0
    assert nondimensional(setup) is setup


def test_scale_of_a_condition():
    line = pk.Interval(x=(0, 1))
    two = lambda u, p: jnp.stack([u(p), u.d("x")(p)])
    problem = pk.Problem("two", line, [pk.Condition("both", two, line, 4, scale=(2.0, 5.0))])
    assert problem.condition("both").scale == (2.0, 5.0)
    square = lambda p: p[0] ** 2
    with pk.precision("float64"):
        batch = problem.sample(jax.random.key(0))
        x = batch["both"].points[:, 0]
        expected = np.stack([x**2 / 2, 2 * x / 5], axis=1)
        np.testing.assert_allclose(problem.residuals(square, batch)["both"], expected, rtol=1e-12)
        undone = problem.scaled({"both": 1.0}).residuals(square, batch)["both"]
        np.testing.assert_allclose(undone, expected * [2, 5], rtol=1e-12)
    for bad in (0.0, -1.0, float("nan"), "a", ()):
        with pytest.raises(PinntkError, match="scale of condition 'both'"):
            problem.scaled({"both": bad})
    wrong = problem.scaled({"both": (1.0, 2.0, 3.0)})
    with pytest.raises(PinntkError, match="one for each component"):
        wrong.residual_at("both", square, pk.Sample(jnp.array([0.5])))
    with pytest.raises(PinntkError, match="condition"):
        problem.scaled({"bothh": 1.0})
    with pytest.raises(PinntkError, match="outputs"):
        OutputScaling((0.0,), (1.0,))(jnp.ones(2))
    with pytest.raises(PinntkError, match="scale"):
        OutputScaling((0.0,), (0.0,))


def test_options_switch_it_and_spell_it():
    problem = steel()
    setup = pk.default_setup(problem)
    presets = {NATURAL_GRADIENT: lambda: pk.natural_setup(problem)}
    scaled = apply(setup, Options(nondimensional=True))
    assert is_scaled(scaled)
    assert options_of(setup, scaled) == "--nondimensional"
    assert same(apply(scaled, Options(nondimensional=False)), setup)
    natural = apply(setup, Options(optimizer="natural-gradient"), presets)
    assert is_scaled(natural)
    plain = apply(setup, Options(optimizer="natural-gradient", nondimensional=False), presets)
    assert not is_scaled(plain)
    assert options_of(setup, plain, presets) == "--dimensional --optimizer natural-gradient"
    kept = apply(setup, Options(nondimensional=True, scaling="none"))
    assert kept.network.scaling is no_scaling


def test_remedy_is_the_dimensionless_form(untyped):  # it needs no evidence
    setup = pk.default_setup(steel())
    proposal = nondimensionalize(setup, None)
    assert proposal.code == "pk.nondimensional(setup)"
    assert "350" in proposal.text
    assert is_scaled(proposal.setup)
    assert nondimensionalize(proposal.setup, None) is None
    assert nondimensionalize(pk.default_setup(pk.library.poisson1d()), None) is None
    assert changed_code(setup, proposal.setup) == "pk.nondimensional(setup)"
    natural = changed_code(setup, pk.natural_setup(setup.problem))
    assert natural.startswith("pk.nondimensional(setup.replace(training=training.replace(")
