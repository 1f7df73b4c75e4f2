"""Tags of an earlier, larger release: they still name last week's model.

A release sets ``TAG`` and ``TAG-<quantization>``, each with a suffix for each format. A later one with fewer
quantizations or formats leaves the others where they are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from starfreight.errors import ServiceError
from starfreight.files import sha256_bytes
from starfreight.package import Descriptor
from starfreight.quantization import Quantization
from starfreight.registry.media_types import DOCKER_MANIFEST, OCI_MANIFEST
from starfreight.registry.reference import SUFFIXES, TagReference

if TYPE_CHECKING:
    from starfreight.registry.publishing import PublishingClient

Prune = Literal["remove", "move"]

_ANY = f"{DOCKER_MANIFEST}, {OCI_MANIFEST}"


def earlier_tags(client: PublishingClient, tag: str, published: frozenset[str]) -> tuple[str, ...] | None:
    """The tags that an earlier release of this version set and this one did not.

    Args:
        client: the repository.
        tag: the plain tag.
        published: the tags set now.

    Returns:
        The tags in order; ``None`` if the registry does not list its tags.
    """
    found = client.tags()
    if found is None:
        return None
    stems = [tag, *(f"{tag}-{quantization.tag}" for quantization in Quantization)]
    possible = {stem + suffix for stem in stems for suffix in ("", *SUFFIXES)}
    return tuple(sorted(possible.intersection(found) - published))


def prune(
    client: PublishingClient,
    tags: tuple[str, ...],
    how: Prune,
    moved_to: dict[str, tuple[Descriptor, bytes]],
    target: TagReference,
) -> None:
    """Remove tags, or move them to this release's default variant.

    A registry that deletes no tags may delete manifests: then that of a tag goes, unless another tag has it.

    Args:
        client: the repository.
        tags: the tags.
        how: what to do.
        moved_to: the default variant's manifest by the suffix of its tag.
        target: for errors.

    Raises:
        ServiceError: the registry refuses.
    """
    suffixes = {tag: next((each for each in SUFFIXES if tag.endswith(each)), "") for tag in tags}
    if how == "move":
        for tag, suffix in suffixes.items():  # Before any is moved.
            if suffix not in moved_to:
                format_name = suffix.removeprefix("-") or "ollama"
                raise _refused(
                    tag,
                    target,
                    "this release has no manifest of its format",
                    "remove such tags with --prune-tags remove, or publish the format, too: --format "
                    + {"oci": "modelpack"}.get(format_name, format_name),
                )
    for tag, suffix in suffixes.items():
        if how == "move":
            descriptor, data = moved_to[suffix]
            client.put_manifest(tag, descriptor.media_type, data)
        elif (why := _remove(client, tag, tags)) is not None:
            raise _refused(
                tag,
                target,
                why,
                "allow deletion there, or use --prune-tags move: the tag then names this release's default "
                "variant",
            )


def _remove(client: PublishingClient, tag: str, pruned: tuple[str, ...]) -> str | None:
    """Remove a tag, and none but the pruned ones; returns the reason if the registry cannot."""
    data = client.read_manifest(tag, _ANY)
    if data is None:
        return None
    digest = sha256_bytes(data)
    others = [other for other in client.tags() or () if other not in pruned]
    shared = [other for other in others if client.manifest_digest(other, _ANY) == digest]
    if client.delete_manifest(tag):
        for other in shared:  # Some registries take a manifest with all of its tags.
            if client.manifest_digest(other, _ANY) is None:
                client.put_manifest(other, _media_type(data), data)
        return None
    if shared:
        return f"the registry deletes manifests but no tags, and {shared[0]} names the same one"
    return None if client.delete_manifest(digest) else "the registry deletes no tags"


def _media_type(data: bytes) -> str:
    manifest = json.loads(data)
    kind = manifest.get("mediaType") if isinstance(manifest, dict) else None
    return kind if kind in (DOCKER_MANIFEST, OCI_MANIFEST) else OCI_MANIFEST


def _refused(tag: str, target: TagReference, why: str, fix: str) -> ServiceError:
    return ServiceError(
        f"The tag {tag} of an earlier release stays as it is: {why}.",
        where=str(target.with_tag(tag)),
        fix=fix,
    )
