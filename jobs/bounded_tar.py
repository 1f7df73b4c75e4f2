"""Reads untrusted tar archives with ``tarfile``, in bounded memory and time.

with open_archive(stream) as archive:
    while (member := archive.next()) is not None:
        ...

``tarfile`` reads each extended header (pax, GNU long name, GNU sparse) as a whole, follows any number of them
for one member, and searches them with regular expressions that take quadratic time for long runs of digits.
"""

from __future__ import annotations

import re
import tarfile
from typing import IO, Any, cast

MAX_EXTENSION = 64 << 10
"""Bytes of one extended header, and of all global ones."""

TAR_ERRORS = (tarfile.TarError, EOFError, ValueError, LookupError, OverflowError, RecursionError)
"""Exceptions of ``tarfile`` for damaged and hostile archives."""

_MAX_HEADERS = 8
"""Headers of one member: its own, and for instance a global, a pax, a long-name and a long-link header."""
_EXTENSIONS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_MANY_DIGITS = re.compile(rb"[0-9]{256}")


class UnsafeArchiveError(Exception):
    """Completes the sentence "The archive ..."."""


def open_archive(stream: IO[bytes]) -> tarfile.TarFile:
    """Open an uncompressed archive as a stream, which is only read forward.

    Raises:
        UnsafeArchiveError: a header is too large; also by methods of the archive.
        tarfile.TarError: and the others of :data:`TAR_ERRORS`, likewise.
    """
    return _Archive.open(
        fileobj=stream,
        mode="r|",
        tarinfo=_Header,
        encoding="utf-8",
        errors="surrogateescape",
        bufsize=1 << 16,
    )


class _Archive(tarfile.TarFile):
    headers = 0

    def next(self) -> tarfile.TarInfo | None:
        self.headers = 0
        member = super().next()
        if sum(len(key) + len(str(value)) for key, value in self.pax_headers.items()) > MAX_EXTENSION:
            raise UnsafeArchiveError("has global headers of an invalid size")
        return member


class _Header(tarfile.TarInfo):
    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _Header:
        archive = cast(_Archive, tarfile)
        archive.headers += 1
        if archive.headers > _MAX_HEADERS:
            raise UnsafeArchiveError("has too many headers for one member")
        return super().fromtarfile(tarfile)

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _EXTENSIONS and header.size > MAX_EXTENSION):
            raise UnsafeArchiveError("has a header of an invalid size")
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise UnsafeArchiveError("contains a sparse file, which is not a regular file")
        return header

    def _proc_pax(self, archive: Any) -> tarfile.TarInfo:
        stream = archive.fileobj
        data = stream.read(self._block(self.size))  # type: ignore[attr-defined]
        if _MANY_DIGITS.search(data):
            raise UnsafeArchiveError("has a header with a very long number")
        archive.fileobj = _ReadAgain(archive, stream, data)
        return cast(tarfile.TarInfo, super()._proc_pax(archive))  # type: ignore[misc]

    def _proc_gnusparse_10(self, *arguments: object) -> None:
        # Its list of parts has no limit.
        raise UnsafeArchiveError("contains a sparse file, which is not a regular file")


class _ReadAgain:
    """Stands for an archive's stream during the next read only, which returns ``data`` once more."""

    def __init__(self, archive: Any, stream: Any, data: bytes) -> None:
        self._archive = archive
        self._stream = stream
        self._data = data

    def read(self, size: int) -> bytes:
        self._archive.fileobj = self._stream
        return self._data[:size]
