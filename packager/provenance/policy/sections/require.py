"""``require``: evidence that a package has to have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from starfreight.console import human_count
from starfreight.packager.provenance.policy.models import Required
from starfreight.packager.provenance.policy.policy import Policy
from starfreight.packager.provenance.policy.sections.figures import counted_evaluations
from starfreight.packager.provenance.policy.sections.interface import passed, refused
from starfreight.packager.provenance.verify.interface import Examined, Finding

_DAY = 86_400
_SIGN = "sign it: starfreight package sign; or name its signer in signers, --key or --identity"
_EVALUATE = "evaluate it: starfreight jobs evaluate; and sign it again"


class RequireSection:
    """Signatures, bill of materials, evaluation, source and age."""

    def findings(self, policy: Policy, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Section.findings`."""
        rules = policy.file.require
        if rules is None:
            return
        if rules.signed:
            if examined.signatures.verified:
                yield passed("require.signed", "The package is signed.")
            else:
                what = "The package is not signed by a trusted signer."
                yield refused(policy, "require.signed", what, _SIGN)
        if rules.bom:
            if examined.package.bom is not None:
                yield passed("require.bom", "The package has a bill of materials.")
            else:
                what = "The package has no bill of materials."
                yield refused(policy, "require.bom", what, "build it again with this version of Starfreight")
        if rules.evaluation:
            default = examined.package.default
            if counted_evaluations(policy, examined).of(default):
                yield passed("require.evaluation", f"The default variant {default} was evaluated.")
            else:
                signed = "signed " if policy.file.signers else ""
                what = f"The default variant {default} has no {signed}evaluation."
                yield refused(policy, "require.evaluation", what, _EVALUATE)
        if rules.source_commit:
            yield _source(policy, examined)
        if rules.not_older_than is not None:
            yield _age(policy, rules, examined)


def _source(policy: Policy, examined: Examined) -> Finding:
    key = "require.source_commit"
    commit = examined.provenance.source_commit if examined.provenance else None
    if commit is None:
        what = "The package does not name the commit of its recipe."
        return refused(policy, key, what, "train from a git repository")
    if commit.dirty is not False:
        what = f"The recipe differs from the commit {commit.commit}, or may do so."
        return refused(policy, key, what, "commit all changes, then train and build again")
    return passed(key, f"The recipe is of the commit {commit.commit}.")


def _age(policy: Policy, rules: Required, examined: Examined) -> Finding:
    assert rules.not_older_than is not None
    created = datetime.fromisoformat(examined.package.created)
    age = (datetime.now(UTC) - created).total_seconds()
    if age > rules.not_older_than:
        limit = rules.not_older_than / _DAY
        old = human_count(age / _DAY, "days")
        what = f"The package is {old} old; the limit is {limit:g} day{'s' if limit != 1 else ''}."
        return refused(policy, "require.not_older_than", what, "use a newer release")
    return passed("require.not_older_than", f"The package is of {created:%Y-%m-%d}.")
