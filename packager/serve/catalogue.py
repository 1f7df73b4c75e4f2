"""Everything that a served registry answers with: manifests by tag and digest, blobs by digest.

Nothing else can be asked for: a request is looked up here and never turned into a path.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.errors import GateError, InputError
from starfreight.files import canonical_json, sha256_bytes
from starfreight.image_layout.index import package_entries
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Descriptor, Package
from starfreight.packager.registry.package_record import PackageRecord
from starfreight.packager.serve.served_names import ServedName, served_name
from starfreight.registry.manifests import descriptor_json
from starfreight.registry.media_types import OCI_INDEX

if TYPE_CHECKING:
    from starfreight.registry.publishing import BlobSource


@dataclass(frozen=True)
class ServedManifest:
    """A manifest's bytes and their media type."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> str:
        """Digest of the bytes."""
        return sha256_bytes(self.data)


@dataclass(frozen=True)
class ServedBlob:
    """A blob of a package, in its layout or in memory."""

    source: BlobSource
    descriptor: Descriptor


@dataclass(frozen=True)
class ServedTag:
    """A tag and its manifest."""

    folder: Path
    """The package."""
    repository: str
    tag: str
    format: str
    """``ollama``, ``modelpack`` or another format of ``package.json``."""
    quantization: str
    digest: str


@dataclass(frozen=True)
class Catalogue:
    """The contents of the registry."""

    manifests: dict[tuple[str, str], ServedManifest] = field(default_factory=dict)
    """By repository and tag or digest."""
    blobs: dict[tuple[str, str], ServedBlob] = field(default_factory=dict)
    """By repository and digest."""
    referrers: dict[tuple[str, str], ServedManifest] = field(default_factory=dict)
    """Index of the manifests attached to a manifest, by repository and the latter's digest."""
    tags: list[ServedTag] = field(default_factory=list)

    @property
    def repositories(self) -> tuple[str, ...]:
        """Names of the repositories, each once."""
        return tuple(dict.fromkeys(tag.repository for tag in self.tags))


def build_catalogue(packages: Sequence[tuple[Path, str | None]]) -> Catalogue:
    """Read the packages' records and manifests. Sizes of blobs are checked, their digests are not.

    Args:
        packages: directories, each with its name (``NAMESPACE/NAME[:TAG]``) or ``None`` for its own.

    Raises:
        InputError: no package there, or two packages with the same tag.
        GateError: a record, index or manifest is damaged, or a blob is missing or has another size.
    """
    catalogue = Catalogue()
    for folder, name in packages:
        package = Package.load(folder)
        _add(catalogue, served_name(folder, package, name), package)
    return catalogue


def _add(catalogue: Catalogue, name: ServedName, package: Package) -> None:
    layout = ImageLayout(name.folder)
    if set(layout.index()) < set(package_entries(package)):
        raise GateError(
            "The package's index lacks manifests of its record.",
            where=str(name.folder),
            fix="get the package again",
        )
    formats = {
        each.manifest.digest: (each.format, str(variant.quantization))
        for variant in package.variants
        for each in variant.manifests
    }
    for entry in package_entries(package):
        descriptor = entry.manifest
        manifest = layout.manifest(descriptor)
        for blob in (manifest.config, *manifest.layers):
            with layout.open(blob):
                catalogue.blobs[name.repository, blob.digest] = ServedBlob(layout, blob)
        served = ServedManifest(descriptor.media_type, layout.read(descriptor))
        catalogue.manifests[name.repository, descriptor.digest] = served
        if entry.name is None:
            continue
        tag = name.variant_tag(entry.name)
        if (name.repository, tag) in catalogue.manifests:
            raise InputError(
                f"Two of the packages are called {name.repository}:{tag}.",
                where=str(name.folder),
                fix=f"give one another name: NAMESPACE/NAME:TAG={name.folder}",
            )
        catalogue.manifests[name.repository, tag] = served
        format, quantization = formats[descriptor.digest]
        catalogue.tags.append(
            ServedTag(name.folder, name.repository, tag, format, quantization, descriptor.digest)
        )
    # What package pull makes the package's directory from.
    record = PackageRecord(package, layout)
    for blob in record.blobs:
        catalogue.blobs.setdefault((name.repository, blob.digest), ServedBlob(record, blob))
    recorded = record.attachments(frozenset(formats))
    for attachment, data in recorded:
        attaching = ServedManifest(attachment.manifest.media_type, data)
        catalogue.manifests[name.repository, attachment.manifest.digest] = attaching
    attachments = (*package.attachments, *(attachment for attachment, _ in recorded))
    _add_referrers(catalogue, name.repository, package, attachments)


def _add_referrers(
    catalogue: Catalogue, repository: str, package: Package, attachments: tuple[Attachment, ...]
) -> None:
    """The lists of attached evidence, at the referrers address and at the tag of registries without it."""
    listed: dict[str, list[dict[str, object]]] = {
        each.manifest.digest: [] for variant in package.variants for each in variant.manifests
    }
    for attachment in attachments:
        entry = {**descriptor_json(attachment.manifest), "artifactType": attachment.artifact_type}
        data = catalogue.manifests[repository, attachment.manifest.digest].data
        if annotations := json.loads(data).get("annotations"):
            entry["annotations"] = annotations
        listed.setdefault(attachment.subject, []).append(entry)
    for subject, entries in listed.items():
        index = canonical_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        catalogue.referrers[repository, subject] = ServedManifest(OCI_INDEX, index)
        if entries:
            tag = subject.replace(":", "-")
            catalogue.manifests[repository, tag] = ServedManifest(OCI_INDEX, index)
