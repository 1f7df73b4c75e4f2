"""Check that clients of the registry find the evidence of a package."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.console import human_count
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE
from starfreight.packager.provenance.verify.interface import Examined, Finding


class ReferrersCheck:
    """Compares the registry's list of referrers with the record.

    cosign, gh and admission controllers know only that list. Without a signature in it, the package would
    verify here, since the record names the signature, and be unsigned for everybody else.
    """

    name = "referrers"

    def findings(self, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Check.findings`."""
        lost = examined.unlisted
        if lost:
            signatures = sum(each.artifact_type == MEDIA_TYPE for each in lost)
            kinds = f", {signatures:,} of them signatures" if signatures else ""
            yield Finding(
                "refused",
                f"The registry does not list {len(lost):,} of the package's attachments{kinds}.",
                where=f"{examined.where}, referrers of {lost[0].subject}",
                fix="publish the package again, and find out who changed the registry's list of referrers",
                data={"unlisted": [each.manifest.digest for each in lost]},
            )
        if examined.left_out:
            yield Finding(
                "noted",
                f"The registry lists {human_count(examined.left_out, 'attachments')} of other programs; "
                "none was checked.",
                data={"left_out": examined.left_out},
            )
        if not lost:
            count = len(examined.package.attachments)
            every = "The only attachment" if count == 1 else f"All {count:,} attachments"
            are = "is" if count == 1 else "are"
            yield Finding(
                "passed", f"{every} of the package {are} in {'its' if count == 1 else 'their'} place."
            )
