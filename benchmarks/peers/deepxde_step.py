"""DeepXDE on PyTorch: one training step of the wave problem with N points per condition.

What is timed is what `Model.train` does in every iteration without callbacks: `train_next_batch`,
`set_data_train` and `_train_step`, which is residuals, losses, gradient and Adam. What it does
every thousand iterations, printing and testing, is left out. DeepXDE evaluates the equation on the
points of all conditions together, 3N, and drops what does not belong to it: that is its own cost.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import os

import worker

arguments = worker.start(__doc__ or "", ("step",))
os.environ["DDE_BACKEND"] = "pytorch"

import deepxde as dde  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)
dde.config.set_default_float(arguments.dtype)
dde.config.set_default_autodiff(arguments.mode)


def value_of(derivative):
    """Forward mode returns each derivative with the function that computes it."""
    return derivative[0] if arguments.mode == "forward" else derivative


def residual(x, u):
    u_xx = value_of(dde.grad.hessian(u, x, i=0, j=0))
    u_tt = value_of(dde.grad.hessian(u, x, i=1, j=1))
    return u_tt - worker.WAVE_SPEED_SQUARED * u_xx


def start_value(points: np.ndarray) -> np.ndarray:
    x = np.pi * points[:, :1]
    return np.sin(x) + 0.5 * np.sin(4 * x)


def velocity(net: dde.nn.FNN):
    """u_t for a `PointSetOperatorBC`; forward mode needs the network besides its values."""

    def u_t(x, u, _):
        field = (u, net) if arguments.mode == "forward" else u
        return value_of(dde.grad.jacobian(field, x, i=0, j=1))

    return u_t


def network(inputs: worker.Inputs) -> dde.nn.FNN:
    """DeepXDE's own network with the weights of the file."""
    shift, scale = torch.from_numpy(inputs.shift), torch.from_numpy(inputs.scale)
    sizes = [len(inputs.layers[0][0]), *(len(bias) for _, bias in inputs.layers)]
    net = dde.nn.FNN(sizes, "tanh", "Glorot normal")
    for linear, (weight, bias) in zip(net.linears, inputs.layers, strict=True):
        linear.load_state_dict(
            {"weight": torch.from_numpy(weight).T, "bias": torch.from_numpy(bias)}
        )
    net.apply_feature_transform(lambda x: (x - shift) * scale)
    return net


def step(inputs: worker.Inputs) -> worker.Work:
    net, points = network(inputs), inputs.points
    conditions = [
        dde.icbc.PointSetBC(points["values"], start_value(points["values"])),
        dde.icbc.PointSetOperatorBC(points["velocity"], 0.0, velocity(net)),
    ]
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    data = dde.data.PDE(square, residual, conditions, anchors=points["residual"])
    model = dde.Model(data, net)
    model.compile("adam", lr=1e-3)

    def one_step():
        state = model.train_state
        state.set_data_train(*data.train_next_batch())
        model._train_step(state.X_train, state.y_train, state.train_aux_vars)

    def call():
        for _ in range(arguments.steps):
            one_step()

    _, losses = model.outputs_losses_train(*data.train_next_batch())
    names = ("residual", "values", "velocity")
    facts = {
        "losses_at_start": dict(zip(names, losses.tolist(), strict=True)),
        "points_of_the_equation": len(data.train_x),
    }
    return worker.Work(call, facts=lambda _: facts, steps=arguments.steps)


worker.run("deepxde", arguments, step)
