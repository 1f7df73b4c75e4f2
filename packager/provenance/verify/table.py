"""The checks of ``package verify``, in the order of the page. A new one is one file and one line here."""

from __future__ import annotations

from starfreight.packager.provenance.verify.interface import Check


def all_checks() -> tuple[Check, ...]:
    """Every check."""
    from starfreight.packager.provenance.verify.bom import BomCheck
    from starfreight.packager.provenance.verify.duties import DutiesCheck
    from starfreight.packager.provenance.verify.evaluations import EvaluationsCheck
    from starfreight.packager.provenance.verify.policy import PolicyCheck
    from starfreight.packager.provenance.verify.referrers import ReferrersCheck
    from starfreight.packager.provenance.verify.signatures import SignaturesCheck
    from starfreight.packager.provenance.verify.training_data import TrainingDataCheck
    from starfreight.packager.provenance.verify.withdrawal import WithdrawalCheck

    return (
        SignaturesCheck(),
        WithdrawalCheck(),
        ReferrersCheck(),
        TrainingDataCheck(),
        BomCheck(),
        EvaluationsCheck(),
        DutiesCheck(),
        PolicyCheck(),
    )
