"""Models from a package's record, and from a manifest alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace

from starfreight.errors import GateError, InputError
from starfreight.files import canonical_json, sha256_bytes
from starfreight.package import Descriptor, Document, LicenseFile, Package, Variant
from starfreight.packager.file_names import model_stem
from starfreight.packager.install.interface import Model, OllamaImage, Source
from starfreight.packager.install.manifest_parts import Parts, read_parts
from starfreight.packager.layout.rebuild import Credits, rebuild_manifests
from starfreight.packager.manifests import ollama
from starfreight.packager.registry.remote_manifest import RemoteManifest, parse_remote
from starfreight.registry.manifests import descriptor_for, descriptor_json
from starfreight.registry.media_types import DOCKER_MANIFEST
from starfreight.strict_json import strict_loads


def package_model(package: Package, variant: Variant, source: Source) -> Model:
    """A variant of a package.

    Raises:
        GateError: its manifest for Ollama is missing or damaged.
    """
    found = [each.manifest for each in variant.manifests if each.format == "ollama"]
    if not found:
        raise GateError(
            "The package has no manifest for Ollama.", where=source.where, fix="build the package again"
        )
    manifest = parse_remote(source.read(found[0]), source.where)
    return Model(
        stem=model_stem(package.name, with_adapter=package.adapter is not None),
        quantization=str(variant.quantization),
        gguf=variant.gguf,
        adapter=package.adapter,
        template=package.template,
        settings=package.settings,
        system=package.system,
        licenses=package.licenses,
        readme=package.model_card,
        provenance=package.provenance,
        image=OllamaImage(manifest.data, manifest.blobs),
        documents=package.documents,
        bom=package.bom,
    )


def manifest_model(manifest: RemoteManifest, stem: str, source: Source) -> Model:
    """The model of a manifest of any client's format.

    Args:
        manifest: the manifest.
        stem: start of the file names.
        source: holds its config.

    Raises:
        InputError: it is not a model, or not one in a single GGUF file.
        GateError: its config or its parameters are damaged.
    """
    parts = read_parts(manifest, source)
    if parts.settings is not None:
        _check_settings(source.read(parts.settings), source.where)
    image = OllamaImage(manifest.data, manifest.blobs) if parts.is_ollama else _image(parts)
    return Model(
        stem=stem,
        quantization=parts.quantization,
        gguf=_required(parts.gguf, source.where),
        adapter=parts.adapter,
        template=parts.template,
        settings=parts.settings,
        system=parts.system,
        licenses=tuple(parts.licenses),
        readme=parts.readme,
        provenance=None,
        image=image,
        documents=tuple(parts.documents),
    )


def with_record(model: Model, package: Package, digest: str) -> Model:
    """A model from a registry with what only the package's record knows: names, model card, statement.

    Args:
        model: from the manifest.
        package: the record; ignored if it does not describe this model.
        digest: of the manifest.
    """
    variant = next(
        each for each in package.variants if digest in {named.manifest.digest for named in each.manifests}
    )
    parts = (variant.gguf, package.adapter, package.template, package.settings, package.system)
    found = (model.gguf, model.adapter, model.template, model.settings, model.system)
    if [part and part.digest for part in parts] != [part and part.digest for part in found]:
        return model
    # A manifest for Ollama names no text, and has the documents among the licenses.
    recorded = [text.digest for text in _texts(package.licenses, package.documents)]
    is_whole = recorded == [text.digest for text in _texts(model.licenses, model.documents)]
    return replace(
        model,
        stem=model_stem(package.name, with_adapter=package.adapter is not None),
        quantization=str(variant.quantization),
        licenses=package.licenses if is_whole else model.licenses,
        documents=package.documents if is_whole else model.documents,
        readme=model.readme or package.model_card,
        provenance=package.provenance,
        bom=package.bom,
        image=_rebuilt_image(package, variant) if model.image.made else model.image,
    )


def _rebuilt_image(package: Package, variant: Variant) -> OllamaImage:
    """The manifest for Ollama as the package has it, although the registry has none."""
    wanted = {each.manifest.digest for each in variant.manifests if each.format == "ollama"}
    for has_links in (True, False):  # Today's formats, and those of early packages.
        # A hostile record may describe no model at all.
        with contextlib.suppress(ValueError):
            for each in rebuild_manifests(package, Credits(has_links=has_links)):
                if each.recorded.digest in wanted and each.is_recorded:
                    manifest = parse_remote(each.built.manifest, package.name)
                    return OllamaImage(manifest.data, manifest.blobs, {each.config.digest: each.built.config})
    raise GateError(
        "The package's record does not describe its manifest for Ollama.",
        where=package.name,
        fix="do not use it; publish the package again",
    )


def _image(parts: Parts) -> OllamaImage:
    """The manifest that Ollama reads, for a model published for other clients."""
    kinds = [
        ("model", parts.gguf), ("adapter", parts.adapter), ("template", parts.template),
        ("system", parts.system), ("params", parts.settings),
        *(("license", text) for text in _texts(parts.licenses, parts.documents)),
    ]  # fmt: skip
    layers = [
        {**descriptor_json(part), "mediaType": ollama.LAYER + kind}
        for kind, part in kinds
        if part is not None
    ]
    config = canonical_json(
        {
            "model_format": "gguf",
            "model_family": parts.family,
            "model_families": [parts.family] if parts.family else [],
            "model_type": parts.size,
            "file_type": parts.quantization,
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
    )
    described = descriptor_for(ollama.CONFIG, config)
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": descriptor_json(described),
            "layers": layers,
        }
    )
    blobs = {described.digest: described} | {part.digest: part for _, part in kinds if part is not None}
    return OllamaImage(manifest, tuple(blobs.values()), {sha256_bytes(config): config})


def _texts(licenses: Iterable[LicenseFile], documents: Iterable[Document]) -> list[Descriptor]:
    """The texts in a manifest for Ollama, in its order."""
    return [*(each.text for each in licenses), *(each.text for each in documents)]


def _check_settings(data: bytes, where: str) -> None:
    try:
        valid = isinstance(strict_loads(data), dict)
    except ValueError:
        valid = False
    if not valid:
        raise GateError(
            "The model's parameters are not a JSON object.",
            where=where,
            fix="do not use it; publish the model again",
        )


def _required(gguf: Descriptor | None, where: str) -> Descriptor:
    if gguf is None:
        raise InputError("The model has no GGUF file.", where=where, fix="name a model in a GGUF file")
    return gguf
