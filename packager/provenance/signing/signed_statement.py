"""The statement that is signed: the package's provenance about its files and its manifests.

The statement inside a package cannot name the manifests, since they name it. Clients pull manifests, and
verifiers ask about their digests. So the signed statement has the same predicate and more subjects.
"""

from __future__ import annotations

import json
from typing import Any

from starfreight.errors import GateError
from starfreight.package import Package
from starfreight.strict_json import strict_loads

MAX_SUBJECTS = 1024
"""Verifiers in Go refuse more."""


def signed_statement(package: Package, provenance: bytes, where: str) -> bytes:
    """The statement to sign, as canonical JSON.

    Args:
        package: the record.
        provenance: the package's own statement.
        where: the package, for errors.

    Raises:
        GateError: the package's statement is not one, or would have too many subjects.
    """
    try:
        statement: Any = strict_loads(provenance)
        subjects = [*statement["subject"], *_manifests(package)]
        predicate = statement["predicate"]
    except (ValueError, LookupError, TypeError) as error:
        raise GateError(
            "The package's provenance statement is not an in-toto statement with a predicate.",
            where=where,
            fix="build the package again from its run",
        ) from error
    if len(subjects) > MAX_SUBJECTS:
        raise GateError(
            f"The statement would have {len(subjects):,} subjects; verifiers accept {MAX_SUBJECTS:,}.",
            where=where,
            fix="build fewer quantizations",
        )
    signed = {**statement, "subject": subjects, "predicate": predicate}
    return json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _manifests(package: Package) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{variant.tag}{each.suffix}",
            "digest": {"sha256": each.manifest.digest.removeprefix("sha256:")},
        }
        for variant in package.variants
        for each in variant.manifests
    ]
