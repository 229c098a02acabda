"""From options to setups: where names become objects."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from pinntk.cli import names
from pinntk.cli.loading import user_object
from pinntk.cli.options import Options, flag
from pinntk.cli.specs import in_file
from pinntk.errors import PinntkError, check_name
from pinntk.nets import AbstractParametrization, StandardParametrization
from pinntk.optim import (
    SPRING,
    AbstractOptimizer,
    FirstOrder,
    NaturalGradient,
    adam,
    rate_of,
)
from pinntk.optim.first_order import ExponentialDecay
from pinntk.problem import Problem
from pinntk.training import (
    AbstractResampling,
    AsConditioned,
    Network,
    Setup,
    TimeSlabs,
    dimensional,
    nondimensional,
)
from pinntk.weighting import AbstractWeighting, Fixed, NTKWeights

#: Setups of one problem by name, made when they are asked for.
Presets = Mapping[str, Callable[[], Setup]]
#: Options that only change a rule for the weights that follows the kernel.
NTK_OPTIONS = ("every", "moving_average", "subsample")
_RATE = ("learning_rate", "decay_rate", "decay_steps")


def apply(setup: Setup, options: Options, presets: Presets | None = None) -> Setup:
    """The setup with the options that were given; what is not named stays as it is.

    `--optimizer natural-gradient` starts from the preset of that name where the setup has another
    optimizer, and puts the other options on top. **Raises** `PinntkError` for misspelled names
    (with the nearest ones) and for options that mean nothing to the setup.
    """
    if starts_anew(setup, options.optimizer, presets or {}):
        setup = (presets or {})[names.NATURAL_GRADIENT]()
    network = _network(setup, options)
    problem = _problem(setup.problem, options)
    training = setup.training
    reduced = network.reduced(problem)
    training = training.replace(
        optimizer=_optimizer(training.optimizer, options),
        weighting=_weighting(training.weighting, options, reduced),
        resampling=_resampling(training.resampling, options),
        steps=_first(options.steps, training.steps),
        log_every=_first(options.log_every, training.log_every),
        slabs=_slabs(training.slabs, options),
    )
    changed = Setup(problem, training, network, _first(options.dtype, setup.dtype))
    return _in_units(changed, options)


def _in_units(setup: Setup, options: Options) -> Setup:
    """The setup with or without scaling of fields and residuals, as asked for.

    An ansatz changes what the outputs' scales are, so that they are found anew.
    """
    network = setup.network
    if options.nondimensional is False:
        return dimensional(setup)
    rebuilt = (
        options.hard is not None
        and isinstance(network, Network)
        and network.output_scaling is not None
    )
    if not options.nondimensional and not rebuilt:
        return setup
    if rebuilt:
        setup = setup.replace(network=network.replace(output_scaling=None))  # type: ignore[union-attr]
    changed = nondimensional(setup)
    if options.scaling is not None and isinstance(network, Network):
        kept = changed.network.replace(scaling=network.scaling)  # type: ignore[union-attr]
        return changed.replace(network=kept)
    return changed


def starts_anew(setup: Setup, optimizer: str | None, presets: Presets) -> bool:
    """Whether this optimizer, asked for by name, means another setup."""
    other = not isinstance(setup.training.optimizer, NaturalGradient)
    return optimizer == names.NATURAL_GRADIENT and other and optimizer in presets


def plain(setup: Setup, options: Options) -> Setup:
    """All loss weights 1, unless options ask for weights: what `diagnose` looks at."""
    asked = {"weighting", "weights", *NTK_OPTIONS} & set(options.given())
    if asked:
        return setup
    return setup.replace(training=setup.training.replace(weighting=Fixed()))


def _first(asked: Any, present: Any) -> Any:
    return present if asked is None else asked


def _named(option: str, table: Mapping[str, Any], name: str) -> Any:
    check_name(option, name, table)
    return table[name]


def _refuse(options: Options, wanted: tuple[str, ...], reason: str) -> None:
    """Raise for the first of these options that is given."""
    for name in wanted:
        value = getattr(options, name)
        if value is not None:
            raise PinntkError(flag(name), got=value, expected=reason)


def _problem(problem: Problem, options: Options) -> Problem:
    if options.points:
        counts = {name: _whole(name, count) for name, count in options.points.items()}
        problem = problem.with_points(counts)
    if options.redraw_every is not None:
        every = options.redraw_every or None
        changed = [dataclasses.replace(c, redraw_every=every) for c in problem.conditions]
        problem = dataclasses.replace(problem, conditions=changed)
    return problem


def _whole(name: str, count: float) -> int:
    if not math.isfinite(count) or count != int(count) or count < 1:
        raise PinntkError(f"points of {name!r}", got=count, expected="a whole number, 1 or more")
    return int(count)


#: The options of a `Network` that are numbers, or switches, of the same name.
PLAIN_NETWORK = (*("width", "depth", "input_scale", "hard", "harmonics", "fourier_features"),)
_FOURIER = ("fourier_scale", "fourier_scales")
_PARAMETRIZATION = ("parametrization", "initializer", "bias_std")


def _network(setup: Setup, options: Options) -> Any:
    network = setup.network
    if not isinstance(network, Network):
        names_of_network = ("network", "activation", "scaling", "output")
        every = (*PLAIN_NETWORK, *_FOURIER, *names_of_network, *_PARAMETRIZATION)
        _refuse(options, every, "no options of the network, since the setup brings its own")
        return network
    changes = {name: getattr(options, name) for name in PLAIN_NETWORK}
    changes["fourier_scale"] = options.fourier_scale
    if options.fourier_scales is not None:
        _refuse(options, ("fourier_scale",), "no such option beside --fourier-scales")
        changes["fourier_scale"] = dict(options.fourier_scales)
    tables = {
        "architecture": ("network", names.ARCHITECTURES),
        "activation": ("activation", names.ACTIVATIONS),
        "scaling": ("scaling", names.SCALINGS),
    }
    for field, (option, table) in tables.items():
        name = getattr(options, option)
        changes[field] = None if name is None else _named(option, table, name)
    changes["parametrization"] = _parametrization(network.parametrization, options)
    changed = {name: v for name, v in changes.items() if v is not None}
    if options.output is not None:  # whose "none" is a change as well
        changed["output"] = _named("output", names.OUTPUTS, options.output)
    return network.replace(**changed)


def _parametrization(present: AbstractParametrization, options: Options) -> AbstractParametrization:
    if options.parametrization is not None:
        kind = _named("parametrization", names.PARAMETRIZATIONS, options.parametrization)
        present = present if isinstance(present, kind) else kind()
    if not isinstance(present, StandardParametrization):
        _refuse(options, _PARAMETRIZATION[1:], "--parametrization standard with it")
        return present
    if options.initializer is not None:
        initializer = _named("initializer", names.INITIALIZERS, options.initializer)
        present = dataclasses.replace(present, initializer=initializer)
    if options.bias_std is not None:
        if not (math.isfinite(options.bias_std) and options.bias_std >= 0):
            raise PinntkError(
                "bias_std", got=options.bias_std, expected="a finite number, 0 or more"
            )
        present = dataclasses.replace(present, bias_std=float(options.bias_std))
    return present


def _optimizer(present: AbstractOptimizer, options: Options) -> AbstractOptimizer:
    name = options.optimizer
    if name is not None and in_file(name):
        present = user_object(
            name, "--optimizer", AbstractOptimizer, "an optimizer, like pk.FirstOrder(...)"
        )
    elif name is not None and name in names.FIRST_ORDER:
        return names.FIRST_ORDER[name](**_decay(present, options))
    elif name is not None:
        known = {**names.FIRST_ORDER, **names.SECOND_ORDER}
        kind = _named("optimizer", known, name)
        present = present if isinstance(present, kind) else kind()
    changes: dict[str, Any] = {}
    for option, kinds in _OWN.items():
        value = getattr(options, option)
        if value is None:
            continue
        if not isinstance(present, kinds):
            allowed = " or ".join(n for n, k in names.SECOND_ORDER.items() if k in kinds)
            _refuse(options, (option,), f"--optimizer {allowed} with it")
        changes[option] = _named(option, names.SOLVERS, value) if option == "solver" else value
    if changes:
        present = dataclasses.replace(present, **changes)  # type: ignore[type-var]
    return _with_rate(present, options)


#: The optimizers that know these options.
_OWN = {
    "damping": (NaturalGradient, SPRING),
    "momentum": (SPRING,),
    "solver": (NaturalGradient,),
}


def _decay(present: AbstractOptimizer, options: Options) -> dict[str, Any]:
    """The learning rate and its decay: those asked for, else those that the optimizer has."""
    schedule = getattr(present, "schedule", None)
    if not isinstance(schedule, ExponentialDecay):
        schedule = adam().schedule
    assert isinstance(schedule, ExponentialDecay)
    return {name: _first(getattr(options, name), getattr(schedule, name)) for name in _RATE}


def _with_rate(optimizer: AbstractOptimizer, options: Options) -> AbstractOptimizer:
    """The optimizer with the learning rate and decay that are asked for."""
    if all(getattr(options, name) is None for name in _RATE):
        return optimizer
    if isinstance(optimizer, FirstOrder) and optimizer.method is not None:
        for make in names.FIRST_ORDER.values():
            if make(**_decay(optimizer, Options())) == optimizer:
                return make(**_decay(optimizer, options))
    rate, rescaled = rate_of(optimizer), getattr(optimizer.kind, "rescaled", None)
    if rate is None or rescaled is None:
        _refuse(options, _RATE, "an optimizer with a learning rate, such as --optimizer adam")
    _refuse(options, _RATE[1:], "--optimizer sgd or adam with it")
    assert options.learning_rate is not None
    ExponentialDecay(options.learning_rate)  # raises for bad rates
    return rescaled(options.learning_rate / rate)  # type: ignore[operator, misc]


def _weighting(present: AbstractWeighting, options: Options, problem: Problem) -> AbstractWeighting:
    name, weights = options.weighting, options.weights
    for condition in weights or {}:
        check_name("weight", condition, problem.names)
    if name is not None and in_file(name):
        _refuse(options, ("weights", *NTK_OPTIONS), "no options for a rule of yours")
        return user_object(
            name, "--weighting", AbstractWeighting, "a weighting rule, like pk.NTKWeights()"
        )
    if name is not None:
        check_name("weighting", name, names.WEIGHTINGS)
    # Naming weights means wanting them.
    kind = names.WEIGHTINGS[name or "fixed"] if name or weights else type(present)
    # A weight of 1 is no weight.
    asked = None if weights is None else {k: float(v) for k, v in weights.items() if v != 1}
    if kind is NTKWeights:
        rule = present if isinstance(present, NTKWeights) else NTKWeights()
        changes = {"factors": asked, **{n: getattr(options, n) for n in NTK_OPTIONS}}
        given = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(rule, **given) if given else rule
    _refuse(options, NTK_OPTIONS, "--weighting ntk with it")
    if kind is not Fixed:
        return present if isinstance(present, kind) else kind()
    if asked is None and isinstance(present, NTKWeights):
        asked = dict(present.factors)
    return present if asked is None and isinstance(present, Fixed) else Fixed(asked or {})


def _resampling(present: AbstractResampling, options: Options) -> AbstractResampling:
    if options.resampling is not None:
        asked = _named("resampling", names.RESAMPLINGS, options.resampling)
        present = present if type(present) is type(asked) else asked
    if options.resample_every is not None:
        if isinstance(present, AsConditioned) or not hasattr(present, "every"):
            _refuse(options, ("resample_every",), "--resampling residual or growing with it")
        present = dataclasses.replace(present, every=options.resample_every)  # type: ignore[type-var]
    return present


def _slabs(present: TimeSlabs | None, options: Options) -> TimeSlabs | None:
    if options.slabs is None:
        return present
    return dataclasses.replace(present or TimeSlabs(), count=options.slabs or None)
