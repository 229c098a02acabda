"""torch.func: K by the recipe of PyTorch's own tutorial on neural tangent kernels.

functional_call, vmap of grad for the per-point gradients of the residual, then J Jᵀ. The step is
the same residual under vmap, differentiated backward, and Adam; nothing is compiled.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import worker

arguments = worker.start(__doc__ or "", ("kernel", "traces", "step", "full"))

import torch  # noqa: E402
from torch.func import functional_call, grad, jvp, vmap  # noqa: E402

torch.set_num_threads(1)


class Network(torch.nn.Module):
    """The network for one point."""

    def __init__(self, inputs: worker.Inputs):
        super().__init__()
        self.register_buffer("shift", torch.from_numpy(inputs.shift))
        self.register_buffer("scale", torch.from_numpy(inputs.scale))
        self.linears = torch.nn.ModuleList()
        for weight, bias in inputs.layers:
            linear = torch.nn.Linear(*weight.shape, dtype=torch.from_numpy(weight).dtype)
            linear.load_state_dict(
                {"weight": torch.from_numpy(weight).T, "bias": torch.from_numpy(bias)}
            )
            self.linears.append(linear)

    def forward(self, point):
        hidden = (point - self.shift) * self.scale
        for linear in self.linears[:-1]:
            hidden = torch.tanh(linear(hidden))
        return self.linears[-1](hidden)[0]


def forward(f, axis: int):
    """∂f along a coordinate, by forward mode."""

    def derivative(point):
        direction = torch.zeros_like(point)
        direction[axis] = 1
        return jvp(f, (point,), (direction,))[1]

    return derivative


def reverse(f, axis: int):
    """∂f along a coordinate, by reverse mode."""
    return lambda point: grad(f)(point)[axis]


def conditions(model: Network) -> dict:
    """Each condition's residual as (parameters, point) ↦ scalar."""
    along = {"forward": forward, "reverse": reverse}[arguments.mode]

    def u(parameters, point):
        return functional_call(model, parameters, (point,))

    def values(parameters, point):
        x = torch.pi * point[0]
        return u(parameters, point) - torch.sin(x) - 0.5 * torch.sin(4 * x)

    def velocity(parameters, point):
        return along(lambda p: u(parameters, p), 1)(point)

    def residual(parameters, point):
        u_here = lambda p: u(parameters, p)
        u_xx = along(along(u_here, 0), 0)(point)
        u_tt = along(along(u_here, 1), 1)(point)
        return u_tt - worker.WAVE_SPEED_SQUARED * u_xx

    return {"values": values, "velocity": velocity, "residual": residual}


def gradients(condition, parameters, points) -> list:
    """The rows of J, one tensor (N, size) for each parameter."""
    rows = vmap(grad(condition), (None, 0))(parameters, points)
    return [leaf.flatten(1) for leaf in rows.values()]


def set_up(inputs: worker.Inputs):
    """Network, conditions, parameters, points; one point goes ahead, for torch loads parts late."""
    model = Network(inputs)
    points = {name: torch.from_numpy(value) for name, value in inputs.points.items()}
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    terms = conditions(model)
    for name, term in terms.items():
        gradients(term, parameters, points[name][:1])
    return model, terms, parameters, points


def kernel(inputs: worker.Inputs) -> worker.Work:
    _, terms, parameters, points = set_up(inputs)

    def call():
        leaves = gradients(terms["residual"], parameters, points["residual"])
        return sum(leaf @ leaf.T for leaf in leaves)

    return worker.Work(call, lambda kernel: {"kernel": kernel})


def full(inputs: worker.Inputs) -> worker.Work:
    """K of all conditions with its cross blocks, (3N, 3N), in the order of `worker.CONDITIONS`."""
    _, terms, parameters, points = set_up(inputs)

    def call():
        rows = [gradients(terms[name], parameters, points[name]) for name in worker.CONDITIONS]
        return sum(leaf @ leaf.T for leaf in map(torch.cat, zip(*rows, strict=True)))

    sizes = [len(points[name]) for name in worker.CONDITIONS]
    return worker.Work(call, lambda outcome: worker.parts_of_full(outcome.numpy(), sizes))


def traces(inputs: worker.Inputs) -> worker.Work:
    _, terms, parameters, points = set_up(inputs)

    def call():
        return {
            f"trace_{name}": sum(
                (leaf**2).sum() for leaf in gradients(terms[name], parameters, points[name])
            )
            for name in terms
        }

    return worker.Work(call, dict)


def step(inputs: worker.Inputs) -> worker.Work:
    """Adam steps on the mean squares; each call goes on from where the last one stopped."""
    model, terms, _, points = set_up(inputs)
    parameters = dict(model.named_parameters())
    optimizer = torch.optim.Adam(parameters.values(), lr=1e-3)

    def losses():
        return {
            name: (vmap(terms[name], (None, 0))(parameters, points[name]) ** 2).mean()
            for name in terms
        }

    def call():
        for _ in range(arguments.steps):
            optimizer.zero_grad()
            torch.stack(list(losses().values())).sum().backward()
            optimizer.step()

    at_start = {name: value.item() for name, value in losses().items()}
    return worker.Work(call, facts=lambda _: {"losses_at_start": at_start}, steps=arguments.steps)


PREPARE = {"kernel": kernel, "traces": traces, "full": full, "step": step}
worker.run("torch_func", arguments, PREPARE[arguments.task])
