"""The wave equation of the paper to a relative error of 1e-6, by the kernel natural gradient.

u_tt = 4 u_xx on [0, 1]² with u(x, 0) = sin πx + ½ sin 4πx: plain PINNs fail on it, and 80,000 steps of
Adam with Algorithm 1 and half a million parameters reach 1.7e-3 (Wang, Yu, Perdikaris 2022, figure 8).

    pinntk train wave1d --optimizer natural-gradient
    python examples/wave_solver.py
"""

import argparse

import pinntk as pk

setup = pk.library.wave1d_natural_gradient()

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The paper's wave equation to 1e-6.")
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    if parser.parse_args().smoke:
        setup = setup.replace(training=setup.training.replace(steps=5))
    with pk.progress_bar(setup.training.steps) as bar:
        result = pk.start_run(setup, observers=[bar])
    print(f"{result.message}: relative L2 error {result.relative_l2:.1e}")
    print(f"Held-out losses: {', '.join(f'{k} {v:.1e}' for k, v in result.held_out.items())}")
