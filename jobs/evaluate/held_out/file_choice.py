"""The choice among many files: by a hash of the name, so that a new file moves few others."""

from __future__ import annotations

import hashlib
import heapq
from typing import Generic, TypeVar

File = TypeVar("File")

MOST_FILES = 2_000
MOST_BYTES = 64 << 20


def rank(*parts: object) -> int:
    """A 64-bit number that depends on the parts alone."""
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


class FileChoice(Generic[File]):
    """The files with the lowest ranks, up to a number and a total size, in whichever order they come.

    Args:
        most: number of files.
        size: of all of them, in bytes.
    """

    def __init__(self, most: int = MOST_FILES, size: int = MOST_BYTES) -> None:
        self._most, self._size = most, size
        self._heap: list[tuple[int, str, int, File]] = []
        self._total = 0
        self._above: int | None = None

    def wants(self, name: str) -> bool:
        """True unless a file of this name is certain to be left out."""
        return self._above is None or rank(name) < self._above

    def add(self, name: str, size: int, file: File) -> None:
        """Adds a file with a unique name."""
        if not self.wants(name):
            return
        heapq.heappush(self._heap, (-rank(name), name, size, file))
        self._total += size
        while len(self._heap) > self._most or (self._total > self._size and len(self._heap) > 1):
            dropped, _, freed, _ = heapq.heappop(self._heap)
            self._total -= freed
            self._above = -dropped

    def chosen(self) -> list[File]:
        """The files, the lowest rank first."""
        return [entry[3] for entry in sorted(self._heap, key=lambda entry: -entry[0])]
