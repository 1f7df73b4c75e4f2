"""Sign a package: a Sigstore bundle of its provenance, attached to each of its manifests.

package, added = sign_package(folder, LocalKey.load(key, password), console)
"""

from __future__ import annotations

from pathlib import Path

from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.layout.attach_evidence import attach
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE, Bundle
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.interface import Signer
from starfreight.packager.provenance.signing.signed_statement import signed_statement
from starfreight.packager.provenance.statement import PREDICATE_TYPE

CREATED = "org.opencontainers.image.created"
CONTENT = "dev.sigstore.bundle.content"
PREDICATE = "dev.sigstore.bundle.predicateType"
_STATEMENT_LIMIT = 1 << 30


def sign_package(folder: Path, signer: Signer, console: Console) -> tuple[Package, int]:
    """Signs a package that verifies. A signature of the same key is not added twice.

    Args:
        folder: the package's directory.
        signer: the key.
        console: shows progress.

    Returns:
        The package's new record, and the number of bundles that were added.

    Raises:
        GateError: the package is damaged, or does not fit its statement.
        InputError: no package there, or the key cannot be used.
        ServiceError: the disk is full, or a service of the signer does not answer.
    """
    from starfreight.packager.layout import verify_layout

    verify_layout(folder, console)
    package = Package.load(folder)
    provenance = ImageLayout(folder).read(package.provenance, _STATEMENT_LIMIT)
    payload = signed_statement(package, provenance, str(folder))
    bundle = Bundle(payload, signer.sign(pre_authentication_encoding(payload))).as_bytes()
    evidence = [
        Evidence(
            subject=each.manifest,
            data=bundle,
            media_type=MEDIA_TYPE,
            artifact_type=MEDIA_TYPE,
            annotations={CREATED: package.created, CONTENT: "dsse-envelope", PREDICATE: PREDICATE_TYPE},
        )
        for variant in package.variants
        for each in variant.manifests
    ]
    signed = attach(folder, evidence, console)
    return signed, len(signed.attachments) - len(package.attachments)
