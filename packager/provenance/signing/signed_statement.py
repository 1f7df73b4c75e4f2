"""The statements that are signed: the package's own, with its manifests among their subjects.

    for statement in statements_to_sign(package, ImageLayout(folder)):
        print(statement.predicate_type, [manifest.digest for manifest in statement.manifests])

The statements inside a package cannot name the manifests, since manifests name them. Clients pull manifests,
and verifiers ask about their digests. So a signed statement has the same predicate and more subjects.
Deterministic: equal packages have equal payloads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from starfreight.errors import GateError
from starfreight.evaluation_statement import FIGURES, STATEMENT
from starfreight.files import canonical_json
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor, Package, Variant
from starfreight.package_evaluations import (
    GATE_ANNOTATION,
    MAX_READ_BYTES,
    SCORES,
    evidence_kind,
)
from starfreight.strict_json import strict_loads

MAX_SUBJECTS = 1024
"""Verifiers in Go refuse more."""

BOM_PREDICATE = "https://cyclonedx.org/bom"
_MAX_STATEMENT_BYTES = 1 << 29
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


@dataclass(frozen=True)
class SignedStatement:
    """A statement to sign.

    Attributes:
        predicate_type: its ``predicateType``.
        payload: the statement, as canonical JSON.
        manifests: those to attach its bundle to.
    """

    predicate_type: str
    payload: bytes
    manifests: tuple[Descriptor, ...]


def statements_to_sign(package: Package, layout: ImageLayout) -> tuple[SignedStatement, ...]:
    """The statements of a package: provenance, bill of materials, figures and verdicts, in this order.

    Those of the whole package name every GGUF file, the adapter and every manifest. Figures and verdicts name
    their files and the manifests of their variant.

    Args:
        package: the record.
        layout: the package's files; models are not read.

    Raises:
        GateError: a part is missing or damaged, is not a statement, or would have too many subjects.
    """
    provenance = layout.read(package.provenance, _MAX_STATEMENT_BYTES)
    payload = signed_statement(package, provenance, layout.where(package.provenance))
    statement = strict_loads(payload)
    manifests = tuple(
        dict.fromkeys(each.manifest for variant in package.variants for each in variant.manifests)
    )
    found = [SignedStatement(str(statement["predicateType"]), payload, manifests)]
    if package.bom is not None:
        where = layout.where(package.bom)
        bom = {
            "_type": STATEMENT,
            "subject": statement["subject"],
            "predicateType": BOM_PREDICATE,
            "predicate": _object(layout.read(package.bom, _MAX_STATEMENT_BYTES), where),
        }
        found.append(SignedStatement(BOM_PREDICATE, canonical_json(bom), manifests))
    budget = MAX_READ_BYTES
    for variant in package.variants:
        for kind, blob in _evidence(package, variant, layout):
            budget -= blob.size
            where = layout.where(blob)
            if budget < 0:
                raise GateError(
                    f"The package's evaluations have more than {MAX_READ_BYTES:,} bytes.",
                    where=where,
                    fix="build the package again and attach fewer",
                )
            data = _with_subjects(layout.read(blob, MAX_READ_BYTES), _named([variant]), where)
            found.append(SignedStatement(kind, data, tuple(each.manifest for each in variant.manifests)))
    return tuple(found)


def signed_statement(package: Package, provenance: bytes, where: str) -> bytes:
    """The provenance to sign, as canonical JSON.

    Args:
        package: the record.
        provenance: the package's own statement.
        where: the package, for errors.

    Raises:
        GateError: the package's statement is not one, or would have too many subjects.
    """
    return _with_subjects(provenance, _named(package.variants), where)


def _with_subjects(data: bytes, more: list[dict[str, Any]], where: str) -> bytes:
    """A statement with more subjects."""
    statement = _object(data, where)
    subjects = statement.get("subject")
    if (
        not isinstance(subjects, list)
        or not isinstance(statement.get("predicateType"), str)
        or "predicate" not in statement
        or not all(map(_is_subject, subjects))
    ):
        raise GateError(
            "The statement is not an in-toto statement about files, with a predicate.",
            where=where,
            fix="build the package again from its run",
        )
    subjects = [*subjects, *more]
    if len(subjects) > MAX_SUBJECTS:
        raise GateError(
            f"The statement would have {len(subjects):,} subjects; verifiers accept {MAX_SUBJECTS:,}.",
            where=where,
            fix="build fewer quantizations",
        )
    return canonical_json({**statement, "subject": subjects})


def _object(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = strict_loads(data)
    except ValueError as error:
        raise GateError(
            f"A statement of the package is not valid JSON: {error}.",
            where=where,
            fix="build the package again from its run",
        ) from error
    if not isinstance(value, dict):
        raise GateError(
            "A statement of the package is not a JSON object.",
            where=where,
            fix="build the package again from its run",
        )
    return value


def _is_subject(value: Any) -> bool:
    """True for a resource with digests in hexadecimal: verifiers in Go refuse others."""
    digests = value.get("digest") if isinstance(value, dict) else None
    return (
        isinstance(digests, dict)
        and bool(digests)
        and all(isinstance(each, str) and _HEX.fullmatch(each) for each in digests.values())
    )


def _named(variants: Iterable[Variant]) -> list[dict[str, Any]]:
    """The manifests of variants as subjects."""
    return [
        {
            "name": f"{variant.tag}{each.suffix}",
            "digest": {"sha256": each.manifest.digest.removeprefix("sha256:")},
        }
        for variant in variants
        for each in variant.manifests
    ]


def _evidence(package: Package, variant: Variant, layout: ImageLayout) -> Iterator[tuple[str, Descriptor]]:
    """Predicate and blob of each statement about a variant's evaluations, in the package's order."""
    subjects = {each.manifest.digest for each in variant.manifests}
    seen = set()
    for attachment in package.attachments:
        found = evidence_kind(layout, attachment) if attachment.subject in subjects else None
        if found is None or found[0] == SCORES or found in seen:
            continue
        seen.add(found)
        # Results of other programs' tests are theirs to sign.
        if found[0] == FIGURES or GATE_ANNOTATION in layout.manifest(attachment.manifest).annotations:
            yield found
