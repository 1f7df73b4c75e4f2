"""The finished windows of a comparison on disk, so that it can be resumed.

    with WindowFile(scratch / "windows.bin", key, rows=511) as file:
        for number in range(len(file), windows):
            file.append(compare(number))
        tokens = file.read()

A process that is killed leaves at most one incomplete window at the end, which is dropped.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from types import TracebackType

import numpy as np

from starfreight.files import disk_errors, open_regular, sha256_bytes
from starfreight.jobs.evaluate.divergence.compare_rows import TOKEN, Tokens


class WindowFile:
    """Windows of one size, in their order.

    Args:
        path: the file.
        key: all that the windows depend on. Windows with another key are deleted.
        rows: number of tokens of a window.
    """

    def __init__(self, path: Path, key: str, rows: int) -> None:
        self._path, self._rows = path, rows
        self._record = np.dtype([("tokens", TOKEN, (rows,)), ("checksum", "<u4")])
        self._header = sha256_bytes(f"{TOKEN} {rows} {key}".encode()).encode() + b"\n"
        with disk_errors(path):
            self._count = self._find()
            kept = len(self._header) + self._count * self._record.itemsize
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._stream = os.fdopen(os.open(path, flags, 0o644), "wb")
            if not self._count:
                self._stream.truncate(0)
                self._stream.write(self._header)
            self._stream.truncate(kept)
            self._stream.seek(kept)

    def __len__(self) -> int:
        """Number of finished windows."""
        return self._count

    def append(self, tokens: Tokens) -> None:
        """Writes a window's tokens, shape (rows,)."""
        record = np.zeros((), self._record)
        record["tokens"] = tokens
        record["checksum"] = zlib.crc32(tokens.tobytes())
        with disk_errors(self._path):
            self._stream.write(record.tobytes())
            self._stream.flush()
        self._count += 1

    def read(self) -> Tokens:
        """All finished windows, shape (windows, rows)."""
        with disk_errors(self._path):
            self._stream.flush()
            found: Tokens = self._records(self._count)["tokens"]
        return found

    def __enter__(self) -> WindowFile:
        """The file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self._stream.close()

    def _find(self) -> int:
        """Number of intact windows at the beginning."""
        if not self._path.exists():
            return 0
        with open_regular(self._path, "finished windows", follow=False) as stream:
            if stream.read(len(self._header)) != self._header:
                return 0
            size = os.fstat(stream.fileno()).st_size - len(self._header)
        for number, record in enumerate(self._records(size // self._record.itemsize)):
            if zlib.crc32(record["tokens"].tobytes()) != record["checksum"]:
                return number
        return size // self._record.itemsize

    def _records(self, count: int) -> Tokens:
        return np.fromfile(self._path, self._record, count, offset=len(self._header))
