"""Remedies by themselves, without the natural gradient: that each helps, and where it is not prescribed."""

from __future__ import annotations

import functools
import math
import statistics
import sys
from pathlib import Path

import pytest

import pinntk as pk
from clinic import PATIENTS
from clinic.remedy_cases import REMEDY_CASES
from each import each
from pinntk.diagnosis import Proposal, examine, first_order_only, record_of
from pinntk.diagnosis.findings import FINDINGS
from pinntk.diagnosis.findings.conflict import enlarge
from pinntk.diagnosis.findings.points import follow_residual, more_points
from pinntk.diagnosis.findings.precision import double
from pinntk.diagnosis.findings.scaling import rescale_inputs
from pinntk.diagnosis.findings.spectral_bias import raise_frequencies
from pinntk.diagnosis.findings.step_size import other_step
from pinntk.diagnosis.remedies import algorithm_1, build_in, fresh_network, natural_gradient
from pinntk.diagnosis.slab_remedy import equal_slabs, slabs_for
from pinntk.diagnosis.track_record import HELPS
from pinntk.training import no_scaling

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from remedies import errors
from remedies_page import gains

SEEDS = 3


@pytest.fixture(scope="module")
def imbalance():
    """The heat equation in other units, examined after a few steps."""
    return examine(PATIENTS["imbalance_heat"].form("sick"), draws=1, steps=400)


def case(key, name):
    (found,) = (patient for patient in REMEDY_CASES[key] if patient.name == name)
    return found.form("sick")


def error(setup):
    """The median over the seeds."""
    found = errors(setup, SEEDS)
    return statistics.median(math.inf if value is None else value for value in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "name", "remedy"),
    [
        ("algorithm-1", "imbalance_heat_strong", algorithm_1),
        ("hard-constraints", "imbalance_logistic", build_in),
        ("equal-slabs", "causality_logistic_short", equal_slabs),
        (
            "fourier-features",
            "spectral_relaxation",
            functools.partial(raise_frequencies, {"t": 12}),
        ),
        ("more-points", "points_relaxation", functools.partial(more_points, "residual", 64)),
        ("points-by-residual", "points_front", follow_residual),
        ("larger-network", "conflict_poisson", enlarge),
        ("learning-rate", "step_small_poisson", functools.partial(other_step, 0.1)),
        ("input-scaling", "scaling_long_strong", rescale_inputs),
        ("float64", "precision_offset", double),
        ("fresh-network", "dead_constant", fresh_network),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_remedy_makes_the_error_ten_times_smaller(imbalance, key, name, remedy):
    setup = case(key, name)
    proposal = remedy(setup, imbalance.evidence)
    assert proposal.key == key
    assert proposal.setup.training.steps == setup.training.steps
    assert not proposal.second_order
    assert error(proposal.setup) < min(1.0, error(setup)) / HELPS


@pytest.mark.slow
def test_features_of_one_scale_for_all_coordinates_help_less(imbalance):
    """The field is fast along x alone: features as fast along t fit it an order worse."""
    setup = case("fourier-features", "spectral_across")
    proposal = raise_frequencies({"x": 6.0, "t": 1.0}, setup, imbalance.evidence)
    scales = proposal.setup.network.fourier_scale
    assert scales["x"] > 3 * scales["t"]
    alike = setup.replace(network=proposal.setup.network.replace(fourier_scale=scales["x"]))
    assert 3 * error(proposal.setup) < error(alike)


@pytest.mark.parametrize(("turns", "count"), [(0.0, 10), (4.9, 10), (7.5, 15), (40.2, 81)])
def test_a_slab_has_half_a_period_at_most(turns, count):
    assert slabs_for(turns) == count


def keys(diagnosis):
    return {proposal.key for finding in diagnosis.findings for proposal in finding.remedies}


def test_no_remedy_is_prescribed_for_what_it_is_not_for(imbalance):
    assert {"algorithm-1", "natural-gradient"} <= keys(imbalance)
    others = ("fourier-features", "larger-network", "input-scaling", "float64", "fresh-network")
    assert not keys(imbalance) & {*others, "learning-rate", "more-points"}
    slow = PATIENTS["step_small_poisson"].form("sick")
    found = examine(slow, draws=1, steps=100)
    assert "learning-rate" in keys(found)
    assert not keys(found) & {*others, "algorithm-1", "hard-constraints"}


# --- what can be told of them -----------------------------------------------------------------------


def test_every_case_is_of_a_failure_that_is_looked_for():
    names = {finding.name for finding in FINDINGS}
    for cases in REMEDY_CASES.values():
        assert {patient.failure_mode for patient in cases} <= names


def test_a_gain_counts_a_useless_field_as_an_error_of_one():
    result = {"before": [0.5, 7.0, None, 0.1], "after": [0.05, 0.1, 0.01, None]}
    assert gains(result) == pytest.approx([10.0, 10.0, 100.0, 0.0])


def test_the_track_record_of_a_remedy_is_what_was_measured():
    found = record_of("algorithm-1")
    assert found is not None
    assert found.cases == len(found.gains) <= len(REMEDY_CASES["algorithm-1"])
    assert found.helped == sum(gain >= 10 for gain in found.gains.values())
    assert str(found) == f"10 times better in {found.helped} of {found.cases} planted cases"
    assert record_of("snake-oil") is None


def test_first_order_leaves_out_what_solves_with_the_kernel(imbalance):
    setup, evidence = imbalance.setup, imbalance.evidence
    solving, weights = natural_gradient(setup, evidence), algorithm_1(setup, evidence)
    spring = Proposal("SPRING", setup.replace(training=pk.Training(pk.SPRING())))
    words = Proposal("Read the equation again.")
    assert first_order_only([solving, weights, spring, words]) == (weights, words)
    assert equal_slabs(setup.replace(training=pk.Training(pk.SPRING())), evidence) is None


@each("waves", [{"t": 2.0}, {}, {"x": 30.0}])
def test_no_features_where_they_could_not_help(waves, imbalance):
    """Slow waves, points without waves, and waves of another problem."""
    setup = PATIENTS["spectral_relaxation"].form("sick")
    assert raise_frequencies(waves, setup, imbalance.evidence) is None


def test_fast_waves_along_two_coordinates_are_given_no_features(imbalance):
    setup, evidence = imbalance.setup, imbalance.evidence
    assert raise_frequencies({"x": 8.0, "t": 8.0}, setup, evidence) is None
    shape = raise_frequencies({"x": 8.0, "t": 0.3}, setup, evidence).setup.network
    assert shape.fourier_features == 40
    assert shape.fourier_scale == {"x": 1.0, "t": pytest.approx(0.125, rel=0.1)}


def test_the_scale_is_that_of_the_networks_inputs(imbalance):
    """σ = f/4 for f waves per unit of the input: with the unit doubled, half as many."""
    setup = case("fourier-features", "spectral_long")
    scale = lambda each: raise_frequencies({"t": 16.0}, each, imbalance.evidence).setup.network
    assert scale(setup).fourier_scale == pytest.approx(16 / 2 / 4)  # [0, 4] on [−1, 1]
    wide = setup.replace(network=setup.network.replace(input_scale=2.0))
    assert scale(wide).fourier_scale == pytest.approx(16 / 4 / 4)
    raw = setup.replace(network=setup.network.replace(scaling=no_scaling))
    assert scale(raw).fourier_scale == pytest.approx(16 / 4 / 4)
