"""A base model whose weights stay at their source, and are read by byte ranges.

The functions of this package accept one in place of a directory: ``open_checkpoint(base)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starfreight.console import Advance


class StreamedWeights(Protocol):
    """The files of weights at their source. Thread-safe."""

    @property
    def where(self) -> str:
        """The source, for an error."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file by name."""

    @property
    def published(self) -> Mapping[str, str]:
        """The digest that the source gives for each file, by name."""

    def verify(self, name: str, advance: Advance) -> str:
        """Read a file from end to end, so that it can be used.

        Returns:
            Its digest, for the caller to compare. Later reads give these very bytes, or fail.

        Raises:
            GateError: the source sent other bytes before.
            ServiceError: the source fails, or cannot send ranges.
        """

    def read(self, name: str, position: int, buffer: memoryview) -> None:
        """Fill a buffer with bytes of a verified file, from ``position`` on.

        Raises:
            GateError: the source sends other bytes than those verified.
            ServiceError: the source fails.
        """

    def expect(self, ranges: Sequence[tuple[str, int, int]]) -> None:
        """Read ahead in this order from now on: name, first byte and number of bytes of each range."""

    def stop(self) -> None:
        """Fail all reads at once, those that wait in other threads too."""


@dataclass(frozen=True)
class StreamedBase:
    """A base model without its weights, and where to read those.

    Attributes:
        folder: the directory of its other files.
        weights: the files that are not there.
    """

    folder: Path
    weights: StreamedWeights


def folder_of(base: Path | StreamedBase) -> Path:
    """The directory of a base model's small files."""
    return base.folder if isinstance(base, StreamedBase) else base


def weights_of(base: Path | StreamedBase) -> StreamedWeights | None:
    """The weights that are not in the directory; ``None`` if all are."""
    return base.weights if isinstance(base, StreamedBase) else None


def streamed_sizes(base: Path | StreamedBase) -> Mapping[str, int]:
    """Bytes of each file that is not in the directory, by name."""
    return base.weights.sizes if isinstance(base, StreamedBase) else {}
