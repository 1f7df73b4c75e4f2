"""Build a package's manifests again from its record, to compare them byte for byte.

    for manifest in rebuild_manifests(layout, package):
        assert manifest.is_recorded

Building is a pure function of the record and values that only ModelPack's config holds, so a manifest
with anything more, less or other than that is not the package's: a foreign layer, another media type, another
file path, a key that clients read differently.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from starfreight.errors import GateError
from starfreight.files import sha256_bytes
from starfreight.image_layout.index import IndexEntry, package_entries
from starfreight.image_layout.reader import ImageLayout, damaged
from starfreight.package import Attachment, Descriptor, Package, Variant
from starfreight.packager import media_types
from starfreight.packager.model_description import ModelDescription
from starfreight.registry.manifests import BuiltManifest, build_attachment, descriptor_for

if TYPE_CHECKING:
    from starfreight.packager.manifests import ManifestFormat

_MOST_LAYERS = 100

PATH_ANNOTATIONS = ("org.opencontainers.image.title", "org.cncf.model.filepath")
"""Annotations that clients use as the path of a file."""


@dataclass(frozen=True)
class Credits:
    """The values of a model's description that its record lacks."""

    authors: tuple[str, ...] = ()
    source_url: str | None = None
    doc_url: str | None = None
    dataset_urls: tuple[str, ...] = ()
    has_links: bool = False
    """False for early packages, which named neither of the last two."""


@dataclass(frozen=True)
class RebuiltManifest:
    """A manifest as the record names it and as it has to be."""

    recorded: Descriptor
    built: BuiltManifest

    @property
    def digest(self) -> str:
        """The digest that the manifest has to have."""
        return sha256_bytes(self.built.manifest)

    @property
    def is_recorded(self) -> bool:
        """True if the recorded manifest has the right bytes and media type."""
        return self.recorded == descriptor_for(self.built.media_type, self.built.manifest)

    @property
    def config(self) -> Descriptor:
        """The config that the manifest refers to."""
        return descriptor_for(self.built.config_media_type, self.built.config)


def read_credits(layout: ImageLayout, package: Package) -> Credits:
    """The credits in the config of the first ModelPack manifest; without one there are none.

    Raises:
        GateError: the manifest or its config is missing or damaged.
    """
    for each in package.variants[0].manifests:
        if each.format == "modelpack":
            config = layout.manifest(each.manifest).config
            described = layout.json_blob(config).get("descriptor")
            credits = _credits(described) if isinstance(described, dict) else None
            if credits is None:
                raise damaged(layout.blob_path(config.digest), "is not a ModelPack config")
            return credits
    return Credits()


def _credits(described: dict[str, Any]) -> Credits | None:
    """The credits in a config's ``descriptor``; ``None`` if one has the wrong type."""
    lists = [described.get(key, []) for key in ("authors", "datasetsURL")]
    texts = [described.get(key) for key in ("sourceURL", "docURL")]
    if not all(isinstance(each, list) and all(isinstance(text, str) for text in each) for each in lists):
        return None
    if not all(isinstance(text, str | None) for text in texts):
        return None
    return Credits(tuple(lists[0]), texts[0], texts[1], tuple(lists[1]), "revision" in described)


def rebuild_manifests(package: Package, credits: Credits) -> Iterator[RebuiltManifest]:
    """Every variant's manifests, built again.

    Raises:
        ValueError: the record cannot describe a model, or a variant does not have every kind of manifest.
    """
    formats = _formats(package, credits)
    for variant in package.variants:
        parts = _parts(package, variant, credits)
        for format, each in zip(formats, variant.manifests, strict=True):
            yield RebuiltManifest(each.manifest, format.build(parts))


def with_card(package: Package, card: Descriptor, credits: Credits) -> Package:
    """The record with another model card, without attachments: its manifests have other digests.

    Raises:
        ValueError: as :func:`rebuild_manifests`.
    """
    changed = package.model_copy(update={"model_card": card, "attachments": ()})
    built = (each.built for each in rebuild_manifests(changed, credits))
    variants = []
    for variant in package.variants:
        manifests = []
        for each in variant.manifests:
            new = next(built)
            descriptor = descriptor_for(new.media_type, new.manifest)
            manifests.append(each.model_copy(update={"manifest": descriptor}))
        variants.append(variant.model_copy(update={"manifests": tuple(manifests)}))
    return changed.model_copy(update={"variants": tuple(variants)})


def has_other_card(layout: ImageLayout, package: Package, entry: IndexEntry) -> bool:
    """True if an entry of the index is a manifest of the package but for another model card."""
    if entry.name is None or entry.artifact_type is not None:
        return False
    try:
        credits = read_credits(layout, package)
        for layer in layout.manifest(entry.manifest).layers[:_MOST_LAYERS]:
            card = layer.model_copy(update={"media_type": media_types.MARKDOWN})
            if entry in package_entries(with_card(package, card, credits)):
                return True
    except (GateError, ValueError):
        pass
    return False


def _formats(package: Package, credits: Credits) -> tuple[ManifestFormat, ...]:
    """The formats of a package, in this version's form or an earlier one: of all variants the same.

    Raises:
        ValueError: a variant has others.
    """
    from starfreight.packager.manifests import EARLIER_FORMATS, formats_for

    current = formats_for(with_adapter=package.adapter is not None)
    formats = current if credits.has_links else EARLIER_FORMATS
    for variant in package.variants:
        kinds = [(each.format, each.suffix) for each in variant.manifests]
        if kinds != [(format.name, format.suffix) for format in formats]:
            raise ValueError(f"{variant.quantization} does not have the manifests of this version's formats")
    return formats


def wrong_media_types(package: Package) -> Iterator[Descriptor]:
    """The record's files with another media type than packages are written with."""
    expected: list[tuple[Descriptor | None, str]] = [
        *((variant.gguf, media_types.GGUF) for variant in package.variants),
        *((license.text, media_types.TEXT) for license in package.licenses),
        (package.adapter, media_types.GGUF),
        (package.template, media_types.TEXT),
        (package.settings, media_types.JSON),
        (package.system, media_types.TEXT),
        (package.model_card, media_types.MARKDOWN),
        (package.provenance, media_types.IN_TOTO),
        *((document.text, media_types.TEXT) for document in package.documents),
        (package.bom, media_types.BOM),
    ]
    if (data := package.training_data) is not None:
        expected.append((data.manifest, media_types.DATA_MANIFEST))
        expected += [(each.file, media_types.DATA_LIST) for each in data.lists]
    for descriptor, media_type in expected:
        if descriptor is not None and descriptor.media_type != media_type:
            yield descriptor


def rebuild_attachment(layout: ImageLayout, attachment: Attachment, subject: Descriptor) -> RebuiltManifest:
    """An attachment's manifest, built again from its only layer and its annotations.

    Raises:
        GateError: the manifest is missing, damaged or not that of an attachment.
    """
    found = layout.manifest(attachment.manifest)
    path = layout.blob_path(attachment.manifest.digest)
    if len(found.layers) != 1:
        raise damaged(path, f"attaches {len(found.layers)} files instead of one")
    if not all(isinstance(value, str) for value in found.annotations.values()):
        raise damaged(path, "has an annotation that is not a text")
    if (name := climbing_path(found.annotations)) is not None:
        raise damaged(path, f"has an annotation {name} with a path that leaves its directory")
    built = build_attachment(subject, found.layers[0], attachment.artifact_type, found.annotations)
    return RebuiltManifest(attachment.manifest, built)


def climbing_path(annotations: dict[str, Any]) -> str | None:
    """The first annotation that some clients would use as the path of a file outside their directory."""
    for name in PATH_ANNOTATIONS:
        value = annotations.get(name, "")
        if posixpath.isabs(value) or "\\" in value or "\0" in value or ".." in value.split("/"):
            return name
    return None


def _parts(package: Package, variant: Variant, credits: Credits) -> Any:
    from starfreight.packager.manifests import ModelParts

    try:
        model = ModelDescription(
            **package.facts(),
            authors=credits.authors,
            source_url=credits.source_url,
            doc_url=credits.doc_url,
            dataset_urls=credits.dataset_urls,
        )
    except ValidationError as error:
        raise ValueError("the record does not describe a model") from error
    return ModelParts(
        model=model,
        quantization=variant.quantization,
        gguf=variant.gguf,
        template=package.template,
        settings=package.settings,
        system=package.system,
        licenses=package.licenses,
        model_card=package.model_card,
        adapter=package.adapter,
        documents=package.documents,
    )
