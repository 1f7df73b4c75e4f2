"""What manifests are made of, and the one that hangs evidence on another.

built = build_attachment(subject, evidence, "application/vnd.in-toto+json", annotations)

Building is a pure function: equal parts give equal bytes, so a manifest's digest can be signed,
compared and made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starfreight.files import canonical_json, sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry.media_types import OCI_EMPTY, OCI_MANIFEST

MAX_MANIFEST_BYTES = 4 << 20
"""What the OCI distribution specification asks registries to accept for a manifest."""

MAX_ENTRIES = 10_000
"""Manifests in an index and layers in a manifest; a package has some tens."""

EMPTY_CONFIG = b"{}"


@dataclass(frozen=True)
class BuiltManifest:
    """A manifest and the config it refers to; its layers lie where its maker put them."""

    media_type: str
    manifest: bytes
    config_media_type: str
    config: bytes


def descriptor_for(media_type: str, data: bytes) -> Descriptor:
    """A descriptor of bytes."""
    return Descriptor(media_type=media_type, digest=sha256_bytes(data), size=len(data))


def descriptor_json(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor in the spelling of OCI and Docker."""
    return {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }


def build_attachment(
    subject: Descriptor, evidence: Descriptor, artifact_type: str, annotations: dict[str, str]
) -> BuiltManifest:
    """The manifest that attaches ``evidence`` to ``subject`` (OCI 1.1 ``subject`` and ``artifactType``).

    Args:
        subject: the manifest that the evidence is about.
        evidence: the blob; it becomes the only layer, with its own media type.
        artifact_type: what a registry's list of referrers is filtered by.
        annotations: what that list shows.
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
