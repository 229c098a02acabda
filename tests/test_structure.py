"""What is asked of a residual's shapes is asked once for all models of these shapes, and only for them."""

import gc
import weakref

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from helpers import poisson, sample
from pinntk.nets import MLP
from pinntk.problem.structure import once_per_structure

pytestmark = pytest.mark.fast


class WithTable(eqx.Module):
    """A network and numbers beside it that are not trained."""

    network: MLP
    table: np.ndarray
    static: object = eqx.field(static=True, default=None)

    def __call__(self, x):
        return self.network(x)


def mlp(seed=0, width=8):
    return MLP(1, width=width, depth=2, key=jax.random.key(seed))


@pytest.fixture
def asked():
    """A question that counts how often it is answered, the problem and a point."""
    answered = []

    @once_per_structure
    def question(problem, name, model, row):
        answered.append(name)
        return len(answered)

    problem = poisson()
    batch = sample(problem)
    row = jax.tree.map(lambda a: a[0], batch["residual"])
    return question, problem, row, answered


def test_other_values_of_the_parameters_are_no_new_question(asked):
    question, problem, row, answered = asked
    assert question(problem, "residual", mlp(0), row) == 1
    assert question(problem, "residual", mlp(1), row) == 1
    shapes = jax.eval_shape(lambda: row)
    assert question(problem, "residual", mlp(2), shapes) == 1
    assert answered == ["residual"]


def test_all_else_is(asked):
    question, problem, row, answered = asked
    table = WithTable(mlp(), np.arange(3))
    models = [
        mlp(),
        mlp(width=9),
        jax.tree.map(lambda a: a.astype(jnp.float16) if eqx.is_array(a) else a, mlp()),
        table,
        eqx.tree_at(lambda m: m.table, table, np.arange(1, 4)),
        WithTable(mlp(), np.arange(3), static="other"),
    ]
    found = [question(problem, "residual", model, row) for model in models]
    assert found == [1, 2, 3, 4, 5, 6]
    assert question(problem, "boundary", mlp(), row) == 7
    assert question(poisson(), "residual", mlp(), row) == 8
    assert question(problem, "residual", mlp(), jax.tree.map(lambda a: a[:0], row)) == 9
    # All of these are known by now.
    assert [question(problem, "residual", model, row) for model in models] == found
    assert len(answered) == 9


def test_a_large_table_is_not_compared_but_asked_again(asked):
    question, problem, row, answered = asked
    large = WithTable(mlp(), np.arange(5000))
    for _ in range(2):
        question(problem, "residual", large, row)
    assert len(answered) == 2


def test_answers_go_with_the_problem(asked):
    _, kept, row, _ = asked

    class Answer:
        pass

    @once_per_structure
    def question(problem, name, model, row):
        return Answer()

    problem = poisson()
    gone = weakref.ref(question(problem, "residual", mlp(), row))
    stays = weakref.ref(question(kept, "residual", mlp(), row))
    assert question(problem, "residual", mlp(1), row) is gone()
    del problem
    gc.collect()
    assert gone() is None
    assert question(kept, "residual", mlp(1), row) is stays() is not None
