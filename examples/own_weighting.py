"""A weighting rule of your own: every condition gets a gradient of the same size.

λ_k = Σ_j ‖∇L_j‖ / ‖∇L_k‖, with a moving average: Wang, Teng, Perdikaris, SIAM J. Sci. Comput. 43 (2021)
A3055, in the form of their later codes.

    pinntk train poisson1d --weighting examples/own_weighting.py:rule
"""

import dataclasses

import jax

import pinntk as pk
from pinntk.weighting import GradientNorms, WeightingState


@dataclasses.dataclass(frozen=True)
class GradientNormWeights(pk.AbstractWeighting):
    """Weights under which all gradients λ_k ∇L_k have one norm."""

    every: int | None = 10
    keep: float = 0.9
    subsample = None
    needs = (GradientNorms,)

    def init(self, names):
        return WeightingState(dict.fromkeys(names, 1.0))

    def update(self, state, information):
        norms = information[GradientNorms].euclidean
        total = sum(norms.values())
        weights = {
            name: self.keep * old + (1 - self.keep) * total / norms[name]
            for name, old in state.weights.items()
        }
        return state._replace(weights=weights)


rule = GradientNormWeights()

if __name__ == "__main__":
    setup = pk.library.poisson1d_adam(a=4.0)
    for weighting in (pk.Fixed(), rule):
        plan = setup.training.replace(weighting=weighting, steps=3_000)
        start = setup.start(seed=0)
        result = pk.train(start.problem, start.model, plan, key=jax.random.key(0))
        print(f"{type(weighting).__name__}: relative L2 error {result.relative_l2:.1e}")
