"""Read a registry after publishing as a reader would: blobs, manifests and attachments."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starfreight.errors import ServiceError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Descriptor
from starfreight.registry.reference import TagReference

if TYPE_CHECKING:
    from starfreight.registry.publishing import PublishingClient

_REQUESTS = 4
"""Requests at a time."""

_PATIENCE = (0.2, 1.0)
"""Seconds to wait before looking again for attachments: some registries list them a moment later."""


def check_blobs(client: PublishingClient, blobs: Iterable[Descriptor], target: TagReference) -> None:
    """Check that the repository holds all of each blob.

    Raises:
        ServiceError: one is missing, or has another length.
    """
    blobs = tuple(blobs)
    with ThreadPoolExecutor(_REQUESTS) as pool:
        sizes = list(pool.map(client.stored_size, blobs))
    for blob, size in zip(blobs, sizes, strict=True):
        if size != blob.size:
            found = "does not hold it" if size is None else f"holds {size:,} bytes of it"
            raise ServiceError(
                f"The blob {blob.digest} has {blob.size:,} bytes, and the registry {found}.",
                where=f"{target.host}/{target.repository}",
                fix="the registry's storage is damaged, perhaps since its disk was full: have the blob "
                "deleted there, then run the same command again",
            )


def check_tag(
    client: PublishingClient, layout: ImageLayout, descriptor: Descriptor, target: TagReference, tag: str
) -> None:
    """Check that a tag has the bytes that were written.

    Raises:
        ServiceError: it has others.
    """
    found = client.read_manifest(tag, descriptor.media_type)
    if found is None:
        raise ServiceError(
            "The registry accepted the manifest, but does not hold it.",
            where=str(target.with_tag(tag)),
            fix="run the same command again; if it stays so, ask the registry's administrator",
        )
    if found != layout.read(descriptor):
        raise ServiceError(
            "The registry returned another manifest than the one written.",
            where=str(target.with_tag(tag)),
            fix="make sure that nobody else publishes to this tag, then run the same command again",
        )


def check_attachments(
    client: PublishingClient, attachments: Iterable[Attachment], target: TagReference
) -> None:
    """Check that readers find each attachment: in the registry's list of referrers or at the fallback tag.

    Raises:
        ServiceError: one is in neither.
    """
    from starfreight.registry.referrers import unlisted

    lost = unlisted(client, attachments)
    for seconds in _PATIENCE:
        if not lost:
            return
        time.sleep(seconds)
        lost = unlisted(client, lost)
    if lost:
        raise ServiceError(
            f"Readers do not find {len(lost)} of the attached statements: neither the registry's list of "
            f"referrers nor the tag {lost[0].subject.replace(':', '-')} has {lost[0].manifest.digest}.",
            where=f"{target.host}/{target.repository}",
            fix="run the same command again; if it stays so, the registry's list of referrers is broken",
        )
