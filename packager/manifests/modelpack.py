"""The manifest for OCI clients: the CNCF ModelPack specification, version 1.

Docker Model Runner, RamaLama, modctl and Kubernetes image volumes read it. Layers are raw files, so the GGUF
blob is the same as in Ollama's manifest. RamaLama refuses layer types other than the specification's own, so
every layer has one of those.
Source: https://github.com/modelpack/model-spec (``docs/spec.md``, ``docs/config.md``).
"""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any

from starfreight.files import canonical_json
from starfreight.package import Descriptor
from starfreight.packager.manifests.interface import ModelParts
from starfreight.packager.press.file_names import lora_name, model_stem
from starfreight.registry.manifests import BuiltManifest, descriptor_for, descriptor_json
from starfreight.registry.media_types import OCI_MANIFEST

ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
CONFIG = "application/vnd.cncf.model.config.v1+json"
WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_CONFIG = "application/vnd.cncf.model.weight.config.v1.raw"
DOC = "application/vnd.cncf.model.doc.v1.raw"

FILE_PATH = "org.cncf.model.filepath"
FILE_METADATA = "org.cncf.model.file.metadata+json"

_PRECISION = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Types that are not quantised, and the specification's names for them."""


class ModelPack:
    """ModelPack, at the tag with ``-oci``."""

    name = "modelpack"
    suffix = "-oci"

    def build(self, parts: ModelParts) -> BuiltManifest:
        """The manifest of one variant."""
        stem = model_stem(parts.model.name, with_adapter=parts.adapter is not None)
        files: list[tuple[str, str, Descriptor]] = [(WEIGHT, f"{stem}-{parts.quantization}.gguf", parts.gguf)]
        if parts.adapter is not None:  # The specification has no adapter layer.
            files.append((WEIGHT, lora_name(parts.model.name), parts.adapter))
        files += [
            (WEIGHT_CONFIG, name, part)
            for name, part in (
                ("params.json", parts.settings),
                ("template.gotmpl", parts.template),
                ("system.txt", parts.system),
            )
            if part is not None
        ]
        files.append((DOC, "README.md", parts.model_card))
        files += [
            (DOC, posixpath.join("licenses", f"{_file_name(license.name)}.txt"), license.text)
            for license in parts.licenses
        ]
        layers = [_layer(media_type, path, part, parts.model.created) for media_type, path, part in files]
        config = canonical_json(_config(parts, [part.digest for _, _, part in files]))
        manifest = canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": ARTIFACT,
                "config": descriptor_json(descriptor_for(CONFIG, config)),
                "layers": layers,
                "annotations": _annotations(parts),
            }
        )
        return BuiltManifest(OCI_MANIFEST, manifest, CONFIG, config)


def parameter_size(count: int) -> str:
    """A number of weights in the specification's format, with one digit after the point: ``3.0B``."""
    for scale, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        # A number just below the scale would be 1000.0 of the next smaller letter.
        if count >= scale - scale // 20_000:
            return f"{count / scale:.1f}{letter}"
    return f"{count / 1000:.1f}K"


def _config(parts: ModelParts, digests: list[str]) -> dict[str, Any]:
    model = parts.model
    described: dict[str, Any] = {
        "createdAt": model.created,
        "family": model.architecture,
        "name": model.name,
        "title": model.title,
        "licenses": [license.name for license in parts.licenses],
    }
    if model.description:
        described["description"] = model.description
    if model.authors:
        described["authors"] = list(model.authors)
    if model.source_url:
        described["sourceURL"] = model.source_url
    technical: dict[str, Any] = {
        "architecture": "transformer",
        "format": "gguf",
        "paramSize": parameter_size(model.parameters),
        "capabilities": {"inputTypes": ["text"], "outputTypes": ["text"]},
    }
    if precision := _PRECISION.get(str(parts.quantization)):
        technical["precision"] = precision
    else:
        technical["quantization"] = str(parts.quantization)
    # The layers are plain files, so the hash of their content is their digest.
    return {"descriptor": described, "config": technical, "modelfs": {"type": "layers", "diffIds": digests}}


def _annotations(parts: ModelParts) -> dict[str, str]:
    model = parts.model
    annotations = {
        "org.opencontainers.image.created": model.created,
        "org.opencontainers.image.title": model.title,
    }
    if parts.licenses:
        annotations["org.opencontainers.image.licenses"] = " AND ".join(
            license.name for license in parts.licenses
        )
    if model.source_url:
        annotations["org.opencontainers.image.source"] = model.source_url
    return annotations


def _layer(media_type: str, path: str, part: Descriptor, created: str) -> dict[str, Any]:
    metadata = {
        "name": path,
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size": part.size,
        "mtime": created,
        "typeflag": ord("0"),  # A regular file, in tar's spelling.
    }
    annotations = {FILE_PATH: path, FILE_METADATA: json.dumps(metadata, separators=(",", ":"))}
    return {**descriptor_json(part), "mediaType": media_type, "annotations": annotations}


def _file_name(license: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", license).strip(".-") or "LICENSE"
