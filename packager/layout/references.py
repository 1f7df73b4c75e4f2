"""The blobs of a package, found by following its record and its manifests."""

from __future__ import annotations

from starfreight.image_layout.index import package_entries
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package


def referenced_digests(layout: ImageLayout, package: Package) -> frozenset[str]:
    """The digests of all blobs that a package's record or one of its manifests refers to.

    Raises:
        GateError: a manifest is missing or damaged.
    """
    found = {descriptor.digest for descriptor in package.descriptors()}
    for manifest in {entry.manifest: None for entry in package_entries(package)}:
        references = layout.manifest(manifest)
        found |= {each.digest for each in (references.config, *references.layers)}
        if references.subject is not None:
            found.add(references.subject.digest)
    return frozenset(found)
