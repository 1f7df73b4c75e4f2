"""List of referrers of a manifest, for registries with and without a list of their own.

OCI distribution 1.1: a registry with a list answers a pushed manifest with ``OCI-Subject``. For the
others (docker-registry 2 and 3, GHCR), the client maintains an index at the tag ``sha256-<hex>``. No request
changes an index in one step, so of two clients that add to one at a time, the later may overwrite the
earlier's entry. Each client looks again after longer than another one's change takes, and repairs.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from starfreight.errors import ServiceError
from starfreight.files import canonical_json
from starfreight.package import Attachment
from starfreight.registry.manifests import MAX_ENTRIES, MAX_MANIFEST_BYTES, descriptor_json
from starfreight.registry.media_types import OCI_INDEX
from starfreight.registry.publishing import PublishingClient

SETTLE = 0.1
"""Seconds after which a change by another client, begun before ours, has ended."""

SETTLE_FACTOR = 6
"""The same as a multiple of the time that our own change took: a busy registry is slow for all."""

_ROUNDS = 40
"""Most repairs of a list that others overwrite."""


def attach(client: PublishingClient, attachment: Attachment, data: bytes) -> None:
    """Push the manifest of an attachment and make sure it is listed. See :func:`attach_all`."""
    attach_all(client, [(attachment, data)])


def attach_all(client: PublishingClient, attachments: Iterable[tuple[Attachment, bytes]]) -> None:
    """Push the manifests of attachments and make sure that readers find them.

    Args:
        client: the repository; it already holds the manifests' blobs.
        attachments: descriptor of each manifest with its subject, and the manifest.

    Raises:
        ServiceError: the registry refuses, or the tag of a list holds something else.
    """
    subjects: dict[str, _Subject] = {}
    for attachment, data in attachments:
        descriptor = attachment.manifest
        if client.manifest_digest(descriptor.digest, descriptor.media_type) != descriptor.digest:
            client.put_manifest(descriptor.digest, descriptor.media_type, data)
        subject = subjects.setdefault(attachment.subject, _Subject(attachment.subject))
        subject.entries[descriptor.digest] = _entry(attachment, data)
    indexed = [subject for subject in subjects.values() if not subject.is_listed_by(client)]
    longest = max((subject.add_to_index(client) for subject in indexed), default=0.0)
    for _ in range(_ROUNDS):
        if not longest:
            return
        # Nobody else's change is older than ours by then; two clients do not wake up together.
        time.sleep(max(SETTLE, SETTLE_FACTOR * longest) * random.uniform(1, 1.5))
        longest = max(subject.add_to_index(client) for subject in indexed)


def unlisted(client: PublishingClient, attachments: Iterable[Attachment]) -> tuple[Attachment, ...]:
    """The attachments that a reader does not find: neither in the registry's list nor at the tag."""
    subjects: dict[str, list[Attachment]] = {}
    for attachment in attachments:
        subjects.setdefault(attachment.subject, []).append(attachment)
    lost = []
    for digest, attached in subjects.items():
        # A reader takes the registry's list if there is one, and the tag only without it.
        listed: Iterable[str] | None = client.listed_referrers(digest)
        if listed is None:
            listed = {each["digest"] for each in _listed(client, digest) if "digest" in each}
        lost += [each for each in attached if each.manifest.digest not in listed]
    return tuple(lost)


@dataclass
class _Subject:
    """A manifest, and the entries that its list of referrers has to have, by digest."""

    digest: str
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    def is_listed_by(self, client: PublishingClient) -> bool:
        """True if the registry's own list has every entry."""
        listed = client.listed_referrers(self.digest)
        return listed is not None and listed.issuperset(self.entries)

    def add_to_index(self, client: PublishingClient) -> float:
        """Add to the index at the tag what it lacks.

        Returns:
            The seconds that the change took; 0 if there was none.
        """
        start = time.monotonic()
        listed = _listed(client, self.digest)
        present = {each.get("digest") for each in listed}
        missing = [entry for digest, entry in self.entries.items() if digest not in present]
        if not missing:
            return 0
        manifests = [*listed, *missing]
        index = canonical_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
        tag = _tag(self.digest)
        if len(manifests) > MAX_ENTRIES or len(index) > MAX_MANIFEST_BYTES:
            raise _unusable(tag, "is full")
        client.put_manifest(tag, OCI_INDEX, index)
        return time.monotonic() - start


def _entry(attachment: Attachment, data: bytes) -> dict[str, Any]:
    entry = {**descriptor_json(attachment.manifest), "artifactType": attachment.artifact_type}
    if annotations := json.loads(data).get("annotations"):
        entry["annotations"] = annotations
    return entry


def _tag(subject: str) -> str:
    return subject.replace(":", "-")


def _listed(client: PublishingClient, subject: str) -> list[dict[str, Any]]:
    """The entries of the index at the tag."""
    tag = _tag(subject)
    data = client.read_manifest(tag, OCI_INDEX)
    if data is None:
        return []
    try:
        index = json.loads(data)
    except (ValueError, RecursionError):
        raise _unusable(tag, "is not valid JSON") from None
    listed = index.get("manifests") if isinstance(index, dict) else None
    if isinstance(index, dict) and "manifests" in index and listed is None:
        return []  # An empty list of a program in Go.
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise _unusable(tag, "is not an index")
    return listed


def _unusable(tag: str, what: str) -> ServiceError:
    return ServiceError(
        f"The registry's list of referrers {what}.",
        where=f"tag {tag}",
        fix="delete that tag in the registry, then run the same command again",
    )
