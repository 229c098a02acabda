"""The types and shapes of every call are checked in these tests, and only where they should be."""

import jax.numpy as jnp
import jaxtyping
import pytest
from beartype.roar import BeartypeCallHintParamViolation as Wrong
from jaxtyping import Array, Float

from checked import Switch
from pinntk.jacobian import symmetric_product
from pinntk.optim.linear import cholesky
from pinntk.words import percent

pytestmark = pytest.mark.fast


def product(left: Float[Array, "n m"], right: Float[Array, "m k"]) -> Float[Array, "n k"]:
    return left @ right if left.shape[1] == right.shape[0] else left


def test_a_wrong_type_a_wrong_shape_and_sizes_that_do_not_agree_are_refused():
    square, mu = jnp.eye(3), jnp.asarray(0.1)
    assert cholesky(square, mu).shape == (3, 3)
    with pytest.raises(Wrong):
        percent("a half")
    with pytest.raises(Wrong):
        symmetric_product(jnp.ones(3))
    with pytest.raises(Wrong):
        cholesky(jnp.ones((3, 2)), mu)
    checked = jaxtyping.jaxtyped(product, typechecker=None)
    assert checked(jnp.ones((3, 2)), jnp.ones((2, 4))).shape == (3, 4)
    with pytest.raises(Wrong):
        checked(jnp.ones((3, 2)), jnp.ones((5, 2)))


def test_it_can_be_switched_off(untyped):
    assert not Switch.on
    with pytest.raises(TypeError, match="incompatible shapes"):
        cholesky(jnp.ones((3, 2)), jnp.asarray(0.1))
