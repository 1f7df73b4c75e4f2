"""Check: the signatures of the signers that the user trusts."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.console import human_count
from starfreight.packager.provenance.signing.signed_statement import BOM_PREDICATE
from starfreight.packager.provenance.signing.verified import SignatureReport
from starfreight.packager.provenance.verify.interface import Examined, Finding

_SIGN = "sign it: starfreight package sign; or name its signer: --key, or --identity and --issuer"
_GET = "get the package again from its source, and ask its signer"


class SignaturesCheck:
    """Every manifest is signed by a trusted signer, and nothing that a trusted signer signed is wrong."""

    name = "signatures"

    def findings(self, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Check.findings`."""
        report = examined.signatures
        if not report.checked:
            yield _unchecked(report, examined)
            return
        for problem in report.problems:
            yield Finding("refused", problem, examined.where, _GET)
        if report.unsigned:
            yield Finding("refused", _unsigned(report), examined.where, _SIGN)
        if report.verified:
            signers = " and ".join(each.in_words() for each in report.signers)
            manifests = len({each.subject for each in report.signatures})
            every = "Its manifest is" if manifests == 1 else f"All {manifests} manifests are"
            yield Finding(
                "passed",
                f"{every} signed by {signers}.",
                data={
                    "signers": [each.as_dict() for each in report.signers],
                    "signatures": len(report.signatures),
                    "predicate_types": sorted({each.predicate_type for each in report.signatures}),
                },
            )
            if BOM_PREDICATE in report.unsigned_statements:
                yield Finding("noted", "The bill of materials is not signed.", examined.where)
        if report.unknown:
            one = report.unknown == 1
            are, prove = ("bundle is", "proves") if one else ("bundles are", "prove")
            yield Finding(
                "noted",
                f"{report.unknown} {are} not of a trusted signer, and {prove} nothing here.",
                data={"unknown": report.unknown, "reasons": list(report.untrusted)},
            )


def _unchecked(report: SignatureReport, examined: Examined) -> Finding:
    if not report.unknown:
        what = "The package is not signed: nothing proves who made it."
    else:
        are = "is" if report.unknown == 1 else "are"
        bundles = human_count(report.unknown, "bundles")
        what = f"{bundles} {are} attached, and no signature was checked: no signer to trust was named."
    return Finding("noted", what, examined.where, data={"checked": False, "bundles": report.unknown})


def _unsigned(report: SignatureReport) -> str:
    few, more = report.unsigned[:5], len(report.unsigned) - 5
    tags = ", ".join(few) + (f" and {more} more" if more > 0 else "")
    manifests = f"manifest {tags} is" if len(report.unsigned) == 1 else f"manifests {tags} are"
    reasons = f" {' '.join(report.untrusted[:3])}" if report.untrusted else ""
    return f"The {manifests} not signed by a trusted signer.{reasons}"
