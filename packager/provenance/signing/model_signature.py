"""OpenSSF model signing: one signature over a directory of plain files, as ``package export`` writes it.

    model_signing verify key MODEL_DIRECTORY --signature MODEL_DIRECTORY/model.sig --public_key acme.pub

The digests come from the package's record, so no file is read. All files but the Modelfile are signed, once
for all variants together and once for each alone.

Source: https://github.com/ossf/model-signing-spec, version 1.0.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from starfreight.errors import GateError
from starfreight.evaluation_statement import STATEMENT
from starfreight.files import canonical_json
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor, Package, Variant
from starfreight.packager.install.folder import MODELFILE, SIGNATURE_FILE, folder_files
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.provenance.signing.bundle import MAX_BUNDLE_BYTES, MEDIA_TYPE, Bundle, parse_bundle
from starfreight.packager.provenance.signing.certificate import CertificateSigner
from starfreight.packager.provenance.signing.envelope import PAYLOAD_TYPE, pre_authentication_encoding
from starfreight.packager.provenance.signing.interface import Key, Material, Signature, Signer
from starfreight.packager.provenance.signing.local_key import check_signature
from starfreight.strict_json import strict_loads

MODEL_SIGNATURE = "application/vnd.starfreight.model-signature.v1+json"
"""Artifact type and media type: a Sigstore bundle, but not about the manifest that it is attached to."""
PREDICATE = "https://model_signing/signature/v1.0"
_UNSIGNED = (MODELFILE, SIGNATURE_FILE, ".git", ".gitattributes", ".github", ".gitignore")
_CREATED = "org.opencontainers.image.created"


@dataclass(frozen=True)
class ModelStatement:
    """A statement about a directory of files.

    Attributes:
        payload: the statement.
        variants: those in the directory.
    """

    payload: bytes
    variants: tuple[Variant, ...]


def model_statement(name: str, files: Mapping[str, str]) -> bytes:
    """The statement about a directory.

    Args:
        name: of the model.
        files: SHA-256 in hexadecimal by name.
    """
    resources = [{"name": file, "algorithm": "sha256", "digest": files[file]} for file in sorted(files)]
    root = hashlib.sha256(b"".join(bytes.fromhex(files[file]) for file in sorted(files)))
    return canonical_json(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": root.hexdigest()}}],
            "predicateType": PREDICATE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": list(_UNSIGNED),
                },
                "resources": resources,
            },
        }
    )


def model_statements(package: Package, layout: ImageLayout) -> Iterator[ModelStatement]:
    """The statements about the directories that a package is exported to: all variants, and each alone.

    Raises:
        GateError: a manifest is missing or damaged.
    """
    directories = [tuple(package.variants)]
    if len(package.variants) > 1:
        directories += [(variant,) for variant in package.variants]
    for variants in directories:
        yield ModelStatement(model_statement(package.name, _files(package, variants, layout)), variants)


def model_evidence(package: Package, layout: ImageLayout, signer: Signer) -> list[Evidence]:
    """Model signatures that the package does not have from this signer.

    Raises:
        InputError: the key cannot be used.
        ServiceError: a service of the signer does not answer.
        GateError: an attachment is damaged.
    """
    present = {_payload(data) for data in _signatures(package, layout) if _is_of(signer, data)}
    return [
        Evidence(
            subject=each.manifest,
            data=data,
            media_type=MODEL_SIGNATURE,
            artifact_type=MODEL_SIGNATURE,
            annotations={_CREATED: package.created, "dev.sigstore.bundle.predicateType": PREDICATE},
        )
        for statement in model_statements(package, layout)
        if statement.payload not in present
        for data in [_bundle(signer, statement.payload)]
        for variant in statement.variants
        for each in variant.manifests
    ]


def exported_signature(
    package: Package, layout: ImageLayout, files: Mapping[str, Descriptor]
) -> bytes | None:
    """The newest model signature over exactly these files; ``None`` without one.

    Args:
        package: the record.
        layout: the package's files.
        files: of the directory, without the Modelfile.

    Raises:
        GateError: an attachment is damaged.
    """
    expected = model_statement(package.name, {name: _hex(blob) for name, blob in files.items()})
    found = [data for data in _signatures(package, layout) if _payload(data) == expected]
    return found[-1] if found else None


def _files(package: Package, variants: tuple[Variant, ...], layout: ImageLayout) -> dict[str, str]:
    from starfreight.packager.install.export import package_models
    from starfreight.packager.install.sources import PackageSource

    chosen = [] if len(variants) == len(package.variants) else [str(each.quantization) for each in variants]
    models = package_models(package, chosen, PackageSource(layout.folder))
    return {name: _hex(blob) for name, blob in folder_files(models).items()}


def _hex(blob: Descriptor) -> str:
    return blob.digest.removeprefix("sha256:")


def _bundle(signer: Signer, payload: bytes) -> bytes:
    """The signature as ``model_signing`` reads it: with other material for keys and private CAs."""
    if isinstance(signer, CertificateSigner):
        value = signer.key.sign(pre_authentication_encoding(payload)).value
        chain = {"certificates": [{"rawBytes": base64.b64encode(signer.certificate).decode()}]}
        envelope = {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(value).decode()}],
        }
        material = {"x509CertificateChain": chain, "tlogEntries": []}
        return json.dumps(
            {"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope},
            separators=(",", ":"),
        ).encode()
    signature = signer.sign_statement(payload)
    if (key := _key(signer)) is not None:
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signature = Signature(signature.value, Material(key_hint=hashlib.sha256(pem).hexdigest()))
    return Bundle(payload, signature).as_bytes()


def _key(signer: Signer) -> Key | None:
    """The signer's key; ``None`` for one that makes a new key each time."""
    if isinstance(signer, CertificateSigner):
        return signer.key
    return signer if isinstance(signer, Key) else None


def _signatures(package: Package, layout: ImageLayout) -> Iterator[bytes]:
    seen = set()
    for attachment in package.attachments:
        if attachment.artifact_type == MODEL_SIGNATURE:
            layers = layout.manifest(attachment.manifest).layers
            if len(layers) == 1 and layers[0].digest not in seen:
                seen.add(layers[0].digest)
                yield layout.read(layers[0], MAX_BUNDLE_BYTES)


def _payload(data: bytes) -> bytes | None:
    with contextlib.suppress(ValueError, LookupError, TypeError):
        return base64.b64decode(strict_loads(data)["dsseEnvelope"]["payload"], validate=True)
    return None


def _is_of(signer: Signer, data: bytes) -> bool:
    with contextlib.suppress(GateError, ValueError, LookupError, TypeError):
        key, payload = _key(signer), _payload(data)
        if payload is None:
            return False
        if key is None:
            return signer.has_signed(payload, parse_bundle(data, "").signature)
        value = base64.b64decode(strict_loads(data)["dsseEnvelope"]["signatures"][0]["sig"], validate=True)
        check_signature(key.public_key(), pre_authentication_encoding(payload), value)
        return True
    return False
