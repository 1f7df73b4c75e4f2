"""The temporary file of examples before packing; memory holds only their lengths.

An example of n tokens is stored as n ids (little-endian, 2 or 4 bytes each) followed by n bytes of flags, see
:mod:`starfreight.jobs.data.blocks.block_file`.
"""

from __future__ import annotations

import array
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from starfreight.files import PARTIAL_PREFIX, disk_errors
from starfreight.jobs.data.formats.interface import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COUNTED = 1
"""Flag of a token counted by the loss."""
BEGINS = 2
"""Flag of the first token of an example."""


def encode_example(example: Example, id_bytes: int) -> bytes:
    """Encode an example. The loss never counts its first token, which has no token before it."""
    import numpy as np

    ids = np.asarray(example.ids, dtype=f"<u{id_bytes}")
    if example.labels is example.ids:
        flags = np.full(len(ids), COUNTED, dtype=np.uint8)
    else:
        flags = (np.asarray(example.labels) == np.asarray(example.ids)).astype(np.uint8)
    flags[0] = BEGINS
    return ids.tobytes() + flags.tobytes()


class ExamplesFile:
    """An unnamed file, which is deleted when it is closed or this process ends.

    Args:
        folder: a directory on a disk with enough space.
        id_bytes: 2 or 4.
    """

    def __init__(self, folder: Path, id_bytes: int) -> None:
        self._folder = folder
        self._width = id_bytes + 1
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._stream = tempfile.TemporaryFile(prefix=PARTIAL_PREFIX, dir=folder)  # noqa: SIM115
        self._lengths = array.array("I")
        self.tokens = 0

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close and delete the file."""
        self._stream.close()

    def append(self, examples: bytes, lengths: Sequence[int]) -> None:
        """Add concatenated examples.

        Raises:
            ServiceError: the disk is full.
        """
        with disk_errors(self._folder):
            self._stream.write(examples)
        self._lengths.extend(lengths)
        self.tokens += sum(lengths)

    def finish(self) -> NDArray[np.uint32]:
        """Flush the buffer and return the number of tokens of each example."""
        import numpy as np

        with disk_errors(self._folder):
            self._stream.flush()
        return np.frombuffer(self._lengths, dtype=np.uint32) if self._lengths else np.zeros(0, np.uint32)

    def read(self, offset: int, length: int) -> bytes:
        """Return the example of ``length`` tokens at an ``offset`` in tokens."""
        return os.pread(self._stream.fileno(), length * self._width, offset * self._width)
