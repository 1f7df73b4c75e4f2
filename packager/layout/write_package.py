"""From finished GGUF files and texts to a package on disk.

    package = write_package(Path("packages/acme-coder"), contents, console)

Written in the order blobs, manifests, index, record. After an interruption the same call completes the
package: blobs in the layout with the right digest are used again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import RecipeError
from starfreight.files import canonical_json
from starfreight.package import (
    DataList,
    Descriptor,
    Document,
    LicenseFile,
    Package,
    PackagedManifest,
    TrainingDataFiles,
    Variant,
)
from starfreight.packager import media_types
from starfreight.packager.hashed_file import HashedFile, QuantizedFile
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.layout.writer import LayoutWriter, open_writer
from starfreight.packager.manifests import ModelParts, formats_for
from starfreight.packager.model_description import ModelDescription


@dataclass(frozen=True)
class DocumentText:
    """A document that has to accompany the model: its file name and its text."""

    name: str
    text: bytes


@dataclass(frozen=True)
class DataFiles:
    """The data manifest of a run and the lists beside it; they stay where they are."""

    manifest: Path
    lists: tuple[Path, ...]


@dataclass(frozen=True)
class PackageContents:
    """The description, the files and the documents of a package."""

    model: ModelDescription
    files: tuple[QuantizedFile, ...]
    """They are moved into the package where the file system allows."""
    model_card: bytes
    provenance: bytes
    """An in-toto statement, as JSON."""
    adapter: HashedFile | None = None
    """A LoRA file, if the GGUF files are the base model's."""
    provenance_predicate: str = "https://slsa.dev/provenance/v1"
    """The statement's ``predicateType``, shown in lists of referrers."""
    documents: tuple[DocumentText, ...] = ()
    data: DataFiles | None = None
    """``None`` to keep the data manifest out of the package."""
    bom: Callable[[Package], bytes] | None = None
    """Makes the software bill of materials, in CycloneDX's JSON, from the record without it and without
    attachments. It is attached to every manifest."""


def write_package(out: Path, contents: PackageContents, console: Console) -> Package:
    """Write a package into the directory ``out``, or complete an interrupted one there.

    Returns:
        The record, also in ``out/package.json``.

    Raises:
        RecipeError: two files have one quantization, or none has the default.
        InputError: ``out`` holds something else, or a GGUF file is missing.
        GateError: a GGUF file had to be copied and does not have its digest.
        ServiceError: the disk is full or not writable.
    """
    _check(contents)
    model = contents.model
    with open_writer(out, console) as writer:
        ggufs = [(file.quantization, _adopt(writer, file)) for file in contents.files]
        adapter = _adopt(writer, contents.adapter) if contents.adapter is not None else None
        first = _first_variant(writer, contents, ggufs[0][1], adapter)
        provenance = writer.add(contents.provenance, media_types.IN_TOTO)
        data = _data_files(writer, contents.data) if contents.data is not None else None
        variants = []
        for quantization, gguf in ggufs:
            parts = replace(first, quantization=quantization, gguf=gguf)
            manifests = []
            for format in formats_for(with_adapter=adapter is not None):
                manifest = writer.add_manifest(format.build(parts))
                manifests.append(
                    PackagedManifest(format=format.name, suffix=format.suffix, manifest=manifest)
                )
            variants.append(Variant(quantization=quantization, gguf=gguf, manifests=tuple(manifests)))
        package = Package(
            **model.facts(),
            version=2 if first.documents or data else 1,
            variants=tuple(variants),
            adapter=adapter,
            template=first.template,
            settings=first.settings,
            system=first.system,
            licenses=first.licenses,
            model_card=first.model_card,
            provenance=provenance,
            documents=first.documents,
            training_data=data,
            attachments=(),
        )
        bom = contents.bom(package) if contents.bom is not None else None
        if bom is not None:
            package = package.model_copy(update={"version": 2, "bom": writer.add(bom, media_types.BOM)})
        attachments = [writer.attach(each) for each in _evidence(contents, package, bom)]
        package = package.model_copy(update={"attachments": tuple(attachments)})
        writer.finish(package)
    return package


def _evidence(contents: PackageContents, package: Package, bom: bytes | None) -> Iterator[Evidence]:
    annotations = {
        "org.opencontainers.image.created": package.created,
        "in-toto.io/predicate-type": contents.provenance_predicate,
    }
    for variant in package.variants:
        for each in variant.manifests:
            yield Evidence(
                subject=each.manifest,
                data=contents.provenance,
                media_type=media_types.IN_TOTO,
                artifact_type=media_types.IN_TOTO,
                annotations=annotations,
            )
            if bom is not None:
                yield bom_evidence(each.manifest, bom, package.created)


def _check(contents: PackageContents) -> None:
    """Refuse impossible contents before any file is moved."""
    quantizations = [file.quantization for file in contents.files]
    if len(set(quantizations)) != len(quantizations):
        raise RecipeError(
            "Two variants have one quantization.", where="key package.quantizations", fix="name each once"
        )
    if contents.model.default not in quantizations:
        raise RecipeError(
            f"The default {contents.model.default} is none of the package's quantizations.",
            where="key package.default",
            fix="add it to package.quantizations, or choose one of those",
        )


def bom_evidence(subject: Descriptor, bom: bytes, created: str) -> Evidence:
    """A package's bill of materials, to attach to one of its manifests."""
    return Evidence(
        subject=subject,
        data=bom,
        media_type=media_types.BOM,
        artifact_type=media_types.BOM,
        annotations={"org.opencontainers.image.created": created},
    )


def _data_files(writer: LayoutWriter, data: DataFiles) -> TrainingDataFiles:
    return TrainingDataFiles(
        manifest=writer.adopt(data.manifest, media_types.DATA_MANIFEST, keep=True),
        lists=tuple(
            DataList(path=path.name, file=writer.adopt(path, media_types.DATA_LIST, keep=True))
            for path in data.lists
        ),
    )


def _adopt(writer: LayoutWriter, file: HashedFile) -> Descriptor:
    return writer.adopt(file.path, media_types.GGUF, digest=file.digest, size=file.size)


def _first_variant(
    writer: LayoutWriter, contents: PackageContents, gguf: Descriptor, adapter: Descriptor | None
) -> ModelParts:
    """The parts of the first variant; other variants differ only in quantization and GGUF file."""
    model = contents.model

    def text(value: str | None) -> Descriptor | None:
        return writer.add(value.encode(), media_types.TEXT) if value else None

    settings = canonical_json(dict(model.settings)) if model.settings else None
    return ModelParts(
        model=model,
        quantization=contents.files[0].quantization,
        gguf=gguf,
        template=text(model.template),
        settings=writer.add(settings, media_types.JSON) if settings else None,
        system=text(model.system),
        licenses=tuple(
            LicenseFile(name=license.name, text=writer.add(license.text, media_types.TEXT))
            for license in model.licenses
        ),
        model_card=writer.add(contents.model_card, media_types.MARKDOWN),
        adapter=adapter,
        documents=tuple(
            Document(name=each.name, text=writer.add(each.text, media_types.TEXT))
            for each in contents.documents
        ),
    )
