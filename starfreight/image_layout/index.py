"""``index.json``: the manifests of a layout and their names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starfreight.package import Descriptor, Package
from starfreight.registry.manifests import descriptor_json
from starfreight.registry.media_types import OCI_INDEX

REFERENCE_NAME = "org.opencontainers.image.ref.name"
"""The annotation that names a manifest inside a layout (OCI image specification)."""

DEFAULT_NAME = "latest"
"""The default variant's second name inside the layout; in a registry the tag takes its place."""


@dataclass(frozen=True)
class IndexEntry:
    """One entry of the index: a manifest and its name, which attachments do not have."""

    manifest: Descriptor
    name: str | None = None
    artifact_type: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry as ``index.json`` and a registry's index hold it."""
        entry: dict[str, Any] = descriptor_json(self.manifest)
        if self.artifact_type is not None:
            entry["artifactType"] = self.artifact_type
        if self.name is not None:
            entry["annotations"] = {REFERENCE_NAME: self.name}
        return entry


def package_entries(package: Package) -> tuple[IndexEntry, ...]:
    """The index entries of a package, in order: variants, default variant, attachments."""
    entries = [
        IndexEntry(each.manifest, variant.tag + each.suffix)
        for variant in package.variants
        for each in variant.manifests
    ]
    entries += [
        IndexEntry(each.manifest, DEFAULT_NAME + each.suffix) for each in package.default_variant.manifests
    ]
    entries += [
        IndexEntry(attachment.manifest, artifact_type=attachment.artifact_type)
        for attachment in package.attachments
    ]
    return tuple(entries)


def index_bytes(entries: Iterable[IndexEntry]) -> bytes:
    """``index.json``: indented JSON that ends with a newline."""
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [entry.as_json() for entry in entries],
    }
    return json.dumps(index, indent=2, ensure_ascii=False).encode() + b"\n"
