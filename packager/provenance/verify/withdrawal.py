"""Check: the release is not withdrawn."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.packager.provenance.verify.interface import Examined, Finding
from starfreight.packager.provenance.withdrawal.read import read_withdrawals


class WithdrawalCheck:
    """Nobody has withdrawn the release."""

    name = "withdrawal"

    def findings(self, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Check.findings`."""
        found = read_withdrawals(examined.package, examined.layout, examined.signatures)
        for each in found:
            instead = f"use {each.superseded_by} instead" if each.superseded_by else "use another release"
            yield Finding(
                "refused",
                each.as_sentence(),
                examined.where,
                f"{instead}, and ask its maker",
                each.as_dict(),
            )
        if not found:
            yield Finding("passed", "No withdrawal of this release is attached to it.")
