"""The plug points of installing: sources that hold a model's blobs, and targets that take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from starfreight.console import Advance, Console
from starfreight.package import Descriptor, Document, LicenseFile


@dataclass(frozen=True)
class OllamaImage:
    """A model in Ollama's format."""

    manifest: bytes
    blobs: tuple[Descriptor, ...]
    """Config and layers, each digest once."""
    made: Mapping[str, bytes] = field(default_factory=dict)
    """Blobs, by digest, that the source does not have: of a model published for other clients alone."""

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)


@dataclass(frozen=True)
class Model:
    """One variant of a model, with everything that some target needs."""

    stem: str
    """Start of the file names; letters, digits, dots, dashes and underscores."""
    quantization: str
    gguf: Descriptor
    adapter: Descriptor | None
    template: Descriptor | None
    settings: Descriptor | None
    system: Descriptor | None
    licenses: tuple[LicenseFile, ...]
    readme: Descriptor | None
    provenance: Descriptor | None
    image: OllamaImage
    documents: tuple[Document, ...] = ()
    """The base's card and notices, beside the licenses."""
    bom: Descriptor | None = None


class Source(Protocol):
    """Holder of a model's blobs."""

    @property
    def where(self) -> str:
        """The source, for messages."""
        ...

    def path(self, blob: Descriptor) -> Path | None:
        """A file with the blob's size; its digest is unchecked. ``None`` if it has to be fetched."""
        ...

    def fetch(self, blob: Descriptor, to: Path, advance: Advance) -> None:
        """Write a blob to a file, which appears only with the right digest."""
        ...

    def read(self, blob: Descriptor) -> bytes:
        """The bytes of a blob of at most 4 MiB, verified."""
        ...


@dataclass(frozen=True)
class Installed:
    """A finished installation."""

    target: str
    """``ollama``, ``ollama-store`` or ``files``."""
    place: str
    """URL or directory."""
    name: str
    """The model's name in Ollama, or the name of its file."""
    digest: str
    """Digest of Ollama's manifest, or of the GGUF file."""
    size: int
    """Bytes of the model's files."""
    present: int
    """Bytes of them that were there already."""
    next: str
    """The command to continue with."""

    def as_dict(self) -> dict[str, Any]:
        """The result as ``--json`` prints it."""
        return {
            "target": self.target,
            "place": self.place,
            "name": self.name,
            "digest": self.digest,
            "size": self.size,
            "present": self.present,
            "next": self.next,
        }


class Target(Protocol):
    """A place to install into."""

    def check(self, name: str) -> None:
        """Refuse an unusable place or name before anything is downloaded."""
        ...

    def install(self, model: Model, source: Source, name: str, console: Console) -> Installed:
        """Install a model.

        Args:
            model: the model.
            source: holds its blobs.
            name: name of the model in Ollama; plain files ignore it.
            console: shows progress.
        """
        ...
