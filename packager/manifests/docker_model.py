"""The manifest in Docker's own format for models, for llama.cpp's ``-dr`` and llmman.

Both recognise the model by its layer's type, which ModelPack's is not: llama.cpp answers "No GGUF layer found
in Docker manifest", and llmman copies the file instead of using it in place. Docker Model Runner reads this
format and ModelPack.
Source: https://github.com/docker/model-runner (``pkg/distribution/types/config.go``).
"""

from __future__ import annotations

from typing import Any

from starfreight.files import canonical_json
from starfreight.packager.manifests.flat_names import document_names, license_names, model_name
from starfreight.packager.manifests.interface import ModelParts
from starfreight.packager.manifests.modelpack import file_layer, model_notes, parameter_size
from starfreight.registry.manifests import BuiltManifest, descriptor_for, descriptor_json
from starfreight.registry.media_types import OCI_MANIFEST

CONFIG = "application/vnd.docker.ai.model.config.v0.2+json"
GGUF = "application/vnd.docker.ai.gguf.v3"
LICENSE = "application/vnd.docker.ai.license"


class DockerModel:
    """Docker's format, at the tag with ``-docker``. It knows no adapters, templates or parameters."""

    name = "docker"
    suffix = "-docker"
    names_adapters = False

    def build(self, parts: ModelParts) -> BuiltManifest:
        """The manifest of one variant. Its first layer is the model."""
        created = parts.model.created
        layers = [file_layer(GGUF, model_name(parts), parts.gguf, created)]
        texts = (*license_names(parts.licenses), *document_names(parts.documents))
        # Clients show no other texts than licenses.
        layers += [file_layer(LICENSE, name, text, created) for name, text in texts]
        config = canonical_json(
            {
                "config": _technical(parts),
                "descriptor": {"created": created},
                "rootfs": {"type": "rootfs", "diff_ids": [layer["digest"] for layer in layers]},
            }
        )
        manifest = canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": descriptor_json(descriptor_for(CONFIG, config)),
                "layers": layers,
                "annotations": model_notes(parts),
            }
        )
        return BuiltManifest(OCI_MANIFEST, manifest, CONFIG, config)


def _technical(parts: ModelParts) -> dict[str, Any]:
    return {
        "format": "gguf",
        "quantization": str(parts.quantization),
        "parameters": parameter_size(parts.model.parameters),
        "architecture": parts.model.architecture,
        "size": f"{parts.gguf.size / 10**6:.2f}MB",
    }
