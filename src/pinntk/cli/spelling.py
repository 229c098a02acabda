"""From setups to options: what to write on the command line to get from one setup to another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pinntk.cli import names
from pinntk.cli.options import Options
from pinntk.cli.settings import (
    NTK_OPTIONS,
    PLAIN_NETWORK,
    Presets,
    apply,
    starts_anew,
)
from pinntk.errors import PinntkError
from pinntk.nets import AbstractParametrization, StandardParametrization
from pinntk.optim import SPRING, AbstractOptimizer, FirstOrder, NaturalGradient
from pinntk.optim.first_order import ExponentialDecay
from pinntk.problem import Problem
from pinntk.training import AbstractResampling, Network, Setup, is_scaled
from pinntk.training.network import NetworkLike
from pinntk.training.programs import content
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights

Changes = dict[str, Any]


def options_of(before: Setup, after: Setup, presets: Presets | None = None) -> str | None:
    """The options that lead from one setup to another; None where options cannot say it.

    Empty where nothing differs. What is returned has been applied and compared: it does lead there.
    """
    found = difference(before, after, presets or {})
    return None if found is None else found.text()


def total_options(
    loaded: Setup, asked: Options, before: Setup, after: Setup, presets: Presets
) -> str | None:
    """The options that lead from a setup as loaded to `after`, where `asked` already led to `before`."""
    direct = difference(loaded, after, presets)
    if direct is not None:
        return direct.text()
    step = difference(before, after, presets)
    if step is None:
        return None
    both = Options(**{**asked.given(), **step.given()})
    return both.text() if _leads(loaded, both, after, presets) else None


def difference(before: Setup, after: Setup, presets: Presets) -> Options | None:
    """`options_of` as `Options`."""
    start = before
    asked: Changes = {}
    natural = isinstance(after.training.optimizer, NaturalGradient)
    if natural and starts_anew(before, names.NATURAL_GRADIENT, presets):
        start = presets[names.NATURAL_GRADIENT]()
        asked["optimizer"] = names.NATURAL_GRADIENT
    old, new = start.training, after.training
    asked |= _network(start.network, after.network)
    if is_scaled(start) != is_scaled(after):
        asked["nondimensional"] = is_scaled(after)
    asked |= _points(start.problem, after.problem)
    asked |= _optimizer(old.optimizer, new.optimizer)
    asked |= _weighting(old.weighting, new.weighting)
    asked |= _resampling(old.resampling, new.resampling)
    for name in ("steps", "log_every"):
        asked |= _changed(name, getattr(old, name), getattr(new, name))
    if new.slabs is not None:
        asked |= {} if old.slabs == new.slabs else {"slabs": new.slabs.count or 0}
    asked |= _changed("dtype", start.dtype, after.dtype)
    try:
        options = Options(**asked)
    except PinntkError:  # a number that is none for an option, such as NumPy's
        return None
    return options if _leads(before, options, after, presets) else None


def _leads(before: Setup, options: Options, after: Setup, presets: Presets) -> bool:
    try:
        return same(apply(before, options, presets), after)
    except PinntkError:
        return False


def same(one: Setup, other: Setup) -> bool:
    """Whether two setups are equal in content; functions and arrays are compared by identity."""
    return _content(one) == _content(other)


def _content(setup: Setup) -> Any:
    problem = setup.problem
    stated = {f.name: getattr(problem, f.name) for f in dataclasses.fields(problem)}
    stated["conditions"] = [
        [getattr(condition, f.name) for f in dataclasses.fields(condition)]
        for condition in problem.conditions
    ]
    training = {f.name: getattr(setup.training, f.name) for f in dataclasses.fields(setup.training)}
    return content((stated, setup.network, training, setup.dtype))


def _changed(name: str, old: Any, new: Any) -> Changes:
    return {} if old == new else {name: new}


def _named(option: str, table: Mapping[str, Any], old: Any, new: Any) -> Changes:
    """A name that has changed; none where the new value has no name, which the comparison notices."""
    name = names.name_of(table, new)
    return {} if old is new or old == new or name is None else {option: name}


def _network(old: NetworkLike, new: NetworkLike) -> Changes:
    if not isinstance(old, Network) or not isinstance(new, Network):
        return {}
    found: Changes = {}
    for name in PLAIN_NETWORK:
        found |= _changed(name, getattr(old, name), getattr(new, name))
    scale = new.fourier_scale
    if old.fourier_scale != scale:
        found |= {"fourier_scales" if isinstance(scale, Mapping) else "fourier_scale": scale}
    found |= _named("network", names.ARCHITECTURES, old.architecture, new.architecture)
    found |= _named("activation", names.ACTIVATIONS, old.activation, new.activation)
    found |= _named("scaling", names.SCALINGS, old.scaling, new.scaling)
    found |= _named("output", names.OUTPUTS, old.output, new.output)
    return found | _parametrization(old.parametrization, new.parametrization)


def _parametrization(old: AbstractParametrization, new: AbstractParametrization) -> Changes:
    found: Changes = {}
    if type(old) is not type(new):
        kind = names.name_of(names.PARAMETRIZATIONS, type(new))
        if kind is None:
            return {}
        found, old = {"parametrization": kind}, type(new)()
    if isinstance(old, StandardParametrization) and isinstance(new, StandardParametrization):
        found |= _named("initializer", names.INITIALIZERS, old.initializer, new.initializer)
        found |= _changed("bias_std", old.bias_std, new.bias_std)
    return found


def _points(old: Problem, new: Problem) -> Changes:
    if old.names != new.names:
        return {}
    pairs = list(zip(old.conditions, new.conditions, strict=True))
    counts = {b.name: float(b.points) for a, b in pairs if a.points != b.points}
    found: Changes = {"points": counts} if counts else {}
    redraws = {b.redraw_every for _, b in pairs}
    if len(redraws) == 1 and any(a.redraw_every != b.redraw_every for a, b in pairs):
        found["redraw_every"] = redraws.pop() or 0
    return found


def _optimizer(old: AbstractOptimizer, new: AbstractOptimizer) -> Changes:
    if content(old) == content(new):
        return {}
    if isinstance(new, FirstOrder):
        return _first_order(old, new)
    name = names.name_of(names.SECOND_ORDER, type(new))
    if name is None:
        return {}
    found: Changes = {} if type(old) is type(new) else {"optimizer": name}
    base: Any = old if type(old) is type(new) else type(new)()
    if isinstance(new, NaturalGradient):
        found |= _named("solver", names.SOLVERS, base.solver, new.solver)
    if isinstance(new, SPRING):
        found |= _changed("momentum", base.momentum, new.momentum)
    if isinstance(new, NaturalGradient | SPRING):
        found |= _changed("damping", base.damping, new.damping)
    return found


def _first_order(old: AbstractOptimizer, new: FirstOrder) -> Changes:
    schedule = new.schedule
    if not isinstance(schedule, ExponentialDecay):
        return {}
    decay = {f.name: getattr(schedule, f.name) for f in dataclasses.fields(schedule)}
    name = next((n for n, make in names.FIRST_ORDER.items() if make(**decay) == new), None)
    if name is None:
        return {}
    # The rate and its decay carry over where the method changes.
    before = getattr(old, "schedule", None)
    if not isinstance(before, ExponentialDecay):
        before = names.FIRST_ORDER["adam"]().schedule  # type: ignore[attr-defined]
    method = getattr(old, "method", None)
    found: Changes = {} if method is new.method else {"optimizer": name}
    for field, value in decay.items():
        if value is not None:
            found |= _changed(field, getattr(before, field), value)
    return found


def _weighting(old: AbstractWeighting, new: AbstractWeighting) -> Changes:
    if content(old) == content(new):
        return {}
    if isinstance(new, Fixed):
        carried = old.factors if isinstance(old, NTKWeights) else {}
        present = old.weights if isinstance(old, Fixed) else carried
        found: Changes = {} if isinstance(old, Fixed) else {"weighting": "fixed"}
        return found | _numbers(present, new.weights)
    if not isinstance(new, NTKWeights):
        return {}
    base = old if isinstance(old, NTKWeights) else NTKWeights()
    factors = _numbers(base.factors, new.factors)
    # Weights alone would mean fixed ones.
    found = {"weighting": "ntk"} if factors or not isinstance(old, NTKWeights) else {}
    for name in NTK_OPTIONS:
        found |= _changed(name, getattr(base, name), getattr(new, name))
    return found | factors


def _numbers(old: Mapping[str, float], new: Mapping[str, float]) -> Changes:
    """Weights; a weight of 1 says that there is none."""
    if dict(old) == dict(new):
        return {}
    return {"weights": {n: float(v) for n, v in new.items()} or dict.fromkeys(old, 1.0)}


def _resampling(old: AbstractResampling, new: AbstractResampling) -> Changes:
    if content(old) == content(new):
        return {}
    table = {type(rule): (name, rule) for name, rule in names.RESAMPLINGS.items()}
    if type(new) not in table:
        return {}
    name, base = table[type(new)]
    found: Changes = {} if type(old) is type(new) else {"resampling": name}
    every = getattr(old if type(old) is type(new) else base, "every", None)
    return found | _changed("resample_every", every, getattr(new, "every", None))
