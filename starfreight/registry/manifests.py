"""Parts of manifests, and the manifest to attach evidence to another one.

built = build_attachment(subject, evidence, "application/vnd.in-toto+json", annotations)

Building is a pure function: equal parts give equal bytes, so manifests are reproducible and their
digests can be signed and compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starfreight.files import canonical_json, sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry.media_types import OCI_EMPTY, OCI_MANIFEST

MAX_MANIFEST_BYTES = 4 << 20
"""Maximum manifest size for portability (OCI distribution specification)."""

MAX_ENTRIES = 10_000
"""Maximum number of manifests in an index and of layers in a manifest; a package has a few dozen."""

EMPTY_CONFIG = b"{}"


@dataclass(frozen=True)
class BuiltManifest:
    """A manifest and its config; the caller keeps the layers."""

    media_type: str
    manifest: bytes
    config_media_type: str
    config: bytes


def descriptor_for(media_type: str, data: bytes) -> Descriptor:
    """Descriptor of ``data``."""
    return Descriptor(media_type=media_type, digest=sha256_bytes(data), size=len(data))


def descriptor_json(descriptor: Descriptor) -> dict[str, Any]:
    """Descriptor as JSON, for OCI and Docker manifests."""
    return {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }


def build_attachment(
    subject: Descriptor, evidence: Descriptor, artifact_type: str, annotations: dict[str, str]
) -> BuiltManifest:
    """Manifest to attach ``evidence`` to ``subject`` (OCI 1.1 ``subject`` and ``artifactType``).

    Args:
        subject: manifest the evidence is about.
        evidence: blob to become the only layer, with its own media type.
        artifact_type: filter key in a registry's list of referrers.
        annotations: shown in the list of referrers.
    """
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": descriptor_json(descriptor_for(OCI_EMPTY, EMPTY_CONFIG)),
            "layers": [descriptor_json(evidence)],
            "subject": descriptor_json(subject),
            "annotations": annotations,
        }
    )
    return BuiltManifest(OCI_MANIFEST, manifest, OCI_EMPTY, EMPTY_CONFIG)
