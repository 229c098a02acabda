"""One Adam step of the wave problem, [2, w, w, w, 1], 300 points per term, one core, float32.

pinntk against plain JAX written by hand in the same run: nested forward mode for the residual, the
same optimizer and the same compiled loop. The limit is the matrix products that the step cannot do
without (four quantities per layer for the residual, two for the velocity, one for the values; one
product forward, two backward) at the rate this machine multiplies 2100 × w by w × w.
"""

from __future__ import annotations

from common import median, milliseconds, parse, use_one_core, write

use_one_core()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402

from pinntk.jacobian import trainable  # noqa: E402
from pinntk.library import wave1d_paper  # noqa: E402
from pinntk.paper.sweep import with_network  # noqa: E402
from pinntk.training import Start, Training, initial_state  # noqa: E402
from pinntk.training.compiled import compile_chunk  # noqa: E402
from pinntk.weighting import Fixed  # noqa: E402

POINTS = 300
QUANTITIES = 4 + 2 + 1


def build(width: int) -> tuple[Start, Training]:
    """The paper's wave problem with its points held fixed, so that only the step is timed."""
    setup = with_network(wave1d_paper(), width=width)
    training = setup.training.replace(weighting=Fixed({"values": 3.0}))
    still = setup.replace(problem=setup.problem.with_points({}, redraw=False), training=training)
    return still.start(), training


def pinntk_steps(start: Start, training: Training, count: int):
    """`count` steps of the package's own loop, compiled."""
    state = initial_state(start.problem, start.model, training, start.batch)
    run = compile_chunk(start.problem, trainable(start.model)[1], training, start.key)
    return lambda: jax.block_until_ready(run(state, count))


def plain_steps(start: Start, count: int):
    """The same steps as a user would write them in JAX: jvp of jvp, vmap, optax, fori_loop."""
    layers = [(layer.weight, layer.bias) for layer in start.model.layers]
    scaling, batch = start.model.scaling, start.batch
    optimizer = optax.adam(optax.exponential_decay(1e-3, 1000, 0.9))
    e_x, e_t = jnp.eye(2)

    def network(layers, x):
        hidden = scaling(x)
        for weight, bias in layers[:-1]:
            hidden = jnp.tanh(hidden @ weight + bias)
        weight, bias = layers[-1]
        return (hidden @ weight + bias)[0]

    def along(f, v):
        return lambda x: jax.jvp(f, (x,), (v,))[1]

    def start_value(x):
        return jnp.sin(jnp.pi * x[0]) + 0.5 * jnp.sin(4 * jnp.pi * x[0])

    def loss(layers):
        u = lambda x: network(layers, x)
        values = jax.vmap(lambda x: u(x) - start_value(x))(batch["values"].points)
        velocity = jax.vmap(along(u, e_t))(batch["velocity"].points)
        residual = jax.vmap(
            lambda x: along(along(u, e_t), e_t)(x) - 4 * along(along(u, e_x), e_x)(x)
        )(batch["residual"].points)
        return jnp.mean(values**2) + jnp.mean(velocity**2) + jnp.mean(residual**2)

    @jax.jit
    def run(layers, state, count):
        def body(_, carry):
            layers, state, _ = carry
            value, gradient = jax.value_and_grad(loss)(layers)
            updates, state = optimizer.update(gradient, state)
            return optax.apply_updates(layers, updates), state, value

        return jax.lax.fori_loop(0, count, body, (layers, state, jnp.zeros(())))

    state = optimizer.init(layers)
    return lambda: jax.block_until_ready(run(layers, state, count))


def product_rate(width: int, repeats: int) -> float:
    """Operations per second of a (2100, w) by (w, w) product."""
    left = jnp.ones((QUANTITIES * POINTS, width))
    right = jnp.ones((width, width))
    product = jax.jit(jnp.matmul)
    times = milliseconds(lambda: product(left, right).block_until_ready(), repeats)
    return 2 * left.size * width / (1e-3 * median(times))


def operations(width: int) -> float:
    """Matrix-product operations of one step: two hidden layers, forward and twice backward."""
    return 2 * 3 * 2 * QUANTITIES * POINTS * width**2


def losses_agree(start: Start) -> dict[str, float]:
    """The first losses, for the record: both programs must train the same problem."""
    losses = start.problem.losses(start.model, start.batch)
    return {name: float(value) for name, value in losses.items()}


def main() -> None:
    arguments = parse(__doc__ or "")
    widths = [32] if arguments.smoke else [100, 200, 500]
    repeats, count = (2, 2) if arguments.smoke else (9, 10)
    rows = []
    for width in widths:
        start, training = build(width)
        ours, plain = pinntk_steps(start, training, count), plain_steps(start, count)
        plain_loss = float(plain()[2])
        # In turn, so that both see the same drift of the machine.
        pairs = [
            (median(milliseconds(ours, 1)) / count, median(milliseconds(plain, 1)) / count)
            for _ in range(repeats)
        ]
        rate = product_rate(width, 20)
        limit = 1e3 * operations(width) / rate
        mine, theirs = (median([pair[i] for pair in pairs]) for i in (0, 1))
        rows.append(
            {
                "width": width,
                "pinntk_ms": mine,
                "plain_jax_ms": theirs,
                "ratio": median([ours / plain for ours, plain in pairs]),
                "limit_ms": limit,
                "share_of_limit": limit / mine,
                "product_gflops": rate / 1e9,
                "losses_at_start": losses_agree(start),
                "plain_loss_before_last_step": plain_loss,
            }
        )
        print(
            f"width {width}: pinntk {mine:.1f} ms, plain JAX {theirs:.1f} ms, "
            f"ratio {rows[-1]['ratio']:.2f}, products alone {limit:.1f} ms at {rate / 1e9:.0f} GFLOP/s"
        )
    write("wave_step", arguments, {"points_per_term": POINTS, "dtype": "float32", "rows": rows})


if __name__ == "__main__":
    main()
