"""The third record: the package, in ``package.json`` beside an OCI image layout.

    package = Package.load(Path("packages/acme-coder"))
    for variant in package.variants:
        print(variant.quantization, variant.gguf.digest)

Everything that the record names is in the layout under its digest. The record holds nothing about the
machine that made the package, so the same run gives the same bytes.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from starfreight.errors import InputError
from starfreight.quantization import Quantization
from starfreight.records import Digest, Part, Record

PACKAGE_FILE = "package.json"
NEWEST_VERSION = 2
"""Version 2 may have documents, training data and a software bill of materials."""
MAX_PACKAGE_BYTES = 4 << 20

_TOKEN = r"[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}"

MediaType = Annotated[str, Field(pattern=f"^{_TOKEN}/{_TOKEN}$")]
"""A media type without parameters (RFC 6838)."""

Line = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Descriptor(Part):
    """Bytes in the layout: their media type, digest and size."""

    media_type: MediaType
    digest: Digest
    size: Annotated[int, Field(ge=0, lt=1 << 63)]


class BaseOrigin(Part):
    """The base model as the run found it."""

    name: Line
    """A hub id, ``builtin:starter``, or the name of a local directory without its path."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    digest: Digest
    """Of the list of its files (see :class:`starfreight.run.BaseInput`)."""


class LicenseFile(Part):
    """A license of the package, with its text."""

    name: Line
    """An SPDX identifier or ``LicenseRef-...``."""
    text: Descriptor


class Document(Part):
    """A document that has to accompany the model, such as the base model's own card or its notices."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """File name in manifests: ``BASE_MODEL_CARD.md``, ``NOTICE``."""
    text: Descriptor


class DataList(Part):
    """A list beside the data manifest."""

    path: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """As the data manifest names it: ``left_out.jsonl``, ``records-0.jsonl``."""
    file: Descriptor


class TrainingDataFiles(Part):
    """The data manifest of the run, and the lists beside it."""

    manifest: Descriptor
    lists: Annotated[tuple[DataList, ...], Field(max_length=10_001)] = ()


class PackagedManifest(Part):
    """One manifest over a variant's files, for one kind of client."""

    format: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,31}$")]
    """``ollama``, ``modelpack`` or ``docker``; a later version may add others."""
    suffix: Annotated[str, Field(pattern=r"^(-[a-z0-9]{1,16})?$")]
    """The end of this kind's tags: empty for Ollama, ``-oci`` for ModelPack, ``-docker`` for Docker."""
    manifest: Descriptor


class Variant(Part):
    """The model in one quantization."""

    quantization: Quantization
    gguf: Descriptor
    """The tuned model, or the base model if the package has an adapter."""
    manifests: Annotated[tuple[PackagedManifest, ...], Field(min_length=1)]

    @property
    def tag(self) -> str:
        """The quantization as Ollama spells it in a tag: ``q4_K_M``."""
        return self.quantization.tag


class Attachment(Part):
    """A manifest that refers to another one (OCI 1.1 ``subject``); registries list it beside its subject."""

    subject: Digest
    artifact_type: MediaType
    manifest: Descriptor


class ModelFacts(Part):
    """The model itself: its names, its origin and its size. :class:`Package` adds the files."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}$")]
    title: Line
    description: Annotated[str, Field(max_length=100_000)] = ""
    created: Annotated[str, Field(pattern=r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9](:[0-5][0-9]){2}Z$")]
    """The end of the run, in UTC: ``2026-01-31T12:00:00Z``."""
    run: Line
    """The run's id."""
    recipe: Digest
    base: BaseOrigin
    architecture: Line
    """As GGUF names it: ``starcoder2`` or ``starcoder``."""
    parameters: Annotated[int, Field(ge=1)]
    """The number of weights."""
    context_length: Annotated[int, Field(ge=1)]
    """The longest input in tokens."""
    default: Quantization
    """The variant at the plain tag."""

    def facts(self) -> dict[str, Any]:
        """The values of these fields by name, without those of a subclass."""
        return {name: getattr(self, name) for name in ModelFacts.model_fields}


class Package(ModelFacts, Record):
    """One tuned model in all its quantizations, with the evidence a reader needs to trust it."""

    version: Literal[1, 2] = 1
    """2 if the package has any of ``documents``, ``training_data`` and ``bom``, and else 1."""
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)]
    adapter: Descriptor | None = None
    """A LoRA GGUF that turns the base model into the tuned one; ``None`` if it is merged."""
    template: Descriptor | None
    settings: Descriptor | None
    """Ollama's parameters for the model, as a JSON object."""
    system: Descriptor | None
    licenses: tuple[LicenseFile, ...]
    model_card: Descriptor
    provenance: Descriptor
    """The in-toto statement about the GGUF files."""
    documents: tuple[Document, ...] = ()
    """In every manifest, beside the licenses."""
    training_data: TrainingDataFiles | None = None
    """``None`` if the recipe keeps it out of the package. Its digest is in the statement all the same."""
    bom: Descriptor | None = None
    """The software bill of materials (CycloneDX), attached to every manifest."""
    attachments: tuple[Attachment, ...]

    @model_serializer(mode="wrap")
    def _omit_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Packages without these parts are written as they were before packages could have them."""
        data: dict[str, Any] = handler(self)
        for name in ("adapter", "documents", "training_data", "bom"):
            if not getattr(self, name):
                data.pop(name, None)
        return data

    @model_validator(mode="after")
    def _variants_fit(self) -> Self:
        quantizations = [variant.quantization for variant in self.variants]
        if len(set(quantizations)) != len(quantizations):
            raise ValueError("two variants have one quantization")
        if self.default not in quantizations:
            raise ValueError(f"the default {self.default} is none of the variants")
        names = [document.name for document in self.documents]
        if len({name.casefold() for name in names}) != len(names):
            raise ValueError("two documents have one name")
        if self.version != (2 if self.documents or self.training_data or self.bom else 1):
            raise ValueError("the version is not that of the package's parts")
        return self

    @property
    def default_variant(self) -> Variant:
        """The variant at the plain tag."""
        return next(variant for variant in self.variants if variant.quantization == self.default)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read ``package.json`` from a package's directory.

        Raises:
            InputError: no package there, or one that is damaged, too large or of a newer version.
        """
        if not (folder / PACKAGE_FILE).exists():
            raise no_package(folder)
        return cls.read(folder / PACKAGE_FILE, newest=NEWEST_VERSION, limit=MAX_PACKAGE_BYTES, kind="package")

    def save(self, folder: Path) -> None:
        """Write ``package.json`` into a package's directory."""
        self.write(folder / PACKAGE_FILE)

    def descriptors(self) -> tuple[Descriptor, ...]:
        """Every descriptor in the record, each digest once."""
        named = [self.template, self.settings, self.system, self.model_card, self.provenance, self.adapter]
        named += [license.text for license in self.licenses]
        named += [document.text for document in self.documents]
        if self.training_data is not None:
            named += [self.training_data.manifest, *(each.file for each in self.training_data.lists)]
        named.append(self.bom)
        for variant in self.variants:
            named += [variant.gguf, *(each.manifest for each in variant.manifests)]
        named += [attachment.manifest for attachment in self.attachments]
        return tuple({each.digest: each for each in named if each is not None}.values())

    def extends(self, earlier: Package) -> bool:
        """True if this is ``earlier`` itself, or ``earlier`` with attachments added after its own."""
        shared = self.attachments[: len(earlier.attachments)]
        return self.model_copy(update={"attachments": shared}) == earlier


def no_package(folder: Path) -> InputError:
    """The error for a directory without ``package.json``."""
    from starfreight.run import RUN_FILE

    fix = "name a package's directory, or make one with starfreight package build RUN"
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        return InputError(f"The package {what}.", where=str(folder), fix="check the path")
    if (folder / RUN_FILE).exists():
        return InputError(
            "This is a run, not a package.",
            where=str(folder),
            fix=f"make its package: starfreight package build {shlex.quote(str(folder))}",
        )
    if any((folder / name).exists() for name in ("index.json", "blobs")):
        return InputError(
            f"The package is unfinished or damaged: it has no {PACKAGE_FILE}.",
            where=str(folder),
            fix="run the command that made it again: starfreight package build, or package pull",
        )
    return InputError(f"The directory holds no package: no {PACKAGE_FILE}.", where=str(folder), fix=fix)
