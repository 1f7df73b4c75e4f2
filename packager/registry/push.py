"""Publish a package: blobs, then manifests, then attachments, then tags.

A tag moves only when everything it refers to is in the registry, so a reader never finds half a model. After
an interruption the same command completes the upload: blobs already in the registry are found by their digest
and not sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import Console, human_count
from starfreight.errors import ServiceError
from starfreight.package import Descriptor, Package
from starfreight.packager.layout.reader import ImageLayout
from starfreight.packager.layout.verify import verify_layout
from starfreight.packager.registry.limits import check_limits
from starfreight.registry import Reference, is_local, parse_reference

if TYPE_CHECKING:
    from starfreight.registry.publishing import PublishingClient


@dataclass(frozen=True)
class PublishedTag:
    """A tag and its new manifest."""

    tag: str
    format: str
    """``ollama`` or ``modelpack``."""
    quantization: str
    digest: str


@dataclass(frozen=True)
class Published:
    """The state of a registry after publishing."""

    reference: str
    tags: tuple[PublishedTag, ...]
    attachments: int
    """Number of manifests that refer to other manifests."""
    bytes_sent: int
    bytes_present: int
    """Bytes that were in the registry already."""

    def as_dict(self) -> dict[str, Any]:
        """The result as ``--json`` prints it."""
        return {
            "reference": self.reference,
            "tags": {tag.tag: tag.digest for tag in self.tags},
            "attachments": self.attachments,
            "bytes_sent": self.bytes_sent,
            "bytes_present": self.bytes_present,
        }

    def as_text(self) -> str:
        """The result for people: every tag with its manifest, and the command that pulls the model."""
        sent, present = human_count(self.bytes_sent, "B"), human_count(self.bytes_present, "B")
        width = max(len(tag.tag) for tag in self.tags)
        lines = [f"Published {self.reference} ({sent} sent, {present} already there):"]
        lines += [
            f"  {tag.tag:{width}}  {tag.quantization:6}  {tag.format:9}  {tag.digest}" for tag in self.tags
        ]
        return "\n".join([*lines, f"Next: ollama pull {self.reference}"])


def publish(
    package_dir: Path,
    reference: Reference | str,
    *,
    insecure: bool,
    console: Console,
    mount_from: tuple[str, ...] = (),
) -> Published:
    """Push a package to a registry: each variant at ``TAG-q4_K_M``, the default also at ``TAG``.

    These tags are Ollama's manifests; ModelPack's are at the same tags with ``-oci``.

    Args:
        package_dir: the package's directory.
        reference: ``HOST/NAMESPACE/NAME:TAG``.
        insecure: use plain HTTP.
        console: shows progress.
        mount_from: repositories of the same registry (``namespace/name``) that may hold the blobs.

    Raises:
        InputError: no package there, or a reference that clients could not pull.
        GateError: a file of the package is damaged, or too large for the registry.
        ServiceError: the registry cannot be reached, refuses, or keeps failing.
    """
    # oras and requests take a third of a second to import; parsing a reference needs neither.
    from starfreight.registry.publishing import PublishingClient
    from starfreight.registry.referrers import attach

    target = parse_reference(reference) if isinstance(reference, str) else reference
    package = Package.load(package_dir)
    layout = ImageLayout(package_dir)
    manifests = _manifests(layout, package)
    blobs = _blobs(layout, package)
    check_limits(target.host, layout, blobs)
    verify_layout(package_dir, console)

    client = PublishingClient(target, insecure=insecure)
    if insecure and client.has_credentials and not is_local(target.host):
        console.note(f"Warning: the password is sent to {target.host} over plain HTTP, readable by others.")
    client.connect()
    sent = 0
    total = sum(blob.size for blob in blobs)
    with console.progress("Uploading", total=total, unit="B") as advance:
        for blob in blobs:
            if mount_from and not client.has_blob(blob):
                any(client.mount(blob, repository) for repository in mount_from)
            sent += blob.size if client.upload(layout, blob, advance) else 0

    for descriptor in manifests:
        _put(client, layout, descriptor, descriptor.digest)
    for attachment in package.attachments:
        attach(client, attachment, layout.read(attachment.manifest))
    tags = _tags(package, target.tag)
    for published, descriptor in tags:
        _put(client, layout, descriptor, published.tag)
    for published, descriptor in tags:
        _read_back(client, layout, descriptor, target, published.tag)
    return Published(
        reference=str(target),
        tags=tuple(published for published, _ in tags),
        attachments=len(package.attachments),
        bytes_sent=sent,
        bytes_present=total - sent,
    )


def _manifests(layout: ImageLayout, package: Package) -> tuple[Descriptor, ...]:
    """The manifests at the tags, each once. Their bytes are checked here."""
    found = {
        each.manifest.digest: each.manifest for variant in package.variants for each in variant.manifests
    }
    for descriptor in found.values():
        layout.read(descriptor)
    return tuple(found.values())


def _blobs(layout: ImageLayout, package: Package) -> tuple[Descriptor, ...]:
    """Every blob of a manifest, the smallest first: a refusal comes early."""
    descriptors = [each.manifest for variant in package.variants for each in variant.manifests]
    descriptors += [attachment.manifest for attachment in package.attachments]
    blobs = {}
    for descriptor in descriptors:
        manifest = layout.manifest(descriptor)
        for blob in (manifest.config, *manifest.layers):
            with layout.open(blob):
                blobs[blob.digest] = blob
    return tuple(sorted(blobs.values(), key=lambda blob: (blob.size, blob.digest)))


def _tags(package: Package, tag: str) -> list[tuple[PublishedTag, Descriptor]]:
    """The tags in the order in which they move: the plain one last."""
    named = [(f"{tag}-{variant.tag}", variant) for variant in package.variants]
    named.append((tag, package.default_variant))
    return [
        (
            PublishedTag(name + each.suffix, each.format, str(variant.quantization), each.manifest.digest),
            each.manifest,
        )
        for name, variant in named
        for each in reversed(variant.manifests)
    ]


def _put(client: PublishingClient, layout: ImageLayout, descriptor: Descriptor, tag: str) -> None:
    if client.manifest_digest(tag, descriptor.media_type) != descriptor.digest:
        client.put_manifest(tag, descriptor.media_type, layout.read(descriptor))


def _read_back(
    client: PublishingClient, layout: ImageLayout, descriptor: Descriptor, target: Reference, tag: str
) -> None:
    if client.get_manifest(tag, descriptor.media_type) != layout.read(descriptor):
        raise ServiceError(
            "The registry returned another manifest than the one written.",
            where=str(target.with_tag(tag)),
            fix="make sure that nobody else publishes to this tag, then run the same command again",
        )
