"""``bases``: the base model is one of the allowed ones."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.package import BaseOrigin
from starfreight.packager.provenance.policy.models import BaseModelRule
from starfreight.packager.provenance.policy.policy import Policy
from starfreight.packager.provenance.policy.sections.interface import passed, refused
from starfreight.packager.provenance.trust.pattern import matches
from starfreight.packager.provenance.verify.interface import Examined, Finding
from starfreight.pages.visible_text import visible


class BasesSection:
    """Names with optional revisions and digests."""

    def findings(self, policy: Policy, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Section.findings`."""
        rules, base = policy.file.bases, examined.package.base
        if rules is None:
            return
        reasons = [_misfit(rule, base) for rule in rules]
        name = visible(base.name)
        if None in reasons:
            yield passed("bases", f"The base model {name} is allowed.")
            return
        # That of a rule with this name tells more than the name itself.
        reason = next((each for each in reasons if each), "is not in the list")
        what = f"The base model {name} {reason}."
        yield refused(
            policy, "bases", what, "use a package of an allowed base model, or add it to the policy"
        )


def _misfit(rule: BaseModelRule, base: BaseOrigin) -> str | None:
    """``None`` if the rule allows the base; "" if it is about others; else completes "The base model ..."."""
    if not matches(rule.name, base.name):
        return ""
    if rule.revision is not None and rule.revision != base.revision:
        return f"has the revision {base.revision or '(none)'}, where {rule.revision} is allowed"
    if rule.digest is not None and rule.digest != base.digest:
        return f"has the digest {base.digest}, where {rule.digest} is allowed"
    return None
