"""The manifest for OCI clients: the CNCF ModelPack specification, version 1.

Docker Model Runner, RamaLama, modctl and Kubernetes image volumes read it. Layers are raw files, so the GGUF
blob is the same as in Ollama's manifest. RamaLama refuses layer types other than the specification's own, so
every layer has one of those. ``oras pull`` and podman need a title on each layer.
Source: https://github.com/modelpack/model-spec (``docs/spec.md``, ``docs/config.md``).
"""

from __future__ import annotations

import json
from typing import Any

from starfreight.files import canonical_json
from starfreight.package import Descriptor
from starfreight.packager.manifests.flat_names import (
    README,
    adapter_name,
    document_names,
    license_names,
    model_name,
)
from starfreight.packager.manifests.interface import ModelParts
from starfreight.registry.manifests import BuiltManifest, descriptor_for, descriptor_json
from starfreight.registry.media_types import OCI_MANIFEST

ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
CONFIG = "application/vnd.cncf.model.config.v1+json"
WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_CONFIG = "application/vnd.cncf.model.weight.config.v1.raw"
DOC = "application/vnd.cncf.model.doc.v1.raw"

TITLE = "org.opencontainers.image.title"
FILE_PATH = "org.cncf.model.filepath"
FILE_METADATA = "org.cncf.model.file.metadata+json"

_PRECISION = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Types that are not quantised, and the specification's names for them."""


class ModelPack:
    """ModelPack, at the tag with ``-oci``."""

    name = "modelpack"
    suffix = "-oci"
    names_adapters = True

    def build(self, parts: ModelParts) -> BuiltManifest:
        """The manifest of one variant."""
        files = _files(parts)
        layers = [file_layer(media_type, name, part, parts.model.created) for media_type, name, part in files]
        described = descriptor(parts) | _links(parts)
        return assemble(parts, layers, described, model_notes(parts))


def parameter_size(count: int) -> str:
    """A number of weights in the specification's format, with one digit after the point: ``3.0B``."""
    for scale, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        # A number just below the scale would be 1000.0 of the next smaller letter.
        if count >= scale - scale // 20_000:
            return f"{count / scale:.1f}{letter}"
    return f"{count / 1000:.1f}K"


def assemble(
    parts: ModelParts, layers: list[dict[str, Any]], described: dict[str, Any], notes: dict[str, str]
) -> BuiltManifest:
    """The manifest of these layers.

    Args:
        parts: the variant.
        layers: its files, as :func:`file_layer` makes them.
        described: the config's ``descriptor``.
        notes: the manifest's annotations.
    """
    config = canonical_json(
        {
            "descriptor": described,
            "config": _technical(parts),
            # The layers are plain files, so the hash of their content is their digest.
            "modelfs": {"type": "layers", "diffIds": [layer["digest"] for layer in layers]},
        }
    )
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": ARTIFACT,
            "config": descriptor_json(descriptor_for(CONFIG, config)),
            "layers": layers,
            "annotations": notes,
        }
    )
    return BuiltManifest(OCI_MANIFEST, manifest, CONFIG, config)


def descriptor(parts: ModelParts) -> dict[str, Any]:
    """The config's ``descriptor``, as far as every version of this format has it."""
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
    return described


def model_notes(parts: ModelParts) -> dict[str, str]:
    """The manifest's annotations."""
    model = parts.model
    notes = {"org.opencontainers.image.created": model.created, TITLE: model.title}
    if parts.licenses:
        notes["org.opencontainers.image.licenses"] = " AND ".join(license.name for license in parts.licenses)
    if model.source_url:
        notes["org.opencontainers.image.source"] = model.source_url
    return notes


def file_layer(
    media_type: str, name: str, part: Descriptor, created: str, *, title: bool = True
) -> dict[str, Any]:
    """A layer that is one file, with the annotations of the specification."""
    metadata = {
        "name": name,
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size": part.size,
        "mtime": created,
        "typeflag": ord("0"),  # A regular file, in tar's spelling.
    }
    notes = {FILE_PATH: name, FILE_METADATA: json.dumps(metadata, separators=(",", ":"))}
    if title:
        notes[TITLE] = name
    return {**descriptor_json(part), "mediaType": media_type, "annotations": notes}


def settings_files(parts: ModelParts) -> list[tuple[str, str, Descriptor]]:
    """Media type, name and descriptor of Ollama's parts, as files."""
    named = (
        ("params.json", parts.settings),
        ("template.gotmpl", parts.template),
        ("system.txt", parts.system),
    )
    return [(WEIGHT_CONFIG, name, part) for name, part in named if part is not None]


def _files(parts: ModelParts) -> list[tuple[str, str, Descriptor]]:
    files = [(WEIGHT, model_name(parts), parts.gguf)]
    if parts.adapter is not None:  # The specification has no adapter layer.
        files.append((WEIGHT, adapter_name(parts), parts.adapter))
    files += settings_files(parts)
    files.append((DOC, README, parts.model_card))
    files += [(DOC, name, text) for name, text in license_names(parts.licenses)]
    files += [(DOC, name, text) for name, text in document_names(parts.documents)]
    return files


def _links(parts: ModelParts) -> dict[str, Any]:
    """The fields that point elsewhere. The revision is the run: its id covers base, data and training."""
    model = parts.model
    links: dict[str, Any] = {"revision": model.run}
    if model.doc_url:
        links["docURL"] = model.doc_url
    if model.dataset_urls:
        links["datasetsURL"] = list(model.dataset_urls)
    return links


def _technical(parts: ModelParts) -> dict[str, Any]:
    technical: dict[str, Any] = {
        "architecture": "transformer",
        "format": "gguf",
        "paramSize": parameter_size(parts.model.parameters),
        "capabilities": {"inputTypes": ["text"], "outputTypes": ["text"]},
    }
    if precision := _PRECISION.get(str(parts.quantization)):
        technical["precision"] = precision
    else:
        technical["quantization"] = str(parts.quantization)
    return technical
