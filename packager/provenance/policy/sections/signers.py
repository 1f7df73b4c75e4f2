"""``signers``: each manifest is signed by one of the policy's signers."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.packager.provenance.policy.policy import Policy
from starfreight.packager.provenance.policy.sections.interface import passed, refused
from starfreight.packager.provenance.statement import PREDICATE_TYPE
from starfreight.packager.provenance.verify.interface import Examined, Finding


class SignersSection:
    """Signers on the command line are no substitute for the policy's."""

    def findings(self, policy: Policy, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Section.findings`."""
        if policy.file.signers is None:
            return
        signatures = policy.signatures(examined.signatures)
        signed = {each.subject for each in signatures if each.predicate_type == PREDICATE_TYPE}
        missing = [
            f"{variant.tag}{each.suffix}"
            for variant in examined.package.variants
            for each in variant.manifests
            if each.manifest.digest not in signed
        ]
        if missing:
            what = f"Not signed by a signer of the policy: {', '.join(missing[:5])}"
            what += f" and {len(missing) - 5} more." if len(missing) > 5 else "."
            yield refused(
                policy, "signers", what, "have one of these signers sign it, or ask for its release"
            )
            return
        names = dict.fromkeys(each.signer.in_words() for each in signatures)
        yield passed("signers", f"The signer is allowed: {', '.join(names)}.")
