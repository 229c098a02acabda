"""Loss weights: the formula, its direction, and what bad weights say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from helpers import CASES, assert_close, double_case, double_jacobian
from pinntk.errors import PinntkError
from pinntk.weighting import (
    Fixed,
    Information,
    Losses,
    NTKWeights,
    Traces,
    WeightingState,
    ntk_weights,
)

pytestmark = pytest.mark.fast

NAMES = ("boundary", "residual")


def test_ntk_weights_by_hand():
    """c = (8/2, 300/30) = (4, 10), their sum 14, so λ = (14/4, 14/10)."""
    weights = ntk_weights({"boundary": 8.0, "residual": 300.0}, {"boundary": 2, "residual": 30})
    assert_close(weights["boundary"], np.float32(3.5))
    assert_close(weights["residual"], np.float32(1.4))


def test_three_conditions_by_hand():
    """c = (2, 3, 5), their sum 10."""
    weights = ntk_weights({"a": 4.0, "b": 9.0, "c": 25.0}, {"a": 2, "b": 3, "c": 5})
    for name, expected in {"a": 5.0, "b": 10 / 3, "c": 2.0}.items():
        assert_close(weights[name], np.float32(expected))


def test_a_larger_trace_gets_a_smaller_weight():
    rows = {"boundary": 10, "residual": 10}
    weights = ntk_weights({"boundary": 1.0, "residual": 1000.0}, rows)
    assert weights["residual"] < weights["boundary"]
    higher = ntk_weights({"boundary": 2.0, "residual": 1000.0}, rows)
    assert higher["boundary"] < weights["boundary"]


def test_equal_counts_give_the_paper_s_ratio_of_traces():
    """tr K / tr K_kk, equation of Algorithm 1."""
    weights = ntk_weights({"u": 2.0, "ut": 3.0, "r": 95.0}, dict.fromkeys(("u", "ut", "r"), 300))
    for name, trace in {"u": 2.0, "ut": 3.0, "r": 95.0}.items():
        assert_close(weights[name], np.float32(100.0 / trace))


def inverted(traces, rows):
    """The rule with its direction reversed, λ_k = c_k / Σ c_j, as a control."""
    rates = {name: trace / rows[name] for name, trace in traces.items()}
    return {name: rate / sum(rates.values()) for name, rate in rates.items()}


def of_traces(traces, rows):
    """The rule that forgets that the counts differ, as a control."""
    return {name: sum(traces.values()) / trace for name, trace in traces.items()}


@pytest.mark.parametrize(
    ("rule", "equal"), [(ntk_weights, True), (inverted, False), (of_traces, False)]
)
def test_the_weights_make_all_average_rates_equal_and_wrong_rules_do_not(rule, equal):
    """The kernel of Σ λ_k mean r_k² has blocks λ_k K_kk / N_k: their traces λ_k c_k must agree."""
    traces, rows = {"boundary": 8.0, "residual": 300.0, "data": 1.0}, {
        "boundary": 2, "residual": 30, "data": 5,
    }  # fmt: skip
    weights = rule(traces, rows)
    rates = [float(weights[name]) * traces[name] / rows[name] for name in traces]
    assert np.allclose(rates, rates[0], rtol=1e-5) == equal


@each("name", CASES)
def test_ntk_weights_of_a_problem_equalize_its_rates(name, x64):
    case, _ = double_case(name)
    traces = {condition: np.sum(np.square(j)) for condition, j in double_jacobian(name).items()}
    weights = ntk_weights(traces, case.rows)
    rates = {condition: trace / case.rows[condition] for condition, trace in traces.items()}
    for condition, rate in rates.items():
        assert_close(weights[condition] * rate, sum(rates.values()))


def test_a_condition_without_gradient_gets_an_infinite_weight():
    """Which the training loop stops at; nothing is hidden by a small constant in a denominator."""
    weights = ntk_weights({"a": jnp.asarray(0.0), "b": jnp.asarray(2.0)}, {"a": 1, "b": 1})
    assert jnp.isinf(weights["a"])
    assert weights["b"] == 1.0


# The rules


TRACES = {"boundary": jnp.asarray(8.0), "residual": jnp.asarray(300.0)}
ROWS = {"boundary": 2, "residual": 30}


def update(rule, weights, traces=TRACES):
    """The weights after an update by tr K_kk."""
    return rule.update(WeightingState(weights), Information(Traces(traces, ROWS))).weights


def test_information_that_a_rule_did_not_ask_for_is_an_error_that_says_how_to_ask():
    with pytest.raises(PinntkError) as error:
        Information(Traces(TRACES, ROWS))[Losses]
    assert str(error.value) == (
        "needs: got Traces; expected Losses among them, since the rule reads it. "
        "Write needs = (Losses,) in the weighting rule."
    )


@pytest.mark.parametrize("keep", [0.0, 0.9])
def test_the_moving_average_keeps_a_share_of_the_old_weights(keep):
    rule = NTKWeights(moving_average=keep)
    old = {"boundary": jnp.asarray(1.0), "residual": jnp.asarray(2.0)}
    new = jax.jit(lambda weights, traces: update(rule, weights, traces))(old, TRACES)
    assert_close(new["boundary"], np.float32(keep * 1.0 + (1 - keep) * 3.5))
    assert_close(new["residual"], np.float32(keep * 2.0 + (1 - keep) * 1.4))


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_factors_multiply_the_weights_of_their_conditions_and_of_no_others(keep):
    rule = NTKWeights(moving_average=keep, factors={"boundary": 3.0})
    assert rule.init(NAMES).weights == {"boundary": 3.0, "residual": 1.0}
    old = {name: jnp.asarray(value) for name, value in rule.init(NAMES).weights.items()}
    new = update(rule, old)
    # the rates are 4 and 10, and Algorithm 1's own weights 14/4 and 14/10
    assert_close(new["boundary"], np.float32(keep * 3.0 + (1 - keep) * 3 * 3.5))
    assert_close(new["residual"], np.float32(keep * 1.0 + (1 - keep) * 1.4))
    with pytest.raises(PinntkError, match="weight of 'boundary': got -1"):
        NTKWeights(factors={"boundary": -1.0})


def test_ntk_weights_start_at_one_and_say_what_they_need():
    rule = NTKWeights()
    assert rule.init(NAMES).weights == {"boundary": 1.0, "residual": 1.0}
    assert rule.needs == (Traces,)
    assert (rule.every, rule.moving_average, rule.subsample) == (100, 0.0, None)


def test_fixed_weights_stay_and_are_one_unless_named():
    rule = Fixed({"boundary": 100})
    state = rule.init(NAMES)
    assert state.weights == {"boundary": 100.0, "residual": 1.0}
    assert list(state.weights) == list(NAMES)
    assert rule.update(state, Information()) is state
    assert rule.needs == ()
    assert rule.every is None
    assert Fixed().init(NAMES).weights == {"boundary": 1.0, "residual": 1.0}


def test_a_weight_of_an_unknown_condition_gets_a_suggestion():
    with pytest.raises(PinntkError) as error:
        Fixed({"residul": 2.0}).init(NAMES)
    assert str(error.value) == (
        "weight: got 'residul'; expected one of boundary, residual. Did you mean 'residual'?"
    )


@each("value", [0.0, -1.0, float("nan"), float("inf"), "2", None])
def test_a_bad_weight_is_named(value):
    with pytest.raises(PinntkError) as error:
        Fixed({"boundary": 1.0, "residual": value})
    shown = value if isinstance(value, str) else repr(value)
    assert str(error.value) == (
        f"weight of 'residual': got {shown}; expected a positive finite number. "
        "To leave a condition out, take it out of the problem."
    )


@each(
    ("argument", "value", "expected"),
    [
        ("every", 0, "a whole number of steps, 1 or more"),
        ("every", 2.5, "a whole number of steps, 1 or more"),
        ("moving_average", 1.0, "a number from 0 to below 1"),
        ("moving_average", -0.1, "a number from 0 to below 1"),
        ("moving_average", float("nan"), "a number from 0 to below 1"),
        ("subsample", 0, "a whole number of points, or None"),
        ("subsample", 1.5, "a whole number of points, or None"),
    ],
)
def test_bad_settings_of_ntk_weights_are_named(argument, value, expected):
    with pytest.raises(PinntkError) as error:
        NTKWeights(**{argument: value})
    assert str(error.value) == f"{argument}: got {value}; expected {expected}."
