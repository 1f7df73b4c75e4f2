"""The legacy signatures of cosign ("simple signing"), which llmman and older admission controllers read.

They are layers of a manifest at the tag ``sha256-<hex>.sig`` beside the signed manifest. In a package, each
one is an attachment with the signature among its annotations; publishing makes the tag from these.

Sources: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md and
https://github.com/containers/image/blob/main/docs/containers-signature.5.md.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from starfreight.errors import GateError
from starfreight.files import sha256_bytes
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor, Package
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.provenance.signing.interface import Key
from starfreight.packager.provenance.signing.local_key import check_signature

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
_CREATED = "org.opencontainers.image.created"
_MAX_PAYLOAD_BYTES = 64 << 10
_MAX_SIGNATURE = 500


@dataclass(frozen=True)
class SimpleSignature:
    """A legacy signature in a package.

    Attributes:
        subject: digest of the signed manifest.
        payload: the signed text, a blob of the package.
        signature: in base64.
    """

    subject: str
    payload: Descriptor
    signature: str


def simple_payload(digest: str, repository: str) -> bytes:
    """The text to sign about a manifest, in cosign's own order.

    Args:
        digest: of the manifest.
        repository: ``HOST/PATH``, which podman compares with the place it pulls from; may be empty.
    """
    critical = {
        "identity": {"docker-reference": repository},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical, "optional": None}, separators=(",", ":")).encode()


def simple_evidence(package: Package, layout: ImageLayout, key: Key, repository: str) -> list[Evidence]:
    """Legacy signatures of all manifests that do not have one of this key.

    Raises:
        InputError: the key cannot be used.
        ServiceError: a service of the key does not answer.
        GateError: an attachment is damaged.
    """
    present = {
        (each.subject, each.payload.digest)
        for each in simple_signatures(package, layout)
        if _is_of(key, layout, each)
    }
    found = []
    manifests = dict.fromkeys(each.manifest for variant in package.variants for each in variant.manifests)
    for manifest in manifests:
        payload = simple_payload(manifest.digest, repository)
        if (manifest.digest, sha256_bytes(payload)) in present:
            continue
        value = base64.b64encode(key.sign(payload).value).decode()
        found.append(
            Evidence(
                subject=manifest,
                data=payload,
                media_type=SIMPLE_SIGNING,
                artifact_type=SIMPLE_SIGNING,
                annotations={_CREATED: package.created, SIGNATURE: value},
            )
        )
    return found


def simple_signatures(package: Package, layout: ImageLayout) -> Iterator[SimpleSignature]:
    """The legacy signatures in a package; attachments of another form are passed over.

    Raises:
        GateError: an attachment is damaged.
    """
    for attachment in package.attachments:
        if attachment.artifact_type != SIMPLE_SIGNING:
            continue
        manifest = layout.manifest(attachment.manifest)
        value = manifest.annotations.get(SIGNATURE)
        if (
            len(manifest.layers) == 1
            and manifest.layers[0].media_type == SIMPLE_SIGNING
            and manifest.layers[0].size <= _MAX_PAYLOAD_BYTES
            and isinstance(value, str)
            and len(value) <= _MAX_SIGNATURE
        ):
            yield SimpleSignature(attachment.subject, manifest.layers[0], value)


def _is_of(key: Key, layout: ImageLayout, signature: SimpleSignature) -> bool:
    with contextlib.suppress(GateError, binascii.Error, ValueError):
        value = base64.b64decode(signature.signature, validate=True)
        check_signature(key.public_key(), layout.read(signature.payload, _MAX_PAYLOAD_BYTES), value)
        return True
    return False
