"""``builders``: the builder, its images and its workflow."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.packager.provenance.policy.models import Builder
from starfreight.packager.provenance.policy.policy import Policy
from starfreight.packager.provenance.policy.sections.interface import passed, refused
from starfreight.packager.provenance.trust.pattern import matches
from starfreight.packager.provenance.verify.interface import Examined, Finding
from starfreight.pages.visible_text import shortened, visible

_KEY = "builders"
_FIX = "use a package of an allowed builder, or add it to the policy"


class BuildersSection:
    """Claims of the statement; the workflow is taken from the signer's certificate, if there is one."""

    def findings(self, policy: Policy, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Section.findings`."""
        rules = policy.file.builders
        if rules is None:
            return
        if examined.provenance is None:
            yield refused(policy, _KEY, "The package has no statement that names its builder.", _FIX)
            return
        workflows = _workflows(policy, examined)
        reasons = [_misfit(rule, examined, workflows) for rule in rules]
        if None in reasons:
            yield passed(_KEY, f"The builder is allowed: {_shown(examined.provenance.builder)}.")
        else:
            yield refused(policy, _KEY, f"The package {reasons[0]}.", _FIX)


def _misfit(rule: Builder, examined: Examined, workflows: tuple[str, ...]) -> str | None:
    """``None`` if the rule is met; else completes the sentence "The package ..."."""
    provenance = examined.provenance
    assert provenance is not None
    if rule.id is not None and not matches(rule.id, provenance.builder):
        return f"was made by the builder {_shown(provenance.builder)}, which is not allowed"
    if rule.images is not None:
        wrong = [
            f"{part} {digest}" for part, digest in provenance.images.items() if digest not in rule.images
        ]
        if wrong:
            return f"was made in an image that is not allowed: {_shown(', '.join(wrong))}"
        if not provenance.images:
            return "was not made in a container image, or its statement does not name it"
    if rule.workflow is not None:
        if not workflows:
            return "names no workflow that built it"
        if not all(matches(rule.workflow, each) for each in workflows):
            return f"was made by the workflow {_shown(workflows[0])}, which is not allowed"
    return None


def _workflows(policy: Policy, examined: Examined) -> tuple[str, ...]:
    """The workflow in each certificate; without certificates, the one that the statement claims."""
    certified = [
        each.signer.claims.get("build_signer_uri") or each.signer.identity or ""
        for each in policy.signatures(examined.signatures)
        if each.signer.kind != "key"
    ]
    if certified:
        return tuple(dict.fromkeys(certified))
    invoker = (examined.provenance.invoker if examined.provenance else None) or {}
    workflow, repository = str(invoker.get("workflow") or ""), str(invoker.get("repository") or "")
    if not workflow:
        return ()
    # GitHub names workflows with their repository, without the server.
    server = repository.partition("://")
    host = f"{server[0]}://{server[2].partition('/')[0]}/" if server[2] else ""
    return (f"{host}{workflow}" if host and "://" not in workflow else workflow,)


def _shown(text: str) -> str:
    return shortened(visible(text), 300)
