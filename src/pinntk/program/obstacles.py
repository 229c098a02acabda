"""What JAX cannot batch or differentiate backwards, in words that say what to write instead."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from pinntk.errors import PinntkError, ResidualError

#: Primitives that may stand in the way of a gradient or of a batch; whether they do is found by trying.
SUSPECTS = frozenset({"while", "pure_callback", "io_callback"})


class Obstacle(NamedTuple):
    """Words of JAX's message, and what pinntk says in its place."""

    sign: str
    got: str
    expected: str
    fix: str


OBSTACLES = (
    Obstacle(
        "lax.while_loop",
        got="a while_loop, or a fori_loop whose bounds are computed, that the parameters enter",
        expected="steps that reverse mode can differentiate",
        fix="Use jax.lax.scan or jax.lax.fori_loop with a number of steps that is known when it is "
        "traced, or give the loop a derivative of its own with jax.custom_vjp.",
    ),
    Obstacle(
        "callbacks do not support JVP",
        got="a callback whose result would have to be differentiated",
        expected="steps that JAX can differentiate",
        fix="Give the callback a derivative of its own with jax.custom_jvp.",
    ),
    Obstacle(
        "pure_callback primitive",
        got="a pure_callback that does not say how it is evaluated at many points",
        expected="one with a vmap_method",
        fix='Write jax.pure_callback(..., vmap_method="sequential").',
    ),
    Obstacle(
        "ordered IO",
        got="an io_callback in order",
        expected="one without an order, because all points are evaluated at once",
        fix="Write io_callback(..., ordered=False).",
    ),
)


@contextlib.contextmanager
def explained(argument: str) -> Iterator[None]:
    """Raise a `ResidualError` about `argument` in place of the errors that JAX has for `OBSTACLES`."""
    try:
        yield
    except (ValueError, NotImplementedError) as error:
        found = [obstacle for obstacle in OBSTACLES if obstacle.sign in str(error)]
        if isinstance(error, PinntkError) or not found:
            raise
        _, got, expected, fix = found[0]
        raise ResidualError(argument, got=got, expected=expected, fix=fix) from error
