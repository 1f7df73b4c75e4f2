"""``figures``: bounds on the figures of evaluations. With ``signers``, only signed ones count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from starfreight.evaluation_statement import FIGURES
from starfreight.files import canonical_json
from starfreight.package_evaluations import PackagedEvaluation, PackageEvaluations, read_evaluations
from starfreight.packager.evaluation.quality import check_quality
from starfreight.packager.provenance.policy.policy import Policy
from starfreight.packager.provenance.policy.sections.interface import passed, refused
from starfreight.packager.provenance.verify.interface import Examined, Finding
from starfreight.pages.visible_text import visible
from starfreight.strict_json import strict_loads

_MEASURE = (
    "evaluate the package with these suites, and sign it again: starfreight jobs evaluate, package sign"
)
_MISSED = "use a package that meets the bound, or change the policy"


class FiguresSection:
    """The rules of a quality gate, as the recipe's ``package.quality`` has them."""

    def findings(self, policy: Policy, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Section.findings`."""
        rules = policy.file.figures
        if rules is None:
            return
        evaluations = counted_evaluations(policy, examined)
        verdict = check_quality(
            rules, examined.package, evaluations, lambda each: each.load_scores(examined.folder)
        )
        ignored = len(read_evaluations(examined.folder, examined.package).evaluations)
        ignored -= len(evaluations.evaluations)
        are = "evaluation is" if ignored == 1 else "evaluations are"
        unsigned = f" ({ignored} {are} not signed by a signer of the policy)" if ignored else ""
        for each in verdict.outcomes:
            what = visible(f"{each.name}: {each.reason}{'' if each.measured else unsigned}.")
            if each.result == "FAILED":
                yield refused(policy, "figures", what, _MISSED if each.measured else _MEASURE)
            else:
                found = passed("figures", what)
                yield replace(found, level="noted") if each.result == "WARNED" else found


def counted_evaluations(policy: Policy, examined: Examined) -> PackageEvaluations:
    """The evaluations that count: all of them, or with ``signers`` those that one of these signed."""
    found = read_evaluations(examined.folder, examined.package)
    if policy.file.signers is None:
        return found
    signed = {
        canonical_json(strict_loads(each.payload)["predicate"])
        for each in policy.signatures(examined.signatures)
        if each.predicate_type == FIGURES
    }
    kept = tuple(
        replace(each, signed=True) for each in found.evaluations if _predicate(each, examined) in signed
    )
    return replace(found, evaluations=kept)


def _predicate(evaluation: PackagedEvaluation, examined: Examined) -> bytes:
    data = examined.layout.read(evaluation.statement, evaluation.statement.size)
    return canonical_json(strict_loads(data)["predicate"])
