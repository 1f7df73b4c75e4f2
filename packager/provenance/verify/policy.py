"""Check: the policy that the user gave."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.packager.provenance.verify.interface import Examined, Finding


class PolicyCheck:
    """Every section of the policy is met."""

    name = "policy"

    def findings(self, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Check.findings`."""
        policy = examined.policy
        if policy is None:
            yield Finding("noted", "No policy was given.")
            return
        from starfreight.packager.provenance.policy.sections.table import SECTIONS

        found = [finding for section in SECTIONS for finding in section.findings(policy, examined)]
        yield from found or [Finding("noted", "The policy has no rules.", where=policy.where)]
