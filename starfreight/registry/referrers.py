"""List of referrers of a manifest, for registries with and without a list of their own.

OCI distribution 1.1: a registry with a list answers a pushed manifest with ``OCI-Subject``. For the
others (docker-registry 2 and 3, GHCR), the client maintains an index at the tag ``sha256-<hex>``.
"""

from __future__ import annotations

import json
from typing import Any

from starfreight.errors import ServiceError
from starfreight.files import canonical_json
from starfreight.package import Attachment
from starfreight.registry.manifests import MAX_ENTRIES, MAX_MANIFEST_BYTES, descriptor_json
from starfreight.registry.media_types import OCI_INDEX
from starfreight.registry.publishing import PublishingClient


def attach(client: PublishingClient, attachment: Attachment, data: bytes) -> None:
    """Push the manifest of an attachment and make sure it is listed.

    Args:
        client: the repository; it already holds the manifest's blobs.
        attachment: descriptor of the manifest, and its subject.
        data: the manifest.

    Raises:
        ServiceError: the registry refuses, or the tag of the list holds something else.
    """
    descriptor = attachment.manifest
    if client.manifest_digest(descriptor.digest, descriptor.media_type) != descriptor.digest:
        acknowledged = client.put_manifest(descriptor.digest, descriptor.media_type, data)
        if acknowledged == attachment.subject:
            return
    if client.referrers(attachment.subject) is not None:
        return
    tag = attachment.subject.replace(":", "-")
    listed = _listed(tag, client.get_manifest(tag, OCI_INDEX))
    if any(isinstance(each, dict) and each.get("digest") == descriptor.digest for each in listed):
        return
    entry = {**descriptor_json(descriptor), "artifactType": attachment.artifact_type}
    if annotations := json.loads(data).get("annotations"):
        entry["annotations"] = annotations
    index = canonical_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*listed, entry]})
    if len(listed) >= MAX_ENTRIES or len(index) > MAX_MANIFEST_BYTES:
        raise _unusable(tag, "is full")
    client.put_manifest(tag, OCI_INDEX, index)


def _listed(tag: str, data: bytes | None) -> list[Any]:
    if data is None:
        return []
    try:
        index = json.loads(data)
    except (ValueError, RecursionError):
        raise _unusable(tag, "is not valid JSON") from None
    listed = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(listed, list):
        raise _unusable(tag, "is not an index")
    return listed


def _unusable(tag: str, what: str) -> ServiceError:
    return ServiceError(
        f"The registry's list of referrers {what}.",
        where=f"tag {tag}",
        fix="delete that tag in the registry, then run the same command again",
    )
