"""The plug point of manifests: from a model's parts to the bytes that a kind of client reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starfreight.package import Descriptor, LicenseFile
from starfreight.quantization import Quantization
from starfreight.registry.manifests import BuiltManifest


@dataclass(frozen=True)
class ModelParts:
    """One variant: its files, which lie in the layout already, and what is said of it."""

    name: str
    title: str
    description: str
    created: str
    """In UTC: ``2026-01-31T12:00:00Z``."""
    authors: tuple[str, ...]
    source_url: str | None
    architecture: str
    """As GGUF names it: ``starcoder2``."""
    parameters: int
    """How many weights the model has."""
    quantization: Quantization
    gguf: Descriptor
    """The tuned model, or the base model where there is an adapter."""
    template: Descriptor | None
    settings: Descriptor | None
    system: Descriptor | None
    licenses: tuple[LicenseFile, ...]
    model_card: Descriptor
    adapter: Descriptor | None = None
    """A LoRA GGUF."""


class ManifestFormat(Protocol):
    """A kind of manifest."""

    @property
    def name(self) -> str:
        """What the package calls the format."""
        ...

    @property
    def suffix(self) -> str:
        """What the format's tags end with."""
        ...

    def build(self, parts: ModelParts) -> BuiltManifest:
        """The manifest of one variant."""
        ...
