"""Sign a package: a Sigstore bundle of each of its statements, attached to the manifests it is about.

package, added = sign_package(folder, LocalKey.load(key, password), console)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor, Package
from starfreight.packager.layout.attach_evidence import attach
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.provenance.signing.bundle import MAX_BUNDLE_BYTES, MEDIA_TYPE, Bundle, parse_bundle
from starfreight.packager.provenance.signing.interface import Key, Signer
from starfreight.packager.provenance.signing.signed_statement import SignedStatement, statements_to_sign

CREATED = "org.opencontainers.image.created"
CONTENT = "dev.sigstore.bundle.content"
PREDICATE = "dev.sigstore.bundle.predicateType"


@dataclass(frozen=True)
class MoreSignatures:
    """Signatures of other formats beside the bundles.

    Attributes:
        legacy: cosign's simple signing.
        model_signing: OpenSSF model signing.
        repository: ``HOST/PATH`` that the package is or will be published to, named by legacy signatures.
    """

    legacy: bool = False
    model_signing: bool = False
    repository: str = ""


def sign_package(
    folder: Path,
    signer: Signer,
    console: Console,
    *,
    more: MoreSignatures | None = None,
    placeholders: frozenset[str] = frozenset(),
    hash_up_to: int | None = None,
) -> tuple[Package, int]:
    """Signs a package that verifies. A signature of the same signer is not added twice.

    All signatures are added or none, also if the process is killed.

    Args:
        folder: the package's directory.
        signer: the key, certificate or identity.
        console: shows progress.
        more: other formats; none by default.
        placeholders: digests of models whose files are empty, for a package that was opened in a registry.
        hash_up_to: size in bytes of the largest file to hash, for a caller who hashes larger ones. By default
            all are hashed.

    Returns:
        The package's new record, and the number of attachments that were added.

    Raises:
        GateError: the package is damaged, or does not fit its statement.
        InputError: no package there, or the key cannot be used.
        ServiceError: the disk is full, or a service of the signer does not answer.
    """
    from starfreight.packager.layout import verify_layout

    more = more or MoreSignatures()
    key = signer if isinstance(signer, Key) else None
    if more.legacy and key is None:
        raise InputError(
            "Legacy signatures are made with a key alone.",
            where=signer.name,
            fix="sign twice: with --key KEY --legacy, and with the certificate or identity",
        )
    verify_layout(folder, console, placeholders=placeholders, hash_up_to=hash_up_to)
    package, layout = Package.load(folder), ImageLayout(folder)
    evidence = list(_bundles(package, layout, signer))
    if more.legacy and key is not None:
        from starfreight.packager.provenance.signing.simple_signing import simple_evidence

        evidence += simple_evidence(package, layout, key, more.repository)
    if more.model_signing:
        from starfreight.packager.provenance.signing.model_signature import model_evidence

        evidence += model_evidence(package, layout, signer)
    if not evidence:
        return package, 0
    signed = attach(folder, evidence, console)
    return signed, len(signed.attachments) - len(package.attachments)


def bundle_evidence(subject: Descriptor, bundle: bytes, predicate_type: str, created: str) -> Evidence:
    """A bundle to attach to a manifest, with the annotations that cosign reads.

    Args:
        subject: the manifest.
        bundle: the bundle.
        predicate_type: of its statement.
        created: a time in UTC; the package's, so that equal evidence has equal annotations.
    """
    return Evidence(
        subject=subject,
        data=bundle,
        media_type=MEDIA_TYPE,
        artifact_type=MEDIA_TYPE,
        annotations={CREATED: created, CONTENT: "dsse-envelope", PREDICATE: predicate_type},
    )


def _bundles(package: Package, layout: ImageLayout, signer: Signer) -> Iterator[Evidence]:
    """The bundles that the package lacks."""
    statements = statements_to_sign(package, layout)
    present = _present(package, layout, {each.payload for each in statements}, signer)
    for statement in statements:
        found = present.get(statement.payload, {})
        missing = [each for each in statement.manifests if each.digest not in found]
        if missing:
            bundle = next(iter(found.values()), None) or _sign(statement, signer)
            for manifest in missing:
                yield bundle_evidence(manifest, bundle, statement.predicate_type, package.created)


def _sign(statement: SignedStatement, signer: Signer) -> bytes:
    bundle = Bundle(statement.payload, signer.sign_statement(statement.payload)).as_bytes()
    if len(bundle) > MAX_BUNDLE_BYTES:
        raise GateError(
            f"The signed statement has {len(bundle):,} bytes; verifiers read {MAX_BUNDLE_BYTES:,}.",
            where=statement.predicate_type,
            fix="build the package again with this version, which states the data by its manifest's digest",
        )
    return bundle


def _present(
    package: Package, layout: ImageLayout, payloads: set[bytes], signer: Signer
) -> dict[bytes, dict[str, bytes]]:
    """Bundles of the signer about these statements, by statement and by the manifest they are attached to."""
    found: dict[bytes, dict[str, bytes]] = {}
    ours: dict[str, tuple[bytes, bytes] | None] = {}
    for attachment in package.attachments:
        if attachment.artifact_type != MEDIA_TYPE:
            continue
        layers = layout.manifest(attachment.manifest).layers
        if len(layers) != 1 or layers[0].size > MAX_BUNDLE_BYTES:
            continue
        blob = layers[0]
        if blob.digest not in ours:
            ours[blob.digest] = None
            with contextlib.suppress(GateError):  # Of somebody else, and for verify to judge.
                data = layout.read(blob, MAX_BUNDLE_BYTES)
                bundle = parse_bundle(data, layout.where(blob))
                if bundle.payload in payloads and signer.has_signed(bundle.payload, bundle.signature):
                    ours[blob.digest] = bundle.payload, data
        if (mine := ours[blob.digest]) is not None:
            found.setdefault(mine[0], {})[attachment.subject] = mine[1]
    return found
