"""From finished GGUF files and texts to a package on disk.

    package = write_package(Path("packages/acme-coder"), contents, console)

The order of writing is blobs, manifests, index, record. Stopped at any point, the same call picks up:
what lies in the layout with the right digest is used again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import RecipeError
from starfreight.files import canonical_json
from starfreight.package import (
    Attachment,
    BaseOrigin,
    Descriptor,
    LicenseFile,
    Package,
    PackagedManifest,
    Variant,
)
from starfreight.packager import media_types
from starfreight.packager.layout.writer import LayoutWriter, open_writer
from starfreight.packager.manifests import FORMATS, ModelParts
from starfreight.quantization import Quantization
from starfreight.registry.manifests import BuiltManifest, build_attachment

Setting = str | int | float | bool | Sequence[str]
"""A value of an Ollama parameter; ``stop`` takes several strings."""


@dataclass(frozen=True)
class GgufFile:
    """A finished GGUF file. It is moved into the package when the file system allows."""

    quantization: Quantization
    path: Path
    digest: str
    size: int


@dataclass(frozen=True)
class LicenseText:
    """A license by its SPDX identifier (or ``LicenseRef-...``) and its text."""

    name: str
    text: bytes


@dataclass(frozen=True)
class PackageContents:
    """All that goes into a package."""

    name: str
    title: str
    created: datetime
    """When the run ended, with a time zone."""
    run: str
    recipe: str
    """The recipe's digest."""
    base: BaseOrigin
    architecture: str
    """As GGUF names it: ``starcoder2``."""
    parameters: int
    """How many weights the model has."""
    context_length: int
    """The longest input in tokens."""
    ggufs: tuple[GgufFile, ...]
    default: Quantization
    licenses: tuple[LicenseText, ...]
    model_card: bytes
    provenance: bytes
    """An in-toto statement, as JSON."""
    adapter: GgufFile | None = None
    """A LoRA file, where the GGUF files are the base model's."""
    provenance_predicate: str = "https://slsa.dev/provenance/v1"
    """The statement's ``predicateType``, which lists of referrers show."""
    template: str | None = None
    """An Ollama template; without one the prompt is passed on as it is."""
    settings: Mapping[str, Setting] | None = None
    """The parameters that Ollama runs the model with."""
    system: str | None = None
    description: str = ""
    authors: tuple[str, ...] = ()
    source_url: str | None = None


def write_package(out: Path, contents: PackageContents, console: Console) -> Package:
    """Writes a package into the folder ``out``, or completes one that was begun there.

    Returns:
        the record, which also lies in ``out/package.json``.

    Raises:
        RecipeError: a name or a number is not one that a package can have.
        InputError: ``out`` holds something else, or a GGUF file is missing.
        GateError: a GGUF file had to be copied and does not have its digest.
        ServiceError: the disk is full or not writable.
    """
    created = contents.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    _check(contents)
    with open_writer(out, console) as writer:
        ggufs = [
            (file.quantization, writer.adopt(file.path, media_types.GGUF, digest=file.digest, size=file.size))
            for file in contents.ggufs
        ]
        adapter = None
        if (lora := contents.adapter) is not None:
            adapter = writer.adopt(lora.path, media_types.GGUF, digest=lora.digest, size=lora.size)
        shared = _shared_parts(writer, contents, created, *ggufs[0], adapter)
        provenance = writer.add(contents.provenance, media_types.IN_TOTO)
        annotations = {
            "org.opencontainers.image.created": created,
            "in-toto.io/predicate-type": contents.provenance_predicate,
        }
        variants = []
        attachments = []
        for quantization, gguf in ggufs:
            parts = replace(shared, quantization=quantization, gguf=gguf)
            manifests = []
            for format in FORMATS:
                manifest = _put(writer, format.build(parts))
                manifests.append(
                    PackagedManifest(format=format.name, suffix=format.suffix, manifest=manifest)
                )
                attached = _put(
                    writer, build_attachment(manifest, provenance, media_types.IN_TOTO, annotations)
                )
                attachments.append(
                    Attachment(subject=manifest.digest, artifact_type=media_types.IN_TOTO, manifest=attached)
                )
            variants.append(Variant(quantization=quantization, gguf=gguf, manifests=tuple(manifests)))
        package = Package(
            name=contents.name,
            title=_one_line(contents.title),
            description=contents.description,
            created=created,
            run=contents.run,
            recipe=contents.recipe,
            base=contents.base,
            architecture=contents.architecture,
            parameters=contents.parameters,
            context_length=contents.context_length,
            default=contents.default,
            variants=tuple(variants),
            adapter=adapter,
            template=shared.template,
            settings=shared.settings,
            system=shared.system,
            licenses=shared.licenses,
            model_card=shared.model_card,
            provenance=provenance,
            attachments=tuple(attachments),
        )
        writer.finish(package)
    return package


def _check(contents: PackageContents) -> None:
    """Refuses what a package cannot hold before any file is moved."""
    quantizations = [file.quantization for file in contents.ggufs]
    if len(set(quantizations)) != len(quantizations):
        raise RecipeError(
            "Two variants have one quantization.", where="key package.quantizations", fix="name each once"
        )
    if contents.default not in quantizations:
        raise RecipeError(
            f"The default {contents.default} is none of the package's quantizations.",
            where="key package.default",
            fix="add it to package.quantizations, or choose one of those",
        )
    for text, key in ((contents.name, "name"), (contents.title, "package.card.title")):
        if not text.strip():
            raise RecipeError("A package needs a name and a title.", where=f"key {key}", fix="write one")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shared_parts(
    writer: LayoutWriter,
    contents: PackageContents,
    created: str,
    quantization: Quantization,
    gguf: Descriptor,
    adapter: Descriptor | None,
) -> ModelParts:
    """The parts of one variant; the other variants differ in quantization and GGUF file only."""
    settings = canonical_json(dict(contents.settings)) if contents.settings else None
    return ModelParts(
        name=contents.name,
        title=_one_line(contents.title),
        description=contents.description,
        created=created,
        authors=contents.authors,
        source_url=contents.source_url,
        architecture=contents.architecture,
        parameters=contents.parameters,
        template=writer.add(contents.template.encode(), media_types.TEXT) if contents.template else None,
        settings=writer.add(settings, media_types.JSON) if settings else None,
        system=writer.add(contents.system.encode(), media_types.TEXT) if contents.system else None,
        licenses=tuple(
            LicenseFile(name=_one_line(license.name), text=writer.add(license.text, media_types.TEXT))
            for license in contents.licenses
        ),
        model_card=writer.add(contents.model_card, media_types.MARKDOWN),
        quantization=quantization,
        gguf=gguf,
        adapter=adapter,
    )


def _put(writer: LayoutWriter, built: BuiltManifest) -> Descriptor:
    writer.add(built.config, built.config_media_type)
    return writer.add(built.manifest, built.media_type)
