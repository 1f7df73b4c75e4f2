"""Check the signatures of a package with a public key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Package
from starfreight.packager.provenance.signing.bundle import MAX_BUNDLE_BYTES, MEDIA_TYPE, parse_bundle
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.local_key import check_signature, key_hint
from starfreight.packager.provenance.signing.signed_statement import signed_statement

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_STATEMENT_LIMIT = 1 << 30


def check_signatures(folder: Path, key: ec.EllipticCurvePublicKey) -> int:
    """Checks that each manifest of a package is signed with a key, by a statement about this package.

    Args:
        folder: the directory of a package that verifies.
        key: the public key.

    Returns:
        The number of signatures checked.

    Raises:
        GateError: a manifest is not signed with this key, a signature is wrong, or its statement is about
            another package.
    """
    package, layout = Package.load(folder), ImageLayout(folder)
    provenance = layout.read(package.provenance, _STATEMENT_LIMIT)
    expected = signed_statement(package, provenance, str(folder))
    checked = 0
    for variant in package.variants:
        for each in variant.manifests:
            found = list(_signed_with(key, layout, package, each.manifest.digest))
            for payload, signature, where in found:
                check_signature(key, pre_authentication_encoding(payload), signature)
                if payload != expected:
                    raise GateError(
                        "A signed statement is not about this package.",
                        where=where,
                        fix="sign the package again, or get it again from its source",
                    )
            if not found:
                raise GateError(
                    f"The manifest {variant.tag}{each.suffix} is not signed with this key.",
                    where=str(folder),
                    fix="sign the package: starfreight package sign; or check the public key",
                )
            checked += len(found)
    return checked


def _signed_with(
    key: ec.EllipticCurvePublicKey, layout: ImageLayout, package: Package, subject: str
) -> Iterator[tuple[bytes, bytes, str]]:
    """Payload, signature and place of each bundle of a manifest that names the key."""
    for attachment in package.attachments:
        if attachment.subject == subject and attachment.artifact_type == MEDIA_TYPE:
            data, where = _bundle(layout, attachment)
            bundle = parse_bundle(data, where)
            if bundle.signature.material.key_hint == key_hint(key):
                yield bundle.payload, bundle.signature.value, where


def _bundle(layout: ImageLayout, attachment: Attachment) -> tuple[bytes, str]:
    (layer,) = layout.manifest(attachment.manifest).layers
    return layout.read(layer, MAX_BUNDLE_BYTES), layout.where(layer)
