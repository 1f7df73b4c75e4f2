"""One GGUF file being written from front to back and hashed on the way."""

from __future__ import annotations

import hashlib
import os
from typing import IO

from starfreight.packager.press.metadata import ALIGNMENT


class GgufStream:
    """Appends to an open file. The tensor table's offsets follow from the order, so nothing is patched later.

    Args:
        stream: an empty binary file.
        header: everything before the weights.
    """

    def __init__(self, stream: IO[bytes], header: bytes) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size = 0
        self.append(header)

    def append(self, data: bytes | memoryview) -> None:
        """Writes bytes of the tensor at hand."""
        self._stream.write(data)
        self._digest.update(data)
        self.size += len(data)

    def end_tensor(self) -> None:
        """Pads to where the next tensor starts. The last one is padded too, as llama.cpp does."""
        self.append(bytes(-self.size % ALIGNMENT))

    def sync(self) -> None:
        """Waits until everything is on the disk, which may turn out to be full only then."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of what was written so far."""
        return "sha256:" + self._digest.hexdigest()
