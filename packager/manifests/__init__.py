"""The manifests of a model: one for each kind of client, over the same GGUF blob.

for format in formats_for(with_adapter=False):
    built = format.build(parts)
"""

from starfreight.packager.manifests.docker_model import DockerModel
from starfreight.packager.manifests.earlier_modelpack import EarlierModelPack
from starfreight.packager.manifests.interface import ManifestFormat, ModelParts
from starfreight.packager.manifests.modelpack import ModelPack
from starfreight.packager.manifests.ollama import Ollama

FORMATS: tuple[ManifestFormat, ...] = (Ollama(), ModelPack(), DockerModel())
"""The formats of every variant, in the order of its manifests."""

EARLIER_FORMATS: tuple[ManifestFormat, ...] = (Ollama(), EarlierModelPack())
"""Of early packages, which continue to verify."""


def formats_for(*, with_adapter: bool) -> tuple[ManifestFormat, ...]:
    """The formats of a package's variants: with an adapter, those that can name one."""
    return tuple(format for format in FORMATS if format.names_adapters or not with_adapter)


__all__ = [
    "EARLIER_FORMATS",
    "FORMATS",
    "DockerModel",
    "EarlierModelPack",
    "ManifestFormat",
    "ModelPack",
    "ModelParts",
    "Ollama",
    "formats_for",
]
