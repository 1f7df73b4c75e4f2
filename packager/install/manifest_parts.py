"""The parts of a model, recognised in the manifests of each kind of client."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass

from starfreight.base_documents import MAX_DOCUMENTS, is_document_name
from starfreight.errors import GateError, InputError
from starfreight.package import Descriptor, Document, LicenseFile
from starfreight.packager.install.interface import Source
from starfreight.packager.manifests import docker_model, modelpack, ollama
from starfreight.packager.registry.read_model import layer_annotations
from starfreight.packager.registry.remote_manifest import RemoteManifest

_DOCKER_GGUF = re.compile(r"application/vnd\.docker\.ai\.gguf\.v[0-9]{1,3}")
_QUANTIZATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,29}")
_FAMILY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")

_BY_NAME = {"template.gotmpl": "template", "params.json": "settings", "system.txt": "system"}
"""Files of a ModelPack manifest of ours."""

_BY_KIND = {
    "model": "gguf", "adapter": "adapter", "template": "template", "params": "settings", "system": "system"
}  # fmt: skip
"""Layers of Ollama."""


@dataclass
class Parts:
    """Parts and properties of a model; the strings are checked words."""

    quantization: str
    family: str
    size: str
    gguf: Descriptor | None = None
    adapter: Descriptor | None = None
    template: Descriptor | None = None
    settings: Descriptor | None = None
    system: Descriptor | None = None
    licenses: tuple[LicenseFile, ...] = ()
    documents: tuple[Document, ...] = ()
    readme: Descriptor | None = None
    is_ollama: bool = False


def read_parts(manifest: RemoteManifest, source: Source) -> Parts:
    """The parts of a model.

    Raises:
        InputError: it is not a model, or not one in a single GGUF file.
        GateError: its config is damaged.
    """
    readers = {"modelpack": _modelpack_parts, "docker": _docker_parts, "ollama": _ollama_parts}
    if manifest.format not in readers:
        raise InputError(
            f"The reference names something other than a model: {manifest.artifact_type[:100]}.",
            where=source.where,
            fix="name the tag of a model for Ollama, or one in ModelPack's format",
        )
    return readers[manifest.format](manifest, source)


def _ollama_parts(manifest: RemoteManifest, source: Source) -> Parts:
    config = _config(manifest, source)
    parts = Parts(
        quantization=_word(config.get("file_type"), _QUANTIZATION, "model"),
        family=_word(config.get("model_family"), _FAMILY, ""),
        size=_word(config.get("model_type"), _FAMILY, ""),
        is_ollama=True,
    )
    for layer in manifest.layers:
        kind = layer.media_type.removeprefix(ollama.LAYER)
        if kind == "model" and parts.gguf is not None:
            raise _several(source.where)
        if kind in _BY_KIND:
            setattr(parts, _BY_KIND[kind], layer)
        elif kind == "license":
            name = f"LicenseRef-{len(parts.licenses) + 1}"
            parts.licenses += (LicenseFile(name=name, text=layer),)
    return parts


def _modelpack_parts(manifest: RemoteManifest, source: Source) -> Parts:
    config = _config(manifest, source)
    technical, described = (
        found if isinstance(found := config.get(key), dict) else {} for key in ("config", "descriptor")
    )
    if technical.get("format", "gguf") != "gguf":
        raise InputError(
            f"The model is in the format {str(technical.get('format'))[:40]!r}, not GGUF.",
            where=source.where,
            fix="name a model in a GGUF file",
        )
    parts = Parts(
        quantization=_word(
            technical.get("quantization") or technical.get("precision"), _QUANTIZATION, "model"
        ),
        family=_word(described.get("family"), _FAMILY, ""),
        size=_word(technical.get("paramSize"), _FAMILY, ""),
    )
    names = described.get("licenses")
    known = [each for each in names if isinstance(each, str)] if isinstance(names, list) else []
    for layer, notes in zip(manifest.layers, layer_annotations(manifest), strict=True):
        if not layer.media_type.endswith(".v1.raw"):
            raise InputError(
                f"The model has an archive among its files: {layer.media_type}.",
                where=source.where,
                fix="name a model whose files are layers of their own (.raw)",
            )
        name = _file_name(notes)
        base = posixpath.basename(name)
        if base.lower().endswith(".gguf"):
            _add_weights(parts, layer, base, source.where)
        elif base in _BY_NAME:
            setattr(parts, _BY_NAME[base], layer)
        elif base.lower() in ("readme", "readme.md"):
            parts.readme = layer
        elif base.upper().startswith("LICENSE") or name.startswith("licenses/"):
            count = len(parts.licenses)
            license = known[count] if count < len(known) else f"LicenseRef-{count + 1}"
            parts.licenses += (
                LicenseFile(name=_word(license, _FAMILY, f"LicenseRef-{count + 1}"), text=layer),
            )
        else:
            _add_document(parts, layer, name)
    return parts


def _docker_parts(manifest: RemoteManifest, source: Source) -> Parts:
    config = _config(manifest, source)
    technical = found if isinstance(found := config.get("config"), dict) else {}
    parts = Parts(
        quantization=_word(technical.get("quantization"), _QUANTIZATION, "model"),
        family=_word(technical.get("architecture"), _FAMILY, ""),
        size=_word(technical.get("parameters"), _FAMILY, ""),
    )
    for layer, notes in zip(manifest.layers, layer_annotations(manifest), strict=True):
        if _DOCKER_GGUF.fullmatch(layer.media_type):
            _add_weights(parts, layer, "model.gguf", source.where)
        elif layer.media_type == docker_model.LICENSE and not _add_document(parts, layer, _file_name(notes)):
            name = f"LicenseRef-{len(parts.licenses) + 1}"
            parts.licenses += (LicenseFile(name=name, text=layer),)
    return parts


def _add_document(parts: Parts, layer: Descriptor, name: str) -> bool:
    """True if the layer is a document by its name, which is that of no other part of a model."""
    taken = {each.name.casefold() for each in parts.documents}
    if not is_document_name(name) or name.casefold() in taken or len(taken) >= MAX_DOCUMENTS:
        return False
    parts.documents += (Document(name=name, text=layer),)
    return True


def _add_weights(parts: Parts, layer: Descriptor, name: str, where: str) -> None:
    if "lora" in name.lower() and parts.gguf is not None and parts.adapter is None:
        parts.adapter = layer
    elif parts.gguf is None:
        parts.gguf = layer
    else:
        raise _several(where)


def _config(manifest: RemoteManifest, source: Source) -> dict[str, object]:
    try:
        config = json.loads(source.read(manifest.config)) if manifest.config is not None else None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise GateError(
            "The model's config is not a JSON object.",
            where=source.where,
            fix="do not use it; publish the model again",
        )
    return config


def _file_name(annotations: dict[str, str]) -> str:
    """The layer's path, for recognition only: no file is written under it."""
    return annotations.get(modelpack.FILE_PATH) or annotations.get(modelpack.TITLE) or ""


def _word(value: object, pattern: re.Pattern[str], otherwise: str) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else otherwise


def _several(where: str) -> InputError:
    return InputError(
        "The model is split into several GGUF files.",
        where=where,
        fix="merge them with llama.cpp's llama-gguf-split --merge, and publish that",
    )
