"""Rounding against what the residual is."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pinntk.diagnosis.code import changed_code
from pinntk.diagnosis.evidence import Evidence
from pinntk.diagnosis.finding import AbstractFinding, Found, Proposal, Severity
from pinntk.diagnosis.remedies import natural_gradient
from pinntk.training import Setup
from pinntk.words import number, percent


@dataclasses.dataclass(frozen=True)
class Precision(AbstractFinding):
    """Rounding of the residual against the residual of the untrained network; reduced products."""

    name: ClassVar[str] = "precision"

    #: Rounding over the residual of the untrained network: the relative error below which no training
    #: in this precision can go. PINNs routinely reach 1e-3.
    rounding: float = 1e-3
    #: It is severe where a tenth of those digits is lost.
    severe: float = 1e-2
    #: Relative error of a matrix product that calls its precision reduced: between float32's 1e-7 and the
    #: 5e-4 of TF32, in the middle of the decimal orders.
    products: float = 1e-5

    def judge(self, evidence: Evidence) -> Found | None:
        e = evidence
        product_error = e.measured(_product_error)
        if product_error > self.products:
            return Found(
                self.name,
                Severity.SEVERE,
                1.0,
                f"Precision: matrix products are off by {number(product_error)} on this device, less "
                f"exact than {e.setup.dtype} can be.",
                "The accelerator rounds factors before it multiplies; second derivatives suffer most.",
                {"relative error of a matrix product": product_error},
                "losses",
                e.proposals(exact_products),
            )

        def floor(i: int) -> tuple[float, str]:
            noise = {n: max(e.before[i].noise[n], e.after[i].noise[n]) for n in e.problem.names}
            rms = e.before[i].residual_rms
            shares = {n: noise[n] / rms[n] if rms[n] > 0 else 0.0 for n in noise}
            name = max(shares, key=lambda n: shares[n])
            return shares[name], name

        share = e.share(lambda i: floor(i)[0] > self.rounding)
        if not e.enough(share):
            return None
        size, name = e.median(lambda i: floor(i)[0]), floor(0)[1]
        return Found(
            self.name,
            Severity.SEVERE if size > self.severe else Severity.MODERATE,
            share,
            f"Precision: rounding in {e.setup.dtype} is {percent(size)} of the residual of '{name}' that "
            "training starts from, and the loss cannot fall below it.",
            "Large numbers cancel in the residual, and their last digits are all that is left.",
            {
                "rounding of the residual (rms)": e.median(lambda i: e.after[i].noise[name]),
                "residual before training (rms)": e.median(
                    lambda i: e.before[i].residual_rms[name]
                ),
                "residual after the baseline (rms)": e.median(
                    lambda i: e.after[i].residual_rms[name]
                ),
            },
            "losses",
            e.proposals(double, natural_gradient),
        )


def _product_error(evidence: Evidence) -> float:
    return evidence.subject.product_error()


def double(setup: Setup, evidence: Evidence) -> Proposal:
    """Compute in float64."""
    del evidence
    rewrite = "rewrite the residual so that large numbers do not cancel."
    if setup.dtype == "float64":
        return Proposal(f"{rewrite[:1].upper()}{rewrite[1:]}")
    changed = setup.replace(dtype="float64")
    text = f"Compute in float64, or {rewrite}"
    return Proposal(text, changed, changed_code(setup, changed), "float64")


def exact_products(setup: Setup, evidence: Evidence) -> Proposal:
    """Matrix products in full precision."""
    del setup, evidence
    return Proposal(
        "Ask for full precision of matrix products.",
        None,
        'jax.config.update("jax_default_matmul_precision", "highest")',
    )
