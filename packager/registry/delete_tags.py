"""Delete a tag or a release from a registry, after a look at everything that hangs on it.

A registry deletes manifests; blobs that no manifest uses any more are freed by its garbage collection.
Deleting a manifest by its digest removes every tag of it, and leaves attached evidence without its subject.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starfreight.console import Console, human_count
from starfreight.errors import GateError, ServiceError
from starfreight.packager.registry.release_tags import (
    is_evidence_tag,
    missing_tag,
    release_tags,
)
from starfreight.packager.registry.remote_manifest import (
    ACCEPT,
    RemoteManifest,
    attached,
    fallback_tag,
    read_remote,
)
from starfreight.registry.media_types import OCI_INDEX
from starfreight.registry.publishing import PublishingClient
from starfreight.registry.reference import TagReference, parse_tag_reference

_MAX_DEPTH = 3
"""A signature on a statement about a model."""

_PATIENCE = (0.2, 1.0, 2.0)
"""Seconds to wait before looking again for tags: some registries delete a moment later."""


class DeletionUnsupported(ServiceError):
    """The registry does not delete, or not by tag."""


def _delete(client: PublishingClient, reference: str, where: str) -> None:
    """Delete a tag or, by digest, a manifest with all its tags.

    Raises:
        DeletionUnsupported: the registry does not do that.
        ServiceError: it refuses, or keeps failing.
    """
    if not client.delete_manifest(reference):
        raise DeletionUnsupported(
            "The registry does not delete by this address.",
            where=f"{where}, while deleting {reference}",
            fix="switch deletion on (docker-registry: storage.delete.enabled: true), or delete the tag "
            "in the registry's own interface",
        )


@dataclass(frozen=True)
class DeletionPlan:
    """Tags and manifests that a deletion removes and leaves."""

    reference: TagReference
    tags: dict[str, str]
    """Digests of the tags to delete."""
    same_manifest: dict[str, str]
    """Other tags with one of these digests, and it: they remain only if the registry deletes by tag."""
    attachments: tuple[str, ...]
    """Manifests about the deleted ones: without them they have no subject."""
    other_variants: tuple[str, ...]
    """Tags of the same release that remain."""
    freed: int
    """Bytes of blobs that no other tag uses."""
    shared: int
    """Bytes of blobs that other tags use, too."""
    complete: bool
    """False if the registry does not list its tags, so that other users of the blobs are unknown."""

    def as_dict(self) -> dict[str, Any]:
        """The plan as ``--json`` prints it."""
        return {
            "reference": str(self.reference),
            "tags": self.tags,
            "same_manifest": self.same_manifest,
            "attachments": list(self.attachments),
            "other_variants": list(self.other_variants),
            "freed": self.freed,
            "shared": self.shared,
            "complete": self.complete,
        }

    def as_text(self) -> str:
        """The plan for people."""
        width = max(map(len, self.tags))
        lines = [f"This deletes from {self.reference.host}/{self.reference.repository}:"]
        lines += [f"  {tag:{width}}  {digest}" for tag, digest in self.tags.items()]
        if self.attachments:
            attached = human_count(len(self.attachments), "attached manifests")
            lines.append(f"  {attached} (provenance, signatures)")
        lines.append(
            f"Freed by the registry's next garbage collection: {human_count(self.freed, 'B')}; "
            f"{human_count(self.shared, 'B')} are used by other tags."
        )
        if self.same_manifest:
            lines.append(f"Same manifest, kept: {', '.join(self.same_manifest)}.")
        if self.other_variants:
            lines.append(
                f"Kept of the same release: {', '.join(self.other_variants)} (--release deletes them, too)."
            )
        if not self.complete:
            lines.append("The registry does not list its tags: others may use the same manifests and files.")
        return "\n".join(lines)


@dataclass(frozen=True)
class Deleted:
    """The outcome of a deletion."""

    plan: DeletionPlan
    manifests: int
    """Number of manifests deleted, attachments included."""

    def as_dict(self) -> dict[str, Any]:
        """The result as ``--json`` prints it."""
        return {**self.plan.as_dict(), "deleted_manifests": self.manifests}

    def as_text(self) -> str:
        """The result for people."""
        target = self.plan.reference
        return f"Deleted {', '.join(self.plan.tags)} from {target.host}/{target.repository}."


def plan_deletion(
    reference: str, *, release: bool, same_manifest: bool, insecure: bool, console: Console
) -> tuple[PublishingClient, DeletionPlan]:
    """Look at everything that a deletion concerns.

    Args:
        reference: ``HOST/PATH:TAG``.
        release: also the tags of the release's variants and formats.
        same_manifest: also every other tag with the same manifest.
        insecure: use plain HTTP.
        console: shows progress.

    Raises:
        InputError: malformed, or no such tag.
        ServiceError: the registry cannot be reached, refuses, or keeps failing.
    """
    target = parse_tag_reference(reference)
    client = PublishingClient(target, insecure=insecure)
    client.connect()
    listed = client.tags()
    of_release = release_tags(client, target.tag, listed)
    doomed = of_release if release else tuple(tag for tag in of_release if tag == target.tag)
    if not doomed and client.manifest_digest(target.tag, ACCEPT) is not None:
        doomed = (target.tag,)
    if not doomed:
        raise missing_tag(target, insecure=insecure)
    names = [
        *doomed,
        *(tag for tag in (listed or of_release) if tag not in doomed and not is_evidence_tag(tag)),
    ]
    found: dict[str, RemoteManifest] = {}
    with console.progress("Reading", total=len(names), unit="tags") as advance:
        for name in names:
            manifest = _read(client, name, target, must=name in doomed)
            if manifest is not None:
                found[name] = manifest
            advance(1)
    if same_manifest:
        digests = {found[tag].digest for tag in doomed if tag in found}
        doomed = tuple(name for name, each in found.items() if name in doomed or each.digest in digests)
    return client, _plan(client, target, found, doomed, of_release, complete=listed is not None)


def carry_out(client: PublishingClient, plan: DeletionPlan, console: Console) -> Deleted:
    """Delete what a plan names: manifests first, then the evidence about them.

    Raises:
        ServiceError: the registry does not delete, still has a tag in the end, or keeps failing.
    """
    kept = set(plan.same_manifest.values())
    where = f"{plan.reference.host}/{plan.reference.repository}"
    for tag, digest in plan.tags.items():
        if digest in kept or not plan.complete:
            _untag(client, tag, plan)
    whole = tuple(dict.fromkeys(digest for digest in plan.tags.values() if digest not in kept))
    for digest in (*whole, *plan.attachments):
        _delete(client, digest, where)
    for digest in (*whole, *plan.attachments):
        if (index := client.manifest_digest(fallback_tag(digest), OCI_INDEX)) is not None:
            _delete(client, index, where)
    for tag in (remaining := _remaining(client, plan.tags)):
        # Some registries keep a tag whose manifest is gone, or count deletions by digest otherwise.
        _delete(client, tag, where)
    for seconds in (0, *_PATIENCE):
        time.sleep(seconds)
        if not (remaining := _remaining(client, remaining)):
            break
    else:
        raise ServiceError(
            f"The registry accepted the deletion, but still has {', '.join(remaining)}.",
            where=where,
            fix="look again later with starfreight package list; some registries delete in their own "
            "interface only",
        )
    return Deleted(plan, len(whole) + len(plan.attachments))


def _remaining(client: PublishingClient, tags: Iterable[str]) -> list[str]:
    """The tags that the registry still has."""
    return [tag for tag in tags if client.manifest_digest(tag, ACCEPT) is not None]


def _untag(client: PublishingClient, tag: str, plan: DeletionPlan) -> None:
    try:
        _delete(client, tag, f"{plan.reference.host}/{plan.reference.repository}")
    except DeletionUnsupported as error:
        if plan.tags[tag] not in plan.same_manifest.values():
            return  # It is deleted by its digest.
        same = ", ".join(other for other, digest in plan.same_manifest.items() if digest == plan.tags[tag])
        raise GateError(
            f"The registry deletes whole manifests only, and {same} has the same manifest as {tag}.",
            where=str(plan.reference.with_tag(tag)),
            fix="publish another manifest at the tag to keep, or delete all of these tags: --same-manifest",
        ) from error


def _read(client: PublishingClient, name: str, target: TagReference, *, must: bool) -> RemoteManifest | None:
    try:
        return read_remote(client, name, str(target.with_tag(name)))
    except GateError:
        if must:
            raise
        return None  # Somebody else's; it shares nothing that could be known.


def _plan(
    client: PublishingClient,
    target: TagReference,
    found: dict[str, RemoteManifest],
    doomed: tuple[str, ...],
    of_release: tuple[str, ...],
    *,
    complete: bool,
) -> DeletionPlan:
    tags = {tag: found[tag].digest for tag in doomed if tag in found}
    digests = set(tags.values())
    same = {name: each.digest for name, each in found.items() if name not in tags and each.digest in digests}
    lost = digests - set(same.values())
    kept = {blob.digest for name, each in found.items() if each.digest not in lost for blob in each.blobs}
    blobs = {blob.digest: blob.size for each in found.values() if each.digest in lost for blob in each.blobs}
    where = f"{target.host}/{target.repository}"
    attachments: dict[str, None] = {}
    subjects = sorted(lost)
    for _ in range(_MAX_DEPTH):
        subjects = [each.digest for digest in subjects for each in attached(client, digest, where)]
        attachments |= dict.fromkeys(subjects)
    return DeletionPlan(
        reference=target,
        tags=tags,
        same_manifest=same,
        attachments=tuple(attachments),
        other_variants=tuple(tag for tag in of_release if tag not in tags),
        freed=sum(size for digest, size in blobs.items() if digest not in kept),
        shared=sum(size for digest, size in blobs.items() if digest in kept),
        complete=complete,
    )
