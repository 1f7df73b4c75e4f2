"""Files of records, decompressed while they are read: gzip, and Zstandard by pyarrow."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from starfreight.errors import InputError
from starfreight.files import open_regular
from starfreight.jobs.data.sources.interface import MissingLibrary

COMPRESSED = ("", ".gz", ".zst")
"""Suffixes after that of the format."""

_MOST_GROWTH = 500
"""Growth of a file by decompression; text shrinks to a fifth, repeated records hardly to a hundredth."""
_FREE_BYTES = 64 << 20
"""Size up to which growth does not matter."""
_BUFFER = 1 << 20


@contextlib.contextmanager
def open_records(path: Path, kind: str) -> Iterator[IO[bytes]]:
    """Open a file of records, decompressed if its name ends in ``.gz`` or ``.zst``.

    Args:
        path: the file.
        kind: noun for error messages.

    Raises:
        InputError: it is a pipe or a device, is damaged, or unpacks to more than 500 times its size and
            64 MiB; also while it is read.
        MissingLibrary: pyarrow is needed and not installed.
        OSError: it is missing or unreadable.
    """
    with open_regular(path, kind) as stream:
        if path.suffix not in (".gz", ".zst"):
            yield stream
            return
        unpacked = gzip.GzipFile(fileobj=stream) if path.suffix == ".gz" else _zstandard(stream, path)
        most = os.fstat(stream.fileno()).st_size * _MOST_GROWTH + _FREE_BYTES
        yield io.BufferedReader(_Unpacked(unpacked, most, path), _BUFFER)


class _Unpacked(io.RawIOBase):
    """A decompressed stream of limited length, with the errors of damaged files."""

    def __init__(self, stream: Any, most: int, path: Path) -> None:
        self._stream, self._left, self._path = stream, most, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        # pyarrow's errors are OSErrors and ValueErrors; EOFError is that of a file cut off.
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise InputError(
                f"The file cannot be decompressed: {str(error)[:200]}.",
                where=str(self._path),
                fix="check that it is complete, or compress it again",
            ) from error
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"The file unpacks to more than {_MOST_GROWTH} times its size.",
                where=str(self._path),
                fix="check that this is the right file, or unpack it",
            )
        buffer[: len(data)] = data
        return len(data)


def _zstandard(stream: IO[bytes], path: Path) -> IO[bytes]:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingLibrary(
            "Files compressed by Zstandard need pyarrow, which is not installed.",
            where=str(path),
            fix="pip install 'starfreight[train]', or unpack the file: zstd -d",
        ) from error
    return cast(IO[bytes], pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, "r"), "zstd"))
