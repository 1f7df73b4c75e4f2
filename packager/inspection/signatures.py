"""The signatures: who signed, checked or by the bundles' own account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from starfreight.errors import GateError
from starfreight.evaluation_statement import FIGURES
from starfreight.package import Attachment
from starfreight.package_evaluations import TEST_RESULT
from starfreight.packager.inspection.interface import Inspected, Shown
from starfreight.packager.provenance.signing.bundle import MAX_BUNDLE_BYTES, MEDIA_TYPE, parse_bundle
from starfreight.packager.provenance.signing.claimed_signer import claimed_signer
from starfreight.packager.provenance.signing.signed_statement import BOM_PREDICATE
from starfreight.packager.provenance.statement import PREDICATE_TYPE as PROVENANCE
from starfreight.packager.provenance.withdrawal.statement import WITHDRAWAL
from starfreight.pages.visible_text import shortened, visible
from starfreight.strict_json import strict_loads

_MOST_READ = 200
"""Distinct bundles that are read for their signers' names; one statement is signed for many manifests."""
_MOST_LINES = 12
_KINDS = {
    PROVENANCE: "provenance",
    BOM_PREDICATE: "bill of materials",
    FIGURES: "figures",
    TEST_RESULT: "quality gate",
    WITHDRAWAL: "withdrawal",
}


@dataclass
class _Claim:
    predicates: set[str] = field(default_factory=set)
    manifests: set[str] = field(default_factory=set)


def signatures(inspected: Inspected) -> Shown:
    """See :class:`~starfreight.packager.inspection.interface.Section`."""
    report = inspected.signatures
    bundles = [each for each in inspected.package.attachments if each.artifact_type == MEDIA_TYPE]
    claims: list[dict[str, Any]] = [
        {"signer": signer, "predicate_types": sorted(claim.predicates), "manifests": len(claim.manifests)}
        for signer, claim in _claims(inspected, bundles)
    ]
    checked = report is not None and report.checked
    data: dict[str, Any] = {
        "bundles": len(bundles),
        "checked": checked,
        "signed": report.verified if report is not None and checked else None,
        "signers": [each.as_dict() for each in report.signers] if report is not None and checked else [],
        "problems": list(report.problems) if report is not None else [],
        "claimed": claims,
    }
    if not bundles:
        lines = ["UNSIGNED: nothing proves who made the package"]
    elif report is not None and checked:
        lines = [f"checked: signed by {each.in_words()}" for each in report.signers]
        lines += [f"WRONG: {problem}" for problem in report.problems[:_MOST_LINES]]
        if report.unsigned:
            lines.append(
                f"NOT SIGNED by a trusted signer: manifests {', '.join(report.unsigned[:_MOST_LINES])}"
            )
        if report.unknown:
            lines.append(f"bundles of other signers, which prove nothing: {report.unknown:,}")
    else:
        lines = ["NOT CHECKED: the names are claims. To check them: --key, or --identity with --issuer"]
        for claim in claims[:_MOST_LINES]:
            kinds = ", ".join(_KINDS.get(each, each) for each in claim["predicate_types"]) or "unreadable"
            lines.append(f"{claim['signer']}: {kinds}")
        if (more := len(claims) - _MOST_LINES) > 0:
            lines.append(f"and {more:,} more with --json")
    return Shown("Signatures", [shortened(visible(line), 600) for line in lines], {"signatures": data})


def _claims(inspected: Inspected, bundles: list[Attachment]) -> Iterator[tuple[str, _Claim]]:
    """The signers that bundles name, with the kinds of statements and the manifests that they are about."""
    found: dict[str, _Claim] = {}
    known: dict[str, tuple[str, str | None] | None] = {}
    for each in bundles:
        layers = inspected.layout.manifest(each.manifest).layers
        if len(layers) != 1:
            continue
        (layer,) = layers
        if layer.digest not in known:
            if len(known) >= _MOST_READ:
                continue
            try:
                data = inspected.layout.read(layer, MAX_BUNDLE_BYTES)
                bundle = parse_bundle(data, inspected.layout.where(layer))
                known[layer.digest] = claimed_signer(bundle), _predicate(bundle.payload)
            except GateError:
                known[layer.digest] = None
        if (read := known[layer.digest]) is None:
            continue
        signer, predicate = read
        claim = found.setdefault(signer, _Claim())
        claim.manifests.add(each.subject)
        if predicate is not None:
            claim.predicates.add(predicate)
    yield from found.items()


def _predicate(payload: bytes) -> str | None:
    try:
        statement = strict_loads(payload)
    except ValueError:
        return None
    found = statement.get("predicateType") if isinstance(statement, dict) else None
    return shortened(visible(found), 200) if isinstance(found, str) else None
