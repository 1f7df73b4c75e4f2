"""The plug point of policies: a section of the file, checked against a package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from starfreight.packager.provenance.policy.policy import Policy
from starfreight.packager.provenance.verify.interface import Examined, Finding


class Section(Protocol):
    """A section of a policy."""

    def findings(self, policy: Policy, examined: Examined) -> Iterator[Finding]:
        """Look at a package. Nothing if the policy lacks the section, and else at least one finding.

        Raises:
            GateError: a part of the package cannot be read.
        """
        ...


def refused(policy: Policy, key: str, what: str, fix: str) -> Finding:
    """A refusal by a key of the policy."""
    return Finding("refused", what, where=f"{policy.where}, key {key}", fix=fix, data={"key": key})


def passed(key: str, what: str) -> Finding:
    """A key of the policy that is met."""
    return Finding("passed", what, data={"key": key})
