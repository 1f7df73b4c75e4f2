"""Push evidence that was added to a release in a registry, and its new record. Models and tags stay.

with open_package("registry.example.org/acme/coder:1.0", console) as opened:
    sign_package(opened.folder, signer, console, placeholders=opened.placeholders)
    publish_evidence(opened, console)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Descriptor, Package
from starfreight.packager.registry.look_back import check_attachments, check_blobs
from starfreight.packager.registry.package_record import PackageRecord
from starfreight.packager.registry.send_blobs import send_blobs
from starfreight.packager.registry.simple_signatures import push_simple_signatures
from starfreight.registry import DigestReference, TagReference

if TYPE_CHECKING:
    from starfreight.packager.registry.open_package import Opened
    from starfreight.registry.publishing import PublishingClient


def publish_evidence(opened: Opened, console: Console, *, insecure: bool = False) -> tuple[Attachment, ...]:
    """Push the attachments that an opened release got since it was opened.

    Args:
        opened: a release in a registry; its directory has the new attachments.
        console: shows progress.
        insecure: use plain HTTP.

    Returns:
        The attachments pushed, without those of the record.

    Raises:
        InputError: the package was opened in a directory.
        ServiceError: the registry cannot be reached, refuses, or keeps failing.
    """
    from starfreight.registry.publishing import PublishingClient
    from starfreight.registry.referrers import attach_all

    reference = opened.reference
    if reference is None:
        raise InputError(
            "The package is not in a registry.", where=opened.where, fix="publish it: starfreight publish"
        )
    target = (
        TagReference(reference.host, reference.repository, "latest")
        if isinstance(reference, DigestReference)
        else reference
    )
    package, layout = Package.load(opened.folder), ImageLayout(opened.folder)
    client = PublishingClient(target, insecure=insecure)
    client.connect()
    present = _present(client, package)
    attachments = _new(package, opened.package, present)
    record = PackageRecord(package, layout)
    blobs = {each.digest: each for each in record.blobs}
    for attachment in attachments:
        manifest = layout.manifest(attachment.manifest)
        blobs |= {each.digest: each for each in (manifest.config, *manifest.layers)}
    send_blobs(client, record, tuple(blobs.values()), (), console)
    records = record.attachments(present)
    attach_all(client, [*((each, layout.read(each.manifest)) for each in attachments), *records])
    push_simple_signatures(client, package, layout, present)
    check_blobs(client, blobs.values(), target)
    check_attachments(client, (*attachments, *(each for each, _ in records)), target)
    return attachments


def _present(client: PublishingClient, package: Package) -> frozenset[str]:
    """Digests of the package's manifests that the repository has: not every format may be published."""
    manifests: dict[str, Descriptor] = {
        each.manifest.digest: each.manifest for variant in package.variants for each in variant.manifests
    }
    return frozenset(
        digest
        for digest, manifest in manifests.items()
        if client.manifest_digest(digest, manifest.media_type) == digest
    )


def _new(package: Package, earlier: Package, present: frozenset[str]) -> tuple[Attachment, ...]:
    """New attachments of these manifests, and new attachments of those."""
    known, before, found = set(present), set(earlier.attachments), []
    for attachment in package.attachments:
        if attachment.subject in known:
            known.add(attachment.manifest.digest)
            if attachment not in before:
                found.append(attachment)
    return tuple(found)
