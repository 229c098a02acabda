"""What findings say: fields by name with readable numbers, and one pair of conditions in a sentence."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from each import each
from pinntk.conditions import Condition, dirichlet
from pinntk.diagnosis import Severity
from pinntk.diagnosis.findings import Causality, Conflict, Imbalance, Scaling, conflict
from pinntk.diagnosis.findings.scaling import rescale_outputs
from pinntk.diagnosis.subject import Draw, JaxSubject
from pinntk.domain import Interval
from pinntk.nets import MLP
from pinntk.optim import adam
from pinntk.problem import Problem
from pinntk.training import Drawn, Setup, Training
from test_judge import with_profiles

pytestmark = pytest.mark.fast

KEY = jax.random.key(0)
DRAWS = 5


# --- fields of different sizes -----------------------------------------------------------------


def with_fields(fields, solution, values=None, size=1.0):
    """Evidence of a problem with these fields: its solution, the values at its ends, and the size seen."""
    domain = Interval(x=(0.0, 1.0))
    value = values or solution
    conditions = [
        Condition("inside", lambda w, p: jnp.atleast_1d(w.d("x")(p)), domain, 4),
        dirichlet("ends", domain.faces(), value, 2),
    ]
    problem = Problem("sizes", domain, conditions, fields=fields, solution=solution)
    count = None if len(fields) == 1 else len(fields)
    draw = lambda key: MLP(1, count, width=3, depth=1, key=key)
    setup = Setup(problem, Training(adam(1e-3), steps=3), Drawn(draw))
    draws = [Draw(draw(KEY), problem.sample(KEY)) for _ in range(DRAWS)]
    subject = JaxSubject(problem, draws, setup.training, KEY)
    evidence = with_profiles([1] * DRAWS, error=0.01, size=size)
    return dataclasses.replace(evidence, setup=setup, subject=subject, _kept={})


def test_only_fields_that_need_it_are_scaled_each_by_its_own_size():
    """The sizes together are of order one here, which says nothing of either."""
    solution = lambda p: jnp.stack([300.0 + 0 * p[0], 0.02 + 0 * p[0], 1.0 + p[0]])
    found = Scaling().judge(with_fields(("h", "q", "k"), solution))
    assert found is not None
    assert found.severity is Severity.SEVERE
    assert found.sentence == (
        "Scaling: the fields asked for are h of size 300 and q of size 0.02, while a network starts at "
        "order one."
    )
    assert found.remedies[0].text == (
        "Solve for h/100 and q/0.01 instead of h and q, whose values are of order one; the natural "
        "gradient needs no such change."
    )
    assert found.evidence["size of k (rms)"] == pytest.approx(np.sqrt(7 / 3), rel=1e-3)


def test_large_values_of_conditions_are_sizes_and_small_ones_are_none():
    values = lambda p: jnp.stack([300.0 + 0 * p[0], 0.02 + 0 * p[0]])
    found = Scaling().judge(with_fields(("h", "q"), None, values))
    assert found is not None
    assert "the field asked for is h of size 300," in found.sentence
    small = lambda p: jnp.stack([0.003 + 0 * p[0], 0.02 + 0 * p[0]])
    assert Scaling().judge(with_fields(("h", "q"), None, small)) is None


def test_a_known_solution_of_order_one_is_not_called_small():
    """Zero meets the conditions of a string, and the network tends to it; the solution is a sine."""
    sine = lambda p: jnp.sin(jnp.pi * p[0])
    zero = lambda p: 0 * p[0]
    assert Scaling().judge(with_fields(("u",), sine, zero, size=1e-4)) is None
    # Without the solution nothing else is known.
    found = Scaling().judge(with_fields(("u",), None, zero, size=1e-4))
    assert found is not None
    assert "the solution asked for is of size 1e-4" in found.sentence
    assert "Solve for v = u/1e-4," in found.remedies[0].text


@each(
    ("size", "shown"),
    [
        (8.1e19, "1e20"),
        (8.1e-5, "1e-4"),
        (12.0, "10"),
        (1e3, "1,000"),
        (1.2e-3, "0.001"),
        (0.0, "1"),
    ],
)
def test_sizes_are_powers_of_ten_as_people_write_them(size, shown):
    evidence = with_fields(("u",), lambda p: p[0])
    text = rescale_outputs({"": size}, evidence.setup, evidence).text
    assert text.startswith(f"Solve for v = u/{shown},")


# --- an imbalance ------------------------------------------------------------------------------


def with_rates(rates, errors):
    """Evidence with these average rates and relative errors of three conditions, all weights one."""
    evidence = with_profiles([1] * DRAWS, error=0.5)
    ones = np.ones((len(evidence.baseline.steps), DRAWS))
    baseline = dataclasses.replace(
        evidence.baseline,
        losses=dict.fromkeys(rates, ones),
        weights=dict.fromkeys(rates, ones),
    )
    total = float(np.sqrt(sum(error**2 for error in errors.values())))

    def changed(item):
        return dataclasses.replace(
            item,
            rates=rates,
            linearized=item.linearized._replace(error=total, shares=errors),
            reach=item.reach._replace(given=errors, balanced=errors),
        )

    return dataclasses.replace(
        evidence,
        baseline=baseline,
        before=[changed(item) for item in evidence.before],
        after=[changed(item) for item in evidence.after],
    )


def test_sentence_and_numbers_of_an_imbalance_are_about_one_condition():
    """The slowest of all is fitted; another slow one is left behind, and is what is told."""
    evidence = with_rates(
        {"plate": 510.0, "edge": 1.0, "hole": 10.2}, {"plate": 0.1, "edge": 0.01, "hole": 0.9}
    )
    found = Imbalance().judge(evidence)
    assert found is not None
    assert found.severity is Severity.SEVERE
    assert found.sentence == (
        "Imbalance: the condition 'hole' converges about 50× slower than 'plate', and is left behind: an "
        "error of 90% is expected to stay."
    )
    assert found.evidence["rate of 'plate' over that of 'hole'"] == pytest.approx(50)
    assert found.evidence["rate of the fastest over the slowest"] == pytest.approx(510)
    assert "edge" not in f"{found.sentence}{list(found.evidence)}"


def test_where_none_is_left_behind_the_slowest_is_told():
    evidence = with_rates(
        {"plate": 510.0, "edge": 1.0, "hole": 10.2}, {"plate": 0.01, "edge": 0.01, "hole": 0.01}
    )
    found = Imbalance().judge(evidence)
    assert found is not None
    assert found.severity is Severity.MODERATE
    assert "'edge' converges about 510× slower than 'plate', which costs steps" in found.sentence


@each(("size", "name"), [(300.0, None), (1.0, "causality")])
def test_sizes_that_the_problem_says_come_before_causality(size, name):
    """A network that cannot reach the values fits whatever it can, late as well as early."""
    evidence = with_fields(("h",), lambda p: size + 0 * p[0])
    evidence = dataclasses.replace(evidence, after=with_profiles([30] * DRAWS).after)
    found = Causality().judge(evidence)
    assert (found and found.name) == name


# --- a conflict ----------------------------------------------------------------------------------


def with_rest(beyond, left):
    """Evidence of a residual of which a share `left` (rms) stays, and of that a share `beyond`."""
    evidence = with_profiles([1] * DRAWS, error=0.01)
    names = evidence.problem.names
    fall = np.geomspace(1.0, left**2, len(evidence.baseline.steps))[:, None] * np.ones(DRAWS)

    def changed(item):
        linearized = item.linearized._replace(beyond=dict.fromkeys(names, beyond))
        return dataclasses.replace(item, linearized=linearized)

    return dataclasses.replace(
        evidence,
        baseline=dataclasses.replace(evidence.baseline, losses=dict.fromkeys(names, fall)),
        after=[changed(item) for item in evidence.after],
    )


@each(
    ("beyond", "left", "full", "told"),
    [
        (0.97, 0.3, True, True),
        (0.97, 0.05, True, False),  # what stays is little
        (0.3, 0.3, True, False),  # training can still lower it
        (0.97, 0.3, False, False),  # parameters are to spare
    ],
)
def test_a_residual_that_stays_out_of_reach_is_a_conflict(monkeypatch, beyond, left, full, told):
    monkeypatch.setattr(conflict, "rank_is_full", lambda e: full)
    found = Conflict().judge(with_rest(beyond, left))
    assert (found is not None) is told
    if found is not None:
        assert found.severity is Severity.SEVERE
        assert "30% of the residual of" in found.sentence
        assert "would remove more than 3%" in found.sentence
