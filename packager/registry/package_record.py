"""A whole package in a registry, for ``package pull``: ``package.json`` and files of unpublished formats.

    record = PackageRecord(package, layout)
    for blob in record.blobs:
        client.upload(record, blob, advance)
    attach_all(client, record.attachments(pushed))

The record is attached to every manifest of the package, so that any tag or digest leads to it. Its layers are
``package.json``, all manifests in one file (those of formats that were not published are nowhere else), and
every other file but the models. It is not among the package's own attachments, which ``package.json`` lists.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection
from typing import IO

from starfreight.files import canonical_json
from starfreight.image_layout.index import package_entries
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import PACKAGE_FILE, Attachment, Descriptor, Package
from starfreight.registry.manifests import EMPTY_CONFIG, descriptor_for, descriptor_json
from starfreight.registry.media_types import OCI_EMPTY, OCI_MANIFEST

RECORD = "application/vnd.starfreight.package.v1+json"
"""Media type of ``package.json``, and artifact type of the manifest that attaches it."""

MANIFESTS = "application/vnd.starfreight.manifests.v1+json"
"""A JSON object: texts by digest. Registries take a manifest that is a blob of its own for a pushed one."""


class PackageRecord:
    """The record of a package as blobs and manifests; a source of blobs to upload.

    Raises:
        GateError: a manifest of the package is missing or damaged.
    """

    def __init__(self, package: Package, layout: ImageLayout) -> None:
        self._package, self._layout = package, layout
        data = package.as_bytes()
        self._record = descriptor_for(RECORD, data)
        self._empty = descriptor_for(OCI_EMPTY, EMPTY_CONFIG)
        self._data = {self._record.digest: data, self._empty.digest: EMPTY_CONFIG}
        self._others = (self._manifests(), *self._small_files())

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs to upload."""
        return tuple({each.digest: each for each in (self._empty, self._record, *self._others)}.values())

    def open(self, descriptor: Descriptor) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a blob at its first byte."""
        if descriptor.digest in self._data:
            return contextlib.closing(io.BytesIO(self._data[descriptor.digest]))
        return self._layout.open(descriptor)

    def where(self, descriptor: Descriptor) -> str:
        """Location of a blob, for error messages."""
        return PACKAGE_FILE if descriptor.digest in self._data else self._layout.where(descriptor)

    def attachments(self, pushed: Collection[str]) -> list[tuple[Attachment, bytes]]:
        """The record's attachment to each pushed manifest of a variant, and the attaching manifest.

        Args:
            pushed: digests of the manifests that are in the registry.
        """
        found = []
        for subject in self._subjects():
            if subject.digest in pushed:
                data = self._manifest(subject)
                manifest = descriptor_for(OCI_MANIFEST, data)
                attachment = Attachment(subject=subject.digest, artifact_type=RECORD, manifest=manifest)
                found.append((attachment, data))
        return found

    def _subjects(self) -> list[Descriptor]:
        return list(
            dict.fromkeys(each.manifest for variant in self._package.variants for each in variant.manifests)
        )

    def _manifest(self, subject: Descriptor) -> bytes:
        layers = [
            {
                **descriptor_json(self._record),
                "annotations": {"org.opencontainers.image.title": PACKAGE_FILE},
            },
            *(descriptor_json(each) for each in self._others),
        ]
        return canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": RECORD,
                "config": descriptor_json(self._empty),
                "layers": layers,
                "subject": descriptor_json(subject),
            }
        )

    def _manifests(self) -> Descriptor:
        """The file of all manifests."""
        texts = {
            entry.manifest.digest: self._layout.read(entry.manifest).decode()
            for entry in package_entries(self._package)
        }
        data = canonical_json(texts)
        descriptor = descriptor_for(MANIFESTS, data)
        self._data[descriptor.digest] = data
        return descriptor

    def _small_files(self) -> tuple[Descriptor, ...]:
        """Every file of the package but its manifests, models and adapter."""
        package = self._package
        manifests = {entry.manifest.digest: entry.manifest for entry in package_entries(package)}
        found = {each.digest: each for each in package.descriptors() if each.digest not in manifests}
        for manifest in manifests.values():
            references = self._layout.manifest(manifest)
            for blob in (references.config, *references.layers):
                found.setdefault(blob.digest, blob)
        models = {variant.gguf.digest for variant in package.variants}
        if package.adapter is not None:
            models.add(package.adapter.digest)
        return tuple(each for digest, each in sorted(found.items()) if digest not in models)
