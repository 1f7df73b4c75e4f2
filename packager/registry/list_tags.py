"""The tags of a repository with their formats and sizes, and the bytes that they share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from starfreight.console import Console, human_count
from starfreight.errors import GateError, InputError
from starfreight.packager.registry.release_tags import is_evidence_tag, parse_repository
from starfreight.packager.registry.remote_manifest import RemoteManifest, read_remote
from starfreight.registry.client import RegistryClient


@dataclass(frozen=True)
class ListedTag:
    """One tag. Sizes are those of the manifest, its config and its layers, in bytes."""

    tag: str
    format: str
    digest: str
    size: int
    shared: int
    """Bytes of blobs that other manifests of the list use, too."""


@dataclass(frozen=True)
class TagList:
    """The tags of a repository."""

    repository: str
    tags: tuple[ListedTag, ...]
    stored: int
    """Bytes of all tags, each blob counted once."""
    evidence_tags: int
    """Tags that hold lists of attached evidence or signatures; not in ``tags``."""
    unreadable: tuple[str, ...]
    """Tags whose manifest is malformed or of an unknown kind."""

    def as_dict(self) -> dict[str, Any]:
        """The list as ``--json`` prints it."""
        return {
            "repository": self.repository,
            "tags": [vars(tag) for tag in self.tags],
            "stored": self.stored,
            "evidence_tags": self.evidence_tags,
            "unreadable": list(self.unreadable),
        }

    def as_text(self) -> str:
        """The list as a table."""
        rows = [("TAG", "FORMAT", "SIZE", "SHARED", "DIGEST")]
        rows += [
            (tag.tag, tag.format, human_count(tag.size, "B"), human_count(tag.shared, "B"), tag.digest)
            for tag in self.tags
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        aligned = ("<", "<", ">", ">")
        lines = [
            "  ".join([*(f"{row[n]:{aligned[n]}{widths[n]}}" for n in range(4)), row[4]]) for row in rows
        ]
        total = sum(tag.size for tag in self.tags)
        lines.append(
            f"{human_count(len(self.tags), 'tags')}, {human_count(self.stored, 'B')} stored "
            f"({human_count(total, 'B')} if nothing were shared)"
        )
        if self.evidence_tags:
            lines.append(f"Tags of attached evidence: {self.evidence_tags:,}")
        if self.unreadable:
            lines.append(f"Malformed or unknown: {', '.join(self.unreadable)}")
        return "\n".join(lines)


def list_tags(repository: str, *, insecure: bool, console: Console) -> TagList:
    """Read every tag of a repository.

    Args:
        repository: ``HOST/PATH``.
        insecure: use plain HTTP.
        console: shows progress.

    Raises:
        InputError: malformed, or no such repository.
        ServiceError: the registry cannot be reached, refuses, or keeps failing.
    """
    reference = parse_repository(repository)
    client = RegistryClient(reference, insecure=insecure)
    client.connect()
    names = client.tags()
    if names is None:
        raise InputError(
            "The registry has no such repository, or does not list its tags for you.",
            where=repository,
            fix=f"check the name; if it is private, run docker login {reference.host}",
        )
    found: dict[str, RemoteManifest] = {}
    unreadable = []
    shown = sorted(name for name in names if not is_evidence_tag(name))
    with console.progress("Reading", total=len(shown), unit="tags") as advance:
        for name in shown:
            try:
                manifest = read_remote(client, name, str(reference.with_tag(name)))
            except GateError:
                manifest = None
                unreadable.append(name)
            if manifest is not None:
                found[name] = manifest
            advance(1)
    return TagList(
        repository=repository,
        tags=_sized(found),
        stored=_stored(found),
        evidence_tags=len(names) - len(shown),
        unreadable=tuple(unreadable),
    )


def _sized(found: dict[str, RemoteManifest]) -> tuple[ListedTag, ...]:
    manifests = {manifest.digest: manifest for manifest in found.values()}
    users = Counter(blob.digest for manifest in manifests.values() for blob in manifest.blobs)
    return tuple(
        ListedTag(
            tag=name,
            format=manifest.format,
            digest=manifest.digest,
            size=manifest.descriptor.size + sum(blob.size for blob in manifest.blobs),
            shared=sum(blob.size for blob in manifest.blobs if users[blob.digest] > 1),
        )
        for name, manifest in found.items()
    )


def _stored(found: dict[str, RemoteManifest]) -> int:
    sizes: dict[str, int] = {}
    for manifest in found.values():
        sizes |= {blob.digest: blob.size for blob in (manifest.descriptor, *manifest.blobs)}
    return sum(sizes.values())
