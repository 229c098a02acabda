"""Rules about the network and its numbers: dead, imprecise, badly scaled."""

from __future__ import annotations

import math

from pinntk.diagnosis import remedies as cure
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.findings import Finding, Illness, Severity
from pinntk.diagnosis.measures import Measures
from pinntk.diagnosis.words import number, percent

#: Rounding over the residual of the untrained network: the relative error below which no training in
#: this precision can go. 1e-3 is what PINNs reach at ease; a tenth of the digits lost is severe.
ROUNDING, ROUNDING_SEVERE = 1e-3, 1e-2
#: Relative error of a matrix product that calls its precision reduced: between float32's 1e-7 and the 5e-4
#: of TF32, in the middle of the decimal orders.
PRODUCTS = 1e-5
#: Inputs are of order one within a decimal order, and so are outputs; beyond it they are severely off where
#: they are not reached either, and beyond two orders in any case.
ORDER_ONE, ORDER_ONE_SEVERE = 10.0, 100.0
#: What the inputs should make of a first layer's argument: less than a twentieth of a unit is a straight
#: line to float32's eye, more than the bend of tanh on either side saturates.
SWING = (0.05, 6.0)
#: Share of hidden (unit, point) pairs beyond their bend that makes a network dead: most of them.
SATURATED = 0.5
#: The field's deviation over its rms, below which it is constant: float32 keeps seven digits of a value,
#: and three of them are left for what varies.
CONSTANT = 1e-4


def dead(e: Evidence) -> Finding | None:
    """A model that cannot learn: zero blocks, saturated units, a constant field."""
    zero = [name for name in e.problem.names if all(m.rates[name] == 0 for m in e.before)]
    saturated = e.median(lambda i: e.before[i].units.saturated or 0.0)
    constant = e.median(lambda i: _constancy(e.before[i]))
    evidence = {
        "conditions without a gradient": ", ".join(zero) or "none",
        "saturated share of hidden units": saturated,
        "deviation of the field over its rms": constant,
    }
    if zero:
        sentence = (
            f"No parameter changes the residual of {_quoted(zero)}: its kernel block is zero, so no "
            "training can lower it."
        )
        reason = (
            "The residual does not depend on u where it should, or the activation has no second "
            "derivative (ReLU)."
        )
        return Finding(
            Illness.DEAD,
            Severity.SEVERE,
            1.0,
            sentence,
            reason,
            evidence,
            "spectra",
            cure.revive(e),
        )
    scaled = not _badly_scaled(e.before[0])
    share = e.share(lambda i: (e.before[i].units.saturated or 0.0) > SATURATED)
    if e.enough(share) and scaled:
        sentence = (
            f"The network is saturated: {percent(saturated)} of its hidden units are in the flat part of "
            "their activation, where gradients vanish."
        )
        reason = "Weights are far too large for the inputs, so units switch instead of bending."
        return Finding(
            Illness.DEAD,
            Severity.SEVERE,
            share,
            sentence,
            reason,
            evidence,
            "modes",
            cure.revive(e),
        )
    flat = e.share(lambda i: _constancy(e.before[i]) < CONSTANT)
    if e.enough(flat) and e.median(lambda i: _constancy(e.after[i])) < CONSTANT:
        sentence = "The field is constant over the domain, before and after a short training."
        reason = (
            "The inputs do not reach the output: a zero layer, or units that are all saturated."
        )
        return Finding(
            Illness.DEAD, Severity.SEVERE, flat, sentence, reason, evidence, "maps", cure.revive(e)
        )
    return None


def _constancy(m: Measures) -> float:
    return m.field_swing / m.field_rms if m.field_rms > 0 else 0.0


def precision(e: Evidence) -> Finding | None:
    """Rounding of the residual against the residual of the untrained network; reduced products."""
    if e.product_error > PRODUCTS:
        sentence = (
            f"Precision: matrix products are off by {number(e.product_error)} on this device, less exact "
            f"than {e.recipe.dtype} can be."
        )
        reason = (
            "The accelerator rounds factors before it multiplies; second derivatives suffer most."
        )
        found = {"relative error of a matrix product": e.product_error}
        return Finding(
            Illness.PRECISION,
            Severity.SEVERE,
            1.0,
            sentence,
            reason,
            found,
            "losses",
            cure.exact_products(e),
        )

    def floor(i: int) -> tuple[float, str]:
        noise = {n: max(e.before[i].noise[n], e.after[i].noise[n]) for n in e.problem.names}
        shares = {
            n: noise[n] / e.before[i].residual_rms[n] if e.before[i].residual_rms[n] > 0 else 0.0
            for n in noise
        }
        name = max(shares, key=lambda n: shares[n])
        return shares[name], name

    share = e.share(lambda i: floor(i)[0] > ROUNDING)
    if not e.enough(share):
        return None
    size, name = e.median(lambda i: floor(i)[0]), floor(0)[1]
    severity = Severity.SEVERE if size > ROUNDING_SEVERE else Severity.MODERATE
    sentence = (
        f"Precision: rounding in {e.recipe.dtype} is {percent(size)} of the residual of '{name}' that "
        "training starts from, and the loss cannot fall below it."
    )
    reason = "Large numbers cancel in the residual, and their last digits are all that is left."
    evidence = {
        "rounding of the residual (rms)": e.median(lambda i: e.after[i].noise[name]),
        "residual before training (rms)": e.median(lambda i: e.before[i].residual_rms[name]),
        "residual after the baseline (rms)": e.median(lambda i: e.after[i].residual_rms[name]),
    }
    return Finding(
        Illness.PRECISION, severity, share, sentence, reason, evidence, "losses", cure.double(e)
    )


def _badly_scaled(m: Measures) -> bool:
    half, largest = m.extents
    swing = m.units.swing
    odd = swing is None or not SWING[0] <= swing <= SWING[1]
    return odd and (largest > ORDER_ONE or half < 1 / ORDER_ONE)


def scaling(e: Evidence) -> Finding | None:
    """Inputs or outputs far from order one."""
    share = e.share(lambda i: _badly_scaled(e.before[i]))
    if e.enough(share):
        half, largest = e.before[0].extents
        swing = e.median(lambda i: e.before[i].units.swing or math.nan)
        evidence = {
            "largest input": largest,
            "smallest half-range of an input": half,
            "range of a first unit's argument": swing,
        }
        what = (
            f"reach {number(largest)}, so that most units are saturated"
            if largest > ORDER_ONE
            else f"vary by {number(half)} only, so that units hardly bend"
        )
        sentence = f"Scaling: the network's inputs {what}."
        reason = "Initialisations are made for inputs of order one."
        return Finding(
            Illness.SCALING,
            Severity.SEVERE,
            share,
            sentence,
            reason,
            evidence,
            "maps",
            cure.rescale_inputs(e),
        )
    wanted = e.median(lambda i: _wanted(e, i))
    off = lambda i, factor: not 1 / factor <= _wanted(e, i) <= factor
    share = e.share(lambda i: off(i, e.orders(ORDER_ONE)))
    if not e.enough(share):
        return None
    fails = lambda i: off(i, ORDER_ONE_SEVERE) or (off(i, ORDER_ONE) and bool(e.stuck(i)))
    severe = e.enough(e.share(fails))
    evidence = {
        "size of the solution asked for (rms)": wanted,
        "size of the untrained network (rms)": e.median(lambda i: e.before[i].field_rms),
    }
    sentence = (
        f"Scaling: the solution asked for is of size {number(wanted)}, while a network starts at order "
        "one."
    )
    reason = (
        "Steps of one size must build outputs of another, and the losses weigh by the square of "
        "the unit."
    )
    severity = Severity.SEVERE if severe else Severity.MODERATE
    return Finding(
        Illness.SCALING,
        severity,
        share,
        sentence,
        reason,
        evidence,
        "maps",
        cure.rescale_outputs(e, wanted),
    )


def _wanted(e: Evidence, draw: int) -> float:
    """Of the sizes asked for before and after the baseline that which is nearer to one."""
    sizes = [e.before[draw].linearised.wanted_rms, e.after[draw].linearised.wanted_rms]
    return min(sizes, key=lambda size: abs(math.log(size)) if size > 0 else math.inf)


def _quoted(names: list[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)
