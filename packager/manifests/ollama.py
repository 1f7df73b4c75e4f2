"""The manifest that ``ollama pull`` reads: Docker's image manifest, version 2, schema 2.

Ollama asks for this one media type only; an OCI manifest or an index under the tag answers it with
404. Media types and config fields are those of Ollama's source (``types/model``, ``manifest``,
``server/images.go``), version 0.33. Ollama hashes every blob that it pulls.
"""

from __future__ import annotations

from typing import Any

from starfreight.files import canonical_json
from starfreight.package import Descriptor
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

    def build(self, parts: ModelParts) -> BuiltManifest:
        """The manifest of one variant.

        The adapter comes right after the model and the config says nothing of it, as ``ollama create`` wrote
        it. Since version 0.34.1 that command refuses an ``ADAPTER`` (``server/create.go``); a model that was
        pulled with one is still run with it (``server/images.go``, ``llm/llama_server.go``).
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
        config = canonical_json(
            {
                "model_format": "gguf",
                "model_family": parts.architecture,
                "model_families": [parts.architecture],
                "model_type": human_number(parts.parameters),
                "file_type": str(parts.quantization),
                # A pull checks neither; these two are what Ollama itself writes on every machine.
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
    """A number of weights as Ollama writes it: ``3.0B``, ``2.75M`` (``format/format.go``)."""
    if count >= 10**9:
        return f"{count // 10**9}B" if count % 10**9 == 0 else f"{count / 10**9:.1f}B"
    if count >= 10**6:
        return f"{count // 10**6}M" if count % 10**6 == 0 else f"{count / 10**6:.2f}M"
    if count >= 1000:
        return f"{count / 1000:.0f}K"
    return str(count)


def _layer(kind: str, part: Descriptor) -> dict[str, Any]:
    return {**descriptor_json(part), "mediaType": LAYER + kind}
