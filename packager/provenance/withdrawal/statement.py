"""The statement of a withdrawal: an in-toto statement about every file and manifest of a package."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from starfreight.errors import InputError
from starfreight.files import canonical_json
from starfreight.package import Line, Package
from starfreight.packager.provenance.signing.signed_statement import MAX_SUBJECTS
from starfreight.records import Part
from starfreight.strict_json import strict_loads

WITHDRAWAL = "https://starfreight.dev/predicates/withdrawal/v1"
MAX_REASON = 2000
MAX_STATEMENT_BYTES = 1 << 20

_HEX = r"^[0-9a-f]{64}$"


class _PackageName(Part):
    name: Line
    run: Line
    created: Line


class _Predicate(Part):
    package: _PackageName
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON)]
    withdrawnOn: Annotated[str, Field(pattern=r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9](:[0-5][0-9]){2}Z$")]
    supersededBy: Annotated[str, Field(min_length=1, max_length=1000)] | None = None


class _Digest(Part):
    sha256: Annotated[str, Field(pattern=_HEX)]


class _Subject(Part):
    name: Annotated[str, Field(max_length=1000)]
    digest: _Digest


class WithdrawalStatement(Part):
    """A withdrawal. Unknown keys are refused."""

    type_: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[tuple[_Subject, ...], Field(min_length=1, max_length=1024)]
    predicateType: Literal["https://starfreight.dev/predicates/withdrawal/v1"]
    predicate: _Predicate

    @property
    def subjects(self) -> frozenset[str]:
        """Digests of the files and manifests that are withdrawn."""
        return frozenset(f"sha256:{each.digest.sha256}" for each in self.subject)


def withdrawal_statement(package: Package, reason: str, superseded_by: str | None, now: datetime) -> bytes:
    """The statement to sign, as canonical JSON.

    Its subjects come from the record alone, so that no statement in a package can have other releases
    withdrawn.

    Args:
        package: the record.
        reason: for people.
        superseded_by: reference of the release to use instead.
        now: in UTC.

    Raises:
        InputError: the reason is empty, too long or has control characters, or the package has too many
            files.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > MAX_REASON or not reason.isprintable():
        raise InputError(
            "The reason is empty, has characters that cannot be printed, or is longer than "
            f"{MAX_REASON:,} characters.",
            where="--reason",
            fix="write a sentence or two, and link to the details",
        )
    subjects = _subjects(package)
    if len(subjects) > MAX_SUBJECTS:
        raise InputError(
            f"The package has {len(subjects):,} files and manifests; verifiers accept {MAX_SUBJECTS:,}.",
            where=package.name,
            fix="delete its tags instead: starfreight package delete",
        )
    return canonical_json(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": WITHDRAWAL,
            "predicate": {
                "package": {"name": package.name, "run": package.run, "created": package.created},
                "reason": reason,
                "withdrawnOn": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                "supersededBy": superseded_by,
            },
        }
    )


def _subjects(package: Package) -> list[dict[str, Any]]:
    """Models and manifests. Variants of one adapter share the base's files, which stay usable."""
    named = {}
    for variant in package.variants:
        if package.adapter is None:
            named[variant.gguf.digest] = f"{package.name}-{variant.quantization}.gguf"
        for each in variant.manifests:
            named[each.manifest.digest] = f"{variant.tag}{each.suffix}"
    if package.adapter is not None:
        named[package.adapter.digest] = f"{package.name}-adapter.gguf"
    return [
        {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}} for digest, name in named.items()
    ]


def parse_withdrawal(payload: bytes) -> WithdrawalStatement | None:
    """Read a statement; ``None`` if it is not a withdrawal."""
    if len(payload) > MAX_STATEMENT_BYTES or WITHDRAWAL.encode() not in payload:
        return None
    try:
        strict_loads(payload)
        return WithdrawalStatement.model_validate_json(payload)
    except (ValueError, ValidationError, RecursionError):
        return None
