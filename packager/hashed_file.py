"""Finished files with the digests computed while they were written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.quantization import Quantization


@dataclass(frozen=True)
class HashedFile:
    """A finished file.

    Attributes:
        path: its path; moving it into a package leaves nothing there.
        digest: ``sha256:<hex>`` of its bytes.
        size: in bytes.
    """

    path: Path
    digest: str
    size: int


@dataclass(frozen=True)
class QuantizedFile(HashedFile):
    """A finished GGUF file of a model.

    Attributes:
        quantization: the storage type of its weights.
    """

    quantization: Quantization
