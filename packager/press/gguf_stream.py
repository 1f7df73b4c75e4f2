"""A GGUF file, written from front to back and hashed on the way."""

from __future__ import annotations

import hashlib
import os
from typing import IO

from starfreight.packager.press.metadata import ALIGNMENT


class GgufStream:
    """Appends to an open file. The tensor table's offsets follow from the order, so nothing is patched later.

    Args:
        stream: an empty binary file; ``None`` to compute the digest alone.
        header: everything before the weights.
    """

    def __init__(self, stream: IO[bytes] | None, header: bytes) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size = 0
        self.append(header)

    def append(self, data: bytes | memoryview) -> None:
        """Append bytes of the current tensor."""
        if self._stream is not None:
            self._stream.write(data)
        self._digest.update(data)
        self.size += len(data)

    def end_tensor(self) -> None:
        """Pad to the start of the next tensor. The last one is padded too, as in llama.cpp."""
        self.append(bytes(-self.size % ALIGNMENT))

    def sync(self) -> None:
        """Flush everything to disk; a full disk may show up only then."""
        if self._stream is not None:
            self._stream.flush()
            os.fsync(self._stream.fileno())

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of the bytes written so far."""
        return "sha256:" + self._digest.hexdigest()
