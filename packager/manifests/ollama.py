"""The manifest for ``ollama pull``: Docker's image manifest, version 2, schema 2.

Ollama requests this media type only: with an OCI manifest or an index at the tag, the registry answers 404.
Media types and config fields are those of Ollama's source (``types/model``, ``manifest``,
``server/images.go``), version 0.33. Ollama hashes every blob it pulls.
"""

from __future__ import annotations

from typing import Any

from starfreight.files import canonical_json
from starfreight.package import Descriptor
from starfreight.packager.manifests.flat_names import document_names
from starfreight.packager.manifests.interface import ModelParts
from starfreight.registry.manifests import BuiltManifest, descriptor_for, descriptor_json
from starfreight.registry.media_types import DOCKER_MANIFEST

CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.ollama.image."
"""Followed by ``model``, ``adapter``, ``template``, ``system``, ``params`` or ``license``."""


class Ollama:
    """Ollama's format, at the plain tag."""

    name = "ollama"
    suffix = ""
    names_adapters = True

    def build(self, parts: ModelParts) -> BuiltManifest:
        """The manifest of one variant.

        The adapter comes right after the model and is not in the config, as ``ollama create`` wrote it.
        Since version 0.34.1 that command refuses an ``ADAPTER`` (``server/create.go``); a model pulled with
        one still runs with it (``server/images.go``, ``llm/llama_server.go``).
        """
        layers = [_layer("model", parts.gguf)]
        layers += [
            _layer(kind, part)
            for kind, part in (
                ("adapter", parts.adapter),
                ("template", parts.template),
                ("system", parts.system),
                ("params", parts.settings),
            )
            if part is not None
        ]
        layers += [_layer("license", license.text) for license in parts.licenses]
        # `ollama show --license` shows these texts, and there is no other place for a document.
        layers += [_layer("license", text) for _, text in document_names(parts.documents)]
        config = canonical_json(
            {
                "model_format": "gguf",
                "model_family": parts.model.architecture,
                "model_families": [parts.model.architecture],
                "model_type": human_number(parts.model.parameters),
                "file_type": str(parts.quantization),
                # A pull checks neither; Ollama itself writes these two values on every machine.
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
            }
        )
        manifest = canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": DOCKER_MANIFEST,
                "config": descriptor_json(descriptor_for(CONFIG, config)),
                "layers": layers,
            }
        )
        return BuiltManifest(DOCKER_MANIFEST, manifest, CONFIG, config)


def human_number(count: int) -> str:
    """A number of weights in Ollama's format: ``3.0B``, ``2.75M`` (``format/format.go``)."""
    if count >= 10**9:
        return f"{count // 10**9}B" if count % 10**9 == 0 else f"{count / 10**9:.1f}B"
    if count >= 10**6:
        return f"{count // 10**6}M" if count % 10**6 == 0 else f"{count / 10**6:.2f}M"
    if count >= 1000:
        return f"{count / 1000:.0f}K"
    return str(count)


def _layer(kind: str, part: Descriptor) -> dict[str, Any]:
    return {**descriptor_json(part), "mediaType": LAYER + kind}
