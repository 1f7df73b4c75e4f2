"""The manifests of a model: one for each kind of client, over the same GGUF blob.

for format in FORMATS:
    built = format.build(parts)
"""

from starfreight.packager.manifests.interface import ManifestFormat, ModelParts
from starfreight.packager.manifests.modelpack import ModelPack
from starfreight.packager.manifests.ollama import Ollama

FORMATS: tuple[ManifestFormat, ...] = (Ollama(), ModelPack())
"""The formats of every variant, in the order of its manifests."""

__all__ = [
    "FORMATS",
    "ManifestFormat",
    "ModelPack",
    "ModelParts",
    "Ollama",
]
