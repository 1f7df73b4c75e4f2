"""The plug point of manifests: from a model's parts to the bytes that one kind of client reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starfreight.package import Descriptor, Document, LicenseFile
from starfreight.packager.model_description import ModelDescription
from starfreight.quantization import Quantization
from starfreight.registry.manifests import BuiltManifest


@dataclass(frozen=True)
class ModelParts:
    """One variant: the model's description, and its files, already in the layout."""

    model: ModelDescription
    quantization: Quantization
    gguf: Descriptor
    """The tuned model, or the base model if there is an adapter."""
    template: Descriptor | None
    settings: Descriptor | None
    system: Descriptor | None
    licenses: tuple[LicenseFile, ...]
    model_card: Descriptor
    adapter: Descriptor | None = None
    """A LoRA GGUF."""
    documents: tuple[Document, ...] = ()
    """Documents that have to accompany the model; every format ships them."""


class ManifestFormat(Protocol):
    """A kind of manifest."""

    @property
    def name(self) -> str:
        """The format's name in ``package.json``."""
        ...

    @property
    def suffix(self) -> str:
        """The end of the format's tags."""
        ...

    @property
    def names_adapters(self) -> bool:
        """True if the format can name an adapter; others are left out of packages that have one."""
        ...

    def build(self, parts: ModelParts) -> BuiltManifest:
        """The manifest of one variant."""
        ...
