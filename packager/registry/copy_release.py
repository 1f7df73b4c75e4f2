"""Copy a release from one repository to another: every tag and format, with the attached evidence.

Blobs go from registry to registry without a temporary file, and are mounted within one registry. As in
publishing, tags are set last, the plain one at the very end: a reader never finds half a release.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import ValidationError

from starfreight.console import Console
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.package import Attachment, Descriptor
from starfreight.packager.provenance.withdrawal.read import latest_withdrawal
from starfreight.packager.registry.copied import Copied
from starfreight.packager.registry.release_tags import (
    is_evidence_tag,
    missing_tag,
    release_tags,
)
from starfreight.packager.registry.remote_blobs import RemoteBlobs
from starfreight.packager.registry.remote_manifest import (
    ACCEPT,
    RemoteManifest,
    attached,
    fallback_tag,
    read_remote,
)
from starfreight.registry.client import RegistryClient
from starfreight.registry.publishing import PublishingClient
from starfreight.registry.reference import (
    DigestReference,
    TagReference,
    is_local,
    ollama_objection,
    parse_destination,
    parse_digest_reference,
    parse_tag_reference,
)
from starfreight.registry.referrers import attach_all

_MAX_DEPTH = 4
"""An index, its manifest, a signature on it, and evidence about that."""
_MAX_MANIFESTS = 10_000


@dataclass
class _Contents:
    """Everything to copy, in the order in which a registry accepts it."""

    manifests: dict[str, RemoteManifest] = field(default_factory=dict)
    attachments: dict[str, RemoteManifest] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All blobs, the smallest first: a refusal comes early.

        Raises:
            GateError: a blob has two sizes, one of which is wrong.
        """
        found: dict[str, Descriptor] = {}
        for manifest in (*self.manifests.values(), *self.attachments.values()):
            for blob in manifest.blobs:
                if found.setdefault(blob.digest, blob).size != blob.size:
                    raise GateError(
                        f"The blob {blob.digest} is announced with two sizes.",
                        where=f"manifest {manifest.digest}",
                        fix="do not use it; publish the release again",
                    )
        return tuple(sorted(found.values(), key=lambda blob: (blob.size, blob.digest)))


def copy_release(
    source: str,
    target: str,
    *,
    one_tag: bool,
    insecure_source: bool,
    insecure_target: bool,
    console: Console,
) -> Copied:
    """Copy a release, one tag, or one manifest.

    Args:
        source: ``HOST/PATH:TAG`` or ``HOST/PATH@sha256:...``.
        target: ``HOST/PATH:TAG``; the variants' tags begin with this one.
        one_tag: copy the tag itself only, without those of the release's other variants and formats.
        insecure_source: read over plain HTTP.
        insecure_target: write over plain HTTP.
        console: shows progress.

    Raises:
        InputError: a malformed reference, or no such tag.
        GateError: a manifest or blob of the source is malformed or has another digest.
        ServiceError: a registry cannot be reached, refuses, or keeps failing.
    """
    origin = parse_digest_reference(source) if "@" in source else parse_tag_reference(source)
    goal = parse_destination(target)
    if isinstance(origin, TagReference) and str(origin) == str(goal):
        raise InputError("Source and target are the same.", where=target, fix="name another target")
    reader = RegistryClient(origin, insecure=insecure_source)
    reader.connect()
    tagged = _tagged(reader, origin, goal, one_tag=one_tag, insecure=insecure_source)
    contents = _collect(reader, tuple(tagged.values()), origin)
    signatures = _cosign_tags(reader, contents, origin)
    contents.manifests.update({each.digest: each for each in signatures.values()})
    withdrawn = latest_withdrawal(reader, contents.attachments.values(), str(origin))
    if withdrawn is not None:
        console.note(f"Warning: {withdrawn} The withdrawal is copied along.")
    if any(each.format == "ollama" for each in tagged.values()) and (objection := ollama_objection(goal)):
        console.note(f"Warning: Ollama cannot pull from {goal.host}/{goal.repository}, because {objection}.")

    writer = PublishingClient(goal, insecure=insecure_target)
    if insecure_target and writer.has_credentials and not is_local(goal.host):
        console.note(f"Warning: the password is sent to {goal.host} over plain HTTP, readable by others.")
    writer.connect()
    sent, mounted = _copy_blobs(reader, writer, contents, origin, goal, console)
    for manifest in contents.manifests.values():
        _put(writer, manifest, manifest.digest)
    attach_all(writer, [(_attachment(each, origin), each.data) for each in contents.attachments.values()])
    for tag, manifest in (signatures | tagged).items():
        _put(writer, manifest, tag)
        if writer.get_manifest(tag, ACCEPT) != manifest.data:
            raise ServiceError(
                "The registry returned another manifest than the one written.",
                where=str(goal.with_tag(tag)),
                fix="make sure that nobody else publishes to this tag, then run the same command again",
            )
    total = sum(blob.size for blob in contents.blobs)
    return Copied(
        source=str(origin),
        target=str(goal),
        tags={tag: manifest.digest for tag, manifest in tagged.items()},
        attachments=len(contents.attachments) + len(signatures),
        bytes_sent=sent,
        bytes_mounted=mounted,
        bytes_present=total - sent - mounted,
        withdrawn=withdrawn,
    )


def _tagged(
    reader: RegistryClient,
    origin: TagReference | DigestReference,
    goal: TagReference,
    *,
    one_tag: bool,
    insecure: bool,
) -> dict[str, RemoteManifest]:
    """Manifests by their tag in the target, the plain one last."""
    if isinstance(origin, DigestReference):
        found = read_remote(reader, origin.digest, str(origin))
        if found is None:
            raise InputError(
                "The registry has no such manifest, or does not show it to you.",
                where=str(origin),
                fix="check the digest",
            )
        return {goal.tag: found}
    names = (origin.tag,) if one_tag else release_tags(reader, origin.tag, reader.tags())
    tagged = {}
    for name in names:
        found = read_remote(reader, name, str(origin.with_tag(name)))
        if found is not None:
            tagged[goal.tag + name.removeprefix(origin.tag)] = found
    if not tagged:
        raise missing_tag(origin, insecure=insecure)
    return tagged


def _collect(
    reader: RegistryClient, roots: tuple[RemoteManifest, ...], origin: TagReference | DigestReference
) -> _Contents:
    """Follow indexes and lists of referrers."""
    contents, where = _Contents(), f"{origin.host}/{origin.repository}"

    def visit(manifest: RemoteManifest, into: dict[str, RemoteManifest], depth: int) -> None:
        if manifest.digest in contents.manifests or manifest.digest in contents.attachments:
            return
        if depth > _MAX_DEPTH or len(contents.manifests) + len(contents.attachments) >= _MAX_MANIFESTS:
            raise GateError(
                "The release refers to too many manifests.",
                where=where,
                fix="copy single tags with --only-this-tag",
            )
        for child in manifest.children:
            visit(fetch(child), contents.manifests, depth + 1)
        into[manifest.digest] = manifest
        for each in attached(reader, manifest.digest, where):
            evidence = read_remote(reader, each.digest, where)
            # A list may name what was deleted, or what is about another manifest.
            if evidence is not None and evidence.subject and evidence.subject.digest == manifest.digest:
                visit(evidence, contents.attachments, depth + 1)

    def fetch(descriptor: Descriptor) -> RemoteManifest:
        found = read_remote(reader, descriptor.digest, where)
        if found is None:
            raise GateError(
                f"The registry has an index, but not its manifest {descriptor.digest}.",
                where=where,
                fix="push the artifact again",
            )
        return found

    for root in roots:
        visit(root, contents.manifests, 0)
    return contents


def _cosign_tags(
    reader: RegistryClient, contents: _Contents, origin: TagReference | DigestReference
) -> dict[str, RemoteManifest]:
    """Evidence at the tags of cosign 2: ``sha256-<hex>.sig``."""
    digests = {fallback_tag(digest) for digest in contents.manifests}
    where = f"{origin.host}/{origin.repository}"
    found = {}
    for tag in reader.tags() or ():
        if is_evidence_tag(tag) and "." in tag and tag.partition(".")[0] in digests:
            manifest = read_remote(reader, tag, where)
            if manifest is not None and not manifest.children:
                found[tag] = manifest
    return found


def _copy_blobs(
    reader: RegistryClient,
    writer: PublishingClient,
    contents: _Contents,
    origin: TagReference | DigestReference,
    goal: TagReference,
    console: Console,
) -> tuple[int, int]:
    """Bytes sent, and bytes mounted."""
    sent = mounted = 0
    blobs, source = contents.blobs, RemoteBlobs(reader, str(origin))
    same_registry = origin.host.lower() == goal.host.lower() and origin.repository != goal.repository
    with console.progress("Copying", total=sum(blob.size for blob in blobs), unit="B") as advance:
        for blob in blobs:
            if same_registry and not writer.has_blob(blob) and writer.mount(blob, origin.repository):
                mounted += blob.size
                advance(blob.size)
            elif writer.upload(source, blob, advance):
                sent += blob.size
    return sent, mounted


def _put(writer: PublishingClient, manifest: RemoteManifest, tag: str) -> None:
    media_type = manifest.descriptor.media_type
    if writer.manifest_digest(tag, media_type) != manifest.digest:
        writer.put_manifest(tag, media_type, manifest.data)


def _attachment(manifest: RemoteManifest, origin: TagReference | DigestReference) -> Attachment:
    assert manifest.subject is not None
    try:
        return Attachment(
            subject=manifest.subject.digest,
            artifact_type=manifest.artifact_type,
            manifest=manifest.descriptor,
        )
    except ValidationError:
        raise GateError(
            f"The attached manifest {manifest.digest} has no valid artifact type.",
            where=f"{origin.host}/{origin.repository}",
            fix="attach it again with a current program",
        ) from None
