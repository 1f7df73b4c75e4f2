"""ModelPack manifests of early packages, to verify them (``docs/files.md``).

They have no titles, licenses in a directory, and the model's name after ``README.md``.
"""

from __future__ import annotations

import posixpath
import re

from starfreight.package import Descriptor
from starfreight.packager.file_names import lora_name, model_stem
from starfreight.packager.manifests.interface import ModelParts
from starfreight.packager.manifests.modelpack import (
    DOC,
    WEIGHT,
    assemble,
    descriptor,
    file_layer,
    model_notes,
    settings_files,
)
from starfreight.registry.manifests import BuiltManifest


class EarlierModelPack:
    """The earlier form of :class:`~starfreight.packager.manifests.modelpack.ModelPack`; never written."""

    name = "modelpack"
    suffix = "-oci"
    names_adapters = True

    def build(self, parts: ModelParts) -> BuiltManifest:
        """The manifest of one variant."""
        layers = [
            file_layer(media_type, name, part, parts.model.created, title=False)
            for media_type, name, part in _files(parts)
        ]
        return assemble(parts, layers, descriptor(parts), model_notes(parts))


def _files(parts: ModelParts) -> list[tuple[str, str, Descriptor]]:
    stem = model_stem(parts.model.name, with_adapter=parts.adapter is not None)
    files = [(WEIGHT, f"{stem}-{parts.quantization}.gguf", parts.gguf)]
    if parts.adapter is not None:
        files.append((WEIGHT, lora_name(parts.model.name), parts.adapter))
    files += settings_files(parts)
    files.append((DOC, "README.md", parts.model_card))
    files += [
        (DOC, posixpath.join("licenses", f"{_file_name(license.name)}.txt"), license.text)
        for license in parts.licenses
    ]
    return files


def _file_name(license: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", license).strip(".-") or "LICENSE"
