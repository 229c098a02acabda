"""An optimizer of your own: any Optax transformation, with its own schedule.

pinntk train poisson1d --optimizer examples/own_optimizer.py:optimizer
"""

import jax
import optax

import pinntk as pk

schedule = optax.warmup_cosine_decay_schedule(1e-5, 2e-3, warmup_steps=200, decay_steps=3_000)
optimizer = pk.FirstOrder(
    optax.chain(optax.clip_by_global_norm(1.0), optax.lion(schedule)), schedule
)

if __name__ == "__main__":
    setup = pk.library.poisson1d_adam(a=1.0)
    plan = setup.training.replace(optimizer=optimizer, steps=3_000)
    start = setup.start(seed=0)
    result = pk.train(start.problem, start.model, plan, key=jax.random.key(0))
    print(f"{result.message}, relative L2 error {result.relative_l2:.1e}")
