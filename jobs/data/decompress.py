"""Decompression while reading: with a limit on growth, and with clear errors for damaged files."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zlib
from pathlib import Path
from typing import IO, Any, cast

from starfreight.errors import InputError

SUFFIXES = frozenset({".gz", ".bz2", ".xz", ".zst", ".lz4"})

_MOST_GROWTH = 500
"""Growth of a file by decompression; text shrinks to a fifth, repeated records hardly to a hundredth."""
_FREE_BYTES = 64 << 20
"""Size up to which growth does not matter."""
_BUFFER = 1 << 20


def decompressed(stream: IO[bytes], path: Path) -> IO[bytes]:
    """Return a stream of the unpacked bytes, by the suffix of ``path``; the stream itself without one.

    Args:
        stream: the file, at its start.
        path: its path; reading errors name it.

    Raises:
        InputError: while reading: it is damaged, or unpacks to more than 500 times its size and 64 MiB.
        MissingLibrary: pyarrow is needed and not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        return stream
    most = os.fstat(stream.fileno()).st_size * _MOST_GROWTH + _FREE_BYTES
    return io.BufferedReader(_Unpacked(_unpacker(stream, path), most, path), _BUFFER)


def _unpacker(stream: IO[bytes], path: Path) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
    if suffix == ".bz2":
        return cast(IO[bytes], bz2.BZ2File(stream))
    if suffix == ".xz":
        return cast(IO[bytes], lzma.LZMAFile(stream))
    try:
        import pyarrow
    except ImportError as error:
        from starfreight.jobs.data.sources.interface import MissingLibrary

        raise MissingLibrary(
            f"Files compressed as {suffix} need pyarrow, which is not installed.",
            where=str(path),
            fix="pip install 'starfreight[train]', or unpack the file",
        ) from error
    codec = "zstd" if suffix == ".zst" else "lz4"
    return cast(IO[bytes], pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, "r"), codec))


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
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
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
