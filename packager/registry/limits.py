"""Known limits of registries, checked before hours of uploading instead of after."""

from __future__ import annotations

from starfreight.console import human_count
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor

LARGEST_LAYER = {"ghcr.io": 10_000_000_000}
"""Bytes by host. GitHub: "10 GB size limit for each layer" (docs.github.com, container registry)."""


def largest_layer(host: str) -> int | None:
    """The largest layer of a host in bytes; ``None`` if no limit is known."""
    return LARGEST_LAYER.get(host.lower())


def check_limits(host: str, layout: ImageLayout, blobs: tuple[Descriptor, ...]) -> None:
    """Refuse a package that the registry would refuse.

    Raises:
        GateError: a blob is too large.
    """
    limit = largest_layer(host)
    for blob in blobs:
        if limit is not None and blob.size > limit:
            raise GateError(
                f"{host} accepts layers up to {human_count(limit, 'B')}; "
                f"one has {human_count(blob.size, 'B')}.",
                where=str(layout.blob_path(blob.digest)),
                fix="choose a smaller quantization (plan shows the sizes), or another registry",
            )
